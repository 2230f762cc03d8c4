"""Whether a run saw the images that its recipe means: its sizes beside those of the published dataset (no Keras)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kzoo.data.datasets import dataset
from kzoo.data.splits import Split, part_sizes
from kzoo.errors import InputError
from kzoo.training.records import Result

OTHER = "other images"
"""What stands beside a budget where a record's images are another selection of the dataset than the published one."""


def sizes(record: Result) -> tuple[int, int, int]:
    """Training (before expansion), validation and test images of a run; 0 where there are none."""
    found = record.sizes
    return found.get("drawn", found.get("train", 0)), found.get("validation", 0), found.get("test", 0)


def published_sizes(recipe: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """The sizes that a resolved recipe's split has on the published dataset; None where its row does not say."""
    try:
        row = dataset(recipe["dataset"])
    except InputError:  # a dataset of one's own that is not registered here
        return None
    if row.published is None:
        return None

    # A selection of classes has its share: the classes are of equal size.
    train, test = row.published
    if recipe["class_names"] and row.classes:
        train, test = (images * len(recipe["class_names"]) // row.classes for images in (train, test))
    drawn, validation, tested = part_sizes(Split(**recipe["split"]), row, train, test)
    if recipe["train_size"] is not None:
        drawn = min(drawn, recipe["train_size"])
    return drawn, validation, tested


def on_other_images(record: Result) -> bool:
    """Whether a run's images are certainly not those that its recipe has on the published dataset."""
    theirs = published_sizes(record.recipe)
    return theirs is not None and sizes(record) != theirs


def write_sizes(counts: tuple[int, int, int]) -> str:
    """Sizes as ``83,147 / 13,129 / 13,129``."""
    return " / ".join(f"{count:,}" for count in counts)
