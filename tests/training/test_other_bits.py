"""A run that resumes where its sums come out otherwise says so, and a record holds what sums depend on."""

import os
import sys
import warnings
from pathlib import Path

import pytest

from kzoo import backend
from kzoo.training.records import warn_of_other_bits

VERSIONS = {"kzoo": "1", "keras": "3", "tensorflow": "2.21", "jax": "0.10", "numpy": "2"}
SEGMENT = {"backend": "tensorflow", "processor_features": ["avx2"], "versions": VERSIONS, "onednn": "1"}


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {"onednn": "0"}, "TF_ENABLE_ONEDNN_OPTS 0 instead of 1"),
        ({"onednn": None}, {}, "TF_ENABLE_ONEDNN_OPTS 1 instead of None"),
        ({}, {"versions": {**VERSIONS, "keras": "4"}}, "keras 4 instead of 3"),
        ({}, {"backend": "jax", "onednn": None}, "with jax instead of tensorflow:"),
    ],
)
def test_what_changes_the_last_bits_is_said(before, now, said):
    with pytest.warns(UserWarning, match=said):
        warn_of_other_bits(Path("r"), SEGMENT | before, SEGMENT | now)


def test_what_changes_nothing_is_not_said():
    early = {key: value for key, value in SEGMENT.items() if key != "onednn"} | {"processor_features": ["avx512f"]}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_other_bits(Path("r"), early, SEGMENT)
        warn_of_other_bits(Path("r"), SEGMENT, SEGMENT | {"versions": {**VERSIONS, "jax": "0.11"}})


@pytest.mark.parametrize(
    ("machine", "loaded", "before", "after"),
    [
        ("x86_64", False, None, "1"),
        ("AMD64", False, None, "1"),
        ("x86_64", False, "0", "0"),
        ("arm64", False, None, None),
        ("x86_64", True, None, None),
    ],
)
def test_onednn_is_turned_on_unless_the_user_has_decided(machine, loaded, before, after, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.delenv(backend.ONEDNN, raising=False)
    if before:
        monkeypatch.setenv(backend.ONEDNN, before)
    backend.choose_backend()
    assert os.environ.get(backend.ONEDNN) == after
