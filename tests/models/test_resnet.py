"""Report e's ResNets: equality with PyTorch, and five orders of a block's layers."""

import keras
import numpy as np
import pytest

from kzoo.models import ResNet, ResNet24
from kzoo.models.resnet import BLOCK_ORDERS
from tests.harness import call, check_call, images, parameters, randomize


@pytest.mark.backend
def test_logits_equal_pytorchs():
    pytest.importorskip("torch", reason="the reference is a PyTorch network")
    from torch_references import MEAN, STD, BasicResNet, copy_weights, logits

    keras.utils.set_random_seed(4)
    model = ResNet24(kernel_initializer="he_normal", classifier_activation=None, mean=MEAN, std=STD)
    randomize(model)
    reference = BasicResNet((3, 3, 2, 3), (64, 128, 128, 256))
    copy_weights(model, reference)
    x = images(model, 3)
    ours = call(model, x)
    assert ours.std(axis=0).mean() > 0.01
    np.testing.assert_allclose(ours, logits(reference, x), atol=1e-4, rtol=1e-4)


def small(order, **options):
    return ResNet(blocks=(1, 1), channels=(4, 4), block_order=order, input_shape=(8, 8, 3), classes=3, **options)


# By order: the layers of stage 2's block on the residual path, after the addition, and on the shortcut.
LAYERS = {
    "original": (["conv1", "conv1_bn", "conv1_act", "conv2", "conv2_bn"], ["act"], ["shortcut_conv", "shortcut_bn"]),
    "bn-after-add": (["conv1", "conv1_bn", "conv1_act", "conv2"], ["add_bn", "act"], ["shortcut_conv"]),
    "relu-before-add": (
        ["conv1", "conv1_bn", "conv1_act", "conv2", "conv2_bn", "conv2_act"], [], ["shortcut_conv", "shortcut_bn"],
    ),
    "relu-only-preactivation": (
        ["act1", "conv1", "conv1_bn", "conv1_act", "conv2", "conv2_bn"], [], ["shortcut_conv", "shortcut_bn"],
    ),
    "full-preactivation": (["bn1", "act1", "conv1", "conv1_bn", "conv1_act", "conv2"], [], ["shortcut_conv"]),
}  # fmt: skip


def before(tensor):
    """The layer that made a tensor, and the layer's inputs."""
    layer = tensor._keras_history.operation
    return layer, layer.input if isinstance(layer.input, list) else [layer.input]


def chain(tensor, stop):
    """Names of the layers from a tensor back to the first one without the prefix, in forward order."""
    names = []
    layer, inputs = before(tensor)
    while layer.name.startswith(stop) and "add" not in layer.name.removeprefix(stop).split("_"):
        if not layer.name.endswith("_pad"):
            names.insert(0, layer.name.removeprefix(stop))
        layer, inputs = before(inputs[0])
    return names


@pytest.mark.parametrize("order", BLOCK_ORDERS)
def test_order_of_layers(order):
    model = small(order)
    residual, after, shortcut = LAYERS[order]
    name = "stage2_block1_"
    add = model.get_layer(f"{name}add")
    assert chain(add.input[0], name) == residual
    own_shortcut = [part for part in chain(add.input[1], name) if part.startswith("shortcut")]
    assert own_shortcut == shortcut
    preactivated = [part for part in chain(add.input[1], name) if not part.startswith("shortcut")]
    assert preactivated == [part for part in residual if part in ("bn1", "act1")]
    order_after = [
        layer.name.removeprefix(name)
        for layer in model.layers[model.layers.index(add) + 1 :]
        if layer.name.startswith(name)
    ]
    assert order_after == after
    final = [layer.name for layer in model.layers if layer.name.startswith("final")]
    assert final == {"full-preactivation": ["final_bn", "final_act"], "relu-only-preactivation": ["final_act"]}.get(
        order, []
    )
    assert "stage1_block1_act1" not in [layer.name for layer in model.layers]  # the stem ends with an activation
    check_call(model)


def test_parameters_of_the_orders():
    counts = {order: parameters(small(order)) for order in BLOCK_ORDERS}
    assert counts["relu-before-add"] == counts["relu-only-preactivation"] == counts["original"]
    # without the BatchNorm of four channels on the projection
    assert counts["bn-after-add"] == counts["full-preactivation"] == counts["original"] - 8


def test_kernel_sizes_per_layer():
    model = small("original", kernel_size=(3, 5), shortcut_kernel_size=3)
    assert model.get_layer("stage1_block1_conv2").kernel_size == (3, 3)
    assert model.get_layer("stage2_block1_conv1").kernel_size == (5, 5)
    assert model.get_layer("stage2_block1_shortcut_conv").kernel_size == (3, 3)
    assert model.get_layer("stem_conv").kernel_size == (3, 3)
    check_call(model)


@pytest.mark.parametrize("activation", ["relu6", "leaky_relu", "elu", "swish"])
def test_activation_is_used_everywhere(activation):
    model = small("original", activation=activation)
    kinds = {type(layer).__name__ for layer in model.layers if layer.name.endswith("act")}
    assert kinds == {{"relu6": "ReLU", "leaky_relu": "LeakyReLU", "elu": "ELU", "swish": "Activation"}[activation]}
    assert isinstance(model.get_layer("stem_conv_act"), keras.layers.Layer)


def test_width_change_at_stride_1_projects():
    model = ResNet(blocks=(2, 1), channels=(4, 8), input_shape=(8, 8, 3))
    names = [layer.name for layer in model.layers if layer.name.endswith("shortcut_conv")]
    assert names == ["stage2_block1_shortcut_conv"]
