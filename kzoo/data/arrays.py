"""A dataset in memory: checked arrays, their fingerprint, restriction to some classes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from kzoo import notebook
from kzoo.data.array_names import guessed, understood
from kzoo.data.labels import as_array, class_index, one_hot_columns, texts, whole_labels
from kzoo.data.pixels import dark_parts, range_hint, whole_pixels
from kzoo.data.repeated import repeated
from kzoo.errors import InputError, shown, some

SHOWN = 6
"""Images of each class that a notebook shows."""


@dataclasses.dataclass(frozen=True, eq=False)
class Arrays:
    """Images and labels, checked.

    Attributes:
        images: uint8 (N, H, W, C), 0-255; possibly memory-mapped, read-only.
        labels: int64 (N,), 0 .. classes - 1, each of them present.
        test_images: the dataset's published test split, or None if it has none.
        test_labels: its labels.
        class_names: one name per class.
        mean: per channel, in units of pixels / 255, if the dataset defines it; otherwise None.
        std: likewise.
        fingerprint: SHA-256 of the content, in hexadecimal.
        validation_images: the published validation part of the dataset, or None if it has none.
        validation_labels: its labels.
        notes: what was left out or guessed during reading, a line each.
    """

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray | None
    test_labels: np.ndarray | None
    class_names: tuple[str, ...]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    fingerprint: str
    validation_images: np.ndarray | None = None
    validation_labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.images.shape[1:]))
        parts = {"validation": self.validation_images, "testing": self.test_images}
        held_out = {use: len(images) for use, images in parts.items() if images is not None}
        total = len(self.images) + sum(held_out.values())
        uses = "".join(f", {count:,} of them for {use}" for use, count in held_out.items())
        return f"Arrays({total:,} images of {shape}{uses}, {len(self.class_names)} classes)"

    def parts(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Images and labels of the parts that exist, by part, train first."""
        parts = {"train": (self.images, self.labels)}
        for part in ("validation", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images is not None:
                parts[part] = images, labels
        return parts

    def _repr_html_(self) -> str:
        rows = []
        for label, name in enumerate(self.class_names[: notebook.LIMIT]):
            indices = np.flatnonzero(self.labels == label)
            drawn = self.images.shape[-1] in (1, 3)
            shown = "".join(notebook.picture(self.images[i]) for i in indices[:SHOWN]) if drawn else ""
            rows.append((name, f"{len(indices):,}", notebook.Markup(shown)))
        table = notebook.table(("class", "images", "the first"), rows, left=(0, 2))
        return notebook.heading(repr(self)) + table


def checked(content: Mapping[str, Any] | Any, source: str) -> Arrays:
    """Check what a loader returned and convert it to `Arrays`.

    Args:
        content: a mapping (or object with attributes) with `images` and `labels`, optionally `validation_images`,
            `validation_labels`, `test_images`, `test_labels`, and `class_names`; a mapping may use other usual names
            for them (see `kzoo.data.array_names`). Images of shape (N, H, W) get a channel axis.
        source: where the content comes from, for messages.

    Raises:
        InputError: something is missing, has the wrong type or shape, is not understood, or does not fit the rest.
    """
    by_name = understood(content, source) if isinstance(content, Mapping) else None

    def get(key: str) -> Any:
        return getattr(content, key, None) if by_name is None else by_name.get(key)

    if get("images") is None or get("labels") is None:
        holds = "" if by_name is None else f"; it holds {some(by_name) or 'nothing'}"
        raise InputError(f"{source} must give 'images' and 'labels', or 'x_train' and 'y_train'{holds}")

    # The training images, their labels and classes.
    images, labels = _part(get("images"), get("labels"), source, "")
    names = texts(get("class_names"), source)
    classes = _classes(labels, names, source, one_hot_columns(get("labels"), source, ""))
    class_names = tuple(str(index) for index in range(classes)) if names is None else names

    held_out: dict[str, tuple[np.ndarray, np.ndarray] | tuple[None, None]] = {}
    for part in ("validation", "test"):
        held_out[part] = _held_out(part, get(f"{part}_images"), get(f"{part}_labels"), images, classes, source)
    tests, validations = held_out["test"], held_out["validation"]
    parts = {"train": (images, labels), **{part: both for part, both in held_out.items() if both[0] is not None}}
    return Arrays(
        images=images,
        labels=labels,
        test_images=tests[0],
        test_labels=tests[1],
        class_names=class_names,
        mean=None,
        std=None,
        fingerprint=content_fingerprint(parts),
        validation_images=validations[0],
        validation_labels=validations[1],
        notes=(
            *(() if by_name is None else guessed(content, source)),
            *dark_parts(source, {"training": images, "validation": validations[0], "test": tests[0]}),
        ),
    )


def with_repeats(arrays: Arrays, source: str) -> Arrays:
    """The same arrays, with a note on images that occur more than once."""
    lines = repeated(arrays.parts(), lambda part, index: f"{part} image {index}", source)
    return dataclasses.replace(arrays, notes=(*arrays.notes, *lines)) if lines else arrays


def _held_out(
    part: str, images: Any, labels: Any, training: np.ndarray, classes: int, source: str
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """A validation or test part that fits the training images, or nothing."""
    if images is None and labels is None:
        return None, None
    if images is None or labels is None:
        raise InputError(f"{source} gives {part} images or {part} labels without the other: give both or neither")
    columns = one_hot_columns(labels, source, f"{part} ")
    images, labels = _part(images, labels, source, f"{part} ")
    if columns not in (None, classes):
        raise InputError(
            f"{source}: {part} labels are one-hot for {columns} classes, but the training labels have {classes}: "
            "give both one column per class, in the same order"
        )
    if images.shape[1:] != training.shape[1:]:
        raise InputError(f"{source}: {part} images have shape {images.shape[1:]}, training images {training.shape[1:]}")
    if labels.max() >= classes:
        raise InputError(
            f"{source}: {part} label {labels.max()} is out of range: the training labels are 0..{classes - 1}"
        )
    return images, labels


def content_fingerprint(parts: Mapping[str, Any]) -> str:
    """The fingerprint of the images and labels of a dataset's parts, by part."""
    # Datasets without a validation part keep the fingerprints of versions that did not know that part.
    return fingerprint(*parts["train"], *parts.get("test", (None, None)), *parts.get("validation", ()))


def fingerprint(*arrays: np.ndarray | None) -> str:
    """SHA-256 over the type, shape and bytes of each array, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is None:
            digest.update(b"none;")
            continue
        digest.update(f"{array.dtype.str}{array.shape};".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, in units of pixels / 255, to four decimals.

    Args:
        images: uint8 (N, H, W, C). Pass the training part only, so that held-out images do not count.
    """
    # The histogram of a channel gives its mean and standard deviation exactly.
    values = np.arange(256) / 255
    mean, std = [], []
    for channel in range(images.shape[3]):
        # In parts, because bincount makes 8-byte integers of all pixels.
        parts = (images[start : start + 1000, ..., channel].ravel() for start in range(0, len(images), 1000))
        counts = np.sum([np.bincount(part, minlength=256) for part in parts], axis=0)
        share = counts / counts.sum()
        average = float(share @ values)
        mean.append(round(average, 4))
        std.append(round(float(np.sqrt(share @ (values - average) ** 2)), 4))
    return tuple(mean), tuple(std)


def restricted(arrays: Arrays, classes: Sequence[str | int]) -> Arrays:
    """Only the images of some classes, renumbered in the given order.

    Args:
        arrays: what to choose from.
        classes: names (text) or numbers (integers; one that is also a name means that name) of at least two classes.

    Raises:
        InputError: an unknown class, one named twice, or fewer than two.
    """
    if isinstance(classes, str | set | frozenset) or not isinstance(classes, Iterable):
        raise InputError(f"classes must be a list, in the order of the new labels, not {shown(classes)}")
    indices = [class_index(item, arrays.class_names) for item in classes]
    if len(indices) < 2 or len(set(indices)) < len(indices):
        raise InputError(f"classes must name two or more different classes, not {tuple(classes)!r}")
    number = np.full(len(arrays.class_names), -1, np.int64)
    number[indices] = np.arange(len(indices))

    def keep(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.flatnonzero(number[labels] >= 0)
        return images[chosen], number[labels[chosen]]

    # Keep the chosen classes in each part.
    images, labels = keep(arrays.images, arrays.labels)
    parts: dict[str, Any] = {}
    for part in ("validation", "test"):
        held_out, held_out_labels = getattr(arrays, f"{part}_images"), getattr(arrays, f"{part}_labels")
        if held_out is not None:
            held_out, held_out_labels = keep(held_out, held_out_labels)
            if not len(held_out_labels):
                raise InputError(f"the {part} part has no image of the classes {tuple(classes)!r}")
        parts |= {f"{part}_images": held_out, f"{part}_labels": held_out_labels}
    # The whole and the choice determine what is kept, so the images need not be hashed again.
    digest = hashlib.sha256(f"{arrays.fingerprint}:{indices}".encode()).hexdigest()
    return dataclasses.replace(
        arrays,
        images=images,
        labels=labels,
        **parts,
        class_names=tuple(arrays.class_names[index] for index in indices),
        fingerprint=digest,
    )


def _part(images: Any, labels: Any, source: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images as uint8 (N, H, W, C) and labels as int64 (N,), or an error."""
    images = as_array(images, f"{source}: {part}images")
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        held = f"{images.dtype} of shape {images.shape}"
        raise InputError(f"{source}: {part}images must have shape (N, H, W, C) or (N, H, W), not {held}")
    images = whole_pixels(images if images.ndim == 4 else images[..., None])
    if images.dtype != np.uint8:
        raise InputError(f"{source}: {part}images must be uint8 in 0-255, not {images.dtype}{range_hint(images)}")
    labels = whole_labels(labels, source, part)
    if images.shape[1] <= 4 and images.shape[3] > 4 and images.shape[2] > 4:
        raise InputError(
            f"{source}: {part}images of shape {images.shape} look like (N, C, H, W): give (N, H, W, C), e.g. "
            "images.transpose(0, 2, 3, 1)"
        )
    if len(images) != len(labels):
        raise InputError(f"{source}: {len(images)} {part}images but {len(labels)} {part}labels")
    if not len(images):
        raise InputError(f"{source}: there are no {part}images")
    return images, labels


def _classes(labels: np.ndarray, names: Sequence[str] | None, source: str, columns: int | None) -> int:
    """The number of classes, each of which must have a training image."""
    present = np.unique(labels)
    classes = (columns or int(present[-1]) + 1) if names is None else len(names)
    if columns not in (None, classes):
        raise InputError(f"{source}: labels are one-hot for {columns} classes, but there are {classes} class names")
    if present[-1] >= classes:
        raise InputError(f"{source}: label {present[-1]} is out of range: there are {classes} class names")
    missing = np.setdiff1d(np.arange(min(classes, len(present) + 1)), present)
    if missing.size:
        raise InputError(
            f"{source}: labels must be 0..{classes - 1} with each class present, but there is no image of {missing[0]}"
        )
    if classes < 2:
        raise InputError(f"{source}: there must be at least two classes, not {classes}")
    if names is not None and len(set(names)) < classes:
        raise InputError(f"{source}: class_names holds a name twice")
    return classes
