"""Augmentations that combine two images of a batch and their targets: mixup and CutMix."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from kzoo.data.augmentation.base import UNIT, Augmentation, Normalization
from kzoo.data.augmentation.pixels import inside
from kzoo.lazy import np


class Mixing(Augmentation):
    """Base of augmentations that change images and targets together."""

    mixes = True

    def mix(self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Change images and targets together.

        Args:
            images: (B, H, W, C), uint8 or float32.
            targets: one-hot (or otherwise soft), float32 (B, classes).
            rng: source of the random parameters.

        Returns:
            The images, of the same dtype unless `gives_float`, and float32 targets whose rows keep their sums.
        """
        raise NotImplementedError

    def __call__(self, images: np.ndarray, rng: np.random.Generator, normalization: Normalization = UNIT) -> np.ndarray:
        """Not possible: the targets change too, see `mix`."""
        raise TypeError(
            f"{type(self).__name__.lower()} changes images and targets together: use mix(images, targets, rng)"
        )


class MixupDraw(NamedTuple):
    """Partners, int (B,): a permutation of the batch; and each image's own share, float32 (B,)."""

    partner: np.ndarray
    share: np.ndarray


class Mixup(Mixing):
    """Blend each image and its target with another one of the batch (Zhang et al. 2018; report e).

    Image i becomes ``share[i] * image[i] + (1 - share[i]) * image[partner[i]]``, its target likewise. Shares are
    drawn from Beta(alpha, alpha) for each image; partners are a random permutation of the batch.

    Attributes:
        alpha: of the Beta distribution; report e does not give it, and 1 (uniform shares) is our choice.
    """

    kind: Literal["mixup"] = "mixup"
    gives_float = True
    alpha: Annotated[float, Field(gt=0)] = 1.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> MixupDraw:
        """Partners and shares for a batch of `count` images."""
        return MixupDraw(rng.permutation(count), rng.beta(self.alpha, self.alpha, count).astype(np.float32))

    def apply(self, images: np.ndarray, drawn: MixupDraw) -> np.ndarray:
        """Float32 (B, ...): the images, or their one-hot targets, blended as drawn."""
        share = drawn.share.reshape(-1, *[1] * (images.ndim - 1))
        blended = images.astype(np.float32)
        other = blended[drawn.partner]
        blended *= share
        other *= 1 - share
        blended += other
        return blended

    def mix(self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Images and targets blended alike, both as float32."""
        drawn = self.draw(len(images), images.shape[1:], rng)
        return self.apply(images, drawn), self.apply(targets, drawn)


class CutMixDraw(NamedTuple):
    """Partners, int (B,): a permutation of the batch; and the boxes that come from them, int (B,), in pixels."""

    partner: np.ndarray
    top: np.ndarray
    left: np.ndarray
    height: np.ndarray
    width: np.ndarray


class CutMix(Mixing):
    """Replace a box of each image by the same box of another one, and mix targets by pixel shares (Yun et al. 2019).

    The box has the image's aspect and a share of its area drawn from Beta(alpha, alpha), before it is cut off at the
    image's border; its centre is uniform (if its side is even, half a pixel further up and left).

    Attributes:
        alpha: of the Beta distribution; the paper uses 1.
        probability: of changing an image at all (the paper uses 1, or 0.5 on CIFAR).
    """

    kind: Literal["cutmix"] = "cutmix"
    alpha: Annotated[float, Field(gt=0)] = 1.0
    probability: Annotated[float, Field(ge=0, le=1)] = 0.5

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> CutMixDraw:
        """Partners and boxes for a batch of `count` images."""
        partner = rng.permutation(count)
        side = np.sqrt(rng.beta(self.alpha, self.alpha, count)) * (rng.random(count) < self.probability)
        ends = []
        for length in shape[:2]:
            middle, half = rng.integers(0, length, count), np.floor(side * length) / 2
            ends += [np.clip(middle - np.floor(half), 0, length), np.clip(middle + np.ceil(half), 0, length)]
        top, bottom, left, right = (np.asarray(end, np.int64) for end in ends)
        return CutMixDraw(partner, top, left, bottom - top, right - left)

    def apply(self, images: np.ndarray, drawn: CutMixDraw) -> np.ndarray:
        """The images with their boxes replaced."""
        boxes = inside(images.shape, drawn.top, drawn.left, drawn.height, drawn.width)
        return np.where(boxes[..., None], images[drawn.partner], images)

    def mix(self, images: np.ndarray, targets: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Images of the same dtype, and float32 targets by the shares of pixels."""
        drawn = self.draw(len(images), images.shape[1:], rng)
        share = (drawn.height * drawn.width / (images.shape[1] * images.shape[2])).astype(np.float32)[:, None]
        mixed: Any = targets * (1 - share) + targets[drawn.partner] * share
        return self.apply(images, drawn), mixed.astype(np.float32)
