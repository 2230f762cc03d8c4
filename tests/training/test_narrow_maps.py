"""Kernels' gradients with images side by side equal those of the definition, and such layers train like Keras's."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.training import narrow_maps
from kzoo.training.build import precision
from kzoo.training.narrow_maps import convolution, is_slow, side_by_side
from kzoo.training.training_view import training_view

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the gradient is TensorFlow's")


def by_definition(images, upstream, rows, columns):
    """The gradient of a kernel: sums of products of shifted inputs and outputs' gradients, with zeros around."""
    top, left = (rows - 1) // 2, (columns - 1) // 2
    padded = np.pad(images, ((0, 0), (top, rows // 2), (left, columns // 2), (0, 0)))
    height, width = images.shape[1:3]
    result = np.empty((rows, columns, images.shape[3], upstream.shape[3]))
    for i in range(rows):
        for j in range(columns):
            shifted = padded[:, i : i + height, j : j + width]
            result[i, j] = np.tensordot(shifted, upstream, axes=([0, 1, 2], [0, 1, 2]))
    return result


@pytest.mark.parametrize("together", [False, True], ids=["gradient", "all"])
@pytest.mark.parametrize("batch", [1, 4, 11])
@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(7, 7, 3, 3), (3, 3, 3, 3), (5, 8, 5, 5), (4, 2, 3, 1), (6, 5, 2, 4)]
)
def test_convolution_and_its_gradients_are_those_of_the_definition(
    batch, height, width, rows, columns, together, monkeypatch
):
    import tensorflow as tf

    monkeypatch.setattr(narrow_maps, "NARROW", 8)
    monkeypatch.setattr(narrow_maps, "MANY_CHANNELS", 1 if together else 1000)
    rng = np.random.default_rng(batch)
    images = rng.normal(size=(batch, height, width, 3))
    kernel = rng.normal(size=(rows, columns, 3, 5))
    upstream = rng.normal(size=(batch, height, width, 5))

    @tf.function(input_signature=[tf.TensorSpec([None, None, width, 3]), tf.TensorSpec(kernel.shape)])
    def computed(x, k):
        with tf.GradientTape() as tape:
            tape.watch([x, k])
            outputs = convolution()(x, k)
        return outputs, *tape.gradient(outputs, [x, k], tf.constant(upstream, "float32"))

    outputs, to_images, to_kernel = computed(images.astype("float32"), kernel.astype("float32"))
    tolerance = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(to_kernel, by_definition(images, upstream, rows, columns), **tolerance)
    # The convolution is linear in both, so its value and its other gradient follow from products with this one.
    np.testing.assert_allclose(outputs, tf.nn.conv2d(images, kernel, 1, "SAME"), **tolerance)
    np.testing.assert_allclose((to_images * images).numpy().sum(), (outputs * upstream).numpy().sum(), rtol=1e-3)
    other = rng.normal(size=images.shape)
    shifted = tf.nn.conv2d(other, kernel, 1, "SAME")
    np.testing.assert_allclose((to_images * other).numpy().sum(), (shifted * upstream).numpy().sum(), rtol=1e-3)


def network(policy="mixed_bfloat16", channels=128, size=4, **options):
    keras.utils.set_random_seed(0)
    with_policy = {"dtype": keras.dtype_policies.get(policy)}
    image = keras.Input((size, size, channels))
    x = keras.layers.Conv2D(128, 3, **{"padding": "same", **with_policy, **options}, name="conv")(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", dtype="float32")(x))


@pytest.fixture
def amx(monkeypatch):
    monkeypatch.setattr(narrow_maps, "_has_amx", lambda: True)


@pytest.mark.usefixtures("amx")
@pytest.mark.parametrize(
    ("options", "slow"),
    [
        ({}, True),
        ({"use_bias": False, "activation": "relu"}, True),
        ({"size": 8}, True),
        ({"size": 9}, False),
        ({"size": None}, False),
        ({"channels": 64}, False),
        ({"policy": "float32"}, False),
        ({"policy": "mixed_float16"}, False),
        ({"padding": "valid"}, False),
        ({"strides": 2}, False),
        ({"dilation_rate": 2}, False),
        ({"groups": 2}, False),
    ],
)
def test_convolutions_on_narrow_maps_with_many_channels_in_bfloat16_are_exchanged(options, slow):
    model = network(**options)
    assert is_slow(model.get_layer("conv")) == slow
    view, _ = training_view(model)
    assert (type(view.get_layer("conv")) is not keras.layers.Conv2D) == slow
    assert {id(v) for v in view.variables} == {id(v) for v in model.variables}


def test_without_amx_nothing_is_exchanged(monkeypatch):
    monkeypatch.setattr(narrow_maps, "_has_amx", lambda: False)
    assert not is_slow(network().get_layer("conv"))


@pytest.mark.usefixtures("amx")
@pytest.mark.parametrize("together", [False, True], ids=["gradient", "all"])
@pytest.mark.parametrize("trainable", [True, False])
def test_a_network_trains_like_the_stock_one(trainable, together, tmp_path, monkeypatch):
    if together:
        monkeypatch.setattr(narrow_maps, "MANY_CHANNELS", 128)
    rng = np.random.default_rng(0)
    images, labels = rng.normal(size=(10, 4, 4, 128)).astype("float32"), rng.integers(0, 3, 10)
    trained = []
    for exchanged in (True, False):
        model = network(kernel_regularizer=keras.regularizers.L2(0.01))
        model.get_layer("conv").trainable = trainable
        target, logits = training_view(model) if exchanged else (model, False)
        target.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=logits))
        losses = [target.train_on_batch(images, labels) for _ in range(5)]
        trained.append((losses, model.get_weights()))
        target.save_weights(tmp_path / f"{exchanged}.weights.h5")
    (ours, our_weights), (theirs, their_weights) = trained
    np.testing.assert_allclose(ours, theirs, rtol=2e-2)
    assert ours[-1] < ours[0]
    moved = np.abs(our_weights[0] - network().get_weights()[0]).max()
    assert (moved > 1e-3) == trainable
    for a, b in zip(our_weights, their_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-2, atol=2e-3)
    # What saves the view saves stock layers.
    restored = network()
    restored.load_weights(tmp_path / "True.weights.h5")
    for a, b in zip(restored.get_weights(), our_weights, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("amx")
def test_a_layer_used_on_wide_maps_too_computes_both_gradients():
    layer = keras.layers.Conv2D(128, 3, padding="same", dtype="mixed_bfloat16")
    layer.build((None, 4, 4, 128))
    rng = np.random.default_rng(1)
    small, large = (rng.normal(size=(3, n, n, 128)).astype("float32") for n in (4, 12))
    import tensorflow as tf

    kernels = []
    for used in (side_by_side(layer), layer):
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_sum(tf.cast(used(x), "float32") ** 2) for x in (small, large))
        kernels.append(np.asarray(tape.gradient(loss, layer.trainable_variables)[0]))
    scale = np.abs(kernels[1]).max()
    np.testing.assert_allclose(kernels[0] / scale, kernels[1] / scale, atol=2e-2)


@pytest.mark.usefixtures("amx")
def test_fast_networks_use_it():
    with precision("mixed_bfloat16"):
        model = kzoo.create_model("fastnet-s")
    view, _ = training_view(model)
    convolutions = [layer for layer in view.layers if isinstance(layer, keras.layers.Conv2D)]
    exchanged = [layer.name for layer in convolutions if type(layer) is not keras.layers.Conv2D]
    assert exchanged == ["stage2_conv2", "stage3_conv1", "stage3_conv2"]
