"""Augmentation of training batches: the schema that recipes use.

Each kind is a frozen pydantic model that does its own work on whole batches with NumPy.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from kzoo.data.augmentation import UNIT, Augmentation, Normalization
from kzoo.data.color import ColorJitter
from kzoo.data.expansions import EXPANSIONS, expand
from kzoo.data.geometry import AlternatingFlip, Flip, PadCrop, Rotation, Translate
from kzoo.data.mixing import CutMix, Mixup
from kzoo.data.pixels import ContrastStretch, Cutout, GaussianNoise, MedianFilter, RandomErasing
from kzoo.data.policies import RandAugment, TrivialAugment
from kzoo.schemas import kind_alone

__all__ = [
    "AlternatingFlip",
    "Augmentation",
    "AugmentationSpec",
    "ColorJitter",
    "ContrastStretch",
    "CutMix",
    "Cutout",
    "EXPANSIONS",
    "Flip",
    "GaussianNoise",
    "MedianFilter",
    "Mixup",
    "Normalization",
    "PadCrop",
    "RandAugment",
    "RandomErasing",
    "Rotation",
    "Translate",
    "TrivialAugment",
    "UNIT",
    "expand",
]

AugmentationSpec = Annotated[
    PadCrop
    | Translate
    | Flip
    | AlternatingFlip
    | RandomErasing
    | Cutout
    | GaussianNoise
    | Rotation
    | ContrastStretch
    | MedianFilter
    | ColorJitter
    | RandAugment
    | TrivialAugment
    | Mixup
    | CutMix,
    Field(discriminator="kind"),
    BeforeValidator(kind_alone),
]
"""Any augmentation, told apart by its `kind`; a kind's name alone stands for it with its defaults."""
