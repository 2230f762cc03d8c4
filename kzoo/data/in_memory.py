"""Arrays passed in Python as a dataset, converted to one form and named by their fingerprint."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kzoo.data.arrays import Arrays, checked, content_fingerprint, with_repeats
from kzoo.data.labels import as_array
from kzoo.data.pixels import whole_pixels
from kzoo.errors import InputError, shown, some

PREFIX = "arrays:"
DIGITS = 16
"""Number of the fingerprint's hexadecimal digits in a name."""
FORMS = (
    "(images, labels), ((images, labels), (images, labels)) with the test part second, a mapping with x_train, y_train "
    "and so on, a tf.data.Dataset or a keras.utils.PyDataset"
)
SOURCE = "dataset"

_held: dict[str, list[weakref.ref[Arrays]]] = {}
"""All arrays of a name, the latest last: equal content can be passed several times, with other class names too."""


def from_arrays(source: Any) -> Arrays:
    """A dataset of arrays; recipes can name it by its fingerprint as long as the result is referenced.

    Args:
        source: ``(images, labels)``; training and test part ``((images, labels), (images, labels))``, as returned by
            Keras's ``load_data()``; a mapping with the names of `kzoo.data.array_names`; `Arrays`; a
            ``tf.data.Dataset`` or ``keras.utils.PyDataset`` of finite size that yields images and labels, one by one or
            in batches, or a pair of these for training and testing. Images (N, H, W, C) or (N, H, W), uint8 or whole
            numbers in 0-255 of another type; labels as in .npz files. The examples of a Dataset or PyDataset are sorted
            by their content, so that its shuffling changes nothing.

    Raises:
        InputError: `source` is something else or infinite, or its images and labels are not usable.
    """
    if isinstance(source, Arrays):
        arrays = _as_it_is(source)
    else:
        arrays = with_repeats(checked(_content(source), SOURCE), SOURCE)
    living = [other for other in _held.get(name_of(arrays), ()) if other() is not None]
    _held[name_of(arrays)] = [*living, weakref.ref(arrays)]
    return arrays


def _as_it_is(arrays: Arrays) -> Arrays:
    """The arrays, with a new fingerprint if theirs does not match their content: ``replace(arrays, labels=...)``."""
    now = checked(arrays, SOURCE)
    if now.fingerprint == arrays.fingerprint:
        return arrays
    return dataclasses.replace(now, mean=arrays.mean, std=arrays.std, notes=(*arrays.notes, *now.notes))


def name_of(arrays: Arrays) -> str:
    """The name of these arrays in recipes."""
    return f"{PREFIX}{arrays.fingerprint[:DIGITS]}"


def held(name: str) -> Arrays | None:
    """The latest arrays of that name that anything in this process holds."""
    return next((arrays for other in reversed(_held.get(name, ())) if (arrays := other()) is not None), None)


def find(name: str) -> Arrays:
    """The arrays of that name.

    Raises:
        InputError: nothing in this process holds them, or they have been changed in place since they were passed.
    """
    arrays = held(name)
    if arrays is None:
        raise InputError(
            f"dataset {name!r} consists of arrays passed in Python that are no longer in memory: pass them again in "
            "kzoo.train(recipe, dataset=(images, labels)) or kzoo.resume(directory, dataset=(images, labels))"
        )
    if content_fingerprint(arrays.parts()) != arrays.fingerprint:  # they are not copied
        raise InputError(f"the arrays of dataset {name!r} have been changed in place since they were passed: undo that")
    return arrays


def _content(data: Any) -> Mapping[str, Any]:
    """Arrays by name."""
    if isinstance(data, Mapping):
        return data
    if _is_dataset(data):
        images, labels = _collected(data, SOURCE)
        return {"images": images, "labels": labels, "class_names": _class_names(data)}
    if not isinstance(data, tuple | list):
        raise InputError(f"dataset must be a name or {FORMS}, not {shown(data)}")
    if len(data) != 2:
        hint = "; a validation part goes into a mapping, as x_val and y_val" if len(data) == 3 else ""
        raise InputError(f"dataset must be a name or {FORMS}, not {len(data)} items{hint}")

    # A pair of pairs or of Datasets is training and test part; a pair of anything else is images and labels.
    if not all(_is_dataset(part) or _is_pair(part) for part in data):
        return {"images": data[0], "labels": data[1]}
    content: dict[str, Any] = {}
    for prefix, part in zip(("", "test_"), data, strict=True):
        images, labels = _collected(part, f"{prefix}dataset") if _is_dataset(part) else part
        content |= {f"{prefix}images": images, f"{prefix}labels": labels}

    # The names that Keras gives to the classes of folders.
    names, tested = (_class_names(part) for part in data)
    if names and tested and names != tested:
        raise InputError(
            f"{SOURCE}: the training part has the classes {some(names)}, the test part {some(tested)}, so a label "
            "means different classes in them: give both the same class_names"
        )
    return {**content, "class_names": names}


def _class_names(part: Any) -> tuple[str, ...] | None:
    """The names of a dataset object's classes, as `keras.utils.image_dataset_from_directory` keeps them; or None."""
    names = getattr(part, "class_names", None) if _is_dataset(part) else None
    return tuple(map(str, names)) if isinstance(names, list | tuple) else None


def _is_pair(part: Any) -> bool:
    return isinstance(part, tuple | list) and len(part) == 2 and not any(np.isscalar(item) for item in part)


def _is_dataset(part: Any) -> bool:
    """Whether `part` is a tf.data.Dataset or a PyDataset; it can be neither before its library is imported."""
    tensorflow, keras = sys.modules.get("tensorflow"), sys.modules.get("keras")
    kinds = [tensorflow.data.Dataset] if tensorflow is not None and hasattr(tensorflow, "data") else []
    kinds += [keras.utils.PyDataset] if keras is not None and hasattr(keras, "utils") else []
    return isinstance(part, tuple(kinds))


def _collected(examples: Any, source: str) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels of a dataset object, ordered by their content."""
    batches: list[tuple[np.ndarray, np.ndarray]] = []
    for element in _elements(examples, source):
        images, labels = (as_array(part, source) for part in _image_and_label(element, source))
        if labels.ndim == 0 or (images.ndim < 4 and labels.ndim == 1 and _is_one(images, labels)):
            images, labels = images[None], labels[None]
        if len(images) != len(labels):
            raise InputError(f"{source} gives a batch of {len(images)} images with {len(labels)} labels")
        if batches and images.shape[1:] != batches[0][0].shape[1:]:
            first, other = batches[0][0].shape[1:], images.shape[1:]
            raise InputError(f"{source} gives images of different shapes, {first} and {other}: resize them first")
        batches.append((whole_pixels(images), labels))
    if not batches:
        raise InputError(f"{source} is empty")
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    images = whole_pixels(images)  # a batch of black images alone could be in 0-1
    pairs = zip(images, labels, strict=True)
    keys = [hashlib.sha256(image.tobytes() + label.tobytes()).digest() for image, label in pairs]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    return images[order], labels[order]


def _is_one(images: np.ndarray, labels: np.ndarray) -> bool:
    """Whether (A, B, C) and (n,) are one image and its one-hot label, not A grey images (B, C) and their labels."""
    return len(labels) != len(images) or images.shape[-1] in (1, 3, 4)


def _elements(examples: Any, source: str) -> Iterable[Any]:
    """The elements of a dataset object, once each.

    Raises:
        InputError: the object is infinite or does not know its size.
    """
    if hasattr(examples, "cardinality"):
        size = int(examples.cardinality())
        if size == -1:
            raise InputError(f"{source} is infinite: give a tf.data.Dataset of finite size, without repeat()")
        if size < 0:
            raise InputError(
                f"{source} does not say how many elements it has: set the number with "
                "dataset.apply(tf.data.experimental.assert_cardinality(n))"
            )
        return examples.as_numpy_iterator()
    size = examples.num_batches
    if size is None:
        raise InputError(f"{source} is infinite: give a PyDataset whose num_batches is a number")
    return (examples[index] for index in range(size))


def _image_and_label(element: Any, source: str) -> tuple[Any, Any]:
    if isinstance(element, Mapping) and {"image", "label"} <= set(element):
        return element["image"], element["label"]
    if isinstance(element, tuple | list) and len(element) == 2:
        for part in element:
            if isinstance(part, Mapping):
                raise InputError(f"{source} must give an array of images and one of labels, not {shown(part)}")
        return element[0], element[1]
    content = f"{len(element)} items" if isinstance(element, tuple | list) else shown(element)
    raise InputError(
        f"{source} must give images and labels, not {content} (sample weights are not supported: use class_weights)"
    )
