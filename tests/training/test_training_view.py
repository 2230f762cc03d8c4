"""The training view shares all variables with the stock model and trains like it."""

import math

import keras
import numpy as np
import pytest

import kzoo
from kzoo.training.training_view import compiled, training_view

pytestmark = pytest.mark.backend

IMAGES = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3)).astype("uint8")
LABELS = np.random.default_rng(1).integers(0, 4, 24)
STATISTICS = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def network(activation="leaky_relu"):
    keras.utils.set_random_seed(3)
    model = kzoo.create_model("vgg08-bn", classes=4, input_shape=(16, 16, 3), blocks=[0], **STATISTICS)

    def exchanged(layer):
        return keras.layers.Activation(activation, name=layer.name) if "act" in layer.name else layer

    return keras.models.clone_model(model, clone_function=exchanged)


def test_view_gives_logits_and_shares_variables():
    model = network()
    view, logits = training_view(model)
    assert logits
    assert {id(v) for v in view.variables} == {id(v) for v in model.variables}
    probabilities = model.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(keras.ops.softmax(view.predict(IMAGES, verbose=0))), probabilities, atol=1e-6
    )


@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "silu"])
def test_training_the_view_trains_the_stock_model_as_stock_keras_would(activation):
    trained = []
    for with_view in (True, False):
        model = network(activation)
        target, logits = training_view(model) if with_view else (model, False)
        target.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
        for _ in range(5):
            target.train_on_batch(IMAGES, LABELS)
        trained.append(model.get_weights())
    for ours, stock in zip(*trained, strict=True):
        np.testing.assert_allclose(ours, stock, rtol=2e-3, atol=2e-4)
    start = network(activation)
    pairs = zip(start.weights, trained[0], start.get_weights(), strict=True)
    still = [w.path for w, after, before in pairs if np.abs(after - before).max() < 1e-6]
    assert all(path.endswith("bias") for path in still)  # BatchNorm removes a bias before it


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("activation", ["leaky_relu", "gelu", "silu"])
def test_the_view_predicts_as_the_stock_model(activation, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = network(activation)
    finally:
        keras.config.set_dtype_policy(before)
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(size=layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, size=layer.moving_variance.shape))
    view, _ = training_view(model)
    predicted = keras.ops.softmax(keras.ops.cast(view.predict(IMAGES, verbose=0), "float32"))
    tolerance = 1e-5 if policy == "float32" else 0.03
    np.testing.assert_allclose(keras.ops.convert_to_numpy(predicted), model.predict(IMAGES, verbose=0), atol=tolerance)


def test_frozen_batch_norm_trains_the_layers_below_as_stock_keras_would():
    trained = []
    for with_view in (True, False):
        model = network("gelu")
        for layer in model.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        frozen = [w.path for w in model.non_trainable_weights]
        target, logits = training_view(model) if with_view else (model, False)
        target.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
        for _ in range(5):
            target.train_on_batch(IMAGES, LABELS)
        trained.append(dict(zip([w.path for w in model.weights], model.get_weights(), strict=True)))
    start = network("gelu")
    at_start = dict(zip([w.path for w in start.weights], start.get_weights(), strict=True))
    for path, ours in trained[0].items():
        np.testing.assert_allclose(ours, trained[1][path], rtol=2e-3, atol=2e-4)
        assert np.array_equal(ours, at_start[path]) == (path in frozen)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_a_sequential_with_batch_norm_is_trained(activation):
    parts = [keras.Input((16, 16, 3)), keras.layers.Conv2D(8, 3), keras.layers.BatchNormalization()]
    parts += [keras.layers.Activation("gelu"), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, activation)]
    model = keras.Sequential(parts)
    view, logits = training_view(model)
    view.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
    before = model.get_weights()
    view.train_on_batch(IMAGES, LABELS)
    assert all(np.abs(a - b).max() > 0 for a, b in zip(model.get_weights(), before, strict=True) if a.size > 8)


def test_a_copy_of_the_view_is_a_model_of_stock_layers_with_the_same_weights():
    view, _ = training_view(network("gelu"))
    copy = keras.models.clone_model(view)
    copy.set_weights(view.get_weights())
    np.testing.assert_allclose(copy.predict(IMAGES, verbose=0), view.predict(IMAGES, verbose=0), atol=1e-6)
    assert {type(layer).__module__ for layer in copy.layers} == {type(layer).__module__ for layer in network().layers}
    assert all(type(layer) is getattr(keras.layers, type(layer).__name__) for layer in copy.layers)


def test_what_saves_the_view_saves_stock_layers(tmp_path):
    model = network()
    view, _ = training_view(model)
    view.save_weights(tmp_path / "view.weights.h5")
    view.save(tmp_path / "view.keras")
    other = network()
    other.set_weights([w + 1 for w in other.get_weights()])
    other.load_weights(tmp_path / "view.weights.h5")
    for a, b in zip(other.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    reloaded = keras.saving.load_model(tmp_path / "view.keras")
    kinds = {type(layer) for layer in reloaded.layers if "batch" in type(layer).__name__.lower()}
    assert kinds == {keras.layers.BatchNormalization}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the fused kernel is TensorFlow's")
def test_fused_layers_are_used_on_tensorflow():
    view, _ = training_view(network())
    norms = [layer for layer in view.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 3
    assert all(type(layer) is not keras.layers.BatchNormalization for layer in norms)
    # The options that the kernel supports.
    for options, fusable in (
        ({"axis": 3}, True),
        ({"axis": 1}, False),
        ({"center": False}, False),
        ({"scale": False}, True),
        ({"dtype": "mixed_bfloat16"}, True),
        ({"dtype": "bfloat16"}, False),
        ({"dtype": "float64"}, False),
    ):
        image = keras.Input((8, 8, 3))
        normal = keras.layers.BatchNormalization(**options)(image)
        view, _ = training_view(keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(normal))))
        assert (type(view.layers[1]) is not keras.layers.BatchNormalization) == fusable, options


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA compiles for TensorFlow")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_compiled_activations_and_their_gradients_are_exact_up_to_rounding(name, dtype):
    import tensorflow as tf

    x = tf.cast(tf.linspace(-9.0, 9.0, 181), dtype)
    upstream = tf.cast(tf.linspace(0.5, 2.0, 181), dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = compiled(keras.activations.get(name))(x)
    gradient = tape.gradient(y, x, upstream)
    # Independent: the formulas in double precision.
    z, up = (np.asarray(tf.cast(t, tf.float64)) for t in (x, upstream))
    if name == "gelu":
        cdf = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in z])
        slope = cdf + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    else:
        cdf = 1 / (1 + np.exp(-z))
        slope = cdf + z * cdf * (1 - cdf)
    tolerance = 2e-6 if dtype == "float32" else 2**-8
    assert y.dtype == gradient.dtype == dtype
    np.testing.assert_allclose(tf.cast(y, tf.float64), z * cdf, rtol=tolerance, atol=tolerance / 10)
    np.testing.assert_allclose(tf.cast(gradient, tf.float64), up * slope, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="XLA compiles for TensorFlow")
def test_activations_of_several_operations_are_compiled_in_training():
    view, _ = training_view(network("gelu"))
    exchanged = [layer for layer in view.layers if isinstance(layer, keras.layers.Activation)]
    assert exchanged
    assert all(type(layer) is not keras.layers.Activation for layer in exchanged)
    assert type(keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(exchanged[0]))) is (
        keras.layers.Activation
    )
    other, _ = training_view(network("tanh"))
    assert all(type(layer) is keras.layers.Activation for layer in other.layers if "act" in layer.name)
    # A prediction in float32 equals the stock model's, bit for bit.
    x = np.linspace(-3, 3, 8, dtype="float32")
    np.testing.assert_array_equal(exchanged[0](x), keras.activations.gelu(x))


def test_custom_models():
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Flatten()(inputs)
    dense = keras.layers.Dense(3, activation="softmax")(features)
    assert training_view(keras.Model(inputs, dense))[1] is False
    assert training_view(keras.Model(inputs, keras.layers.Dense(3)(features)))[1] is True
    assert training_view(keras.Model(inputs, keras.layers.Softmax()(keras.layers.Dense(3)(features))))[1] is True
    nested = keras.Sequential([keras.Input((8, 8, 1)), keras.Model(inputs, dense)])
    assert training_view(nested)[1] is False
