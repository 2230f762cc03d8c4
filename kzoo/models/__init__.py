"""The models: families of builders, every variant by name, and tools for transfer.

Importing this package does not load Keras; accessing a builder does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kzoo.lazy import Exports
from kzoo.models.catalog import BUILDERS, Variant

if TYPE_CHECKING:
    from kzoo.models.registry import create_model as create_model
    from kzoo.models.registry import get_variant as get_variant
    from kzoo.models.registry import list_models as list_models
    from kzoo.models.registry import register_model as register_model

_EXPORTS = Exports(
    __name__,
    {
        "registry": ("create_model", "get_variant", "list_models", "register_model"),
        **BUILDERS,
        "transfer": ("feature_extractor", "top_k"),
    },
)

__all__ = ["Variant", *_EXPORTS.home]


def __getattr__(name: str) -> Any:
    return _EXPORTS.load(name)


def __dir__() -> list[str]:
    return sorted(__all__)
