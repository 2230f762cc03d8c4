"""What Keras is fed: the batches in order, as positioned, without the tuning thread that can hold up an epoch's end."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.data.augmentation.spec import Flip, Mixup
from kzoo.data.batches import Batches
from kzoo.training.feeding import feed

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(0).integers(0, 256, (23, 8, 8, 1), np.uint8)
LABELS = np.arange(23) % 3


def batches(**changes):
    options = {"batch_size": 5, "classes": 3, "seed": 4, "augmentation": (Flip(horizontal=0.5),), **changes}
    return Batches(IMAGES, LABELS, **options)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="other backends are fed the batches themselves")
@pytest.mark.parametrize(
    "changes", [{}, {"soft": True, "augmentation": (Mixup(alpha=0.4),)}, {"class_weights": np.array([1.0, 2.0, 3.0])}]
)
def test_tensorflow_is_fed_the_same_batches_without_a_tuning_thread(changes):
    given = batches(**changes)
    fed = feed(given)
    assert fed.options().autotune.enabled is False
    assert int(fed.cardinality()) == 5
    for epoch in (2, 3):
        given.position(epoch)
        for index, parts in enumerate(fed):
            for ours, expected in zip(parts, given[index], strict=True):
                assert ours.dtype == expected.dtype
                np.testing.assert_array_equal(ours, expected)
    given.position(3, 2)
    rest = feed(given)
    assert int(rest.cardinality()) == len(list(rest)) == 3
    np.testing.assert_array_equal(next(iter(rest))[0], given[0][0])


def test_training_and_predictions_are_those_of_the_batches_themselves():
    results = []
    for given in (feed, lambda x: x):
        keras.utils.set_random_seed(0)
        model = kzoo.create_model("lenet1-max", input_shape=(8, 8, 1), classes=3)
        model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
        validation = batches(seed=None)
        history = model.fit(given(batches()), validation_data=given(validation), epochs=3, shuffle=False, verbose=0)
        results.append((history.history, model.predict(given(validation), verbose=0), model.get_weights()))
    (ours, predicted, weights), (expected, plain, plain_weights) = results
    assert ours == expected
    np.testing.assert_array_equal(predicted, plain)
    for a, b in zip(weights, plain_weights, strict=True):
        np.testing.assert_array_equal(a, b)
