"""Registries of kzoo's, plugins' and users' items by name, all under the same rules (no Keras)."""

from __future__ import annotations

import dataclasses
import fnmatch
import importlib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from kzoo import plugins
from kzoo.errors import InputError, unknown


class Named(Protocol):
    """Anything that has a name."""

    @property
    def name(self) -> str:
        """The unique name."""


T = TypeVar("T", bound=Named)

HOMES: dict[str, str] = {}
"""By kind, the module whose `REGISTRY` holds the items, for errors that say of which other kind an unknown name is.

The package `kzoo` fills this in, so that this module does not depend on higher-level ones."""

INSTEAD = {
    ("recipe", "dataset"): "choose a model or a recipe, and add dataset={0!r} (--dataset {0})",
    ("recipe", "study"): "kzoo study run {0} trains its recipes",
}
"""What to do with a name that is of another kind than the one wanted, by both."""


class Registry(Generic[T]):
    """Models, datasets, recipes or studies by name.

    A name means one item. Registering the same item again is allowed, because a module can be imported twice and a
    notebook's cell run again. Registering another item under an existing name is an error.

    Attributes:
        kind: what the items are, for messages: ``"model"``.
        hint: a sentence that ends the error of an unknown name.
        added: items that plugins and users have registered, by name.
    """

    def __init__(self, kind: str, load_builtin: Callable[[], Iterable[T]], *, hint: str = "") -> None:
        """Create a registry. `load_builtin`, called on first use, returns kzoo's items in the order of listings."""
        self.kind, self.hint = kind, hint
        self._load_builtin = load_builtin
        self.added: dict[str, T] = {}

    @cached_property
    def builtin(self) -> dict[str, T]:
        """Items that come with kzoo, by name."""
        return {item.name: item for item in self._load_builtin()}

    def add(self, item: T) -> T:
        """Register an item.

        Raises:
            InputError: another item already has this name.
        """
        known = self.builtin.get(item.name) or self.added.get(item.name)
        if known is not None and not _same(known, item):
            owner = repr(known.source) if hasattr(known, "source") else f"another {self.kind}"
            raise InputError(f"{self.kind} name {item.name!r} is taken by {owner}")
        if item.name not in self.builtin:
            self.added[item.name] = item
        return item

    def find(self, name: str) -> T | None:
        """The item with a name; None if there is none."""
        plugins.load()
        return self.builtin.get(name) or self.added.get(name)

    def get(self, name: str, others: Iterable[str] = (), hint: str = "") -> T:
        """The item with a name.

        Args:
            name: its name.
            others: further names that are allowed here, for the suggestion in the error.
            hint: sentence that ends the error, instead of the registry's hint.

        Raises:
            InputError: there is none; the message says of which other kind the name is, or suggests the nearest name.
        """
        item = self.find(name)
        if item is None:
            known = [*self.names(), *others]
            raise self.of_another_kind(name) or unknown(self.kind, name, known, hint=hint or self.hint)
        return item

    def of_another_kind(self, name: str) -> InputError | None:
        """The error for a name that belongs to an item of another kind; None if there is no such item."""
        for kind, module in HOMES.items():
            item = None if kind == self.kind else importlib.import_module(module).REGISTRY.find(name)
            if item is not None:
                instead = getattr(item, self.kind, None)  # a recipe's model
                if isinstance(instead, str):
                    remedy = f"; its {self.kind} is {instead!r}"
                elif (self.kind, kind) in INSTEAD:
                    remedy = f": {INSTEAD[self.kind, kind].format(name)}"
                else:
                    remedy = f" {self.hint}" if self.hint else ""
                return InputError(f"{name!r} is a {kind}, not a {self.kind}{remedy}")
        return None

    def names(self, pattern: str = "*") -> list[str]:
        """Names that match a wildcard: kzoo's in their order, then registered ones in alphabetical order."""
        plugins.load()
        return fnmatch.filter([*self.builtin, *sorted(self.added)], pattern)


def _same(one: Any, other: Any) -> bool:
    """Whether two items are equal; functions are compared by name, because a rerun notebook cell redefines them."""
    if not dataclasses.is_dataclass(one) or type(one) is not type(other):
        return bool(one == other)
    names = [field.name for field in dataclasses.fields(one) if field.compare]
    pairs = ((getattr(one, name), getattr(other, name)) for name in names)
    return all(_same_value(a, b) for a, b in pairs)


def _same_value(one: Any, other: Any) -> bool:
    names = [(getattr(value, "__module__", None), getattr(value, "__qualname__", None)) for value in (one, other)]
    if callable(one) and callable(other) and names[0] == names[1]:
        return True
    return bool(one == other)
