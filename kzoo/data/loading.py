"""Loads datasets by name into memory."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kzoo.data import cache, in_memory, sources
from kzoo.data.arrays import Arrays, checked, restricted
from kzoo.data.background import WHITE, Colour
from kzoo.data.datasets import Dataset, get_dataset, list_datasets
from kzoo.data.images import resize_all
from kzoo.data.npz import npz, npz_file
from kzoo.data.prepared import configurations, data_folder, load_prepared, located
from kzoo.errors import InputError, some
from kzoo.references import check_module, load_function


class Availability(NamedTuple):
    """Whether a dataset can be loaded, and from where, or how to get it."""

    name: str
    present: bool
    detail: str


def load(
    name: str,
    *,
    data_dir: str | Path | None = None,
    classes: Sequence[str | int] | None = None,
    image_size: int | None = None,
    background: Colour | None = WHITE,
) -> Arrays:
    """Load a dataset; warnings say what was left out or guessed.

    Args:
        name: see `kzoo.data.dataset`.
        data_dir: where tensorflow-datasets prepared it; for the default see `kzoo.data.prepared.data_folder`. Passed
            to a custom loader.
        classes: only these classes, by name (text) or number (integer; one that is also a name means the name),
            renumbered in this order.
        image_size: scale the images to this many pixels a side (once: the result is cached).
        background: RGB, 0-255, that transparent image files are laid over; None drops their transparency.

    Returns:
        The arrays, with the row's mean and std.

    Raises:
        InputError: the name is unknown, the data are missing (the message says how to get them) or not usable.
    """
    row = get_dataset(name)
    if image_size is not None and (not isinstance(image_size, int) or image_size < 1):
        raise InputError(f"image_size must be a positive number of pixels, not {image_size!r}")
    arrays = _load(row, data_dir, image_size, background)
    for note in arrays.notes:
        warnings.warn(note, stacklevel=2)
    if image_size is not None and arrays.images.shape[1:3] != (image_size, image_size):
        height, width = arrays.images.shape[1:3]
        if height != width:
            many = sources.scaled_uneven(sum(len(labels) for _, labels in arrays.parts().values()), image_size)
            warnings.warn(f"dataset {name!r}: {many} ({height}x{width})", stacklevel=2)
        arrays = _resized(arrays, image_size)
    if classes is not None:
        arrays = restricted(arrays, classes)
    return dataclasses.replace(arrays, mean=row.mean, std=row.std)


def check_present(name: str, data_dir: str | Path | None = None, image_size: int | None = None) -> None:
    """Refuse a dataset that is not there, as `load` does, without reading it.

    Raises:
        InputError: the name is unknown or the data are missing.
    """
    row = get_dataset(name)
    kind, _, location = row.name.partition(":")
    if row.prepared is not None:
        located(row, data_dir, image_size)
        if row.trained_on is not None:
            located(get_dataset(row.trained_on), data_dir)
    elif kind == "folder" and location:
        sources.found(location)
    elif kind == "npz" and location:
        npz_file(location)
    elif isinstance(row.loader, str):
        check_module(row.loader, "dataset")


def available(data_dir: str | Path | None = None) -> list[Availability]:
    """Each dataset by name: whether it can be read, judged without reading it, and where or why not."""
    return [_available(get_dataset(name), data_dir) for name in list_datasets()]


def _available(row: Dataset, data_dir: str | Path | None) -> Availability:
    if row.prepared is not None:
        try:
            return Availability(row.name, True, _location(row, data_dir))
        except InputError as error:
            return Availability(row.name, False, str(error))
    if row.name == "digits" and importlib.util.find_spec("sklearn") is None:
        return Availability(row.name, False, "needs scikit-learn")
    if isinstance(row.loader, str):
        try:
            load_function(row.loader, "dataset")
        except InputError as error:
            return Availability(row.name, False, str(error))
    return Availability(
        row.name, True, "comes with scikit-learn" if row.name == "digits" else f"loader {_label(row.loader)}"
    )


def _location(row: Dataset, data_dir: str | Path | None) -> str:
    """Where a prepared dataset is, as text, with its prepared configurations if it has several."""
    folder, _ = data_folder(data_dir)
    prepared = configurations(str(row.prepared), folder) if row.configuration is not None else []
    if not prepared:
        return located(row, data_dir).described()
    if row.trained_on is not None:
        located(get_dataset(row.trained_on), data_dir)
    return f"{folder}: {some(name.replace(str(row.prepared), row.name) for name in prepared)}"


def _label(loader: Any) -> str:
    return loader if isinstance(loader, str) else f"{loader.__module__}:{getattr(loader, '__qualname__', loader)}"


def _load(row: Dataset, data_dir: str | Path | None, image_size: int | None, background: Colour | None) -> Arrays:
    if row.prepared is not None:
        arrays = load_prepared(row, data_dir, image_size)
        return (
            arrays
            if row.trained_on is None
            else _tested_on(arrays, load_prepared(get_dataset(row.trained_on), data_dir))
        )

    # What the name itself locates.
    kind, _, location = row.name.partition(":")
    if kind == "folder" and location:
        return sources.folder(location, image_size, background)
    if kind == "npz" and location:
        return npz(location)
    if kind == "arrays" and location:
        return in_memory.find(row.name)

    # A loader, whose result must agree with the row.
    loader = load_function(row.loader, "dataset") if isinstance(row.loader, str) else row.loader
    if loader is None:
        raise InputError(f"dataset {row.name!r} has no loader")
    content = loader(None if data_dir is None else str(data_dir))
    arrays = checked(content, f"dataset {row.name!r}")
    if row.class_names is not None:
        if len(row.class_names) != len(arrays.class_names):
            raise InputError(
                f"dataset {row.name!r} has {len(arrays.class_names)} classes, its row names {len(row.class_names)}"
            )
        arrays = dataclasses.replace(arrays, class_names=row.class_names)
    for field, expected, actual in (
        ("classes", row.classes, len(arrays.class_names)),
        ("image_shape", row.image_shape, arrays.images.shape[1:]),
    ):
        if expected is not None and expected != actual:
            raise InputError(f"dataset {row.name!r} has {field} {actual}, its row says {expected}")
    return arrays


def _tested_on(tests: Arrays, training: Arrays) -> Arrays:
    """The training images of one dataset and, as its test part, the images of another."""
    return dataclasses.replace(
        training,
        test_images=tests.images,
        test_labels=tests.labels,
        fingerprint=hashlib.sha256(f"{training.fingerprint}:{tests.fingerprint}".encode()).hexdigest(),
        notes=(*training.notes, *tests.notes),
    )


def _resized(arrays: Arrays, size: int) -> Arrays:
    def build() -> Arrays:
        test = None if arrays.test_images is None else resize_all(arrays.test_images, size)
        validation = None if arrays.validation_images is None else resize_all(arrays.validation_images, size)
        content = {
            "images": resize_all(arrays.images, size),
            "labels": arrays.labels,
            "test_images": test,
            "test_labels": arrays.test_labels,
            "validation_images": validation,
            "validation_labels": arrays.validation_labels,
            "class_names": arrays.class_names,
        }
        return checked(content, f"images scaled to {size}")

    resized = cache.cached(f"resized-{arrays.fingerprint[:16]}-{size}", build)
    # The fingerprint leaves class names out: a dataset of equal content may have other names.
    return dataclasses.replace(resized, class_names=arrays.class_names, notes=arrays.notes)
