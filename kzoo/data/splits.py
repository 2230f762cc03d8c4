"""Seeded splits into training, validation and test images."""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BeforeValidator, ConfigDict, Field

from kzoo.checks import share_or_count
from kzoo.data.datasets import Dataset
from kzoo.data.strata import drawn_at_once, drawn_by_class
from kzoo.errors import InputError, some
from kzoo.lazy import np
from kzoo.schemas import Validated, later
from kzoo.seeds import generator

if TYPE_CHECKING:
    from kzoo.data.arrays import Arrays


def _amount(value: Any) -> Any:
    return None if value is None else share_or_count(value)


Amount = Annotated[float | int, BeforeValidator(_amount)]


class Split(Validated):
    """How to choose validation and test images.

    A share is rounded to the nearest number of images (halves to even).

    Attributes:
        validation: a share (below 1) or a count; None means the dataset's published validation part, or its default
            share if it has none; 0 means no validation images. If you set it, a published validation part is pooled
            with the training images. The share is of all images if `test` is set too (0.12 and 0.12 leave 0.76),
            otherwise of the images that are not for testing.
        test: None keeps the dataset's published test split, or splits off its default share if it has none. If you set
            it, the dataset's train and test images are pooled and split again: a share or a count of the pool.
        seed: seed of the split, independent of the run's seed.
        stratified: draw class by class, so that each part, and each `train_size` subset, has the classes in the same
            proportions; False draws from all images at once. None means False for MNIST, EMNIST, CIFAR-10, CIFAR-10-C
            and CIFAR-100, as in their published splits, and True for all others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
    validation: Amount | None = None
    test: Amount | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    stratified: bool | None = later(None, before=False, since=2)


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


def split(
    arrays: Arrays, spec: Split, dataset: Dataset, train_size: int | None = None, *, only: str | None = None
) -> Splits:
    """Split a dataset; a warning names each class without an image in a part.

    Args:
        arrays: the dataset.
        spec: sizes and seed.
        dataset: gives the defaults of `spec`.
        train_size: only this many training images; a smaller subset is contained in every larger one.
        only: the part that is used; None for all. No class is reported to be missing from the others.

    Returns:
        Training, validation and test images, each in a seeded random order (published parts keep theirs).

    Raises:
        InputError: more images are requested than exist, none are left to train on, or a stratified split leaves
            none of some class.
    """
    # Published parts stay as they are unless their size is requested; then they are drawn again.
    images, labels = arrays.images, arrays.labels
    kept_parts: dict[str, Part] = {}
    held_out_sizes: dict[str, int | None] = {"validation": None, "test": None}
    for name, requested in (("validation", spec.validation), ("test", spec.test)):
        held_out, held_out_labels = getattr(arrays, f"{name}_images"), getattr(arrays, f"{name}_labels")
        if held_out is None:
            continue
        held_out_sizes[name] = len(held_out_labels)
        if requested is None:
            kept_parts[name] = Part(held_out, held_out_labels)
        else:
            images, labels = np.concatenate([images, held_out]), np.concatenate([labels, held_out_labels])
    sizes = part_sizes(spec, dataset, len(arrays.labels), held_out_sizes["test"], held_out_sizes["validation"])
    train_count = sizes[0]
    if train_size is not None and not 1 <= train_size <= train_count:
        raise InputError(f"train_size must be from 1 to {train_count}, the training images there are, not {train_size}")

    # Draw the other parts.
    stratified = dataset.stratified if spec.stratified is None else spec.stratified
    if stratified:
        _check_training(train_count, train_size, labels, arrays.class_names)
    order = generator(spec.seed, "split").permutation(len(labels))
    draw = drawn_by_class if stratified else drawn_at_once
    to_draw = (0 if name in kept_parts else size for name, size in zip(held_out_sizes, sizes[1:], strict=True))
    for_training, for_validation, for_test = draw(labels, order, *to_draw)

    def part(chosen: np.ndarray) -> Part:
        return Part(images[chosen], labels[chosen])

    splits = Splits(
        part(for_training[:train_size]),
        kept_parts["validation"] if "validation" in kept_parts else part(for_validation),
        kept_parts["test"] if "test" in kept_parts else part(for_test),
    )
    _warn_of_missing(splits, arrays.class_names, only)
    return splits


def part_sizes(
    spec: Split, dataset: Dataset, train: int, test: int | None, validation: int | None = None
) -> tuple[int, int, int]:
    """How many images a split gives to training, validation and testing.

    Raises:
        InputError: more images are requested than exist, or none are left to train on.
    """
    pooled_test = test or 0 if spec.test is not None else 0
    pooled_validation = validation or 0 if spec.validation is not None else 0

    # The test part, then the validation part; the rest is for training.
    total = train + pooled_test + pooled_validation
    cut = dataset.test if spec.test is None and test is None else spec.test
    if cut is None and test is None:
        raise InputError(f"dataset {dataset.name!r} has no test split: set split.test to a share or a count")
    test_count = 0 if cut is None else _count("test", cut, total)
    kept = validation if spec.validation is None else None
    amount: float | int = dataset.validation if spec.validation is None else spec.validation
    if kept is not None:
        amount = 0
    validation_count = _count("validation", amount, total if spec.test is not None else total - test_count)
    train_count = total - test_count - validation_count
    if train_count < 1:
        raise InputError(
            f"split of {total} images leaves none for training: "
            f"{validation_count} for validation (validation={amount!r}), {test_count} for testing (test={cut!r})"
            + (": set split.validation" if spec.validation is None and amount else "")
        )
    if spec.validation is None and validation_count > train_count:  # of fewer classes than the dataset has, say
        warnings.warn(
            f"split: {validation_count:,} images are for validation, as usual for {dataset.name!r}, and only "
            f"{train_count:,} for training: set split.validation",
            stacklevel=2,
        )
    return (
        train_count,
        validation_count if kept is None else kept,
        test if cut is None and test is not None else test_count,
    )


def _check_training(count: int, train_size: int | None, labels: np.ndarray, class_names: tuple[str, ...]) -> None:
    classes = np.unique(labels)
    if (count if train_size is None else train_size) < len(classes):
        problem = f"split of {len(labels)} images leaves {count}" if train_size is None else f"train_size={train_size}"
        raise InputError(
            f"{problem}: too few for the {len(classes)} classes, each of which needs a training image "
            f"({some(class_names[label] for label in classes)})"
        )


def _warn_of_missing(splits: Splits, class_names: tuple[str, ...], only: str | None) -> None:
    """Warn in one line about classes without an image in a part, or in the part `only`."""
    lacking = []
    for name, part in zip(Splits._fields, splits, strict=True):
        missing = np.setdiff1d(np.arange(len(class_names)), part.labels)
        if len(part) and missing.size and only in (None, name):
            lacking.append(f"no {name} image of {some(class_names[label] for label in missing)}")
    if lacking:
        warnings.warn(f"split: {'; '.join(lacking)}", stacklevel=3)


def _count(part: str, amount: float | int, total: int) -> int:
    if isinstance(amount, int):
        return amount
    count = round(amount * total)
    if count == 0 and amount > 0:
        raise InputError(f"{part}={amount!r} of {total} images is less than one: give a larger share, or 0 for none")
    return count
