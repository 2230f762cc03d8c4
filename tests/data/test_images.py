"""Reading and resizing image files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kzoo.data.images import read_image, resize, resize_all
from kzoo.errors import InputError


@pytest.fixture
def colour() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def test_files_keep_their_channels_unless_told(tmp_path: Path, colour: np.ndarray) -> None:
    Image.fromarray(colour).save(tmp_path / "rgb.png")
    Image.fromarray(colour[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png"), colour)
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png"), colour[..., :1])
    np.testing.assert_array_equal(read_image(tmp_path / "grey.png", channels=3), colour[..., :1].repeat(3, axis=2))
    expected = np.asarray(Image.fromarray(colour).convert("L"))[..., None]
    np.testing.assert_array_equal(read_image(tmp_path / "rgb.png", channels=1), expected)


@pytest.mark.parametrize(("mode", "channels"), [("P", 3), ("RGBA", 3), ("1", 1), ("LA", 1), ("CMYK", 3)])
def test_other_modes_become_grey_or_rgb(tmp_path: Path, colour: np.ndarray, mode: str, channels: int) -> None:
    path = tmp_path / "image.tif"
    Image.fromarray(colour).convert(mode).save(path)
    assert read_image(path).shape == (6, 9, channels)
    assert read_image(path).dtype == np.uint8


def test_a_turned_photo_comes_out_upright(tmp_path: Path, colour: np.ndarray) -> None:
    orientation = Image.Exif()
    orientation[0x0112] = 6  # the camera was held upright: turn clockwise to view
    Image.fromarray(colour).save(tmp_path / "photo.png", exif=orientation)
    np.testing.assert_array_equal(read_image(tmp_path / "photo.png"), np.rot90(colour, -1))


def test_broken_missing_and_deep_files_are_named(tmp_path: Path, colour: np.ndarray) -> None:
    whole = tmp_path / "whole.png"
    Image.fromarray(colour).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:60])
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(colour[..., 0].astype(np.uint16) * 256).save(tmp_path / "deep.png")
    for name in ("cut.png", "text.png", "missing.png"):
        with pytest.raises(InputError, match=f"cannot read image .*{name}"):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match=r"deep\.png.* more than 8 bits"):
        read_image(tmp_path / "deep.png")


def test_resizing_is_bilinear_and_antialiased(colour: np.ndarray) -> None:
    expected = np.asarray(Image.fromarray(colour).resize((4, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(resize(colour, 4), expected)
    stripes = np.zeros((8, 8, 1), np.uint8)
    stripes[:, ::2] = 200
    # without a filter against aliasing every other column would survive, or none
    np.testing.assert_allclose(resize(stripes, 2), 100, atol=26)
    np.testing.assert_array_equal(resize(colour[:6, :6], 6), colour[:6, :6])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_images_and_any_channels(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, channels), np.uint8)
    result = resize_all(images, 12)
    assert result.shape == (3, 12, 12, channels)
    for index in range(3):
        for channel in range(channels):
            plane = Image.fromarray(images[index, ..., channel]).resize((12, 12), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(result[index, ..., channel], np.asarray(plane))
