"""Labels and class names, converted to one form or refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from kzoo.errors import InputError, shown, some, unknown


def as_array(values: Any, what: str) -> np.ndarray:
    """Values as an array; a memory-mapped one stays memory-mapped.

    Raises:
        InputError: the values have different shapes, are masked, or cannot be made into an array.
    """
    if np.ma.is_masked(values):
        raise InputError(f"{what} hold masked values, which are not read: fill them or leave them out")
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:  # of a list, or of another library's array
        text = " ".join(str(error).split())
        why = "they have different shapes: bring them to one shape" if "inhomogeneous" in text else text[:200]
        raise InputError(f"{what} cannot be made into an array: {why}") from None


def whole_labels(labels: Any, source: str, part: str) -> np.ndarray:
    """Labels as int64 (N,).

    Args:
        labels: whole numbers of any type, (N,) or (N, 1), or one-hot (N, classes).
        source: where they come from, for messages.
        part: ``""``, ``"validation "`` or ``"test "``, for messages.

    Raises:
        InputError: the labels are text, fractions, negative, or several per image.
    """
    labels = as_array(labels, f"{source}: {part}labels")
    if labels.dtype.kind not in "biuf":
        hint = " (number the classes from 0 and give their names as class_names)" if labels.dtype.kind in "US" else ""
        raise InputError(f"{source}: {part}labels must be whole numbers, not {labels.dtype}{hint}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.shape[1] > 1:
        if not (((labels == 0) | (labels == 1)).all() and (labels.sum(axis=1) == 1).all()):
            raise InputError(
                f"{source}: {part}labels of shape {labels.shape} must be one-hot, a single 1 among zeros for each "
                "image: several labels per image and soft labels are not supported"
            )
        labels = labels.argmax(axis=1)

    # Shape and values.
    if labels.ndim != 1:
        raise InputError(f"{source}: {part}labels must have shape (N,), (N, 1) or (N, classes), not {labels.shape}")
    if labels.dtype.kind == "f":
        odd = labels[~np.isfinite(labels) | (labels != np.floor(labels))]
        if odd.size:
            raise InputError(f"{source}: {part}labels must be whole numbers, but one is {odd[0]}")
    if labels.size and labels.min() < 0:
        raise InputError(f"{source}: {part}labels must be 0 or more, but the smallest is {labels.min()}")
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise InputError(f"{source}: {part}label {labels.max()} is out of range")
    return labels.astype(np.int64)


def one_hot_columns(labels: Any, source: str, part: str) -> int | None:
    """The number of columns of one-hot labels; None for labels that are numbers. Arguments as in `whole_labels`."""
    shape = as_array(labels, f"{source}: {part}labels").shape
    return shape[1] if len(shape) == 2 and shape[1] > 1 else None


def texts(names: Any, source: str) -> tuple[str, ...] | None:
    """Class names as text, by label.

    Args:
        names: names or numbers, (classes,) or (classes, 1), or a mapping from labels 0, 1, ... to them; or None.
        source: where they come from, for messages.

    Raises:
        InputError: the names are something else.
    """
    if names is None:
        return None
    if isinstance(names, Mapping):
        by_number = {str(key): name for key, name in names.items()}
        if sorted(by_number) != sorted(map(str, range(len(by_number)))):
            raise InputError(
                f"{source}: class_names must name the labels 0..{len(by_number) - 1}, not {some(map(repr, names))}"
            )
        names = [by_number[str(index)] for index in range(len(by_number))]
    if isinstance(names, str | bytes | set | frozenset) or not isinstance(names, Iterable):
        order = ", in the order of the labels" if isinstance(names, set | frozenset) else ""
        raise InputError(f"{source}: class_names must be a list of names{order}, not {shown(names)}")
    array = np.asarray(names) if isinstance(names, np.ndarray) else None
    if array is not None and (array.ndim > 2 or array.ndim == 0 or (array.ndim == 2 and array.shape[1] != 1)):
        raise InputError(f"{source}: class_names must have shape (classes,), not {array.shape}")
    listed = list(names if array is None else array.ravel().tolist())
    if any(name is None for name in listed):
        raise InputError(f"{source}: class_names must name every class, but {listed.index(None)} has None")
    return tuple(map(_text, listed))


def _text(name: Any) -> str:
    if isinstance(name, bytes):
        return name.decode("utf-8", "backslashreplace")
    if isinstance(name, float | np.floating) and float(name).is_integer():
        return str(int(name))
    return str(name)


def class_index(item: str | int, names: tuple[str, ...]) -> int:
    """The label that a name or a number means.

    A number that is also a name means the name, so that 10 is the class "10" whatever its position.

    Raises:
        InputError: there is no such class.
    """
    if isinstance(item, int | np.integer) and not isinstance(item, bool):
        if str(item) in names:  # rather than "01"
            return names.index(str(item))
        named = {int(name): index for index, name in enumerate(names) if re.fullmatch(r"-?[0-9]+", name)}
        if item in named:
            return named[int(item)]
        if len(named) == len(names):
            raise unknown("class", int(item), names, hint="The classes are named by numbers.")
        if not 0 <= item < len(names):
            raise InputError(f"class number {item} is out of range: allowed are 0..{len(names) - 1}")
        return int(item)
    if item not in names:
        raise unknown("class", item, names)
    return names.index(str(item))
