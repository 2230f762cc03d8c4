"""Mixup, and what all augmentations have in common."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from kzoo.data.augmentation.base import Augmentation, CustomAugmentation, Normalization
from kzoo.data.augmentation.spec import (
    AlternatingFlip,
    AugmentationSpec,
    ColorJitter,
    ContrastStretch,
    CutMix,
    Cutout,
    Flip,
    GaussianNoise,
    MedianFilter,
    Mixup,
    PadCrop,
    RandAugment,
    RandomErasing,
    RandomResizedCrop,
    Rotation,
    Translate,
    TrivialAugment,
)

SCHEMA: TypeAdapter = TypeAdapter(tuple[AugmentationSpec, ...])
ALL = (
    PadCrop(padding=2),
    Flip(horizontal=0.3, vertical=0.7),
    RandomErasing(probability=0.9, fill="random"),
    RandomErasing(fill=12),
    GaussianNoise(std=0.1, space="pixels"),
    Rotation(degrees=20),
    ContrastStretch(probability=0.4),
    MedianFilter(size=3, per_channel=True),
    Translate(pixels=2),
    AlternatingFlip(),
    Cutout(size=3),
    RandomResizedCrop(area=(0.1, 0.9)),
    ColorJitter(hue=0.1),
    RandAugment(magnitude=20),
    TrivialAugment(),
    Mixup(alpha=0.2),
    CutMix(),
)
ON_IMAGES = [change for change in ALL if not change.mixes]
NORMALIZATION = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


@pytest.mark.parametrize("change", ON_IMAGES, ids=lambda change: change.kind)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_change_keeps_shape_input_and_the_promised_dtype(
    photos: np.ndarray, change: Augmentation, dtype: type
) -> None:
    images = photos.astype(dtype)
    images.flags.writeable = False
    result = change(images, np.random.default_rng(0), NORMALIZATION)
    assert result.shape == images.shape
    assert result.dtype == (np.float32 if change.gives_float else dtype)
    assert not np.shares_memory(result, images)


@pytest.mark.parametrize("change", ON_IMAGES, ids=lambda change: change.kind)
def test_only_the_generator_decides(photos: np.ndarray, change: Augmentation) -> None:
    images = np.concatenate([photos // 2] * 3)
    first, again, other = (change(images, np.random.default_rng(seed), NORMALIZATION) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("change", ON_IMAGES, ids=lambda change: change.kind)
def test_one_grey_image_is_enough(change: Augmentation) -> None:
    image = np.arange(80, dtype=np.uint8).reshape(1, 8, 10, 1)
    assert change(image, np.random.default_rng(0), Normalization((0.5,), (0.2,))).shape == image.shape


def widened(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return images.astype(np.int16)


@pytest.mark.parametrize("change", [ColorJitter(), RandomResizedCrop(), RandAugment(), ContrastStretch()], ids=str)
def test_other_integers_are_rounded_like_uint8(photos: np.ndarray, change: Augmentation) -> None:
    expected, result = (change(photos.astype(kind), np.random.default_rng(1)) for kind in (np.uint8, np.int16))
    assert result.dtype == np.int16
    np.testing.assert_array_equal(result, expected)


def test_integers_of_custom_changes_are_rounded_afterwards_not_cut_off(photos: np.ndarray) -> None:
    wide = CustomAugmentation(kind=f"{__name__}:widened")(photos, np.random.default_rng(0))
    drawn = np.full(len(photos), 7.0)
    np.testing.assert_array_equal(np.rint(Rotation().apply(wide, drawn)), Rotation().apply(photos, drawn))


def test_mixup_equals_a_loop_over_images(photos: np.ndarray) -> None:
    targets = np.eye(4, dtype=np.float32)[np.arange(12) % 4]
    change = Mixup(alpha=0.7)
    drawn = change.draw(12, photos.shape[1:], np.random.default_rng(4))
    images, mixed = change.mix(photos, targets, np.random.default_rng(4))
    assert images.dtype == np.float32
    assert mixed.dtype == np.float32
    for index in range(12):
        share, partner = drawn.share[index], drawn.partner[index]
        expected = share * photos[index].astype(float) + (1 - share) * photos[partner].astype(float)
        np.testing.assert_allclose(images[index], expected, rtol=1e-6)
        np.testing.assert_allclose(mixed[index], share * targets[index] + (1 - share) * targets[partner], atol=1e-7)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_draws_from_the_beta_distribution(alpha: float) -> None:
    drawn = Mixup(alpha=alpha).draw(20_000, (8, 8, 1), np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(drawn.partner), np.arange(20_000))
    assert drawn.share.mean() == pytest.approx(0.5, abs=0.01)
    assert drawn.share.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.03)


def test_mixup_needs_the_targets(photos: np.ndarray) -> None:
    with pytest.raises(TypeError, match="targets"):
        Mixup()(photos, np.random.default_rng(0))


def test_specifications_survive_json() -> None:
    assert SCHEMA.validate_json(SCHEMA.dump_json(ALL)) == ALL
    assert SCHEMA.validate_python([{"kind": "pad_crop"}]) == (PadCrop(padding=4),)


@pytest.mark.parametrize(
    "spec",
    [
        {"kind": "pad_crops"},
        {"padding": 4},
        {"kind": "pad_crop", "paddin": 4},
        {"kind": "pad_crop", "padding": -1},
        {"kind": "flip", "horizontal": 2},
        {"kind": "gaussian_noise", "std": float("nan")},
        {"kind": "gaussian_noise", "space": "pixel"},
        {"kind": "mixup", "alpha": 0},
        {"kind": "rotation", "degrees": 270},
        {"kind": "median_filter", "size": 0},
    ],
)
def test_wrong_specifications_are_refused(spec: dict) -> None:
    with pytest.raises(ValidationError):
        SCHEMA.validate_python([spec])


def test_a_specification_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        PadCrop().padding = 8  # type: ignore[misc]
