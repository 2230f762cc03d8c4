"""Report d's LeNets: every reduction at several depths equals PyTorch's."""

import keras
import numpy as np
import pytest

from kzoo.models import LeNet
from tests.harness import call, images


@pytest.mark.backend
@pytest.mark.parametrize("reduction", ["max", "average", "strided", "dilated"])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_logits_equal_pytorchs(layers, reduction):
    pytest.importorskip("torch", reason="the reference is a PyTorch network")
    from torch_references import ReducingLeNet, copy_weights, logits

    keras.utils.set_random_seed(layers)
    model = LeNet(
        layers=layers, reduction=reduction, kernel_initializer="he_normal", classifier_activation=None, mean=0, std=1
    )
    reference = ReducingLeNet(layers, reduction)
    copy_weights(model, reference)
    x = images(model, 3)
    ours = call(model, x)
    assert ours.std(axis=0).mean() > 0.01
    np.testing.assert_allclose(ours, logits(reference, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("reduction", "sizes"),
    [("max", (15, 8, 5, 3)), ("average", (15, 8, 5, 3)), ("strided", (14, 7, 4, 2)), ("dilated", (26, 22, 16, 8))],
)
def test_map_sizes(reduction, sizes):
    for layers, size in enumerate(sizes, 1):
        assert LeNet(include_top=False, layers=layers, reduction=reduction).output_shape == (None, size, size, 32)


def test_nothing_has_a_bias():
    assert not any("bias" in weight.path for weight in LeNet(layers=2, reduction="dilated").weights)


def test_larger_kernel():
    model = LeNet(layers=2, reduction="dilated", kernel_size=5, filters=4)
    assert model.get_layer("block2_reduction_conv").output.shape == (None, 16, 16, 4)
