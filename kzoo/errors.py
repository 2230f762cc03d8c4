"""Errors that kzoo raises on purpose: one message, no traceback at the command line.

Every message names the argument, the value it had and what is allowed.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KzooError(Exception):
    """Base of all errors raised by kzoo on purpose."""


class InputError(KzooError, ValueError):
    """What the caller gave is wrong or missing (command line: exit status 2)."""


class InUse(InputError):
    """Another process works on the same run at this moment; later it may be had (command line: exit status 2)."""


class Differs(InputError):
    """A run is there, and is not what is asked for now (command line: exit status 2)."""


class RunFailed(KzooError, RuntimeError):
    """A run started well and could not go on (command line: exit status 1)."""


class NotWritten(RunFailed):
    """A file cannot be written (a full disk, say): no fault of the run, which may go on when it can be."""


FEW = 12
"""So many names are listed in an error."""
ALIKE = 0.72
"""How alike two names must be (`difflib`) for one to be suggested for the other: "cifar11" for "cifar10", but not
"class_weight" for "class_names"."""


def unknown(
    kind: str, value: object, choices: Iterable[str], *, hint: str = "", everything: bool = False
) -> InputError:
    """The error for a name that is not one of a known set, with the nearest one suggested.

    Args:
        kind: what the name should have been, e.g. ``"model"``.
        value: the name that was given.
        choices: the names there are.
        hint: a sentence appended to the message.
        everything: list the names however many there are, where none is alike.

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
    return InputError(f"{message} {hint}".strip() if hint else message)


def some(items: Iterable[object], most: int = 10) -> str:
    """The first items with commas between them, and how many more there are: ``"a, b and 3 more"``."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def shown(value: object, most: int = 120) -> str:
    """A value for a message: its repr, but what is long, as arrays are, by its type and shape alone."""
    shape = getattr(value, "shape", None)
    if shape is not None:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= most else f"{text[: most - 3]}..."
