"""Folding changes no output, and folds exactly the BatchNorms that can be folded."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from kzoo.exporting.fold import IDLE, fold_batch_norm, planned
from kzoo.exporting.replay import copy_model
from kzoo.models import create_model
from tests.exporting.graphs import build, choices, norms, outputs, randomize
from tests.harness import images as pictures

layers = keras.layers
RNG = np.random.default_rng(0)


def check_same(model, folded, images):
    for before, after in zip(outputs(model, images), outputs(folded, images), strict=True):
        assert before.shape == after.shape
        assert np.abs(before - after).max() < 1e-5 * max(np.abs(before).max(), 1e-6)


def check_random_graph(chosen):
    keras.utils.set_random_seed(chosen["seed"])
    model = build(chosen)
    weights = [value.copy() for value in model.get_weights()]
    folded = fold_batch_norm(model)
    images = np.random.default_rng(chosen["seed"]).normal(size=(3, 11, 11, 2)).astype("float32")
    check_same(model, folded, images)
    assert norms(folded) <= norms(model)
    assert not any(isinstance(layer, IDLE) for layer in folded._flatten_layers())
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


slow_to_draw = settings(suppress_health_check=list(HealthCheck))


@slow_to_draw
@given(choices(largest=3))
def test_random_graphs(chosen):
    check_random_graph(chosen)


@pytest.mark.slow
@slow_to_draw
@given(choices())
def test_larger_random_graphs(chosen):
    check_random_graph(chosen)


def sequence(shape, *steps):
    image = x = keras.Input(shape)
    for step in steps:
        x = step(x)
    model = keras.Model(image, x)
    randomize(model, np.random.default_rng(1))
    return model


def folded_norms(model, shape=(9, 9, 4)):
    """Fold a model, compare it with the original, and return the number of BatchNorms left."""
    folded = fold_batch_norm(model)
    check_same(model, folded, np.random.default_rng(2).normal(size=(2, *shape)).astype("float32"))
    return norms(folded)


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(6, 3, padding="same"),
        layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False),
        layers.Conv2D(6, 3, groups=2, dilation_rate=2),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.SeparableConv2D(6, 3, use_bias=False),
        layers.Conv2DTranspose(6, 3, strides=2),
        layers.Dense(5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_folds_what_follows(layer):
    layer = type(layer).from_config(layer.get_config())
    assert folded_norms(sequence((9, 9, 4), layer, layers.BatchNormalization())) == 0


@pytest.mark.parametrize(
    ("layer", "left"),
    [
        (layers.Conv2D(6, 3), 0),
        (layers.Conv2D(6, 3, groups=2, use_bias=False, activation="relu"), 0),
        (layers.DepthwiseConv2D(3, depth_multiplier=2), 0),
        (layers.SeparableConv2D(6, 3), 0),
        (layers.Dense(5, activation="tanh"), 0),
        (layers.Conv2D(6, 3, padding="same"), 1),
        (layers.Conv2DTranspose(6, 3), 1),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_folds_what_precedes_where_nothing_is_padded(layer, left):
    layer = type(layer).from_config(layer.get_config())
    model = sequence((9, 9, 4), layers.BatchNormalization(), layers.Dropout(0.5), layer)
    assert folded_norms(model) == left


def test_keeps_what_it_cannot_fold():
    norm = layers.BatchNormalization
    assert folded_norms(sequence((9, 9, 4), layers.Conv2D(4, 3, activation="relu"), norm())) == 1
    assert folded_norms(sequence((9, 9, 4), layers.Conv2D(4, 3), norm(axis=1))) == 1
    assert folded_norms(sequence((9, 9, 4), layers.ReLU(), norm(), layers.ReLU())) == 1
    image = keras.Input((9, 9, 4))
    x = layers.Conv2D(4, 3)(image)
    added = keras.Model(image, norm()(layers.Add()([x, layers.Conv2D(4, 3)(image)])))
    assert folded_norms(added) == 1
    x = layers.Conv2D(4, 3)(image)
    assert folded_norms(keras.Model(image, [norm()(x), x])) == 1
    shared, again = layers.Conv2D(4, 1), norm()
    assert folded_norms(keras.Model(image, again(shared(again(shared(image)))))) == 1


def test_weights_that_are_not_a_kernel_alone_are_kept():
    for name in ("enable_lora", "quantize"):
        model = sequence((9, 9, 4), layers.Dense(6), layers.BatchNormalization())
        if name == "enable_lora":
            model.layers[1].enable_lora(2)
        else:
            model.layers[1].quantize("int8")
        graph = planned(model)
        assert not graph.plan.passed, name


def test_one_norm_shared_by_two_convolutions_goes_into_both():
    image, norm = keras.Input((9, 9, 4)), layers.BatchNormalization()
    first, second = (norm(layers.Conv2D(4, 3)(image)) for _ in range(2))
    assert folded_norms(keras.Model(image, layers.Add()([first, second]))) == 0


def test_norms_in_a_row_and_inner_models():
    norm = layers.BatchNormalization
    assert folded_norms(sequence((9, 9, 4), norm(), norm(), layers.Conv2D(3, 3), norm(), norm())) == 0
    inner = keras.Sequential([keras.Input((9, 9, 4)), layers.Conv2D(3, 3), norm(), layers.Dropout(0.5)])
    image = keras.Input((9, 9, 4))
    assert folded_norms(keras.Model(image, layers.Flatten()(inner(image)))) == 0


def test_what_was_called_as_in_training_is_for_inference_now():
    image = keras.Input((9, 9, 4))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image), training=True)
    x = layers.Dropout(0.5)(x, training=True)
    model = keras.Model(image, layers.LSTM(3, dropout=0.5)(layers.Reshape((7, 28))(x), training=True))
    folded = fold_batch_norm(model)
    assert norms(folded) == 0
    images = RNG.normal(size=(2, 9, 9, 4)).astype("float32")
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(folded(images)), expected, atol=1e-6)


@pytest.mark.parametrize("kind", IDLE, ids=lambda kind: kind.__name__)
def test_what_is_left_out_does_nothing(kind):
    options = {
        layers.ActivityRegularization: {"l2": 0.1},
        layers.Identity: {},
        layers.RandomFlip: {},
        layers.RandomTranslation: {"height_factor": 0.2, "width_factor": 0.2},
        layers.RandomZoom: {"height_factor": 0.2},
        layers.GaussianNoise: {"stddev": 1.0},
    }
    shape = (
        (9, 4) if kind is layers.SpatialDropout1D else (4, 4, 4, 3) if kind is layers.SpatialDropout3D else (8, 8, 3)
    )
    default = {"rate" if "rop" in kind.__name__ else "factor": 0.5}
    layer = kind(**options.get(kind, default))
    model = sequence(shape, layers.Rescaling(2.0), layer, layers.Flatten())
    images = np.random.default_rng(3).uniform(0, 255, (2, *shape)).astype("float32")
    folded = fold_batch_norm(model)
    assert len(folded.layers) == len(model.layers) - 1
    np.testing.assert_array_equal(outputs(model, images)[0], outputs(folded, images)[0])


@pytest.mark.parametrize(
    ("name", "options", "left"),
    [
        pytest.param("vgg08-bn", {}, 0, marks=pytest.mark.slow),
        pytest.param("resnet10", {}, 0, marks=pytest.mark.slow),
        # One of two BatchNorms in each of three layers, one in each of two transitions, one at the end.
        ("densenet-bc-40-16", {"depth": 10}, 6),
    ],
)
def test_zoo_models_lose_every_norm_next_to_a_convolution(name, options, left):
    model = create_model(name, input_shape=(16, 16, 3), **options)
    randomize(model, np.random.default_rng(4))
    folded = fold_batch_norm(model)
    assert norms(folded) == left
    check_same(model, folded, pictures(model) / 255)


def test_graphs_that_cannot_be_copied_are_left():
    class Custom(keras.Model):
        def call(self, x):
            return x

    custom = Custom()
    assert fold_batch_norm(custom) is custom

    class NoConfig(layers.Layer):
        def __init__(self, size):
            super().__init__()

        def call(self, x):
            return x

    model = sequence((9, 9, 4), layers.Conv2D(3, 3), layers.BatchNormalization(), NoConfig(3))
    assert fold_batch_norm(model) is model


def test_weights_that_give_no_finite_scale_are_left():
    model = sequence((9, 9, 4), layers.Conv2D(3, 3), layers.BatchNormalization(epsilon=0.0))
    model.layers[-1].moving_variance.assign([1.0, 0.0, 1.0])
    assert norms(fold_batch_norm(model)) == 1


def test_normalization_with_adapted_statistics_is_kept():
    norm = layers.Normalization()
    norm.adapt(RNG.normal(3, 2, (50, 9, 9, 4)).astype("float32"))
    assert folded_norms(sequence((9, 9, 4), norm, layers.Conv2D(3, 3), layers.BatchNormalization())) == 0


@pytest.mark.parametrize(
    ("scale", "offset", "padding", "left"),
    [(1 / 255, 0.0, "same", 0), (1 / 255, -1.0, "same", 1), ([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 0.0], "valid", 0)],
)
def test_exports_fold_the_scaling_of_pixels_too(scale, offset, padding, left):
    model = sequence((9, 9, 4), layers.Rescaling(scale, offset), layers.Conv2D(3, 3, padding=padding, use_bias=False))
    folded = copy_model(planned(model, rescaling=True), fold_batch_norm)
    assert sum(isinstance(layer, layers.Rescaling) for layer in folded.layers) == left
    assert folded.layers[-1].use_bias == (padding == "valid")
    check_same(model, folded, RNG.uniform(0, 255, (2, 9, 9, 4)).astype("float32"))
    assert len(fold_batch_norm(model).layers) == 3


LEAKY = {
    "layer": layers.LeakyReLU(negative_slope=0.01),
    "steep": layers.LeakyReLU(negative_slope=1.5),
    "falling": lambda x: keras.ops.leaky_relu(x, -0.5),
    "relu": layers.ReLU(negative_slope=0.01),
    "activation": layers.Activation("leaky_relu"),
    "operation": lambda x: keras.ops.leaky_relu(x, 0.01),
}


@pytest.mark.parametrize("added", [lambda x, y: layers.Add()([x, y]), lambda x, y: x + y], ids=["Add", "+"])
@pytest.mark.parametrize("leaky", LEAKY)
def test_compiled_prediction_of_a_leaky_residual_block_keeps_the_slope(leaky, added):
    image = keras.Input((9, 9, 4))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", use_bias=False)(image))
    model = keras.Model(image, LEAKY[leaky](added(x, image)))
    randomize(model, np.random.default_rng(5))
    images = RNG.normal(size=(4, 9, 9, 4)).astype("float32")
    expected = model.predict(images, verbose=0)
    np.testing.assert_allclose(fold_batch_norm(model).predict(images, verbose=0), expected, atol=1e-5)
