"""The usual names of arrays: `x_train`, `train_images`, `val_labels` and similar ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kzoo.data.part_names import EVALUATION, TEST, TRAIN, UNLABELLED, VALIDATION, part_name, words
from kzoo.errors import InputError, some

_IMAGES = frozenset(["x", "image", "images", "img", "imgs", "data"])
_LABELS = frozenset(["y", "label", "labels", "target", "targets"])
_CLASS_NAMES = frozenset({"classnames", "labelnames", "targetnames", "names", "classes"})
ALLOWED = (
    "images and labels (or x_train and y_train, train_images and train_labels), the same for val and test, class_names"
)


def understood(content: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Arrays under the names ``images``, ``labels``, ``validation_images``, ..., ``class_names``.

    Raises:
        InputError: a name is not understood, or two mean the same.
    """
    arrays: dict[str, Any] = {}
    original_names: dict[str, str] = {}
    unknown_names = []
    testing = any(part_name(str(key)).part == TEST for key in content)
    for key, value in content.items():
        name = _name(str(key), testing)
        if name is None:
            unknown_names.append(key)
        elif name in arrays:
            raise InputError(f"{source} holds {original_names[name]!r} and {key!r}, which mean the same: keep one")
        else:
            arrays[name], original_names[name] = value, str(key)
    if unknown_names:
        raise InputError(
            f"{source} holds {some(map(repr, unknown_names))}, which is not understood: allowed are {ALLOWED}"
        )
    return arrays


def guessed(content: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """A line if names (such as `x_eval`) can mean either the validation or the test part."""
    testing = any(part_name(str(key)).part == TEST for key in content)
    keys = [str(key) for key in content if part_name(str(key)).part == EVALUATION]
    part = VALIDATION if testing else TEST
    return (f"{source}: {some(map(repr, keys))} used as the {part} part",) if keys else ()


def _name(key: str, testing: bool) -> str | None:
    """What an array's name means; None if it is not understood."""
    key_words = words(key)
    if "".join(key_words) in _CLASS_NAMES:
        return "class_names"
    images, labels = _IMAGES.intersection(key_words), _LABELS.intersection(key_words)
    part, rest = part_name(key)
    if bool(images) == bool(labels) or set(rest) - _IMAGES - _LABELS or part == UNLABELLED:
        return None
    if any(word.isdigit() for word in key_words) or (part is None and len(key_words) > 1):
        return None
    if part == EVALUATION:
        part = VALIDATION if testing else TEST
    return ("" if part in (None, TRAIN) else f"{part}_") + ("images" if images else "labels")
