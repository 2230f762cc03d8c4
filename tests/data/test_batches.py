"""Batches: order, augmentation, resuming within an epoch, targets, dtypes; on the active backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import kzoo.data
from kzoo.data.augmentation.base import Augmentation
from kzoo.data.augmentation.spec import (
    AlternatingFlip,
    ContrastStretch,
    Flip,
    GaussianNoise,
    MedianFilter,
    Mixup,
    PadCrop,
    RandomErasing,
    Rotation,
)
from kzoo.data.batches import Batches
from kzoo.errors import InputError
from kzoo.seeds import generator

EVERYTHING = (
    PadCrop(padding=2),
    Flip(horizontal=0.5, vertical=0.5),
    Rotation(degrees=10),
    ContrastStretch(),
    MedianFilter(),
    RandomErasing(),
    GaussianNoise(std=0.1),
    Mixup(),
)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (53, 8, 8, 3), np.uint8)


@pytest.fixture
def labels() -> np.ndarray:
    return np.arange(53) % 5


def collect(batches: Batches) -> tuple[np.ndarray, np.ndarray]:
    pairs = [batches[index] for index in range(len(batches))]
    return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])


def test_batches_are_exported_lazily() -> None:
    assert kzoo.data.Batches is Batches
    with pytest.raises(AttributeError, match="no attribute 'Batch'"):
        _ = kzoo.data.Batch


def test_without_a_seed_images_come_in_order_and_unchanged(images: np.ndarray, labels: np.ndarray) -> None:
    batches = Batches(images, labels, batch_size=10, classes=5, augmentation=(Flip(horizontal=1.0),))
    assert len(batches) == batches.steps == 6
    assert [len(batches[index][1]) for index in range(6)] == [10, 10, 10, 10, 10, 3]
    seen, targets = collect(batches)
    assert seen.dtype == np.uint8
    assert targets.dtype == np.int64
    np.testing.assert_array_equal(seen, images)
    np.testing.assert_array_equal(targets, labels)


def test_an_epoch_is_the_documented_permutation(images: np.ndarray, labels: np.ndarray) -> None:
    batches = Batches(images, labels, batch_size=10, classes=5, seed=4)
    for epoch in (0, 1, 5):
        batches.position(epoch)
        order = generator(4, "order", epoch).permutation(53)
        seen, targets = collect(batches)
        np.testing.assert_array_equal(seen, images[order])
        np.testing.assert_array_equal(targets, labels[order])


def test_augmentation_is_drawn_from_seed_epoch_and_batch(images: np.ndarray, labels: np.ndarray) -> None:
    chain = (PadCrop(padding=2), Flip(horizontal=0.5))
    batches = Batches(images, labels, batch_size=10, classes=5, seed=4, augmentation=chain)
    batches.position(3, 2)
    rng = generator(4, "augment", 3, 2)
    expected = images[generator(4, "order", 3).permutation(53)[20:30]]
    for change in chain:
        expected = change(expected, rng)
    np.testing.assert_array_equal(batches[0][0], expected)


def test_two_epochs_differ_and_two_runs_of_one_seed_do_not(images: np.ndarray, labels: np.ndarray) -> None:
    def run(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        batches = Batches(images, labels, batch_size=10, classes=5, seed=seed, augmentation=EVERYTHING, soft=True)
        epochs = []
        for epoch in range(2):
            batches.position(epoch)
            epochs.append(collect(batches))
        return epochs

    first, again, other = run(0), run(0), run(1)
    for (seen, targets), (same_seen, same_targets) in zip(first, again, strict=True):
        np.testing.assert_array_equal(seen, same_seen)
        np.testing.assert_array_equal(targets, same_targets)
    assert not np.array_equal(first[0][0], first[1][0])
    assert not np.array_equal(first[0][0], other[0][0])


@pytest.mark.parametrize("change", EVERYTHING, ids=lambda change: change.kind)
def test_each_change_is_another_in_another_epoch(images: np.ndarray, labels: np.ndarray, change: Augmentation) -> None:
    # One image 53 times, with values in half the range: any difference between epochs was drawn anew.
    same = np.repeat(images[:1] // 2, 53, axis=0)
    if isinstance(change, Mixup):
        same[1::2] = 255 - same[1::2]
    batches = Batches(same, labels, batch_size=53, classes=5, seed=0, augmentation=(change,), soft=True)
    epochs = []
    for epoch in (0, 1, 0):
        batches.position(epoch)
        epochs.append(batches[0][0])
    assert not np.array_equal(epochs[0], epochs[1])
    np.testing.assert_array_equal(epochs[0], epochs[2])


@pytest.mark.parametrize("first_step", range(6))
def test_resuming_within_an_epoch_gives_the_same_batches(
    images: np.ndarray, labels: np.ndarray, first_step: int
) -> None:
    def make() -> Batches:
        return Batches(images, labels, batch_size=10, classes=5, seed=9, augmentation=EVERYTHING, soft=True)

    whole, resumed = make(), make()
    whole.position(2)
    resumed.position(2, first_step)
    assert (resumed.epoch, resumed.first_step, len(resumed)) == (2, first_step, 6 - first_step)
    assert resumed.steps == 6
    for index in reversed(range(len(resumed))):
        for ours, theirs in zip(resumed[index], whole[first_step + index], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_one_dtype_for_a_whole_run(images: np.ndarray, labels: np.ndarray) -> None:
    for chain, dtype in (((PadCrop(), Rotation()), np.uint8), ((PadCrop(), GaussianNoise()), np.float32)):
        training = Batches(images, labels, batch_size=10, classes=5, seed=0, augmentation=chain)
        evaluation = Batches(images, labels, batch_size=10, classes=5, augmentation=chain)
        assert training[0][0].dtype == evaluation[5][0].dtype == dtype


def test_label_smoothing_spreads_the_share_over_all_classes(images: np.ndarray, labels: np.ndarray) -> None:
    _, targets = Batches(images, labels, batch_size=53, classes=5, soft=True, label_smoothing=0.1)[0]
    assert targets.dtype == np.float32
    for row, label in zip(targets, labels, strict=True):
        for klass, value in enumerate(row):
            assert value == pytest.approx(0.92 if klass == label else 0.02)


def test_writing_into_a_batch_leaves_the_dataset_alone(images: np.ndarray, labels: np.ndarray) -> None:
    before = images.copy()
    for seed in (None, 0):
        seen, targets = Batches(images, labels, batch_size=10, classes=5, seed=seed)[0]
        seen[:] = 0
        targets[:] = 0
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(labels, np.arange(53) % 5)


@pytest.mark.parametrize("soft", [False, True])
def test_keras_trains_on_every_batch_of_each_epoch(images: np.ndarray, labels: np.ndarray, soft: bool) -> None:
    chain = (PadCrop(padding=1), Mixup()) if soft else (PadCrop(padding=1),)
    batches = Batches(images, labels, batch_size=10, classes=5, seed=0, augmentation=chain, soft=soft)
    model = keras.Sequential(
        [keras.layers.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(5, activation="softmax")]
    )
    model.compile("sgd", "categorical_crossentropy" if soft else "sparse_categorical_crossentropy")

    class Advance(keras.callbacks.Callback):
        steps = 0

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            batches.position(epoch)

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.steps += 1

    advance = Advance()
    validation = Batches(images, labels, batch_size=10, classes=5, soft=soft, augmentation=chain)
    history = model.fit(batches, validation_data=validation, epochs=2, shuffle=False, verbose=0, callbacks=[advance])
    assert advance.steps == 12
    assert np.all(np.isfinite(history.history["loss"] + history.history["val_loss"]))
    assert model.predict(validation, verbose=0).shape == (53, 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmentation": (Mixup(),)}, "soft=True"),
        ({"label_smoothing": 0.1}, "soft=True"),
        ({"label_smoothing": 1.0, "soft": True}, "label_smoothing"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_impossible_options_are_refused(images: np.ndarray, labels: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Batches(images, labels, **{"batch_size": 10, "classes": 5, **options})


def test_images_must_exist_and_match_the_labels(images: np.ndarray, labels: np.ndarray) -> None:
    for count in (0, 52):
        with pytest.raises(InputError, match="as many images as labels"):
            Batches(images[:count], labels[: count and 53], batch_size=10, classes=5)


def test_steps_beyond_the_epoch_are_refused(images: np.ndarray, labels: np.ndarray) -> None:
    batches = Batches(images, labels, batch_size=10, classes=5, seed=0)
    for epoch, step in ((0, 6), (0, -1), (-1, 0)):
        with pytest.raises(InputError, match=r"0\.\.5"):
            batches.position(epoch, step)
    batches.position(0, 4)
    with pytest.raises(IndexError):
        batches[2]


def test_alternating_flip_shows_the_other_side_in_every_other_epoch():
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 5, 3), np.uint8)
    batches = Batches(images, np.arange(40), batch_size=9, classes=40, seed=5, augmentation=[AlternatingFlip()])
    sides = []
    for epoch in range(4):
        batches.position(epoch)
        seen = {}
        for shown, labels in (batches[index] for index in range(len(batches))):
            for image, label in zip(shown, labels, strict=True):
                mirrored = np.array_equal(image, images[label][:, ::-1])
                assert mirrored or np.array_equal(image, images[label])
                seen[int(label)] = mirrored
        sides.append([seen[label] for label in range(40)])
    assert sides[0] == sides[2]
    assert sides[1] == sides[3] == [not side for side in sides[0]]
    assert 10 < sum(sides[0]) < 30


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_class_weights_follow_the_labels(smoothing):
    weights = np.array([0.5, 2.0, 4.0], np.float32)
    labels = np.arange(30) % 3
    options = {"batch_size": 7, "classes": 3, "class_weights": weights}
    hard = Batches(np.zeros((30, 2, 2, 1), np.uint8), labels, **options)
    soft = Batches(np.zeros((30, 2, 2, 1), np.uint8), labels, soft=True, label_smoothing=smoothing, **options)
    for index in range(len(hard)):
        _, targets, own = hard[index]
        np.testing.assert_allclose(own, weights[targets])
        np.testing.assert_allclose(soft[index][2], weights[targets], rtol=1e-5)
    mixed = Batches(np.zeros((30, 2, 2, 1), np.uint8), labels, soft=True, seed=0, augmentation=[Mixup()], **options)
    _, targets, own = mixed[0]
    np.testing.assert_allclose(own, targets @ weights, rtol=1e-5)
