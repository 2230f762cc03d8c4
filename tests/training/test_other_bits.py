"""A run that resumes where sums are rounded differently reports it, and a record contains what rounding depends on."""

import warnings
from pathlib import Path

import pytest

from kzoo.training.records import warn_of_other_bits

VERSIONS = {"kzoo": "1", "keras": "3", "tensorflow": "2.21", "jax": "0.10", "numpy": "2"}
SEGMENT = {"backend": "tensorflow", "processor_features": ["avx2"], "versions": VERSIONS, "onednn": "1"}


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ({}, {"onednn": "0"}, "TF_ENABLE_ONEDNN_OPTS 0 instead of 1"),
        ({"onednn": None}, {}, "TF_ENABLE_ONEDNN_OPTS 1 instead of 0"),
        ({}, {"versions": {**VERSIONS, "keras": "4"}}, "keras 4 instead of 3"),
        ({}, {"backend": "jax", "onednn": None}, "with jax instead of tensorflow:"),
    ],
)
def test_what_changes_the_last_bits_is_reported(before, now, message):
    with pytest.warns(UserWarning, match=message):
        warn_of_other_bits(Path("r"), SEGMENT | before, SEGMENT | now)


def test_what_changes_nothing_is_not_reported():
    newer = SEGMENT | {"processor_features": ["avx512f"]}
    early = {key: value for key, value in newer.items() if key != "onednn"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_bits(Path("r"), early, newer)
        warn_of_other_bits(Path("r"), early, newer | {"onednn": None})
        warn_of_other_bits(Path("r"), SEGMENT, SEGMENT | {"versions": {**VERSIONS, "jax": "0.11"}})
