"""Augmentations that change pixel values: random erasing, noise, contrast stretch, median filter."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from kzoo.data.augmentation.base import UNIT, Augmentation, Normalization, as_dtype
from kzoo.data.augmentation.boxes import Range, check_box, draw_boxes
from kzoo.data.augmentation.geometry import Probability
from kzoo.errors import InputError
from kzoo.lazy import np


class ErasingDraw(NamedTuple):
    """Boxes to erase, and their new values.

    Attributes:
        top, left, height, width: int (B,), in pixels; height and width are 0 where nothing is erased.
        values: uint8 (pixels, C), for the boxes image by image, each row by row; or (1, 1), for all pixels.
    """

    top: np.ndarray
    left: np.ndarray
    height: np.ndarray
    width: np.ndarray
    values: np.ndarray


class RandomErasing(Augmentation):
    """Overwrite one box of an image (Zhong et al. 2017; report a).

    With the given probability, the box's area (as a share of the image) is drawn uniformly and its aspect, height
    over width, log-uniformly; the sides are rounded to whole pixels, at least one. A box that is as high or as
    wide as the image is rejected and drawn again; after ten such boxes the image stays whole. The
    position is uniform.

    Attributes:
        probability: of erasing at all.
        area: smallest and largest share of the image.
        aspect: smallest and largest height / width.
        fill: ``"random"``, normally distributed values of mean 0 and variance 1 in the network's (normalized)
            units, one for each pixel and channel, turned into pixels, rounded and clipped to 0-255 (without
            normalization, the unit is 255); or one pixel value, 0-255, for all.
    """

    kind: Literal["random_erasing"] = "random_erasing"
    probability: Probability = 0.5
    area: Range = (0.02, 0.33)
    aspect: Range = (0.3, 3.3)
    fill: Literal["random"] | Annotated[int, Field(ge=0, le=255)] = "random"

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        check_box(self.area, self.aspect)
        return self

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> ErasingDraw:
        """Boxes and their contents for `count` images."""
        image_height, image_width, channels = shape
        chosen = rng.random(count) < self.probability
        height, width, fits = draw_boxes(count, shape[:2], self.area, self.aspect, rng, largest=-1)

        # A random position; where no box fits, none.
        erased = chosen & fits
        height, width = height * erased, width * erased
        top = rng.integers(0, image_height - height + 1)
        left = rng.integers(0, image_width - width + 1)

        # What fills the boxes.
        if self.fill == "random":
            noise = rng.standard_normal((int((height * width).sum()), channels), np.float32)
            noise *= np.asarray(normalization.std, np.float32) * 255
            noise += np.asarray(normalization.mean, np.float32) * 255
            values = as_dtype(noise, np.dtype(np.uint8))
        else:
            values = np.full((1, 1), self.fill, np.uint8)
        return ErasingDraw(top, left, height, width, values)

    def apply(self, images: np.ndarray, drawn: ErasingDraw) -> np.ndarray:
        """The images with the boxes overwritten."""
        return erase(images, drawn)


class Cutout(Augmentation):
    """Overwrite one square of each image (DeVries and Taylor 2017), which lies entirely inside the image.

    Attributes:
        size: side of the square in pixels, at most the image's; 0 changes nothing.
        probability: of erasing at all.
        fill: ``"mean"``, which the network sees as 0; or one pixel value, 0-255, for all.
    """

    kind: Literal["cutout"] = "cutout"
    size: Annotated[int, Field(ge=0)] = 8
    probability: Probability = 1.0
    fill: Literal["mean"] | Annotated[int, Field(ge=0, le=255)] = "mean"

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> ErasingDraw:
        """Squares for `count` images."""
        if self.size > min(shape[:2]):
            raise InputError(f"cutout: size={self.size} is greater than the images' sides, {shape[:2]}")
        side = np.where(rng.random(count) < self.probability, self.size, 0)
        top = rng.integers(0, shape[0] - self.size + 1, count)
        left = rng.integers(0, shape[1] - self.size + 1, count)
        values = np.asarray(normalization.mean) * 255 if self.fill == "mean" else np.full(1, self.fill)
        return ErasingDraw(top, left, side, side, as_dtype(values[None], np.dtype(np.uint8)))

    def apply(self, images: np.ndarray, drawn: ErasingDraw) -> np.ndarray:
        """The images with the squares overwritten."""
        return erase(images, drawn)


def inside(shape: tuple[int, ...], top: Any, left: Any, height: Any, width: Any) -> np.ndarray:
    """Which pixels lie in a box of each image, bool (B, H, W); all arguments but the images' shape are int (B,)."""
    rows, columns = np.arange(shape[1]), np.arange(shape[2])
    top, left = top[:, None], left[:, None]
    in_rows = (rows >= top) & (rows < top + height[:, None])
    in_columns = (columns >= left) & (columns < left + width[:, None])
    return in_rows[:, :, None] & in_columns[:, None, :]


def erase(images: np.ndarray, drawn: ErasingDraw) -> np.ndarray:
    """The images with the boxes overwritten."""
    result = np.array(images, order="C")
    # Whole pixels as one item each: 15 times faster than NumPy's assignment of channels under a mask.
    channels = images.shape[3]
    pixel = np.dtype((np.void, images.itemsize * channels))
    values = np.ascontiguousarray(np.broadcast_to(drawn.values, (len(drawn.values), channels)), images.dtype)
    boxes = inside(images.shape, drawn.top, drawn.left, drawn.height, drawn.width)
    result.view(pixel)[..., 0][boxes] = values.view(pixel)[:, 0]
    return result


class GaussianNoise(Augmentation):
    """Add normally distributed noise of mean 0 to every pixel and channel (report e). Nothing is clipped.

    Attributes:
        std: standard deviation.
        space: its unit: ``"normalized"``, what the network sees (1 is one standard deviation of a channel; without
            normalization, 255), or ``"pixels"``, 0-255.
    """

    kind: Literal["gaussian_noise"] = "gaussian_noise"
    gives_float = True
    std: Annotated[float, Field(ge=0)] = 1.0
    space: Literal["normalized", "pixels"] = "normalized"

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> np.ndarray:
        """The noise, float32 (count, H, W, C), in units of 0-255."""
        noise = rng.standard_normal((count, *shape), np.float32)
        unit = np.asarray(normalization.std, np.float32) * 255 if self.space == "normalized" else np.float32(1)
        noise *= unit * np.float32(self.std)
        return noise

    def apply(self, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """Float32 images: the sum."""
        return images.astype(np.float32) + drawn


class Chosen(Augmentation):
    """Base of augmentations that make a fixed change in randomly drawn images.

    Attributes:
        probability: of the change.
    """

    probability: Probability = 0.5

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> np.ndarray:
        """Which images are changed, bool (count,)."""
        return rng.random(count) < self.probability

    def apply(self, images: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The images, changed where drawn."""
        result = images.copy()
        if drawn.any():
            result[drawn] = self.change(images[drawn])
        return result

    def change(self, images: np.ndarray) -> np.ndarray:
        """All the images changed."""
        raise NotImplementedError


class ContrastStretch(Chosen):
    """Stretch the values of an image to 0-255: see `stretch_contrast` (report c)."""

    kind: Literal["contrast_stretch"] = "contrast_stretch"

    def change(self, images: np.ndarray) -> np.ndarray:
        """All the images stretched."""
        return stretch_contrast(images)


class MedianFilter(Chosen):
    """Replace each value by the median of its window: see `median_filter` (report c).

    Attributes:
        size: side of the window.
        per_channel: whether each channel is filtered alone.
    """

    kind: Literal["median_filter"] = "median_filter"
    size: Annotated[int, Field(ge=1)] = 2
    per_channel: bool = False

    def change(self, images: np.ndarray) -> np.ndarray:
        """All the images filtered."""
        return median_filter(images, self.size, per_channel=self.per_channel)


def stretch_contrast(images: np.ndarray) -> np.ndarray:
    """Each image's smallest value moved to 0 and its largest to 255, over all channels together.

    An image with a single value stays as it is; uint8 is rounded to the nearest integer.
    """
    low = images.min(axis=(1, 2, 3), keepdims=True).astype(np.float32)
    extent = images.max(axis=(1, 2, 3), keepdims=True).astype(np.float32) - low
    flat = extent == 0
    stretched = (images - np.where(flat, 0, low)) * np.float32(255) / np.where(flat, np.float32(255), extent)
    return as_dtype(stretched, images.dtype)


def median_filter(images: np.ndarray, size: int = 2, *, per_channel: bool = False) -> np.ndarray:
    """Each value replaced by the median of a window, as SciPy's ``median_filter(image, size)`` does.

    Report c calls it on H x W x C arrays, so the window is size x size x size and mixes channels. Borders are
    reflected; an even window reaches one further up and left, and takes the upper of its two middle values.

    Args:
        images: (B, H, W, C).
        size: side of the window.
        per_channel: whether the window is size x size x 1 instead.
    """
    height, width = images.shape[1:3]
    channels, depth = images.shape[3], 1 if per_channel else size
    before, after = size // 2, size - 1 - size // 2
    across = (depth // 2, depth - 1 - depth // 2)

    # Channels first: NumPy is slow where the innermost axis is short.
    planes = np.moveaxis(images, 3, 0)
    wide = np.pad(planes, (across, (0, 0), (before, after), (before, after)), mode="symmetric")
    window = [
        wide[channel : channel + channels, :, row : row + height, column : column + width].copy()
        for row in range(size)
        for column in range(size)
        for channel in range(depth)
    ]

    # All windows are sorted at once, as far as needed, by comparing whole arrays: many times as fast as SciPy's filter.
    lower = np.empty_like(window[0])
    for smallest in range(len(window) // 2 + 1):
        for index in range(len(window) - 1, smallest, -1):
            first, second = window[index - 1], window[index]
            np.minimum(first, second, out=lower)
            np.maximum(first, second, out=second)
            window[index - 1], lower = lower, first
    return np.ascontiguousarray(np.moveaxis(window[len(window) // 2], 0, 3))
