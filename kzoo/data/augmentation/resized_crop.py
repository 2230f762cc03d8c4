"""Random resized crops: a random part of each image, enlarged to the size of the image."""

from __future__ import annotations

from typing import Literal, NamedTuple, Self

from pydantic import model_validator

from kzoo.data.augmentation.base import CHUNK, UNIT, Augmentation, Normalization, as_dtype
from kzoo.data.augmentation.boxes import Range, check_box, draw_boxes
from kzoo.data.augmentation.geometry import between
from kzoo.lazy import np


class ResizedCropDraw(NamedTuple):
    """The parts to enlarge: upper left corners and sides in pixels, each int (B,)."""

    top: np.ndarray
    left: np.ndarray
    height: np.ndarray
    width: np.ndarray


class RandomResizedCrop(Augmentation):
    """Cut a box of random area and aspect out of each image and enlarge it to the image's size (Szegedy et al. 2015).

    The box's area (as a share of the image) is drawn uniformly and its aspect log-uniformly; a box that does not fit
    into the image is drawn again. After ten such boxes, the largest centred box with an allowed aspect is used. The
    position is uniform. Defaults and rules are those of torchvision's ``RandomResizedCrop``, whose `scale` is `area`,
    and whose `ratio` is width over height. Pixels are interpolated bilinearly, within the box.

    Attributes:
        area: smallest and largest share of the image.
        aspect: smallest and largest height / width.
    """

    kind: Literal["random_resized_crop"] = "random_resized_crop"
    area: Range = (0.08, 1.0)
    aspect: Range = (3 / 4, 4 / 3)

    @model_validator(mode="after")
    def _ranges(self) -> Self:
        check_box(self.area, self.aspect)
        return self

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> ResizedCropDraw:
        """Boxes for `count` images."""
        image_height, image_width, _ = shape
        height, width, fits = draw_boxes(count, shape[:2], self.area, self.aspect, rng, largest=0)
        top = rng.integers(0, np.maximum(image_height - height, 0) + 1)
        left = rng.integers(0, np.maximum(image_width - width, 0) + 1)

        # Where no box fits: the largest with an allowed aspect, in the centre.
        whole_height = min(image_height, max(round(image_width * self.aspect[1]), 1))
        whole_width = min(image_width, max(round(image_height / self.aspect[0]), 1))
        centred = (image_height - whole_height) // 2, (image_width - whole_width) // 2, whole_height, whole_width
        drawn = (top, left, height, width)
        return ResizedCropDraw(*(np.where(fits, one, other) for one, other in zip(drawn, centred, strict=True)))

    def apply(self, images: np.ndarray, drawn: ResizedCropDraw) -> np.ndarray:
        """The boxes, enlarged."""
        parts = [slice(start, start + CHUNK) for start in range(0, len(images), CHUNK)]
        return np.concatenate([_enlarged(images[part], *(values[part] for values in drawn)) for part in parts])


def _enlarged(
    images: np.ndarray, top: np.ndarray, left: np.ndarray, height: np.ndarray, width: np.ndarray
) -> np.ndarray:
    """Boxes of the images, (B, H, W, C), interpolated bilinearly to the images' size; uint8 is rounded."""
    count, rows, columns, channels = images.shape
    above, below, row_part = _sources(top, height, rows)
    before, after, column_part = _sources(left, width, columns)
    image = np.arange(count)[:, None]

    # Channel by channel: NumPy is slow where the innermost axis is short.
    result = np.empty_like(images)
    for channel in range(channels):
        plane = images[..., channel].astype(np.float32)
        lines = between(plane[image, above], plane[image, below], row_part[:, :, None])
        first, second = (np.take_along_axis(lines, index[:, None], axis=2) for index in (before, after))
        result[..., channel] = as_dtype(between(first, second, column_part[:, None]), images.dtype)
    return result


def _sources(start: np.ndarray, length: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel of one axis: indices of the two old pixels around its centre, and the way between them.

    Args:
        start, length: first pixel and number of pixels of the boxes, int (B,).
        size: number of new pixels.

    Returns:
        int (B, size), twice, and float32 (B, size). Centres in the outer half of a box's outer pixels have its value.
    """
    position = (np.arange(size) + 0.5) * (length[:, None] / size) - 0.5
    position = np.clip(position, 0, length[:, None] - 1)
    first = position.astype(np.int64)
    part = (position - first).astype(np.float32)
    first += start[:, None]
    return first, np.minimum(first + 1, (start + length - 1)[:, None]), part
