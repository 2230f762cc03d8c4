"""NumPy, loaded when it is first used: recipes are checked without it, so that a typing error is reported at once."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["np"]


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
