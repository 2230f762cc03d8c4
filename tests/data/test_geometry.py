"""Pad and crop, flips and rotation against plain loops over images and pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from kzoo.data.augmentation.geometry import CropDraw, Flip, FlipDraw, PadCrop, Rotation, rotate

SHAPE = (7, 6, 3)


def crop_of(image: np.ndarray, padding: int, top: int, left: int) -> np.ndarray:
    result = np.zeros_like(image)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            source_row, source_column = row + top - padding, column + left - padding
            if 0 <= source_row < image.shape[0] and 0 <= source_column < image.shape[1]:
                result[row, column] = image[source_row, source_column]
    return result


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    height, width, channels = image.shape
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    result = np.zeros((height, width, channels))
    for row in range(height):
        for column in range(width):
            down, right = row - (height - 1) / 2, column - (width - 1) / 2
            source_row = right * sin + down * cos + (height - 1) / 2
            source_column = right * cos - down * sin + (width - 1) / 2
            for near_row in (math.floor(source_row), math.floor(source_row) + 1):
                for near_column in (math.floor(source_column), math.floor(source_column) + 1):
                    if 0 <= near_row < height and 0 <= near_column < width:
                        weight = (1 - abs(source_row - near_row)) * (1 - abs(source_column - near_column))
                        result[row, column] += weight * image[near_row, near_column]
    return result


@given(padding=st.integers(0, 9), seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_crops_equal_a_loop_over_pixels(padding: int, seed: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 256, (5, 7, 6, channels), np.uint8)
    change = PadCrop(padding=padding)
    drawn = change.draw(5, images.shape[1:], rng)
    expected = [crop_of(*case) for case in zip(images, [padding] * 5, drawn.top, drawn.left, strict=True)]
    np.testing.assert_array_equal(change.apply(images, drawn), expected)


def test_a_huge_padding_needs_no_huge_array() -> None:
    images = np.full((2, 7, 6, 1), 9, np.uint8)
    change = PadCrop(padding=10**9)
    middle = change.padding
    drawn = CropDraw(np.array([0, middle - 2]), np.array([middle, middle + 3]))
    far, near = change.apply(images, drawn)[..., 0]
    assert not far.any()
    np.testing.assert_array_equal(near, np.pad(images[1, :5, 3:, 0], ((2, 0), (0, 3))))


def test_crop_corners_cover_all_positions_evenly() -> None:
    drawn = PadCrop(padding=4).draw(40_500, SHAPE, np.random.default_rng(0))
    for corner in drawn:
        counts = np.bincount(corner, minlength=9)
        assert len(counts) == 9
        assert np.all(np.abs(counts - 4500) < 5 * math.sqrt(4500))
    assert abs(np.corrcoef(drawn.top, drawn.left)[0, 1]) < 0.03


def test_a_crop_at_the_centre_is_the_image(photos: np.ndarray) -> None:
    centre = np.full(len(photos), 3)
    np.testing.assert_array_equal(PadCrop(padding=3).apply(photos, CropDraw(centre, centre)), photos)


def test_flips_equal_a_loop_over_images(photos: np.ndarray) -> None:
    change = Flip(horizontal=0.5, vertical=0.5)
    drawn = change.draw(len(photos), SHAPE, np.random.default_rng(3))
    assert 0 < (drawn.horizontal & drawn.vertical).sum() < len(photos)
    expected = []
    for image, left_right, upside_down in zip(photos, *drawn, strict=True):
        image = np.fliplr(image) if left_right else image
        expected.append(np.flipud(image) if upside_down else image)
    np.testing.assert_array_equal(change.apply(photos, drawn), expected)


def test_flip_probabilities_hold_for_each_direction_separately() -> None:
    drawn = Flip(horizontal=0.5, vertical=0.1).draw(20_000, SHAPE, np.random.default_rng(0))
    assert drawn.horizontal.mean() == pytest.approx(0.5, abs=0.015)
    assert drawn.vertical.mean() == pytest.approx(0.1, abs=0.01)
    assert (drawn.horizontal & drawn.vertical).mean() == pytest.approx(0.05, abs=0.01)
    never = Flip(horizontal=0.0).draw(1000, SHAPE, np.random.default_rng(0))
    assert not never.horizontal.any()
    assert not never.vertical.any()


def test_flipping_twice_gives_the_images_back(photos: np.ndarray) -> None:
    all_of_them = FlipDraw(np.ones(len(photos), bool), np.ones(len(photos), bool))
    once = Flip().apply(photos, all_of_them)
    np.testing.assert_array_equal(once, photos[:, ::-1, ::-1])
    np.testing.assert_array_equal(Flip().apply(once, all_of_them), photos)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_rotations_equal_a_loop_over_pixels(photos: np.ndarray, dtype: type) -> None:
    images = np.concatenate([photos, photos[::-1]]).astype(dtype)  # more than are rotated at a time
    drawn = Rotation(degrees=170).draw(len(images), SHAPE, np.random.default_rng(1))
    expected = np.stack([turned(image, angle) for image, angle in zip(images, drawn, strict=True)])
    result = Rotation(degrees=170).apply(images, drawn)
    assert result.dtype == dtype
    # uint8 is rounded: allow half a step, and a little more for values that float32 moves across the half
    np.testing.assert_allclose(result, expected, atol=0.5001 if dtype == np.uint8 else 1e-3)


def test_rotation_by_one_angle_equals_scipys(photos: np.ndarray) -> None:
    images = photos.astype(np.float32)
    for degrees in (15, 60, 135, 180):
        expected = ndimage.rotate(images, degrees, axes=(2, 1), reshape=False, order=1, mode="grid-constant")
        np.testing.assert_allclose(rotate(images, degrees), expected, atol=2e-3)


def test_a_quarter_turn_is_counter_clockwise_and_exact() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 1), np.uint8)
    np.testing.assert_array_equal(rotate(image, 90)[0], np.rot90(image[0]))
    np.testing.assert_array_equal(rotate(image, -90)[0], np.rot90(image[0], -1))
    np.testing.assert_array_equal(rotate(image, 0), image)


def test_angles_cover_their_range() -> None:
    angles = Rotation(degrees=30).draw(10_000, SHAPE, np.random.default_rng(0))
    assert angles.min() == pytest.approx(-30, abs=0.1)
    assert angles.max() == pytest.approx(30, abs=0.1)
    assert angles.mean() == pytest.approx(0, abs=0.7)
    assert angles.std() == pytest.approx(30 / math.sqrt(3), abs=0.3)
