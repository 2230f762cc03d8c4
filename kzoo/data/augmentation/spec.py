"""Augmentation of training batches: the schema that recipes use.

Each kind is a frozen pydantic model that changes whole batches with NumPy.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import BeforeValidator, Discriminator, Field, Tag

from kzoo.custom import family, reserve
from kzoo.data.augmentation.base import CustomAugmentation
from kzoo.data.augmentation.color import ColorJitter
from kzoo.data.augmentation.geometry import AlternatingFlip, Flip, PadCrop, Rotation, Translate
from kzoo.data.augmentation.mixing import CutMix, Mixup
from kzoo.data.augmentation.pixels import ContrastStretch, Cutout, GaussianNoise, MedianFilter, RandomErasing
from kzoo.data.augmentation.policies import RandAugment, TrivialAugment
from kzoo.data.augmentation.resized_crop import RandomResizedCrop
from kzoo.schemas import kind_alone

AnyAugmentation = (
    PadCrop
    | RandomResizedCrop
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
    | CutMix
)
"""The built-in kinds."""
AugmentationSpec = Annotated[
    Annotated[AnyAugmentation, Field(discriminator="kind"), Tag("[built-in]")]
    | Annotated[CustomAugmentation, Tag("[custom]")],
    Discriminator(family("augmentation")),
    BeforeValidator(kind_alone),
]
"""Any augmentation, selected by its `kind`; a kind's name alone means that kind with its defaults."""
reserve("augmentation", frozenset(one.model_fields["kind"].default for one in get_args(AnyAugmentation)))
