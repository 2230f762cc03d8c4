"""The models: families of builders, every variant by name, and tools for transfer.

Importing this package loads no Keras; asking for a builder does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kzoo.models.catalog import BUILDERS, Variant

if TYPE_CHECKING:
    from kzoo.models.registry import create_model as create_model
    from kzoo.models.registry import get_variant as get_variant
    from kzoo.models.registry import list_models as list_models
    from kzoo.models.registry import register_model as register_model

_LAZY = {
    "registry": ("create_model", "get_variant", "list_models", "register_model"),
    **BUILDERS,
    "transfer": ("feature_extractor", "top_k"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

__all__ = ["Variant", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
