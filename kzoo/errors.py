"""Errors that kzoo raises on purpose: one message, no traceback at the command line.

Every message names the argument, the value it had and what is allowed.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class KzooError(Exception):
    """Base of all errors raised by kzoo on purpose."""


class InputError(KzooError, ValueError):
    """An argument is wrong or missing (command line: exit status 2).

    Example:
        >>> try:
        ...     kzoo.get_recipe("rescue/bm")
        ... except kzoo.InputError as error:
        ...     print(error)
        unknown recipe 'rescue/bm': did you mean 'rescue/bn'? (kzoo list --recipes shows all recipes)
    """


class InUse(InputError):
    """Another process is using the same run; try again later (command line: exit status 2)."""


class Differs(InputError):
    """A run exists, but differs from the requested one (command line: exit status 2)."""


class RunFailed(KzooError, RuntimeError):
    """A run started but could not continue (command line: exit status 1)."""


class NotWritten(RunFailed):
    """A file cannot be written (a full disk, say); the run can be resumed once it can."""


FEW = 12
"""Largest number of names that an error lists."""
ALIKE = 0.72
"""Similarity (`difflib`) from which an error suggests a known name: "cifar10" for "cifar11", but not "class_names" for
"class_weight"."""


def unknown(
    kind: str, value: object, choices: Iterable[str], *, hint: str = "", everything: bool = False
) -> InputError:
    """The error for a name that is not one of a known set, with the nearest one suggested.

    Args:
        kind: what the name should have been, e.g. ``"model"``.
        value: the unknown name.
        choices: the known names.
        hint: a sentence appended to the message.
        everything: whether to list all names, however many, if none is similar.

    Returns:
        An `InputError`, to be raised by the caller.
    """
    names = sorted(choices)
    near = difflib.get_close_matches(str(value), names, n=1, cutoff=ALIKE)
    if near:
        message = f"unknown {kind} {value!r}: did you mean {near[0]!r}?"
    elif everything or len(names) <= FEW:
        message = f"unknown {kind} {value!r}: allowed are {', '.join(names) or 'none'}"
    else:
        message = f"unknown {kind} {value!r}"
    end = "." if hint[:1].isupper() and not message.endswith("?") else ""
    return InputError(f"{message}{end} {hint}" if hint else message)


def counted(number: int, noun: str) -> str:
    """A number and what it counts: ``"1 epoch"``, ``"1,200 epochs"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def some(items: Iterable[object], most: int = 10) -> str:
    """The first items with commas between them, and how many more there are: ``"a, b and 3 more"``."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def shown(value: object, most: int = 120) -> str:
    """A value for a message: its repr, shortened if long; an array by its type and shape alone."""
    shape = getattr(value, "shape", None)
    if shape is not None and len(shape):
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."


OUT_OF_MEMORY = re.compile("RESOURCE_?EXHAUSTED|out ?of ?memory|bad_alloc|MemoryError|allocate memory", re.IGNORECASE)


def in_one_line(error: BaseException, untyped: tuple[type[BaseException], ...] = (), most: int = 300) -> str:
    """An error's type and text in one line, which starts with "out of memory" if memory ran out.

    Args:
        error: any error.
        untyped: types of errors whose text is shown without the type.
        most: largest number of characters.
    """
    text = re.sub(r"\{\{.*?\}\}", "", str(error))  # TensorFlow's names of nodes
    name, text = type(error).__name__, " ".join(text.split())
    if OUT_OF_MEMORY.search(f"{name} {text}") and "No space left" not in text:  # TensorFlow's error for both
        return f"out of memory: {name}: {text}"[:most]
    return (text if text and isinstance(error, untyped) else f"{name}: {text}")[:most]


def first_line(error: BaseException, most: int = 300) -> str:
    """The first line of an error's text and the cause that Keras writes further down, without a full stop at the end.

    Args:
        error: any error; its type stands for a text that is empty.
        most: largest number of characters.
    """
    text, _, cause = re.sub(r"\x1b\[[\d;]*m", "", str(error)).partition("Exception encountered: ")
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    first = lines[0]
    if cause.strip():  # the object that could not be loaded; below, its whole configuration
        first = f"{first.partition('. ')[0]}: {cause.strip().splitlines()[0]}"
    elif first.startswith("Exception encountered when calling") and len(lines) > 1:
        first = f"{first.removesuffix('.')}: {lines[1]}"
    return first[:most].removesuffix(".")
