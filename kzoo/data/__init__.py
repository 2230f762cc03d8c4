"""Datasets, splits and augmentation. Each name is loaded when it is first used; only `Batches` needs Keras."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kzoo.backend import choose_backend

if TYPE_CHECKING:
    from kzoo.data.arrays import Arrays, channel_statistics
    from kzoo.data.augment import (
        Augmentation,
        AugmentationSpec,
        ContrastStretch,
        Flip,
        GaussianNoise,
        MedianFilter,
        Mixup,
        Normalization,
        PadCrop,
        RandomErasing,
        Rotation,
        expand,
    )
    from kzoo.data.batches import Batches
    from kzoo.data.datasets import Dataset, get_dataset, list_datasets, register_dataset
    from kzoo.data.getting import get
    from kzoo.data.images import read_image, resize
    from kzoo.data.in_memory import from_arrays
    from kzoo.data.loading import Availability, available, load
    from kzoo.data.splits import Part, Split, Splits, split

_MODULES = {
    "arrays": ("Arrays", "channel_statistics"),
    "augment": (
        *("Augmentation", "AugmentationSpec", "ContrastStretch", "Flip", "GaussianNoise", "MedianFilter", "Mixup"),
        *("Normalization", "PadCrop", "RandomErasing", "Rotation", "expand"),
    ),
    "batches": ("Batches",),
    "datasets": ("Dataset", "get_dataset", "list_datasets", "register_dataset"),
    "getting": ("get",),
    "in_memory": ("from_arrays",),
    "images": ("read_image", "resize"),
    "loading": ("Availability", "available", "load"),
    "splits": ("Part", "Split", "Splits", "split"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Arrays",
    "Augmentation",
    "AugmentationSpec",
    "Availability",
    "Batches",
    "ContrastStretch",
    "Dataset",
    "Flip",
    "GaussianNoise",
    "MedianFilter",
    "Mixup",
    "Normalization",
    "PadCrop",
    "Part",
    "RandomErasing",
    "Rotation",
    "Split",
    "Splits",
    "available",
    "channel_statistics",
    "expand",
    "from_arrays",
    "get",
    "get_dataset",
    "list_datasets",
    "load",
    "read_image",
    "register_dataset",
    "resize",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "Batches":
        choose_backend()
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
