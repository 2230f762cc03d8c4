"""Random resized crops against Pillow's resize, and the distribution of their boxes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from kzoo.data import RandomResizedCrop

CROP = RandomResizedCrop()


def enlarged(image: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """One box, enlarged by Pillow channel by channel in float32."""
    box = image[top : top + height, left : left + width].astype(np.float32)
    size = image.shape[1], image.shape[0]
    channels = [Image.fromarray(np.ascontiguousarray(box[..., c])) for c in range(image.shape[2])]
    return np.stack([np.asarray(channel.resize(size, Image.Resampling.BILINEAR)) for channel in channels], axis=-1)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 17, 1), (1, 9, 2)])
def test_boxes_are_enlarged_as_by_pillow(shape: tuple[int, int, int], dtype: type) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *shape)).astype(dtype)
    change = RandomResizedCrop(area=(0.01, 1), aspect=(0.2, 5))
    drawn = change.draw(len(images), shape, rng)
    result = change.apply(images, drawn)
    expected = np.stack([enlarged(image, *map(int, box)) for image, *box in zip(images, *drawn, strict=True)])
    np.testing.assert_allclose(result, expected, atol=0.501 if dtype == np.uint8 else 1e-3)


def test_the_whole_image_stays_as_it_is(photos: np.ndarray) -> None:
    aspect = photos.shape[1] / photos.shape[2]
    whole = RandomResizedCrop(area=(1, 1), aspect=(aspect, aspect))
    np.testing.assert_array_equal(whole(photos, np.random.default_rng(0)), photos)


def test_area_aspect_and_position_are_drawn_evenly() -> None:
    top, left, height, width = CROP.draw(20_000, (400, 400, 3), np.random.default_rng(0))
    share = height * width / 160_000
    assert (top + height).max() <= 400
    assert (left + width).max() <= 400
    assert (top.min(), left.min()) == (0, 0)
    # Below this area, every aspect fits, so both are drawn without rejection.
    small = share < 0.75
    assert share[small].mean() == pytest.approx((0.08 + 0.75) / 2, abs=0.006)
    assert share.min() == pytest.approx(0.08, abs=0.002)
    aspect = np.log(height / width)[small]
    assert aspect.mean() == pytest.approx(0, abs=0.006)
    assert aspect.std() == pytest.approx(2 * np.log(4 / 3) / np.sqrt(12), rel=0.02)
    # Positions are uniform over what the box leaves free.
    free = height < 400
    assert (top[free] / (400 - height[free])).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    ("shape", "aspect", "box"),
    [
        ((10, 100, 1), (3 / 4, 4 / 3), (0, 43, 10, 13)),  # 10 / (3/4) pixels wide
        ((100, 10, 1), (3 / 4, 4 / 3), (43, 0, 13, 10)),  # 10 * (4/3) pixels high
        ((12, 12, 1), (0.5, 0.9), (0, 0, 11, 12)),
    ],
)
def test_where_no_box_fits_the_largest_centred_one_is_used(
    shape: tuple[int, int, int], aspect: tuple[float, float], box: tuple[int, ...]
) -> None:
    drawn = RandomResizedCrop(area=(1, 1), aspect=aspect).draw(3, shape, np.random.default_rng(0))
    assert [tuple(map(int, values)) for values in zip(*drawn, strict=True)] == [box] * 3


def test_ranges_upside_down_are_refused() -> None:
    with pytest.raises(ValueError, match=r"RandomResizedCrop: area must be \(smallest, largest\)"):
        RandomResizedCrop(area=(0.5, 0.1))
    with pytest.raises(ValueError, match=r"RandomResizedCrop: aspect must be \(smallest, largest\)"):
        RandomResizedCrop(aspect=(0, 1))
