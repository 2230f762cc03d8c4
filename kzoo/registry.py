"""Things by name: kzoo's own, those of plugins, those that a user registers. One rule for all of them (no Keras)."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from kzoo import plugins
from kzoo.errors import InputError, unknown


class Named(Protocol):
    """Anything that has a name."""

    @property
    def name(self) -> str:
        """By which it is found."""


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Models, datasets, recipes or studies by name.

    A name stands for one thing: registering the same again is allowed, as happens when a module is imported twice or a
    notebook's cell is run again; registering something else under a name that exists is an error.

    Attributes:
        kind: what they are, for messages: ``"model"``.
        hint: a sentence that the error of an unknown name ends with.
        added: those that plugins and users have registered, by name.
    """

    def __init__(self, kind: str, own: Callable[[], Iterable[T]], *, hint: str = "") -> None:
        """Prepare; `own` gives kzoo's own ones, in the order in which they are listed, when they are first needed."""
        self.kind, self.hint = kind, hint
        self._own = own
        self.added: dict[str, T] = {}

    @cached_property
    def own(self) -> dict[str, T]:
        """Those that come with kzoo, by name."""
        return {item.name: item for item in self._own()}

    def add(self, item: T) -> T:
        """Register one.

        Raises:
            InputError: its name is taken by another one.
        """
        known = self.own.get(item.name) or self.added.get(item.name)
        if known is not None and not _same(known, item):
            raise InputError(f"{self.kind} name {item.name!r} is taken by another {self.kind}")
        if item.name not in self.own:
            self.added[item.name] = item
        return item

    def find(self, name: str) -> T | None:
        """The one of a name; None if there is none."""
        plugins.load()
        return self.own.get(name) or self.added.get(name)

    def get(self, name: str, others: Iterable[str] = (), hint: str = "") -> T:
        """The one of a name.

        Args:
            name: its name.
            others: further names that would be allowed here, for the suggestion in the error.
            hint: ends the error instead of the registry's own one.

        Raises:
            InputError: there is none; the message suggests the nearest name.
        """
        found = self.find(name)
        if found is None:
            raise unknown(self.kind, name, [*self.names(), *others], hint=hint or self.hint)
        return found

    def names(self, pattern: str = "*") -> list[str]:
        """Names that match a wildcard: kzoo's own in their order, then registered ones in alphabetical order."""
        plugins.load()
        return fnmatch.filter([*self.own, *sorted(self.added)], pattern)


def _same(one: Any, other: Any) -> bool:
    """Whether two are equal; a function counts by its name, as a notebook's cell that is run again defines it anew."""
    if not dataclasses.is_dataclass(one) or type(one) is not type(other):
        return bool(one == other)
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return all(_same_value(a, b) for a, b in pairs)


def _same_value(one: Any, other: Any) -> bool:
    names = [(getattr(value, "__module__", None), getattr(value, "__qualname__", None)) for value in (one, other)]
    if callable(one) and callable(other) and names[0] == names[1]:
        return True
    return bool(one == other)
