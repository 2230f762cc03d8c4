"""Layers equal PyTorch's: initial weights, padding, pooling, activations."""

import keras
import numpy as np
import pytest

from kzoo.models import VGG, LeNet
from kzoo.models.blocks import ACTIVATIONS, Layers, adaptive_average_2x2, pool, space_to_depth


def run(function, x):
    """Apply a function of Keras tensors to an array; return the output and the model."""
    image = keras.Input(x.shape[1:])
    model = keras.Model(image, function(image))
    return keras.ops.convert_to_numpy(model(x)), model


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_torch_initializer_is_uniform_up_to_one_over_root_fan_in():
    keras.utils.set_random_seed(0)
    model = VGG(blocks=1, filters=32)
    for layer in model.layers:
        if not isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
            continue
        kernel = np.asarray(keras.ops.convert_to_numpy(layer.kernel))
        bound = 1 / np.sqrt(np.prod(kernel.shape[:-1]))
        assert 0.95 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)
        assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.06)
        if layer.bias is not None:
            bias = np.asarray(keras.ops.convert_to_numpy(layer.bias))
            assert 0.7 * bound < np.abs(bias).max() <= bound * (1 + 1e-6)


def test_named_initializer_has_zero_biases():
    model = VGG(blocks=0, kernel_initializer="he_normal")
    layer = model.get_layer("stage1_reduction_conv1")
    kernel, bias = layer.get_weights()
    assert kernel.std() == pytest.approx(np.sqrt(2 / 288), rel=0.05)
    assert not bias.any()


def test_global_seed_gives_the_same_network():
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        weights.append(LeNet(layers=1).get_weights()[0])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert not np.allclose(weights[0], weights[2])


def test_batch_norm_constants_equal_torchs():
    model = VGG(blocks=1, batch_norm=True)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) == 1 + 3 * 4
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize(
    ("kernel", "strides", "dilation", "padding"),
    [(3, 2, 1, None), (5, 2, 1, None), (7, 1, 1, None), (1, 2, 1, None), (3, 1, 3, 1), (5, 3, 1, None)],
)
def test_convolution_pads_like_torch(rng, size, kernel, strides, dilation, padding):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's convolution")
    x = rng.normal(size=(2, size, size, 3)).astype("float32")
    layers = Layers()
    ours, model = run(
        lambda t: layers.conv(t, 4, kernel, strides=strides, dilation=dilation, padding=padding, name="c"), x
    )
    weight = torch.tensor(model.get_layer("c").get_weights()[0]).permute(3, 2, 0, 1)
    zeros = (kernel - 1) // 2 if padding is None else padding
    theirs = torch.nn.functional.conv2d(
        torch.tensor(x).permute(0, 3, 1, 2), weight, stride=strides, padding=zeros, dilation=dilation
    )
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (2, 5), (3, 4), (7, 7), (8, 8), (16, 9)])
def test_adaptive_pool_equals_torchs(rng, shape):
    torch = pytest.importorskip("torch", reason="the reference is PyTorch's adaptive pooling")
    x = rng.normal(size=(2, *shape, 3)).astype("float32")
    ours, _ = run(lambda t: adaptive_average_2x2(t, "p"), x)
    theirs = torch.nn.functional.adaptive_avg_pool2d(torch.tensor(x).permute(0, 3, 1, 2), 2)
    np.testing.assert_allclose(ours, theirs.permute(0, 2, 3, 1).numpy(), atol=1e-6)


@pytest.mark.parametrize("kind", ["max", "average"])
def test_pool_leaves_an_odd_row_out(rng, kind):
    x = rng.normal(size=(1, 5, 4, 2)).astype("float32")
    ours, _ = run(lambda t: pool(t, kind, "p"), x)
    windows = x[:, :4].reshape(1, 2, 2, 2, 2, 2)
    np.testing.assert_allclose(ours, (windows.max if kind == "max" else windows.mean)(axis=(2, 4)), atol=1e-6)


@pytest.mark.parametrize("shape", [(4, 6), (5, 7)])
def test_space_to_depth_keeps_every_pixel(rng, shape):
    x = rng.normal(size=(2, *shape, 3)).astype("float32")
    ours, _ = run(lambda t: space_to_depth(t, "s"), x)
    height, width = shape[0] // 2, shape[1] // 2
    assert ours.shape == (2, height, width, 12)
    for row in range(height):
        for column in range(width):
            square = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            np.testing.assert_array_equal(ours[:, row, column], square.reshape(2, 12))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    x = np.linspace(-8, 8, 33, dtype="float32").reshape(1, -1)
    expected = {
        "relu": np.maximum(x, 0),
        "relu6": np.clip(x, 0, 6),
        "leaky_relu": np.where(x > 0, x, 0.01 * x),
        "elu": np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
        "swish": x / (1 + np.exp(-x)),
        "silu": x / (1 + np.exp(-x)),
    }[name]
    ours, _ = run(lambda t: Layers(activation=name).act(t, "a"), x)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
