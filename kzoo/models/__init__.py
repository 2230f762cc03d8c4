"""The models: families of builders, every variant by name, and tools for transfer.

Importing this package loads no Keras; asking for a builder does.
"""

from __future__ import annotations

import importlib
from typing import Any

from kzoo.models.catalog import Variant
from kzoo.models.registry import create_model, get_variant, list_models, register_model

_LAZY = {
    "vgg": ("VGG", "VGG08", "VGG38"),
    "vgg_ade": ("VGGADE", "VGGA", "VGGD", "VGGE"),
    "resnet": ("ResNet", "ResNet10", "ResNet16", "ResNet24", "ResNet48"),
    "densenet": ("DenseNet",),
    "lenet": ("LeNet",),
    "fastnet": ("FastNet", "FastNetS", "FastNetM", "FastNetL"),
    "mlp": ("MLP",),
    "transfer": ("feature_extractor", "top_k"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

__all__ = ["Variant", "create_model", "get_variant", "list_models", "register_model", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
