"""Datasets, splits and augmentation. Only `Batches` needs Keras, and loads it when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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
from kzoo.data.datasets import Dataset, get_dataset, list_datasets, register_dataset
from kzoo.data.getting import get
from kzoo.data.given import from_arrays
from kzoo.data.images import read_image, resize
from kzoo.data.loading import Availability, available, load
from kzoo.data.splits import Part, Split, Splits, split

if TYPE_CHECKING:
    from kzoo.data.batches import Batches

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
    "get_dataset",
    "expand",
    "from_arrays",
    "get",
    "list_datasets",
    "load",
    "read_image",
    "register_dataset",
    "resize",
    "split",
]


def __getattr__(name: str) -> Any:
    if name == "Batches":
        from kzoo.backend import choose_backend

        choose_backend()
        from kzoo.data.batches import Batches

        return Batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
