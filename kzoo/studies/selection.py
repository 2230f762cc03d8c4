"""Whether a run used the images that its recipe selects, judging by the sizes of the published dataset (no Keras)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kzoo.data.datasets import get_dataset
from kzoo.data.splits import Split, part_sizes
from kzoo.errors import InputError
from kzoo.training.records import RunRecord

OTHER = "other images"
"""Follows the budget of records whose images are a different selection of the dataset from the published one."""


def sizes(record: RunRecord) -> tuple[int, int, int]:
    """The number of training (before expansion), validation and test images of a run; 0 if there are none."""
    counts = record.sizes
    return counts.get("drawn", counts.get("train", 0)), counts.get("validation", 0), counts.get("test", 0)


def published_sizes(recipe: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """The sizes that a resolved recipe's split has on the published dataset; None if they are not known."""
    try:
        definition = get_dataset(recipe["dataset"])
    except InputError:  # a custom dataset that is not registered here
        return None
    if definition.published is None:
        return None

    # A selection of classes has its share of the images, since the classes have equal sizes.
    train, test = definition.published
    if recipe["class_names"] and definition.classes:
        train, test = (images * len(recipe["class_names"]) // definition.classes for images in (train, test))
    drawn, validation, tested = part_sizes(Split(**recipe["split"]), definition, train, test)
    if recipe["train_size"] is not None:
        drawn = min(drawn, recipe["train_size"])
    return drawn, validation, tested


def on_other_images(record: RunRecord) -> bool:
    """Whether a run's images are certainly not those that its recipe selects from the published dataset."""
    theirs = published_sizes(record.recipe)
    return theirs is not None and sizes(record) != theirs


def write_sizes(counts: tuple[int, int, int]) -> str:
    """Sizes as ``83,147 / 13,129 / 13,129``."""
    return " / ".join(f"{count:,}" for count in counts)
