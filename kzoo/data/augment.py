"""Augmentation of training batches: the schema that recipes use, and mixup.

Each kind is a frozen pydantic model that does its own work on whole batches with NumPy.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from kzoo.data.augmentation import UNIT, Augmentation, Normalization
from kzoo.data.expansions import EXPANSIONS, expand
from kzoo.data.geometry import AlternatingFlip, Flip, PadCrop, Rotation, Translate
from kzoo.data.pixels import ContrastStretch, GaussianNoise, MedianFilter, RandomErasing

__all__ = [
    "AlternatingFlip",
    "Augmentation",
    "AugmentationSpec",
    "ContrastStretch",
    "EXPANSIONS",
    "Flip",
    "GaussianNoise",
    "MedianFilter",
    "Mixup",
    "Normalization",
    "PadCrop",
    "RandomErasing",
    "Rotation",
    "Translate",
    "UNIT",
    "expand",
]


class MixupDraw(NamedTuple):
    """Partners, int (B,): a permutation of the batch; and each image's own share, float32 (B,)."""

    partner: np.ndarray
    share: np.ndarray


class Mixup(Augmentation):
    """Blend each image and its target with another one of the batch (Zhang et al. 2018; report e).

    Image i becomes ``share[i] * image[i] + (1 - share[i]) * image[partner[i]]``, its target likewise. Shares are
    drawn from Beta(alpha, alpha) for each image; partners are a random permutation of the batch.

    Attributes:
        alpha: of the Beta distribution; report e does not give it, 1 (uniform shares) is ours.
    """

    kind: Literal["mixup"] = "mixup"
    gives_float = True
    mixes = True
    alpha: Annotated[float, Field(gt=0)] = 1.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> MixupDraw:
        """Partners and shares for a batch of `count` images."""
        return MixupDraw(rng.permutation(count), rng.beta(self.alpha, self.alpha, count).astype(np.float32))

    def apply(self, images: np.ndarray, drawn: MixupDraw) -> np.ndarray:
        """Float32 (B, ...): the images, or their one-hot targets, blended as drawn."""
        share = drawn.share.reshape(-1, *[1] * (images.ndim - 1))
        own = images.astype(np.float32)
        other = own[drawn.partner]
        own *= share
        other *= 1 - share
        own += other
        return own

    def mix(self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Images and targets blended alike.

        Args:
            images: (B, H, W, C), uint8 or float32.
            targets: one-hot (or otherwise soft), float32 (B, classes).
            rng: source of the random parameters.

        Returns:
            Both as float32.
        """
        drawn = self.draw(len(images), images.shape[1:], rng)
        return self.apply(images, drawn), self.apply(targets, drawn)

    def __call__(self, images: np.ndarray, rng: np.random.Generator, normalization: Normalization = UNIT) -> np.ndarray:
        """Not possible: mixup changes the targets too, see `mix`."""
        raise TypeError("mixup changes images and targets together: use mix(images, targets, rng)")


AugmentationSpec = Annotated[
    PadCrop
    | Translate
    | Flip
    | AlternatingFlip
    | RandomErasing
    | GaussianNoise
    | Rotation
    | ContrastStretch
    | MedianFilter
    | Mixup,
    Field(discriminator="kind"),
]
"""Any augmentation, told apart by its `kind`."""
