"""Copies added to the training set."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kzoo.data.augmentation.base import CHUNK
from kzoo.data.augmentation.expansions import expand
from kzoo.errors import InputError

LABELS = np.arange(12) % 5


def test_each_image_needs_a_label():
    with pytest.raises(InputError, match="one label for each image, not 3 images and 2 labels"):
        expand(np.zeros((3, 4, 4, 1), np.uint8), np.zeros(2, int), ("mirror",))


def test_the_reports_four_times_the_data(photos: np.ndarray) -> None:
    images, labels = expand(photos, LABELS, ("mirror", "contrast", "median"))
    assert images.shape == (48, 7, 6, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(labels, np.concatenate([LABELS] * 4))
    for index, image in enumerate(photos):
        low, high = float(image.min()), float(image.max())
        np.testing.assert_array_equal(images[index], image)
        np.testing.assert_array_equal(images[12 + index], np.fliplr(image))
        np.testing.assert_array_equal(images[24 + index], np.rint((image - low) * 255 / (high - low)))
        np.testing.assert_array_equal(images[36 + index], ndimage.median_filter(image, 2))


def test_twelve_rotations_by_fifteen_degrees(photos: np.ndarray) -> None:
    images, labels = expand(photos, LABELS, ("rotations",))
    assert images.shape == (13 * 12, 7, 6, 3)
    np.testing.assert_array_equal(labels, np.concatenate([LABELS] * 13))
    for copy in range(1, 13):
        expected = ndimage.rotate(
            photos.astype(float), 15 * copy, axes=(2, 1), reshape=False, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(images[12 * copy : 12 * (copy + 1)], expected, atol=0.51)


def test_the_median_of_each_channel_separately(photos: np.ndarray) -> None:
    images, _ = expand(photos, LABELS, ("median-per-channel",))
    for index, image in enumerate(photos):
        for channel in range(3):
            expected = ndimage.median_filter(image[..., channel], 2)
            np.testing.assert_array_equal(images[12 + index][..., channel], expected)


def test_sets_larger_than_a_chunk_are_whole() -> None:
    many = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 7, 4, 4, 1), np.uint8)
    images, _ = expand(many, np.zeros(len(many), int), ("mirror",))
    np.testing.assert_array_equal(images[len(many) :], many[:, :, ::-1])


def test_without_expansions_the_set_is_unchanged(photos: np.ndarray) -> None:
    images, labels = expand(photos, LABELS, ())
    assert images is photos
    assert labels is LABELS


def test_wrong_names_are_refused(photos: np.ndarray) -> None:
    with pytest.raises(InputError, match="did you mean 'mirror'"):
        expand(photos, LABELS, ("miror",))
    with pytest.raises(InputError, match="twice"):
        expand(photos, LABELS, ("mirror", "mirror"))
