"""Color changes, RandAugment, TrivialAugment, cutout and CutMix against plain loops, and at strength 0."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from kzoo.data.augmentation import color, policies
from kzoo.data.augmentation.base import Normalization
from kzoo.data.augmentation.spec import ColorJitter, CutMix, Cutout, RandAugment, Translate, TrivialAugment
from kzoo.errors import InputError

UNCHANGED = [
    ColorJitter(brightness=0, contrast=0, saturation=0, hue=0),
    RandAugment(magnitude=0),
    RandAugment(operations=0),
    TrivialAugment(strength=0),
    Cutout(size=0),
    Cutout(probability=0),
    Translate(pixels=0),
]


@pytest.fixture
def pictures() -> np.ndarray:
    """Eight smooth images of 12 x 12 pixels with colors and contrast of their own."""
    rng = np.random.default_rng(3)
    coarse = rng.uniform(20, 230, (8, 4, 4, 3)) * rng.uniform(0.4, 1, (8, 1, 1, 3))
    return np.repeat(np.repeat(coarse, 3, axis=1), 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("change", UNCHANGED, ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_strength_0_changes_nothing(pictures: np.ndarray, change, dtype: type) -> None:
    images = pictures.astype(dtype)
    np.testing.assert_array_equal(change(images, np.random.default_rng(0)), images)


FACTORS = np.array([0.1, 0.5, 0.9, 1.0, 1.3, 1.9, 0.0, 1.5])
ENHANCERS = {
    "brightness": (color.brightness, ImageEnhance.Brightness),
    "contrast": (color.contrast, ImageEnhance.Contrast),
    "saturation": (color.saturation, ImageEnhance.Color),
    "sharpness": (policies.sharpness, ImageEnhance.Sharpness),
}


@pytest.mark.parametrize("name", ENHANCERS)
def test_enhancing_equals_pillow(pictures: np.ndarray, name: str) -> None:
    ours, theirs = ENHANCERS[name]
    found = ours(pictures, FACTORS)
    wanted = np.array([theirs(Image.fromarray(i)).enhance(f) for i, f in zip(pictures, FACTORS, strict=True)])
    assert np.abs(found.astype(int) - wanted).max() <= 2  # Pillow rounds the gray image first
    assert (found[3] == pictures[3]).all()


@pytest.mark.parametrize(
    ("ours", "theirs", "amounts"),
    [
        (policies.equalize, lambda image, _: ImageOps.equalize(image), np.zeros(8)),
        (policies.auto_contrast, lambda image, _: ImageOps.autocontrast(image), np.zeros(8)),
        (policies.posterize, lambda image, bits: ImageOps.posterize(image, int(bits)), np.arange(1.0, 9.0)),
        (policies.solarize, lambda image, least: ImageOps.solarize(image, int(least)), np.linspace(0, 256, 8).round()),
    ],
    ids=["equalize", "auto_contrast", "posterize", "solarize"],
)
def test_pixel_changes_equal_pillow(pictures: np.ndarray, ours, theirs, amounts: np.ndarray) -> None:
    wanted = np.array([theirs(Image.fromarray(i), a) for i, a in zip(pictures, amounts, strict=True)])
    assert np.abs(ours(pictures, amounts).astype(int) - wanted).max() <= 1


def test_shear_and_translation_move_pixels(pictures: np.ndarray) -> None:
    kinds = policies.KINDS
    moved = kinds["translate_x"].change(pictures, np.full(8, 2.0))
    np.testing.assert_array_equal(moved[:, :, :-2], pictures[:, :, 2:])
    assert not moved[:, :, -2:].any()
    down = kinds["translate_y"].change(pictures, np.full(8, -3.0))
    np.testing.assert_array_equal(down[:, 3:], pictures[:, :-3])
    # Column = column + 2 * (row - centre): the rows beside the centre line are moved by one pixel each way.
    sheared = kinds["shear_x"].change(pictures, np.full(8, 2.0))
    np.testing.assert_array_equal(sheared[:, 6, :-1], pictures[:, 6, 1:])
    np.testing.assert_array_equal(sheared[:, 5, 1:], pictures[:, 5, :-1])


def test_every_kind_is_drawn_and_changes_alone_what_it_is_drawn_for() -> None:
    change = RandAugment(operations=1, magnitude=15)
    drawn = change.draw(2000, (4, 4, 3), np.random.default_rng(0))
    assert set(drawn.kinds.ravel()) == set(range(len(policies.KINDS)))
    assert set(np.unique(drawn.strengths)) == {-0.5, 0.5}
    trivial = TrivialAugment(strength=0.5).draw(2000, (4, 4, 3), np.random.default_rng(0))
    assert len(np.unique(np.abs(trivial.strengths))) == 31
    assert np.abs(trivial.strengths).max() == 0.5


def test_a_batch_is_its_images(pictures: np.ndarray) -> None:
    change = RandAugment(magnitude=20)
    drawn = change.draw(len(pictures), pictures.shape[1:], np.random.default_rng(5))
    whole = change.apply(pictures, drawn)
    for i, image in enumerate(pictures):
        alone = policies.PolicyDraw(drawn.kinds[:, i : i + 1], drawn.strengths[:, i : i + 1])
        np.testing.assert_array_equal(change.apply(image[None], alone)[0], whole[i])
    assert (whole != pictures).any(axis=(1, 2, 3)).mean() > 0.5


def test_hue_turns_colors_and_leaves_gray() -> None:
    image = np.array([[[[200, 60, 60], [90, 90, 90]]]], np.uint8)
    third = color.hue(image, np.array([1 / 3]))
    np.testing.assert_array_equal(third[0, 0, 1], image[0, 0, 1])
    assert third[0, 0, 0].argmax() != 0
    np.testing.assert_allclose(color.hue(image, np.array([1.0])), image, atol=1)


def test_cutout_covers_one_whole_square(pictures: np.ndarray) -> None:
    normalization = Normalization((0.5, 0.4, 0.3), (0.2, 0.2, 0.2))
    result = Cutout(size=5)(pictures, np.random.default_rng(0), normalization)
    mean = np.rint(np.array(normalization.mean) * 255)
    covered = (result == mean).all(axis=-1)
    for mask in covered:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() >= 25
        assert (len(rows), len(columns)) == (5, 5)
    np.testing.assert_array_equal(result[~covered], pictures[~covered])
    with pytest.raises(InputError, match=r"cutout: size=13 is greater than the images' sides, \(12, 12\)"):
        Cutout(size=13)(pictures, np.random.default_rng(0))


def test_cutmix_gives_targets_by_pixels() -> None:
    count, classes = 64, 5
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 9, 7, 1))
    targets = np.eye(classes, dtype=np.float32)[np.arange(count) % classes]
    mixed, shares = CutMix(probability=1.0).mix(images, targets, np.random.default_rng(2))
    assert mixed.dtype == np.uint8
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)
    for i in range(count):
        values, pixels = np.unique(mixed[i], return_counts=True)
        wanted = np.zeros(classes)
        for value, number in zip(values, pixels, strict=True):
            wanted[value % classes] += number / 63
        np.testing.assert_allclose(shares[i], wanted, atol=1e-6)
    assert (np.array([len(np.unique(image)) for image in mixed]) == 2).mean() > 0.5
    same, kept = CutMix(probability=0.0).mix(images, targets, np.random.default_rng(2))
    np.testing.assert_array_equal(same, images)
    np.testing.assert_array_equal(kept, targets)


def test_translation_reflects_what_is_missing(pictures: np.ndarray) -> None:
    change = Translate(pixels=2)
    drawn = change.draw(len(pictures), pictures.shape[1:], np.random.default_rng(0))
    result = change.apply(pictures, drawn)
    for image, top, left, found in zip(pictures, drawn.top, drawn.left, result, strict=True):
        wide = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(found, wide[top : top + 12, left : left + 12])
    assert set(drawn.top) | set(drawn.left) <= set(range(5))
    with pytest.raises(InputError, match=r"translate: pixels=12 must be smaller"):
        Translate(pixels=12)(pictures, np.random.default_rng(0))
