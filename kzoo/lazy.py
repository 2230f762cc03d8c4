"""Loads NumPy and the public names of packages on first use, so that a mistyped command is reported at once."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

__all__ = ["Exports", "np"]


class _Lazy:
    """Stands for a module until one of its attributes is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(importlib.import_module(self._name), attribute)
        setattr(self, attribute, value)  # found directly from now on
        return value


if TYPE_CHECKING:
    import numpy as np
else:
    np = _Lazy("numpy")


class Exports:
    """The public names of a package, each imported from its module when it is first used (PEP 562)."""

    def __init__(self, package: str, modules: Mapping[str, Sequence[str]]) -> None:
        """Export the names in `modules`: for each module of `package`, the public names that it defines."""
        self.package = package
        self.home = {name: f"{package}.{module}" for module, names in modules.items() for name in names}

    def load(self, name: str, within: Callable[[], Any] = contextlib.nullcontext) -> Any:
        """The value of a name, for the package's ``__getattr__``; imported in the context that `within` returns.

        The name can also be a module of the package: ``kzoo.data`` works without an import of its own.

        Raises:
            AttributeError: the package has no such name.
        """
        module = f"{self.package}.{name}"
        if name not in self.home and (name.startswith("_") or importlib.util.find_spec(module) is None):
            raise AttributeError(f"module {self.package!r} has no attribute {name!r}")
        with within():
            if name not in self.home:
                return importlib.import_module(module)
            value = getattr(importlib.import_module(self.home[name]), name)
        setattr(sys.modules[self.package], name, value)
        return value

    def names(self) -> list[str]:
        """All names of the package, for its ``__dir__``."""
        return sorted({*vars(sys.modules[self.package]), *self.home})
