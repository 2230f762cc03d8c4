"""Changes of brightness, contrast and color, image by image, as Pillow and torchvision define them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kzoo.data.augmentation.base import UNIT, Augmentation, Normalization, as_dtype
from kzoo.lazy import np

LUMA = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""
_IQ = ((0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
Strength = Annotated[float, Field(ge=0)]


def gray(images: np.ndarray) -> np.ndarray:
    """Float32 (B, H, W, 1): brightness of each pixel; for images without three channels, the channels' mean."""
    values = images.astype(np.float32)
    if images.shape[-1] != 3:
        return values.mean(axis=-1, keepdims=True)
    return (values @ np.array(LUMA, np.float32))[..., None]


def blend(images: np.ndarray, other: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """``other + factor * (images - other)``, cut off at 0 and 255; factor 1 leaves an image as it is.

    Args:
        images: (B, H, W, C), uint8 or float32.
        other: float32, broadcast.
        factor: (B,).
    """
    mixed = other + factor.reshape(-1, 1, 1, 1).astype(np.float32) * (images - other)
    return as_dtype(np.clip(mixed, 0, 255), images.dtype)


def brightness(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Pixels times a factor (B,)."""
    return blend(images, np.zeros((1, 1, 1, 1), np.float32), factor)


def contrast(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Distances from each image's mean brightness times a factor (B,)."""
    return blend(images, gray(images).mean(axis=(1, 2), keepdims=True), factor)


def saturation(images: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Distances from gray times a factor (B,); 0 takes the color out."""
    return blend(images, gray(images), factor)


def hue(images: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Colors turned about the gray axis, in YIQ; images without three channels have no hue.

    Args:
        images: (B, H, W, C), uint8 or float32.
        turn: (B,), in whole turns.
    """
    if images.shape[-1] != 3:
        return images.copy()
    cos, sin = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    turns = np.zeros((len(turn), 3, 3))
    turns[:, 0, 0], turns[:, 1, 1], turns[:, 2, 2] = 1, cos, cos
    turns[:, 1, 2], turns[:, 2, 1] = -sin, sin
    to_yiq = np.array([np.array(LUMA, np.float32), *_IQ])
    matrices = (np.linalg.inv(to_yiq) @ turns @ to_yiq).astype(np.float32)
    flat = images.reshape(len(images), -1, 3).astype(np.float32)
    changed = np.clip(flat @ matrices.transpose(0, 2, 1), 0, 255).reshape(images.shape)
    return as_dtype(changed, images.dtype)


class ColorJitter(Augmentation):
    """Change brightness, contrast, saturation and hue, in this order, each by a separate random factor.

    Attributes:
        brightness: factors are uniform in 1 - brightness .. 1 + brightness, at least 0; 0 changes nothing.
        contrast: likewise.
        saturation: likewise.
        hue: turns are uniform in -hue .. hue, in whole turns.
    """

    kind: Literal["color_jitter"] = "color_jitter"
    brightness: Strength = 0.2
    contrast: Strength = 0.2
    saturation: Strength = 0.2
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> np.ndarray:
        """Float64 (4, count): the three factors and the turn."""
        spread = np.array([self.brightness, self.contrast, self.saturation, self.hue])[:, None]
        drawn = rng.uniform(-1, 1, (4, count)) * spread
        drawn[:3] = np.maximum(drawn[:3] + 1, 0)
        return drawn

    def apply(self, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The images, changed."""
        result = images.copy()
        for strength, change, values in zip(
            (self.brightness, self.contrast, self.saturation, self.hue),
            (brightness, contrast, saturation, hue),
            drawn,
            strict=True,
        ):
            if strength:
                result = change(result, values)
        return result
