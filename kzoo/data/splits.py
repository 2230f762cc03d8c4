"""Seeded splits into training, validation and test images."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from kzoo.data.arrays import Arrays
from kzoo.data.datasets import Dataset
from kzoo.errors import InputError
from kzoo.seeds import generator


def _amount(value: Any) -> Any:
    """A share below 1 as a float, a count as an int; JSON and command lines do not always tell them apart."""
    if value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a share below 1 or a number of images, not {value!r}")
    if not 0 <= value < float("inf") or (value >= 1 and value % 1):
        raise ValueError(f"must be a share from 0 to below 1 or a whole number of images, not {value!r}")
    return int(value) if value >= 1 or value == 0 else float(value)


Amount = Annotated[float | int, BeforeValidator(_amount)]


class Split(BaseModel):
    """How to choose validation and test images.

    A share is rounded to the nearest number of images (halves to even).

    Attributes:
        validation: a share (below 1) or a count; None takes the dataset's default, 0 gives no validation images.
            A share is one of all images where `test` is given (so 0.12 and 0.12 leave 0.76), else one of the images
            that are not for testing.
        test: None keeps the dataset's own test split, or cuts off the share its row gives where it has none. If
            given, the dataset's train and test images are pooled and cut anew: a share or a count of the pool.
        seed: of the drawing; the run's seed has no part in it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    validation: Amount | None = None
    test: Amount | None = None
    seed: Annotated[int, Field(ge=0)] = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Images uint8 (N, H, W, C) and labels int64 (N,) of one part; its length is N."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


class Splits(NamedTuple):
    """The three parts."""

    train: Part
    validation: Part
    test: Part


def split(arrays: Arrays, spec: Split, dataset_row: Dataset, train_size: int | None = None) -> Splits:
    """Cut a dataset as told.

    Args:
        arrays: the dataset.
        spec: sizes and seed.
        dataset_row: gives the sizes that `spec` leaves open.
        train_size: only so many training images; a smaller subset is contained in every larger one.

    Returns:
        Training, validation and test images, each in a seeded random order (a dataset's own test split in its own).

    Raises:
        InputError: more images are asked for than there are, or none is left to train on.
    """
    images, labels = arrays.images, arrays.labels
    own_test = None
    if arrays.test_images is not None and arrays.test_labels is not None:
        own_test = Part(arrays.test_images, arrays.test_labels)
        if spec.test is not None:
            images = np.concatenate([images, own_test.images])
            labels = np.concatenate([labels, own_test.labels])
    order = generator(spec.seed, "split").permutation(len(labels))
    own_images = None if own_test is None else len(own_test)
    train_count, validation_count, test_count = part_sizes(spec, dataset_row, len(arrays.labels), own_images)
    kept = own_test if spec.test is None else None
    if train_size is not None and not 1 <= train_size <= train_count:
        raise InputError(f"train_size must be from 1 to {train_count}, the training images there are, not {train_size}")

    def part(chosen: np.ndarray) -> Part:
        return Part(images[chosen], labels[chosen])

    held = test_count if kept is None else 0
    test = part(order[:held]) if kept is None else kept
    after = held + validation_count
    stop = None if train_size is None else after + train_size
    return Splits(part(order[after:stop]), part(order[held:after]), test)


def part_sizes(spec: Split, dataset_row: Dataset, train: int, test: int | None) -> tuple[int, int, int]:
    """How many images a split gives to training, validation and testing.

    Args:
        spec: sizes.
        dataset_row: gives the sizes that `spec` leaves open.
        train: images of the dataset, its own test split left out.
        test: images of its own test split; None where it has none.

    Raises:
        InputError: more images are asked for than there are, or none is left to train on.
    """
    total = train + (test or 0 if spec.test is not None else 0)
    cut = dataset_row.test if spec.test is None and test is None else spec.test
    if cut is None and test is None:
        raise InputError(f"dataset {dataset_row.name!r} has no test split: set split.test to a share or a count")
    cut_count = 0 if cut is None else _count("test", cut, total)
    validation = dataset_row.validation if spec.validation is None else spec.validation
    validation_count = _count("validation", validation, total if spec.test is not None else total - cut_count)
    train_count = total - cut_count - validation_count
    if train_count < 1:
        raise InputError(
            f"split of {total} images leaves none for training: "
            f"{validation_count} for validation (validation={validation!r}), {cut_count} for testing (test={cut!r})"
        )
    return train_count, validation_count, test if cut is None and test is not None else cut_count


def _count(what: str, amount: float | int, total: int) -> int:
    if isinstance(amount, int):
        return amount
    count = round(amount * total)
    if count == 0 and amount > 0:
        raise InputError(f"{what}={amount!r} of {total} images is less than one: give a larger share, or 0 for none")
    return count
