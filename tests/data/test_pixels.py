"""Random erasing, noise, contrast stretch and median filter against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from kzoo.data.augmentation.base import Normalization
from kzoo.data.augmentation.pixels import (
    ContrastStretch,
    ErasingDraw,
    GaussianNoise,
    MedianFilter,
    RandomErasing,
    median_filter,
    stretch_contrast,
)
from kzoo.errors import InputError

CIFAR = (32, 32, 3)
NORMALIZATION = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


def erased(images: np.ndarray, drawn: ErasingDraw) -> np.ndarray:
    result = images.copy()
    values = iter(drawn.values)
    for index in range(len(images)):
        for row in range(drawn.top[index], drawn.top[index] + drawn.height[index]):
            for column in range(drawn.left[index], drawn.left[index] + drawn.width[index]):
                result[index, row, column] = next(values) if len(drawn.values) > 1 else drawn.values[0, 0]
    assert len(drawn.values) == 1 or next(values, None) is None
    return result


def middle(window: list[float]) -> float:
    """SciPy's median: the upper of two middle values."""
    return sorted(window)[len(window) // 2]


def filtered(image: np.ndarray, size: int, depth: int) -> np.ndarray:
    """Window from -(size // 2) on, borders reflected (d c b a | a b c d | d c b a)."""
    border = size
    wide = np.pad(image, border, mode="symmetric")
    result = np.empty_like(image)
    for row, column, channel in np.ndindex(image.shape):
        up, left, front = row + border - size // 2, column + border - size // 2, channel + border - depth // 2
        window = wide[up : up + size, left : left + size, front : front + depth]
        result[row, column, channel] = middle(list(window.ravel()))
    return result


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("fill", ["random", 17])
def test_erasing_equals_a_loop_over_boxes(fill: str | int, dtype: type) -> None:
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (20, 12, 9, 3)).astype(dtype)
    before = images.copy()
    change = RandomErasing(fill=fill)
    drawn = change.draw(20, (12, 9, 3), rng, NORMALIZATION)
    assert 0 < (drawn.height > 0).sum() < 20
    result = change.apply(images, drawn)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, erased(images, drawn))
    np.testing.assert_array_equal(images, before)


def test_erased_boxes_have_the_requested_areas_and_aspects() -> None:
    drawn = RandomErasing().draw(20_000, CIFAR, np.random.default_rng(0), NORMALIZATION)
    hit = drawn.height > 0
    assert hit.mean() == pytest.approx(0.5, abs=0.015)
    np.testing.assert_array_equal(hit, drawn.width > 0)
    assert np.all(drawn.top + drawn.height <= 32)
    assert np.all(drawn.left + drawn.width <= 32)
    assert drawn.height.max() == drawn.width.max() == 31  # a box as high or wide as the image is drawn again
    height, width = drawn.height[hit], drawn.width[hit]
    area = height * width / 1024
    # uniform from .02 to .33, apart from the rounding of the sides
    assert area.mean() == pytest.approx((0.02 + 0.33) / 2, abs=0.005)
    assert 0.01 < area.min() < 0.025
    assert 0.31 < area.max() < 0.36
    aspect = np.log(height / width)
    assert abs(np.median(aspect)) < 0.05
    assert aspect.min() > math.log(0.3) - 0.5
    assert aspect.max() < math.log(3.3) + 0.5
    # log-uniform: a quarter of the boxes on either side of the quartiles
    assert (aspect > math.log(3.3) / 2).mean() == pytest.approx(0.25, abs=0.03)
    # positions are uniform over the rest of the image
    share = drawn.top[hit] / (32 - height)
    assert share.mean() == pytest.approx(0.5, abs=0.02)
    assert share.min() == 0
    assert share.max() == 1


def test_aspect_is_height_over_width() -> None:
    drawn = RandomErasing(probability=1, area=(0.1, 0.2), aspect=(2.0, 3.0)).draw(1000, CIFAR, np.random.default_rng(0))
    assert np.median(drawn.height / drawn.width) == pytest.approx(math.sqrt(6), abs=0.15)


def test_boxes_have_one_pixel_at_least() -> None:
    drawn = RandomErasing(probability=1, area=(1e-5, 1e-5)).draw(20, CIFAR, np.random.default_rng(0))
    assert set(drawn.height) == set(drawn.width) == {1}


def test_a_box_that_never_fits_leaves_the_image_unchanged() -> None:
    change = RandomErasing(probability=1, area=(0.9, 1.0), aspect=(3.0, 3.3))
    images = np.full((50, 8, 8, 1), 9, np.uint8)
    drawn = change.draw(50, (8, 8, 1), np.random.default_rng(0))
    assert not drawn.height.any()
    np.testing.assert_array_equal(change.apply(images, drawn), images)


def test_the_random_fill_is_normal_in_the_networks_units() -> None:
    drawn = RandomErasing(probability=1).draw(2000, CIFAR, np.random.default_rng(0), NORMALIZATION)
    assert drawn.values.dtype == np.uint8
    pixels = drawn.values / 255
    for channel in range(3):
        mean, std = NORMALIZATION.mean[channel], NORMALIZATION.std[channel]
        values = pixels[:, channel]
        # values below black and above white are clipped: compare where none are
        for deviations in (-0.9, 0.0, 0.9):
            expected = 0.5 * (1 + math.erf(deviations / math.sqrt(2)))
            assert (values < mean + deviations * std).mean() == pytest.approx(expected, abs=0.01)
    assert abs(np.corrcoef(pixels[:, 0], pixels[:, 1])[0, 1]) < 0.01


@pytest.mark.parametrize(
    "fields",
    [
        {"area": (0.0, 0.3)},
        {"area": (0.4, 0.3)},
        {"area": (0.1, 1.2)},
        {"aspect": (3.0, 0.3)},
        {"probability": 1.5},
        {"fill": 256},
        {"fill": "white"},
    ],
)
def test_impossible_erasing_is_refused(fields: dict) -> None:
    (field,) = fields
    with pytest.raises(InputError, match=f"^RandomErasing: {field} "):
        RandomErasing(**fields)


def test_noise_is_added_in_float32_and_not_clipped(photos: np.ndarray) -> None:
    change = GaussianNoise(std=2.0)
    noise = change.draw(12, photos.shape[1:], np.random.default_rng(0), NORMALIZATION)
    result = change.apply(photos, noise)
    assert result.dtype == np.float32
    for index in np.ndindex(photos.shape):
        assert result[index] == np.float32(photos[index]) + noise[index]
    assert result.min() < 0
    assert result.max() > 255


def test_noise_has_the_requested_standard_deviation() -> None:
    for space, expected in (("normalized", [25.5, 31.875, 38.25]), ("pixels", [0.5, 0.5, 0.5])):
        change = GaussianNoise(std=0.5, space=space)
        noise = change.draw(300, CIFAR, np.random.default_rng(0), NORMALIZATION)
        np.testing.assert_allclose(noise.std(axis=(0, 1, 2)), expected, rtol=0.01)
        np.testing.assert_allclose(noise.mean(axis=(0, 1, 2)), 0, atol=0.01 * max(expected))


def test_contrast_stretch_equals_a_loop_over_images(photos: np.ndarray) -> None:
    images = (photos // 3 + 40).astype(np.uint8)
    images[2] = 77
    expected = []
    for image in images:
        low, high = int(image.min()), int(image.max())
        expected.append(image if low == high else np.rint((image - float(low)) * 255 / (high - low)))
    result = stretch_contrast(images)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)
    assert result[0].min() == 0
    assert result[0].max() == 255
    np.testing.assert_allclose(stretch_contrast(images.astype(np.float32)), expected, atol=0.5001)


@pytest.mark.parametrize(("size", "per_channel"), [(2, False), (2, True), (3, False), (3, True), (1, False)])
def test_median_filter_equals_a_loop_over_pixels(photos: np.ndarray, size: int, per_channel: bool) -> None:
    result = median_filter(photos, size, per_channel=per_channel)
    depth = 1 if per_channel else size
    np.testing.assert_array_equal(result, [filtered(image, size, depth) for image in photos])


def test_median_filter_is_the_call_that_the_report_prints(photos: np.ndarray) -> None:
    np.testing.assert_array_equal(median_filter(photos), [ndimage.median_filter(image, 2) for image in photos])


@pytest.mark.parametrize("change", [ContrastStretch(probability=0.5), MedianFilter(probability=0.5, per_channel=True)])
def test_only_the_drawn_images_change(photos: np.ndarray, change: ContrastStretch | MedianFilter) -> None:
    images = (photos // 2).astype(np.uint8)
    drawn = change.draw(12, images.shape[1:], np.random.default_rng(2))
    assert 0 < drawn.sum() < 12
    result = change.apply(images, drawn)
    every = change.change(images)
    for index in range(12):
        np.testing.assert_array_equal(result[index], every[index] if drawn[index] else images[index])
    assert change.draw(20_000, CIFAR, np.random.default_rng(0)).mean() == pytest.approx(0.5, abs=0.015)
