"""Activation statistics equal known values, and signal propagation agrees with theory."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.diagnostics.activations import activation_statistics, plot_activations, signal_propagation
from kzoo.diagnostics.random_images import random_images
from kzoo.errors import InputError


def stack(depth, gain, activation="linear", width=64):
    """Dense layers whose kernels have variance gain / fan-in, so that each multiplies the variance by `gain`."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((width,))
    for index in range(depth):
        kernel = keras.initializers.VarianceScaling(gain, "fan_in", "normal")
        x = keras.layers.Dense(width, activation=activation, kernel_initializer=kernel, name=f"dense{index}")(x)
    return keras.Model(inputs, x)


@pytest.mark.backend
def test_statistics_are_those_of_the_output():
    model = keras.Sequential([keras.Input((4, 4, 2)), keras.layers.ReLU(name="relu")])
    images = np.random.default_rng(0).normal(size=(10, 4, 4, 2)).astype("float32")
    images[..., 1] = -1
    (layer,) = activation_statistics(model, images).layers
    output = np.maximum(images, 0).astype("float64")
    assert (layer.path, layer.type, layer.units, layer.rectifies, layer.dead) == ("relu", "ReLU", 2, True, 1)
    assert layer.mean == pytest.approx(output.mean())
    assert layer.std == pytest.approx(output.std())
    assert layer.zeros == (output == 0).mean()
    assert layer.spread == pytest.approx(np.sqrt(output.var(axis=0).mean()))


def test_units_of_a_leaky_relu_or_a_sigmoid_do_not_die():
    images = -np.ones((3, 4, 4, 2), "float32")
    for layer, dead in (
        (keras.layers.ReLU(), 2),
        (keras.layers.ReLU(negative_slope=0.01), 0),
        (keras.layers.LeakyReLU(), 0),
        (keras.layers.Activation("relu"), 2),
        (keras.layers.Activation("relu6"), 2),
        (keras.layers.Activation("sigmoid"), 0),
        (keras.layers.Conv2D(5, 1, activation="relu", kernel_initializer="ones"), 5),
    ):
        (statistics,) = activation_statistics(keras.Sequential([keras.Input((4, 4, 2)), layer]), images).layers
        assert statistics.dead == dead, layer


def test_units_of_layers_with_channels_first():
    x = keras.Input((3, 8, 6))
    y = keras.layers.Conv2D(5, 3, padding="same", data_format="channels_first", name="conv", activation="relu")(x)
    y = keras.layers.ReLU(name="again")(y)
    y = keras.layers.Dense(4, name="rows")(keras.layers.GlobalAveragePooling2D(data_format="channels_first")(y))
    images = np.ones((2, 3, 8, 6), "float32")
    model = keras.Model(x, y)
    model.get_layer("conv").bias.assign([1e3, 1e3, 1e3, -1e3, -1e3])
    rows = {row.path: (row.units, row.dead) for row in activation_statistics(model, images).layers}
    assert (rows["conv"], rows["again"], rows["rows"]) == ((5, 2), (5, 2), (4, 0))


def test_slopes_scales_and_biases_are_no_kernels():
    x = keras.Input((4, 4, 3))
    y = keras.layers.Conv2D(2, 3, padding="same", name="conv")(x)
    y = keras.layers.LayerNormalization(axis=(1, 2, 3))(keras.layers.PReLU()(y))
    y = keras.layers.GRU(5, name="gru")(keras.layers.Reshape((4, 8))(y))  # its bias has two axes
    model = keras.Model(x, keras.layers.Dense(3, name="classes")(y))
    images = np.random.default_rng(0).normal(size=(6, 4, 4, 3))
    statistics = activation_statistics(model, images)
    assert [row.path for row in statistics.layers if row.has_kernel] == ["conv", "classes"]
    flow = kzoo.gradient_flow(model, images, np.arange(6) % 3)
    assert flow.layers == ("conv", "gru/gru_cell", "classes")


@pytest.mark.parametrize("gain", [0.25, 1.0, 3.0])
def test_variance_changes_by_the_gain_of_the_kernels(gain):
    model = stack(6, gain)
    propagation = signal_propagation(model, seed=1, images=256)
    assert len(propagation.layers) == 6
    assert propagation.forward_factor == pytest.approx(gain, rel=0.2)
    rows = activation_statistics(model, random_images(model, 256, 1)).layers
    assert rows[0].decay is None
    assert np.prod([row.decay for row in rows[1:]]) == pytest.approx(
        propagation.forward[-1] / propagation.forward[0], rel=1e-3
    )


@pytest.mark.slow
def test_plain_vgg38_loses_its_signal_and_residual_does_not():
    plain, residual = (signal_propagation(kzoo.VGG38(residual=r), images=8) for r in (False, True))
    assert plain.backward_factor > 2 > residual.backward_factor
    assert len(plain.layers) == 38
    assert plain.backward[0] < 1e-20 * plain.backward[-1]


def test_nested_models_and_unused_layers():
    inner = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu", name="conv")])
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inner(inputs))))
    rows = activation_statistics(model, np.ones((2, 8, 8, 1))).layers
    assert next(row.path for row in rows if row.has_kernel).endswith("/conv")

    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.unused = keras.layers.Dense(3), keras.layers.Dense(3)
            self.unused.build((None, 4))

        def call(self, x):
            return self.used(x)

    model = Custom()
    model(np.ones((1, 4)))
    assert [row.path for row in activation_statistics(model, np.ones((2, 4))).layers] == [model.used.name]


@pytest.mark.backend
def test_groups_give_the_same_statistics(monkeypatch):
    model, images = kzoo.LeNet(input_shape=(8, 8, 1), classes=10), np.random.default_rng(0).random((6, 8, 8, 1))
    whole = activation_statistics(model, images)
    monkeypatch.setattr("kzoo.diagnostics.activations.MEMORY", 1)
    assert activation_statistics(model, images) == whole


@pytest.mark.backend
def test_nothing_changes():
    options = {"blocks": [0], "filters": 4, "input_shape": (8, 8, 3), "classes": 3}
    model = kzoo.VGG(batch_norm=True, dropout=0.5, **options)
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.variables]
    signal_propagation(model, images=4)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_layers_of_several_tensors_are_left_out_and_frozen_ones_keep_their_kernel():
    model = keras.Sequential([keras.Input((8, 8)), keras.layers.LSTM(4), keras.layers.Dense(3, name="top")])
    assert signal_propagation(model, images=4).layers == ("top",)  # an LSTM's cell returns its states too
    model = stack(2, 1.0)
    model.get_layer("dense0").trainable = False
    rows = activation_statistics(model, np.ones((2, 64))).layers
    assert [row.has_kernel for row in rows] == [True, True]
    assert rows[-1].decay is not None


def test_one_sigmoid_has_two_random_classes():
    constant = [keras.Input((4,)), keras.layers.Rescaling(0.0, offset=1.0)]
    model = keras.Sequential([*constant, keras.layers.Dense(1, activation="sigmoid", kernel_initializer="zeros")])
    assert signal_propagation(model).backward[0] < 0.2  # (1/2 - share of the second class) squared
    with pytest.raises(InputError, match="images=0: must be a whole number"):
        signal_propagation(model, images=0)


def test_random_images_have_the_scale_that_the_model_takes():
    raw = random_images(kzoo.VGG08(mean=0.5, std=0.25), 16)
    assert (raw.shape, raw.min() >= 0, raw.max() <= 255, raw.std() > 40) == ((16, 32, 32, 3), True, True, True)
    unit = random_images(kzoo.VGG08(), 16)
    assert unit.std() == pytest.approx(1, abs=0.1)
    assert not np.array_equal(unit, random_images(kzoo.VGG08(), 16, seed=1))
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image / 255 - 0.5)))
    assert random_images(model, 16).max() > 100  # a division also scales pixels


def test_plot_shows_layers_with_a_kernel_or_a_relu():
    statistics = activation_statistics(stack(3, 2.0, "relu"), np.random.default_rng(0).normal(size=(5, 64)))
    figure = plot_activations(statistics)
    assert len(figure.axes) == 2
    assert len(figure.axes[1].patches) == 3


def test_bad_input():
    with pytest.raises(InputError, match="not built"):
        activation_statistics(keras.Sequential([keras.layers.Dense(2)]), np.ones((1, 2)))
    with pytest.raises(InputError, match="shape"):
        activation_statistics(stack(1, 1.0), np.ones((2, 3)))
    one, other = keras.Input((2,)), keras.Input((2,))
    with pytest.raises(InputError, match="several inputs"):
        activation_statistics(keras.Model([one, other], keras.layers.Add()([one, other])), np.ones((1, 2)))
    with pytest.raises(InputError, match="no layer with a kernel"):
        plot_activations(
            activation_statistics(keras.Sequential([keras.Input((2,)), keras.layers.Softmax()]), np.ones((1, 2)))
        )
