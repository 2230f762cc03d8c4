"""Loads datasets by name into memory."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kzoo.checks import whole
from kzoo.data import cache, in_memory, sources
from kzoo.data.arrays import Arrays, checked, restricted, with_repeats
from kzoo.data.background import WHITE, Colour, checked_colour
from kzoo.data.datasets import Dataset, get_dataset, list_datasets
from kzoo.data.images import resize_all
from kzoo.data.npz import npz, npz_file
from kzoo.data.tfds.prepared import configurations, data_folder, load_prepared, located
from kzoo.errors import InputError, in_one_line, some
from kzoo.references import check_module, load_function, warn_if_redefined


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
        name: see `kzoo.data.get_dataset`.
        data_dir: where tensorflow-datasets prepared it, see `kzoo.data.tfds.prepared.data_folder` for the default. A
            custom loader gets this argument.
        classes: only these classes, by name (text) or number (integer; one that is also a name means that name),
            renumbered in this order.
        image_size: scale the images to this many pixels a side (once: the result is cached).
        background: RGB, 0-255, that transparent image files are laid over; None drops their transparency.

    Returns:
        The arrays, with the declared mean and std.

    Raises:
        InputError: the name is unknown, or the data are missing (the message says how to get them) or not usable.
    """
    dataset = get_dataset(name)
    image_size = None if image_size is None else whole("image_size", image_size)
    arrays = _load(dataset, data_dir, image_size, checked_colour(background))
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
    return dataclasses.replace(arrays, mean=dataset.mean, std=dataset.std)


def check_present(name: str, data_dir: str | Path | None = None, image_size: int | None = None) -> None:
    """Refuse a missing dataset, as `load` does, without reading it.

    Raises:
        InputError: the name is unknown or the data are missing.
    """
    dataset = get_dataset(name)
    kind, _, location = dataset.name.partition(":")
    if dataset.prepared is not None:
        located(dataset, data_dir, image_size)
        if dataset.trained_on is not None:
            located(get_dataset(dataset.trained_on), data_dir)
    elif kind == "folder" and location:
        sources.existing(location)
    elif kind == "npz" and location:
        npz_file(location)
    elif isinstance(dataset.loader, str):
        check_module(dataset.loader, "dataset")


def available(data_dir: str | Path | None = None) -> list[Availability]:
    """For each dataset: whether it can be read, judged without reading it, and from where or why not."""
    return [_available(get_dataset(name), data_dir) for name in list_datasets()]


def _available(dataset: Dataset, data_dir: str | Path | None) -> Availability:
    if dataset.prepared is not None:
        try:
            return Availability(dataset.name, True, _location(dataset, data_dir))
        except InputError as error:
            return Availability(dataset.name, False, str(error))
    if dataset.name == "digits" and importlib.util.find_spec("sklearn") is None:
        return Availability(dataset.name, False, "needs scikit-learn")
    if isinstance(dataset.loader, str):
        try:
            load_function(dataset.loader, "dataset")
        except Exception as error:  # any error of the module: one broken plugin must not hide the other datasets
            return Availability(dataset.name, False, in_one_line(error, untyped=(InputError,)))
    return Availability(
        dataset.name,
        True,
        "comes with scikit-learn" if dataset.name == "digits" else f"loader {_label(dataset.loader)}",
    )


def _location(dataset: Dataset, data_dir: str | Path | None) -> str:
    """Where a prepared dataset is, as text, with its prepared configurations if it has several."""
    folder, _ = data_folder(data_dir)
    prepared = configurations(str(dataset.prepared), folder) if dataset.configuration is not None else []
    if not prepared:
        return located(dataset, data_dir).described()
    if dataset.trained_on is not None:
        located(get_dataset(dataset.trained_on), data_dir)
    return f"{folder}: {some(name.replace(str(dataset.prepared), dataset.name) for name in prepared)}"


def _label(loader: Any) -> str:
    return loader if isinstance(loader, str) else f"{loader.__module__}:{getattr(loader, '__qualname__', loader)}"


def _load(dataset: Dataset, data_dir: str | Path | None, image_size: int | None, background: Colour | None) -> Arrays:
    if dataset.prepared is not None:
        arrays = load_prepared(dataset, data_dir, image_size)
        return (
            arrays
            if dataset.trained_on is None
            else _tested_on(arrays, load_prepared(get_dataset(dataset.trained_on), data_dir))
        )

    # A dataset that the name itself locates.
    kind, _, location = dataset.name.partition(":")
    if kind == "folder" and location:
        return sources.folder(location, image_size, background)
    if kind == "npz" and location:
        return npz(location)
    if kind == "arrays" and location:
        return in_memory.find(dataset.name)

    # A loader, whose result must agree with the declaration.
    loader = load_function(dataset.loader, "dataset") if isinstance(dataset.loader, str) else dataset.loader
    if loader is None:
        raise InputError(f"dataset {dataset.name!r} has no loader")
    warn_if_redefined(dataset.loader, f"dataset {dataset.name!r}")
    _check_argument(loader, dataset.name)
    content = loader(None if data_dir is None else str(data_dir))
    arrays = checked(content, f"dataset {dataset.name!r}")
    if not _label(loader).startswith("kzoo."):
        arrays = with_repeats(arrays, f"dataset {dataset.name!r}")
    if dataset.class_names is not None:
        if len(dataset.class_names) != len(arrays.class_names):
            counts = f"{len(arrays.class_names)} classes, not {len(dataset.class_names)} as declared"
            raise InputError(f"dataset {dataset.name!r} has {counts}")
        # Other names rename the classes; the same names in another order are a mistake.
        both = list(zip(arrays.class_names, dataset.class_names, strict=True))
        numbered = arrays.class_names == tuple(map(str, range(len(both))))
        if not numbered and any(held != declared and declared in arrays.class_names for held, declared in both):
            raise InputError(
                f"dataset {dataset.name!r} has the classes {some(arrays.class_names)}, in this order, not "
                f"{some(dataset.class_names)} as declared"
            )
        arrays = dataclasses.replace(arrays, class_names=dataset.class_names)
    for field, expected, actual in (
        ("classes", dataset.classes, len(arrays.class_names)),
        ("image_shape", dataset.image_shape, arrays.images.shape[1:]),
        ("channels", None if dataset.mean is None else len(dataset.mean), arrays.images.shape[-1]),
        ("channels", None if dataset.std is None else len(dataset.std), arrays.images.shape[-1]),
    ):
        if expected is not None and expected != actual:
            raise InputError(f"dataset {dataset.name!r} has {field} {actual}, not {expected} as declared")
    return arrays


def _check_argument(loader: Any, name: str) -> None:
    """Refuse a loader that does not take the data directory as its argument."""
    try:
        signature = inspect.signature(loader)
    except (TypeError, ValueError):
        return  # a function written in C has no signature
    try:
        signature.bind(None)
    except TypeError as error:
        raise InputError(
            f"loader of dataset {name!r} is called with one argument, the data directory or None, which it does not "
            f"take: {error}"
        ) from None


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
