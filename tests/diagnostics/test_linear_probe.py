"""The linear probe finds what pixels explain, and is at chance if they explain nothing."""

import numpy as np
import pytest

from kzoo.data.loading import load
from kzoo.diagnostics.linear_probe import features, linear_probe
from kzoo.errors import InputError


@pytest.fixture(scope="module")
def digits():
    arrays = load("digits")
    return arrays.images[:900], arrays.labels[:900]


def test_digits_are_explained_by_their_pixels(digits):
    probe = linear_probe(*digits)
    assert probe.accuracy > 0.9
    assert probe.better_than_chance
    assert probe.chance == np.bincount(digits[1]).max() / 900
    assert probe.separation is None
    pairs = probe.pair_accuracies()
    np.testing.assert_allclose(pairs, pairs.T)
    assert np.nanmin(pairs) > 0.95


def test_shuffled_labels_are_not():
    arrays = load("digits")
    images, labels = arrays.images[:900], arrays.labels[:900]
    probes = [linear_probe(images, np.random.default_rng(s).permutation(labels)) for s in range(3)]
    assert not any(probe.better_than_chance for probe in probes)
    assert np.mean([np.nanmean(probe.pair_accuracies()) for probe in probes]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("rare", "classes"), [(12, 2), (50, 2), (10, 4)])
def test_rare_classes_count_although_guessing_the_frequent_one_is_nearly_as_accurate(rare, classes):
    arrays = load("digits")
    labels = np.where(arrays.labels > 10 - classes, arrays.labels - (10 - classes), 0)
    kept = np.concatenate([np.flatnonzero(labels == label)[: rare if label else None] for label in range(classes)])
    images, labels = arrays.images[kept], labels[kept]
    probe = linear_probe(images, labels)
    assert probe.accuracy - probe.chance < 0.02
    assert probe.separation > 0.95
    assert probe.better_than_chance
    probes = [linear_probe(images, np.random.default_rng(s).permutation(labels), seed=s) for s in range(3)]
    assert not any(probe.better_than_chance for probe in probes)


def test_texture_is_seen_where_the_mean_colour_is_the_same():
    """Stripes along rows or columns, at a random phase: no pixel's mean differs between the classes."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    stripes = (np.arange(16) // 2 + rng.integers(0, 4, (300, 1))) % 2 * 255
    images = np.where(labels[:, None, None] == 1, stripes[:, :, None], stripes[:, None, :]) * np.ones((300, 16, 16))
    assert linear_probe(images[..., None], labels).accuracy > 0.99


def test_one_class_under_two_names_is_distinguished_by_chance_only(digits):
    images, labels = digits[0], digits[1].copy()
    threes = np.flatnonzero(labels == 3)
    labels[threes[::2]] = 10
    pairs = linear_probe(images, labels).pair_accuracies()
    assert pairs[3, 10] == np.nanmin(pairs)
    assert abs(pairs[3, 10] - 0.5) < 0.25
    assert np.sort(pairs[~np.isnan(pairs)])[2] > 0.9


def test_rare_classes_are_left_out_and_the_limit_holds(digits):
    images, labels = digits[0], digits[1].copy()
    labels[:9] = 11
    probe = linear_probe(images, labels, limit=400)
    assert probe.images <= 400
    assert 11 not in probe.classes
    assert linear_probe(images[:15], labels[:15]) is None
    again = linear_probe(images, labels, limit=400)
    np.testing.assert_array_equal(probe.scores, again.scores)


def test_cells_of_any_size():
    for shape in ((3, 1, 1, 1), (3, 5, 30, 2), (3, 32, 32, 3)):
        assert np.isfinite(features(np.ones(shape))).all()
    ramp = np.arange(24 * 24, dtype=float).reshape(1, 24, 24, 1)
    np.testing.assert_allclose(features(ramp)[0, 0], ramp[0, :2, :2].mean())


def test_features_are_means_of_cells_and_of_their_edges():
    """Four quarters: rising to the right, falling downwards, both along one diagonal, and flat."""
    across, down = np.meshgrid(np.arange(12.0), np.arange(12.0))
    image = np.block([[3 * across, -2 * down], [across - down, 0 * down]])
    values = features(np.stack([image, 2 * image], axis=-1)[None])[0]  # grey is the mean of the channels
    shape = (12, 12, 2)
    colour, edges = values[: np.prod(shape)].reshape(shape), values[np.prod(shape) :].reshape(6, 6, 3)
    np.testing.assert_allclose(colour[..., 0], image.reshape(12, 2, 12, 2).mean((1, 3)))
    np.testing.assert_allclose(colour[..., 1], 2 * colour[..., 0])
    # Down, right and their product, away from the seams.
    for cell, expected in (
        ((0, 0), (0, 4.5, 0)),
        ((0, 4), (3, 0, 0)),
        ((4, 0), (1.5, 1.5, -2.25)),
        ((4, 4), (0, 0, 0)),
    ):
        np.testing.assert_allclose(edges[cell], expected)


def test_bad_input():
    with pytest.raises(InputError, match="4 images and 3 labels"):
        linear_probe(np.ones((4, 2, 2, 1)), np.ones(3, int))
    with pytest.raises(InputError, match="shape"):
        features(np.ones((4, 4)))
    with pytest.raises(InputError, match="not finite"):
        features(np.full((1, 2, 2, 1), np.nan))
