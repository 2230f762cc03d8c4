"""Values and attributes as they were when this process first saw them. They are kept, so no id is reused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterable
from typing import Any

NOTHING: tuple[list[str], ...] = ([], ["None"])
"""The descriptions of an empty container and of None."""

_values: dict[Hashable, tuple[Any, list[str]]] = {}
_names: dict[int, tuple[Any, frozenset[str]]] = {}
_warned: set[Hashable] = set()


def at_first(key: Hashable, held: Any, describe: Callable[[], list[str]], label: str | None = None) -> list[str]:
    """What `describe` gave for a value when it was first seen.

    Args:
        key: identifies the value.
        held: the value and its owner.
        describe: describes the value as it is now.
        label: the value's name, for one warning if the value was not empty and has changed; None for no warning.
    """
    if key not in _values:
        _values[key] = held, []  # in case it refers to itself
        _values[key] = held, describe()
        return _values[key][1]
    parts = _values[key][1]
    if label is not None and parts not in NOTHING and key not in _warned and describe() != parts:
        _warned.add(key)
        warnings.warn(
            f"{label!r} has changed since it was first seen; the code itself changes it, so this does not count as "
            "another setting. If it is one, train again with fresh=True (--fresh)",
            stacklevel=2,
        )
    return parts


def names_at_first(owner: Any, names: Iterable[str]) -> frozenset[str]:
    """The names of an owner's attributes when it was first seen; `names` if it was not seen before."""
    return _names.setdefault(id(owner), (owner, frozenset(names)))[1]
