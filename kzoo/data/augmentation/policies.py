"""RandAugment and TrivialAugment: changes of a given strength, drawn for each image from one list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from kzoo.data.augmentation.base import CHUNK, UNIT, Augmentation, Normalization, as_dtype
from kzoo.data.augmentation.color import blend, brightness, contrast, saturation
from kzoo.data.augmentation.geometry import affine, rotate
from kzoo.lazy import np

Change = Callable[["np.ndarray", "np.ndarray"], "np.ndarray"]


def posterize(images: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Each value with only its highest bits, (B,), kept."""
    dropped = 8 - np.clip(np.rint(bits), 0, 8).astype(np.uint8)
    mask = np.left_shift(np.uint8(255), dropped).astype(np.uint8).reshape(-1, 1, 1, 1)
    return (as_dtype(images, np.dtype(np.uint8)) & mask).astype(images.dtype)


def solarize(images: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Values at or above a threshold, (B,), inverted."""
    return np.where(images >= threshold.reshape(-1, 1, 1, 1), 255 - images, images).astype(images.dtype)


def auto_contrast(images: np.ndarray, unused: np.ndarray) -> np.ndarray:
    """Each channel's values stretched over 0-255; a channel with a single value stays as it is."""
    low, high = (f(images, axis=(1, 2), keepdims=True).astype(np.float32) for f in (np.min, np.max))
    flat = low == high
    stretched = (images - np.where(flat, 0, low)) * np.float32(255) / np.where(flat, np.float32(255), high - low)
    return as_dtype(stretched, images.dtype)


def equalize(images: np.ndarray, unused: np.ndarray) -> np.ndarray:
    """Each channel's values spread so that all are about equally frequent, as in Pillow."""
    count, height, width, channels = images.shape
    values = as_dtype(images, np.dtype(np.uint8)).transpose(0, 3, 1, 2).reshape(count * channels, -1).astype(np.int64)
    planes = np.arange(len(values))[:, None]
    histogram = np.bincount((values + 256 * planes).ravel(), minlength=256 * len(values)).reshape(-1, 256)
    last = histogram[planes[:, 0], 255 - (histogram[:, ::-1] > 0).argmax(axis=1)]
    step = (histogram.sum(axis=1) - last) // 255
    before = np.cumsum(histogram, axis=1) - histogram
    table = np.clip((before + (step // 2)[:, None]) // np.maximum(step, 1)[:, None], 0, 255)
    table = np.where(step[:, None] > 0, table, np.arange(256))
    equalized = np.take_along_axis(table, values, axis=1).reshape(count, channels, height, width)
    return np.ascontiguousarray(equalized.transpose(0, 2, 3, 1)).astype(images.dtype)


def sharpness(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Distances from a smoothed image times a factor (B,); the outermost pixels stay as they are."""
    smooth = images.astype(np.float32)
    inner = 4 * smooth[:, 1:-1, 1:-1]  # weights 1, and 5 in the middle
    height, width = images.shape[1:3]
    for row in range(3):
        for column in range(3):
            inner = inner + images[:, row : height - 2 + row, column : width - 2 + column].astype(np.float32)
    smooth[:, 1:-1, 1:-1] = inner / 13
    return blend(images, smooth, factor)


def _in_parts(change: Change) -> Change:
    def changed(images: np.ndarray, amounts: np.ndarray) -> np.ndarray:
        parts = range(0, len(images), CHUNK)
        return np.concatenate([change(images[i : i + CHUNK], amounts[i : i + CHUNK]) for i in parts])

    return changed


class Kind(NamedTuple):
    """An entry of `KINDS`.

    Attributes:
        change: a function of images and amounts (B,).
        amount: the amount at full strength, (RandAugment's, TrivialAugment's).
        unchanged: the amount at strength 0; where `signed`, amounts lie on both sides of it.
        signed: whether the sign is drawn.
        sides: whether amounts are shares of the image's side.
    """

    change: Change
    amount: tuple[float, float] = (0.0, 0.0)
    unchanged: float = 0.0
    signed: bool = True
    sides: bool = False


KINDS: dict[str, Kind] = {
    "identity": Kind(lambda images, amounts: images),
    "shear_x": Kind(_in_parts(lambda i, a: affine(i, (1.0, 0.0), (a, 1.0))), (0.3, 0.99)),
    "shear_y": Kind(_in_parts(lambda i, a: affine(i, (1.0, a), (0.0, 1.0))), (0.3, 0.99)),
    "translate_x": Kind(_in_parts(lambda i, a: affine(i, (1.0, 0.0), (0.0, 1.0), (0.0, a))), (0.45, 1.0), sides=True),
    "translate_y": Kind(_in_parts(lambda i, a: affine(i, (1.0, 0.0), (0.0, 1.0), (a, 0.0))), (0.45, 1.0), sides=True),
    "rotate": Kind(_in_parts(rotate), (30.0, 135.0)),
    "brightness": Kind(brightness, (0.9, 0.99), 1.0),
    "color": Kind(saturation, (0.9, 0.99), 1.0),
    "contrast": Kind(contrast, (0.9, 0.99), 1.0),
    "sharpness": Kind(sharpness, (0.9, 0.99), 1.0),
    "posterize": Kind(posterize, (-4.0, -6.0), 8.0, signed=False),
    "solarize": Kind(solarize, (-256.0, -256.0), 256.0, signed=False),
    "auto_contrast": Kind(auto_contrast),
    "equalize": Kind(equalize),
}
"""The changes of torchvision's RandAugment and TrivialAugmentWide, with their ranges.

Four things differ. Translations are shares of the image's longer side, where TrivialAugment names 32 pixels. A shear
keeps the image's center in place, where torchvision's keeps the upper left corner. The threshold of `solarize` falls
from 256, where torchvision's falls from 255. `auto_contrast` and `equalize` are left out at strength 0, where
torchvision applies them.
"""


class PolicyDraw(NamedTuple):
    """Which change each image gets, round by round, int (rounds, B), and how strong it is, -1 to 1, (rounds, B)."""

    kinds: np.ndarray
    strengths: np.ndarray


class _Policy(Augmentation):
    """Base: applies the drawn changes kind by kind, each to all images that drew it."""

    column: ClassVar[int]

    def apply(self, images: np.ndarray, drawn: PolicyDraw) -> np.ndarray:
        """The images, changed."""
        result = images.copy()
        side = max(images.shape[1:3])
        for kinds, strengths in zip(drawn.kinds, drawn.strengths, strict=True):
            for index, kind in enumerate(KINDS.values()):
                chosen = np.flatnonzero((kinds == index) & (strengths != 0))
                if not len(chosen):
                    continue
                share = strengths[chosen] if kind.signed else np.abs(strengths[chosen])
                amounts = kind.unchanged + share * kind.amount[self.column] * (side if kind.sides else 1)
                result[chosen] = kind.change(result[chosen], amounts)
        return result


class RandAugment(_Policy):
    """Several changes per image, each drawn from 14 kinds, all with the same strength (Cubuk et al. 2020).

    `KINDS` lists the kinds. Interpolation is bilinear, pixels outside are black. At magnitude 0 even kinds without a
    strength change nothing.

    Attributes:
        operations: number of changes per image, one after the other.
        magnitude: their strength, 0 to 30.
    """

    kind: Literal["rand_augment"] = "rand_augment"
    column = 0
    operations: Annotated[int, Field(ge=0, le=10)] = 2
    magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> PolicyDraw:
        """Kinds and signed strengths for `count` images."""
        size = (self.operations, count)
        signs = rng.choice([-1.0, 1.0], size)
        return PolicyDraw(rng.integers(0, len(KINDS), size), signs * self.magnitude / 30)


class TrivialAugment(_Policy):
    """One change per image, drawn from 14 kinds, with a random strength (Müller and Hutter 2021, "Wide").

    Attributes:
        strength: the largest strength that is drawn; the paper uses 1, and 0 changes nothing.
    """

    kind: Literal["trivial_augment"] = "trivial_augment"
    column = 1
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> PolicyDraw:
        """Kinds and signed strengths for `count` images."""
        size = (1, count)
        strengths = rng.integers(0, 31, size) / 30 * self.strength
        return PolicyDraw(rng.integers(0, len(KINDS), size), rng.choice([-1.0, 1.0], size) * strengths)
