"""Prepared datasets decoded by tensorflow-datasets, which needs TensorFlow."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.backend import quiet_import
from kzoo.data.arrays import Arrays, checked
from kzoo.data.datasets import Dataset, is_built_in
from kzoo.data.images import DEEP, resize
from kzoo.data.part_names import TEST, TRAIN
from kzoo.data.tfds.description import Description
from kzoo.errors import InputError, some


def decoded(dataset: Dataset, prepared: Path, description: Description, image_size: int | None) -> Arrays:
    """The images of a prepared dataset's parts.

    Returns:
        Arrays whose notes say what was left out, guessed or scaled. If another dataset provides the
        training images, they hold only the test part.

    Raises:
        InputError: the files cannot be decoded, or hold nothing to train on.
    """
    name = dataset.prepared
    source = f"dataset {name!r} in {str(prepared)!r}"
    parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    changes = _Changes()
    with quiet_import():
        try:
            import tensorflow_datasets as tfds

            builder = tfds.builder_from_directory(prepared)
            names = _class_names(builder.info.features, description.label)
            for part, split in description.splits.items():
                images, labels = _Reader(builder, split, description, image_size, source, changes).read()
                if len(labels) != builder.info.splits[split].num_examples:
                    raise ValueError(f"{len(labels)} {split} images of {builder.info.splits[split].num_examples}")
                parts[part] = (np.ascontiguousarray(images.swapaxes(1, 2)) if dataset.transpose else images), labels
        except InputError:
            raise
        except Exception as error:  # TensorFlow's errors have no base class that can be imported here
            text = re.sub(r"\{\{.*?\}\}|\[Op:.*", "", " ".join(str(error).split()))  # names of TensorFlow's operations
            reason = text.strip()[:300] or type(error).__name__
            raise InputError(f"cannot read {source}: {reason}") from None
    # The features of a built-in dataset are known, not guessed.
    guesses = () if is_built_in(dataset.name) else description.notes
    notes = [*guesses, *changes.notes(source, image_size)]
    if description.left_out:
        notes.append(f"dataset {name!r}: splits that are left out: {some(description.left_out)}")

    # Parts without labels are left out; with another dataset to train on, only the test part is used.
    for part in [part for part, (_, labels) in parts.items() if part != TRAIN and (labels < 0).all()]:
        notes.append(f"dataset {name!r}: its {part} part has no labels and is left out")
        del parts[part]
    if dataset.trained_on is not None:
        parts = {TRAIN: parts[TEST]}
    if dataset.class_names is not None and (names is None or is_numbered(names)):
        names = dataset.class_names
    if names is not None and dataset.classes is None:
        names, note = _without_empty_classes(parts, names, source)
        notes += note
    content: dict[str, Any] = {"class_names": names}
    for part, (images, labels) in parts.items():
        prefix = "" if part == TRAIN else f"{part}_"
        content |= {f"{prefix}images": images, f"{prefix}labels": labels}
    return dataclasses.replace(checked(content, source), notes=tuple(notes))


def is_numbered(names: tuple[str, ...]) -> bool:
    """Whether the names of classes are just their numbers."""
    return names == tuple(map(str, range(len(names))))


def _class_names(features: Any, label: str) -> tuple[str, ...] | None:
    """The names that a label feature gives its classes; None for one of plain numbers."""
    names = getattr(_inside(features, label), "names", None)
    return None if names is None else tuple(names)


def _inside(content: Any, path: str) -> Any:
    """The entry at a path such as ``inner/image``."""
    for key in path.split("/"):
        content = content[key]
    return content


def _without_empty_classes(
    parts: dict[str, tuple[np.ndarray, np.ndarray]], names: tuple[str, ...], source: str
) -> tuple[tuple[str, ...], list[str]]:
    """Names of the classes that have training images, and a line on the others; renumbers the labels in `parts`.

    Raises:
        InputError: a held-out part has images of another class.
    """
    present = np.unique(parts[TRAIN][1])
    if present[0] < 0 or present[-1] >= len(names) or len(present) == len(names):
        return names, []  # unchanged, or for `checked` to refuse
    number = np.full(len(names), -1, np.int64)
    number[present] = np.arange(len(present))
    for part, (images, labels) in parts.items():
        unknown_labels = np.setdiff1d(labels, present)
        if unknown_labels.size:
            raise InputError(f"{source} has {part} images of class {names[unknown_labels[0]]!r} but no training ones")
        parts[part] = images, number[labels]
    empty = some(name for index, name in enumerate(names) if number[index] < 0)
    note = f"{source}: classes without a training image are left out: {empty}"
    return tuple(names[index] for index in present), [note]


@dataclasses.dataclass
class _Changes:
    """The original sizes of the images that were scaled, in all parts, and whether images had 16 bits."""

    shapes: set[tuple[int, ...]] = dataclasses.field(default_factory=set)
    deep: bool = False

    def notes(self, source: str, image_size: int | None) -> list[str]:
        """A line for each kind of change."""
        lines = [f"{source}: images have {DEEP}"] if self.deep else []
        uneven = any(height != width for height, width in self.shapes)
        if len(self.shapes) > 1 or uneven:
            low, high = ("x".join(map(str, size)) for size in (min(self.shapes), max(self.shapes)))
            sizes = f"of {len(self.shapes)} sizes, {low} to {high}," if len(self.shapes) > 1 else f"of {low}"
            kept = "; their proportions are not kept" if uneven else ""
            lines.append(f"{source}: images {sizes} are scaled to {image_size}x{image_size}{kept}")
        return lines


@dataclasses.dataclass
class _Reader:
    """Reads a split and records in `changes` how its images were changed."""

    builder: Any
    split: str
    description: Description
    image_size: int | None
    source: str
    changes: _Changes

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Images uint8 (N, H, W, C) and labels int64 (N,), in the files' order."""
        import tensorflow_datasets as tfds

        description = self.description
        if not description.varying and self.builder.info.file_format.value != "array_record":
            options = {"decoders": self._two_features(), "batch_size": -1, "shuffle_files": False}
            content = tfds.as_numpy(self.builder.as_dataset(split=self.split, **options))
            whole = self._eight_bits(_inside(content, description.image))
            return whole, np.asarray(_inside(content, description.label)).astype(np.int64)

        # One by one; scaled if sizes vary.
        images: list[np.ndarray] = []
        labels: list[int] = []
        for example in self._examples():
            image = self._eight_bits(np.asarray(_inside(example, description.image)))
            if self.image_size and description.varying:
                self.changes.shapes.add(image.shape[:2])
                image = resize(image, self.image_size)
            images.append(image)
            labels.append(int(_inside(example, description.label)))
            if images[-1].shape != images[0].shape:
                raise InputError(
                    f"{self.source} has images of different sizes (the first {_size(images[0])}, another "
                    f"{_size(images[-1])}): set image_size to scale all of them to one"
                )
        return np.stack(images), np.array(labels, np.int64)

    def _examples(self) -> Iterator[Any]:
        import tensorflow_datasets as tfds

        if self.builder.info.file_format.value == "array_record":
            # TensorFlow does not read ArrayRecord files, but they give access to single examples.
            yield from self.builder.as_data_source(split=self.split)
        else:
            options = {"decoders": self._two_features(), "shuffle_files": False}
            yield from tfds.as_numpy(self.builder.as_dataset(split=self.split, **options))

    def _two_features(self) -> Any:
        """Only the two features: others may be large or impossible to batch."""
        import tensorflow_datasets as tfds

        selection: dict[str, Any] = {}
        for path in (self.description.image, self.description.label):
            *outer, name = path.split("/")
            inner = selection
            for key in outer:
                inner = inner.setdefault(key, {})
            inner[name] = True
        return tfds.decode.PartialDecoding(selection)

    def _eight_bits(self, images: np.ndarray) -> np.ndarray:
        if images.dtype != np.uint16:
            return images
        self.changes.deep = True
        return ((images.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8)


def _size(image: np.ndarray) -> str:
    """An image's size as text."""
    return "x".join(map(str, image.shape))
