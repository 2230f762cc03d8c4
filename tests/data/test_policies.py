"""Color changes, RandAugment, TrivialAugment, cutout and CutMix against plain loops, and at strength 0."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from kzoo.data.augmentation import color, policies
from kzoo.data.augmentation.base import Normalization
from kzoo.data.augmentation.spec import ColorJitter, CutMix, Cutout, PadCrop, RandAugment, Translate, TrivialAugment
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
    """Eight smooth images of 12 x 12 pixels with different colors and contrast."""
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
    actual = ours(pictures, FACTORS)
    wanted = np.array([theirs(Image.fromarray(i)).enhance(f) for i, f in zip(pictures, FACTORS, strict=True)])
    assert np.abs(actual.astype(int) - wanted).max() <= 2  # Pillow rounds the gray image first
    assert (actual[3] == pictures[3]).all()


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


@pytest.mark.parametrize("ours", [policies.equalize, policies.auto_contrast])
def test_values_are_spread_as_pillow_does_it(ours) -> None:
    # Enough pixels for equal frequencies to matter; dark, light, full and flat images.
    rng = np.random.default_rng(5)
    images = np.stack(
        [
            rng.gamma(2.0, 20.0, (40, 41, 3)).clip(0, 255),
            255 - rng.gamma(1.0, 30.0, (40, 41, 3)).clip(0, 200),
            rng.integers(0, 256, (40, 41, 3)),
            np.full((40, 41, 3), 77),
        ]
    ).astype(np.uint8)
    theirs = {policies.equalize: ImageOps.equalize, policies.auto_contrast: ImageOps.autocontrast}[ours]
    actual = ours(images, np.zeros(4))
    assert np.abs(actual[:3].astype(int) - images[:3]).max() > (30 if ours is policies.equalize else 2)
    expected = np.array([theirs(Image.fromarray(image)) for image in images])
    assert np.abs(actual.astype(int) - expected).max() <= (0 if ours is policies.equalize else 1)
    np.testing.assert_array_equal(ours(images.astype(np.float32), np.zeros(4)).round(), actual)


# Ranges at full strength of RandAugment and TrivialAugment ("Wide") in torchvision, for sides of 12 pixels.
FULL = {
    "identity": (0, 0),
    "shear_x": (0.3, 0.99),
    "shear_y": (0.3, 0.99),
    "translate_x": (0.45 * 12, 12),
    "translate_y": (0.45 * 12, 12),
    "rotate": (30, 135),
    "brightness": (0.9, 0.99),
    "color": (0.9, 0.99),
    "contrast": (0.9, 0.99),
    "sharpness": (0.9, 0.99),
    "posterize": (4, 6),
    "solarize": (256, 256),
    "auto_contrast": (0, 0),
    "equalize": (0, 0),
}


@pytest.mark.parametrize("policy", [0, 1], ids=["RandAugment", "TrivialAugment"])
def test_how_strong_each_kind_is(policy: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def noted(name: str):
        return lambda images, amounts: (seen.update({name: amounts}), images)[1]

    recorded = {name: kind._replace(change=noted(name)) for name, kind in policies.KINDS.items()}
    monkeypatch.setattr(policies, "KINDS", recorded)
    strengths = np.array([1.0, -1.0, 0.5, 0.0])
    change = (RandAugment(), TrivialAugment())[policy]
    for index in range(len(recorded)):
        change.apply(np.zeros((4, 12, 10, 3), np.uint8), policies.PolicyDraw(np.full((1, 4), index), strengths[None]))
    assert list(seen) == list(FULL)
    for name, amounts in seen.items():
        full = FULL[name][policy]
        if name in ("posterize", "solarize"):  # down from the value that changes nothing, for either sign
            most = 8 if name == "posterize" else 256
            expected = [most - full, most - full, most - full / 2]
        else:
            middle = 1 if name in ("brightness", "color", "contrast", "sharpness") else 0
            expected = [middle + full, middle - full, middle + full / 2]
        np.testing.assert_allclose(amounts, expected, err_msg=name)


def test_shear_and_translation_move_pixels(pictures: np.ndarray) -> None:
    kinds = policies.KINDS
    moved = kinds["translate_x"].change(pictures, np.full(8, 2.0))
    np.testing.assert_array_equal(moved[:, :, :-2], pictures[:, :, 2:])
    assert not moved[:, :, -2:].any()
    down = kinds["translate_y"].change(pictures, np.full(8, -3.0))
    np.testing.assert_array_equal(down[:, 3:], pictures[:, :-3])
    # Column = column + 2 * (row - centre): the rows next to the centre line move by one pixel each way.
    sheared = kinds["shear_x"].change(pictures, np.full(8, 2.0))
    np.testing.assert_array_equal(sheared[:, 6, :-1], pictures[:, 6, 1:])
    np.testing.assert_array_equal(sheared[:, 5, 1:], pictures[:, 5, :-1])


def test_every_kind_is_drawn_and_changes_only_the_images_it_is_drawn_for() -> None:
    change = RandAugment(operations=1, magnitude=15)
    drawn = change.draw(2000, (4, 4, 3), np.random.default_rng(0))
    assert set(drawn.kinds.ravel()) == set(range(len(policies.KINDS)))
    assert set(np.unique(drawn.strengths)) == {-0.5, 0.5}
    trivial = TrivialAugment(strength=0.5).draw(2000, (4, 4, 3), np.random.default_rng(0))
    assert len(np.unique(np.abs(trivial.strengths))) == 31
    assert np.abs(trivial.strengths).max() == 0.5


def test_a_batch_is_its_images(pictures: np.ndarray) -> None:
    change = RandAugment(magnitude=20)
    pictures = np.concatenate([pictures] * 50)  # more of every kind than are changed at a time
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


@pytest.mark.parametrize("turn", [0.1, 0.25, 1 / 3, 0.5, 0.8])
def test_hue_is_turned_in_yiq(turn: float) -> None:
    image = np.array([[[[140, 110, 90], [100, 130, 120], [115, 110, 128]]]], np.float32)
    for pixel, actual in zip(image[0, 0], color.hue(image, np.array([turn]))[0, 0], strict=True):
        y, i, q = colorsys.rgb_to_yiq(*pixel / 255)
        turned = complex(i, q) * np.exp(2j * np.pi * turn)
        np.testing.assert_allclose(actual, np.array(colorsys.yiq_to_rgb(y, turned.real, turned.imag)) * 255, atol=1)


def test_color_jitter_draws_four_factors_and_applies_them_in_order(pictures: np.ndarray) -> None:
    change = ColorJitter(brightness=0.3, contrast=0.5, saturation=2.0, hue=0.1)
    drawn = change.draw(20_000, (12, 12, 3), np.random.default_rng(0))
    np.testing.assert_allclose(drawn.min(axis=1), [0.7, 0.5, 0, -0.1], atol=0.01)
    np.testing.assert_allclose(drawn.max(axis=1), [1.3, 1.5, 3, 0.1], atol=0.01)
    np.testing.assert_allclose(drawn[[0, 1, 3]].mean(axis=1), [1, 1, 0], atol=0.01)
    assert (drawn[2] == 0).mean() == pytest.approx(0.25, abs=0.02)  # negative factors become 0
    expected, values = pictures, drawn[:, :8]
    for step, amounts in zip((color.brightness, color.contrast, color.saturation, color.hue), values, strict=True):
        expected = step(expected, amounts)
    np.testing.assert_array_equal(change.apply(pictures, values), expected)


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
    drawn = Cutout(size=5, probability=0.25, fill=9).draw(4000, (12, 9, 3), np.random.default_rng(0), normalization)
    assert set(drawn.top) == set(range(12 - 5 + 1))
    assert set(drawn.left) == set(range(9 - 5 + 1))
    assert set(drawn.height) == {0, 5}
    assert (drawn.height > 0).mean() == pytest.approx(0.25, abs=0.03)
    assert drawn.values.tolist() == [[9]]
    with pytest.raises(InputError, match=r"cutout: size=13 is greater than the images' sides, \(12, 12\)"):
        Cutout(size=13)(pictures, np.random.default_rng(0))


def test_cutmix_weights_targets_by_pixels() -> None:
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


def test_cutmix_boxes_have_the_images_aspect_and_any_centre() -> None:
    # Half of the area, so 0.707 of each side: 22 of 32 rows around any row, 11 of 16 columns around any column.
    drawn = CutMix(alpha=1e9, probability=1.0).draw(4000, (32, 16, 3), np.random.default_rng(0))
    bottom, right = drawn.top + drawn.height, drawn.left + drawn.width
    assert set(zip(drawn.top, bottom, strict=True)) == {(max(0, m - 11), min(32, m + 11)) for m in range(32)}
    assert set(zip(drawn.left, right, strict=True)) == {(max(0, m - 5), min(16, m + 6)) for m in range(16)}
    some = CutMix(alpha=1.0, probability=0.3).draw(20_000, (32, 32, 3), np.random.default_rng(0))
    assert (some.height * some.width > 0).mean() == pytest.approx(0.3, abs=0.02)


def test_translation_reflects_what_is_missing(pictures: np.ndarray) -> None:
    change = Translate(pixels=2)
    drawn = change.draw(len(pictures), pictures.shape[1:], np.random.default_rng(0))
    result = change.apply(pictures, drawn)
    for image, top, left, moved in zip(pictures, drawn.top, drawn.left, result, strict=True):
        wide = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="reflect")
        np.testing.assert_array_equal(moved, wide[top : top + 12, left : left + 12])
    many = change.draw(500, (12, 12, 3), np.random.default_rng(0))
    assert set(many.top) == set(many.left) == set(range(5))
    with pytest.raises(InputError, match=r"translate: pixels=12 must be smaller"):
        Translate(pixels=12)(pictures, np.random.default_rng(0))


def test_translation_may_fill_with_black_as_pad_crop_does(pictures: np.ndarray) -> None:
    for pixels in (2, 12):
        black, crop = Translate(pixels=pixels, border="black"), PadCrop(padding=pixels)
        results = [change(pictures, np.random.default_rng(0)) for change in (black, crop)]
        np.testing.assert_array_equal(*results)
