"""Augmentations that move pixels: pad and crop, flips, rotation."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from kzoo.data.augmentation.base import CHUNK, UNIT, Augmentation, Normalization, as_dtype
from kzoo.errors import InputError
from kzoo.lazy import np

Probability = Annotated[float, Field(ge=0, le=1)]


class CropDraw(NamedTuple):
    """Upper left corners of the crops in the padded images: int (B,), each in 0 .. 2 * padding."""

    top: np.ndarray
    left: np.ndarray


class PadCrop(Augmentation):
    """Pad with black on every side, then cut a window of the original size at a uniformly drawn position.

    Used in reports a, b and e (padding 4 at 32x32). Black is pixel value 0, as when PyTorch pads before it normalises.

    Attributes:
        padding: pixels added on each side.
    """

    kind: Literal["pad_crop"] = "pad_crop"
    padding: Annotated[int, Field(ge=0)] = 4

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> CropDraw:
        """Corners for `count` images."""
        top, left = rng.integers(0, 2 * self.padding + 1, (2, count))
        return CropDraw(top, left)

    def apply(self, images: np.ndarray, drawn: CropDraw) -> np.ndarray:
        """The windows cut out of the padded images."""
        # A window farther out than the images' sides is black in any case, so the padding need not exceed them.
        padding = min(self.padding, max(images.shape[1:3]))
        top, left = (np.clip(corner - self.padding, -padding, padding) + padding for corner in drawn)
        return _windows(images, padding, CropDraw(top, left), "constant")


class Translate(Augmentation):
    """Move each image by up to `pixels` in each direction, a uniformly drawn whole number; fill the rest by reflection.

    The border is the image mirrored about its edge pixels (Jordan 2024, section 3.4: 2 or 4 pixels at 32x32).

    Attributes:
        pixels: the largest move; with ``"reflect"``, smaller than the image's sides.
        border: ``"reflect"``, or ``"black"`` as in `PadCrop`.
    """

    kind: Literal["translate"] = "translate"
    pixels: Annotated[int, Field(ge=0)] = 2
    border: Literal["reflect", "black"] = "reflect"

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> CropDraw:
        """Corners for `count` images."""
        if self.border == "reflect" and self.pixels >= min(shape[:2]):
            raise InputError(f"translate: pixels={self.pixels} must be smaller than the images' sides, {shape[:2]}")
        top, left = rng.integers(0, 2 * self.pixels + 1, (2, count))
        return CropDraw(top, left)

    def apply(self, images: np.ndarray, drawn: CropDraw) -> np.ndarray:
        """The images, moved."""
        return _windows(images, self.pixels, drawn, "reflect" if self.border == "reflect" else "constant")


def _windows(images: np.ndarray, pad: int, drawn: CropDraw, border: Literal["constant", "reflect"]) -> np.ndarray:
    """Windows of the images' size, cut out of the images padded on every side."""
    count, height, width, channels = images.shape
    positions = 2 * pad + 1
    padded = np.pad(images, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode=border)
    # A view of all windows, of which one per image is copied: 12 times faster than gathering pixels.
    image, row, column, channel = padded.strides
    windows = np.lib.stride_tricks.as_strided(
        padded,
        (count, positions, positions, height, width, channels),
        (image, row, column, row, column, channel),
        writeable=False,
    )
    return windows[np.arange(count), drawn.top, drawn.left]


class FlipDraw(NamedTuple):
    """Which images are mirrored left-right and which upside down: bool (B,)."""

    horizontal: np.ndarray
    vertical: np.ndarray


class Flip(Augmentation):
    """Mirror left-right and, independently, upside down.

    Attributes:
        horizontal: probability of the first.
        vertical: probability of the second.
    """

    kind: Literal["flip"] = "flip"
    horizontal: Probability = 0.5
    vertical: Probability = 0.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> FlipDraw:
        """Decisions for `count` images."""
        horizontal, vertical = rng.random((2, count))
        return FlipDraw(horizontal < self.horizontal, vertical < self.vertical)

    def apply(self, images: np.ndarray, drawn: FlipDraw) -> np.ndarray:
        """The images, mirrored where drawn."""
        result = images.copy()
        upside_down = np.flatnonzero(drawn.vertical)
        result[upside_down] = images[upside_down, ::-1]
        return mirrored(result, drawn.horizontal)


class AlternatingFlip(Augmentation):
    """Mirror each image left-right in every other epoch; whether it starts mirrored is drawn for each image.

    Two consecutive epochs show both sides of every image, unlike a random flip in each epoch (Jordan 2024,
    section 3.6). Which images begin mirrored depends on the run's seed.
    """

    kind: Literal["alternating_flip"] = "alternating_flip"

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> np.ndarray:
        """Which images begin mirrored, bool (count,)."""
        return rng.random(count) < 0.5

    def apply(self, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The images, mirrored where drawn."""
        return mirrored(images.copy(), drawn)


def mirrored(images: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The images with the chosen ones (bool, one per image) mirrored left-right; overwrites the input."""
    indices = np.flatnonzero(chosen)
    before = images[indices]
    # Channel by channel: NumPy copies runs of one stride four times faster than runs of three bytes.
    turned = np.empty_like(before)
    for channel in range(images.shape[3]):
        turned[..., channel] = before[:, :, ::-1, channel]
    images[indices] = turned
    return images


class Rotation(Augmentation):
    """Rotate each image about its centre by an angle drawn uniformly from -degrees .. degrees.

    Attributes:
        degrees: the largest angle, in degrees.
    """

    kind: Literal["rotation"] = "rotation"
    degrees: Annotated[float, Field(ge=0, le=180)] = 15.0

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> np.ndarray:
        """Angles in degrees, float64 (count,)."""
        return rng.uniform(-self.degrees, self.degrees, count)

    def apply(self, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The images, turned."""
        parts = [
            (images[start : start + CHUNK], drawn[start : start + CHUNK]) for start in range(0, len(images), CHUNK)
        ]
        return np.concatenate([rotate(*part) for part in parts])


def rotate(images: np.ndarray, degrees: np.ndarray | float) -> np.ndarray:
    """Images turned counter-clockwise about their centres, bilinearly interpolated.

    Pixels outside an image count as black, including in the interpolation at its border.

    Args:
        images: (B, H, W, C), uint8 or float32.
        degrees: one angle, or one for each image, (B,).

    Returns:
        Images of the same shape and dtype, uint8 rounded to the nearest integer.
    """
    angles = np.deg2rad(np.atleast_1d(np.asarray(degrees, float)))
    cos, sin = np.cos(angles), np.sin(angles)
    return affine(images, (cos, sin), (-sin, cos))


def affine(
    images: np.ndarray,
    rows: tuple[np.ndarray | float, np.ndarray | float],
    columns: tuple[np.ndarray | float, np.ndarray | float],
    shift: tuple[np.ndarray | float, np.ndarray | float] = (0.0, 0.0),
) -> np.ndarray:
    """Images resampled bilinearly: a linear map of a pixel's offset from the centre gives its source.

    Args:
        images: (B, H, W, C), uint8 or float32.
        rows: factors, each (B,) or one number, of the row and column offsets that give the source's row.
        columns: the same for the source's column.
        shift: rows and columns added to the source's position, each (B,) or one number.

    Returns:
        Images of the same shape and dtype, uint8 rounded to the nearest integer; black outside.
    """
    count, height, width, channels = images.shape
    down = (np.arange(height) - (height - 1) / 2)[:, None]
    right = np.arange(width) - (width - 1) / 2
    by_row, by_column, more = (
        [np.reshape(np.asarray(value, float), (-1, 1, 1)) for value in pair] for pair in (rows, columns, shift)
    )
    positions = right * by_row[1] + down * by_row[0] + (height - 1) / 2 + more[0]
    row, row_part = _neighbours(positions, height)
    column, column_part = _neighbours(right * by_column[1] + down * by_column[0] + (width - 1) / 2 + more[1], width)
    upper_left = row * (width + 2) + column

    # Channel by channel: NumPy is slow where the innermost axis is short.
    result = np.empty_like(images)
    padded = np.zeros((count, height + 2, width + 2), np.float32)
    for channel in range(channels):
        padded[:, 1:-1, 1:-1] = images[..., channel]
        corners = [_pixels(padded, upper_left + offset) for offset in (0, 1, width + 2, width + 3)]
        upper = between(corners[0], corners[1], column_part)
        lower = between(corners[2], corners[3], column_part)
        result[..., channel] = as_dtype(between(upper, lower, row_part), images.dtype)
    return result


def _pixels(padded: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Pixels (B, H, W) at indices within each image: (B, H, W), or (1, H, W) for the same in all images."""
    count, size = len(padded), padded[0].size
    if len(indices) == 1:
        return padded.reshape(count, size).take(indices[0], axis=1)
    return padded.reshape(-1).take(indices + size * np.arange(count)[:, None, None])


def _neighbours(position: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Index, in an axis padded by one, of the pixel before each position, and the fraction of the way to the next one.

    The positions are overwritten.
    """
    np.clip(position, -1, size, out=position)
    before = np.floor(position)
    np.minimum(before, size - 1, out=before)
    position -= before
    before += 1
    return before.astype(np.int64), position.astype(np.float32)


def between(first: np.ndarray, second: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Linear interpolation; the second array is overwritten."""
    second -= first
    second *= part
    second += first
    return second
