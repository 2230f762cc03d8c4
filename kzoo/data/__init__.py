"""Datasets, splits and augmentation. Each name is loaded when it is first used; only `Batches` needs Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kzoo.backend import choose_backend
from kzoo.lazy import Exports

if TYPE_CHECKING:
    from kzoo.data.arrays import Arrays, channel_statistics
    from kzoo.data.augmentation.base import Augmentation, Normalization
    from kzoo.data.augmentation.expansions import expand
    from kzoo.data.augmentation.spec import (
        AlternatingFlip,
        AugmentationSpec,
        ColorJitter,
        ContrastStretch,
        CutMix,
        Cutout,
        Flip,
        GaussianNoise,
        MedianFilter,
        Mixup,
        PadCrop,
        RandAugment,
        RandomErasing,
        RandomResizedCrop,
        Rotation,
        Translate,
        TrivialAugment,
    )
    from kzoo.data.batches import Batches
    from kzoo.data.datasets import Dataset, get_dataset, list_datasets, register_dataset
    from kzoo.data.images import read_image, resize
    from kzoo.data.in_memory import from_arrays
    from kzoo.data.loading import Availability, available, load
    from kzoo.data.splits import Part, Split, Splits, split
    from kzoo.data.tfds.getting import get

_EXPORTS = Exports(
    __name__,
    {
        "arrays": ("Arrays", "channel_statistics"),
        "augmentation.spec": (
            *("AlternatingFlip", "AugmentationSpec", "ColorJitter", "ContrastStretch", "CutMix", "Cutout", "Flip"),
            *("GaussianNoise", "MedianFilter", "Mixup", "PadCrop", "RandAugment", "RandomErasing"),
            *("RandomResizedCrop", "Rotation", "Translate", "TrivialAugment"),
        ),
        "augmentation.base": ("Augmentation", "Normalization"),
        "batches": ("Batches",),
        "datasets": ("Dataset", "get_dataset", "list_datasets", "register_dataset"),
        "augmentation.expansions": ("expand",),
        "tfds.getting": ("get",),
        "in_memory": ("from_arrays",),
        "images": ("read_image", "resize"),
        "loading": ("Availability", "available", "load"),
        "splits": ("Part", "Split", "Splits", "split"),
    },
)

__all__ = [*_EXPORTS.home]


def __getattr__(name: str) -> Any:
    if name == "Batches":
        choose_backend()
    return _EXPORTS.load(name)


def __dir__() -> list[str]:
    return _EXPORTS.names()
