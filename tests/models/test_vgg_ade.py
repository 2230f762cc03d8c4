"""Report c's VGGs: equality with PyTorch, and the effect of every option."""

import keras
import numpy as np
import pytest

from kzoo.models import VGGA, VGGADE, VGGD, VGGE
from tests.harness import call, images, randomize


@pytest.mark.backend
@pytest.mark.parametrize("batch_norm", [False, True])
def test_logits_equal_pytorchs(batch_norm):
    pytest.importorskip("torch", reason="the reference is a PyTorch network")
    from torch_references import ThreeStageVGG, copy_weights, logits

    keras.utils.set_random_seed(2)
    model = VGGE(batch_norm=batch_norm, kernel_initializer="he_normal", classifier_activation=None, mean=0, std=1)
    randomize(model)
    reference = ThreeStageVGG((2, 2, 4), batch_norm)
    copy_weights(model, reference)
    x = images(model, 3)
    ours = call(model, x)
    assert ours.std(axis=0).mean() > 0.01
    np.testing.assert_allclose(ours, logits(reference, x), atol=1e-4, rtol=1e-4)


def names(model, kind):
    return [layer.name for layer in model.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(("builder", "convs"), [(VGGA, (1, 1, 2, 2)), (VGGD, (2, 2, 3, 3)), (VGGE, (2, 2, 4, 4))])
def test_fourth_stage(builder, convs):
    model = builder(stages=4)
    expected = [f"stage{stage}_conv{i}" for stage, count in enumerate(convs, 1) for i in range(1, count + 1)]
    assert names(model, keras.layers.Conv2D) == expected
    assert model.get_layer("stage4_conv1").filters == 512
    assert names(builder(), keras.layers.Conv2D) == [name for name in expected if "stage4" not in name]


@pytest.mark.parametrize("placement", ["pools", "hidden", "both"])
def test_dropout_placement(placement):
    model = VGGADE(convs=(1, 1), filters=(4, 4), hidden=(5, 5), dropout=0.4, dropout_placement=placement)
    pools, hidden = ["stage1_dropout", "stage2_dropout"], ["hidden1_dropout", "hidden2_dropout"]
    expected = {"pools": pools, "hidden": hidden, "both": pools + hidden}[placement]
    assert names(model, keras.layers.Dropout) == expected
    assert all(model.get_layer(name).rate == 0.4 for name in expected)


def test_no_dropout_by_default():
    assert names(VGGADE(convs=(1,), filters=(4,)), keras.layers.Dropout) == []


def test_open_family():
    model = VGGADE(convs=(1, 3), filters=(4, 6), hidden=(9,), kernel_size=5, pooling_type="average", batch_norm=True)
    assert names(model, keras.layers.AveragePooling2D) == ["stage1_pool", "stage2_pool"]
    assert model.get_layer("stage2_conv3").kernel.shape == (5, 5, 6, 6)
    assert names(model, keras.layers.Dense) == ["hidden1", "logits"]
    assert {layer.epsilon for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)} == {2e-5}
    linear = VGGADE(convs=(1,), filters=(4,), hidden=())
    assert names(linear, keras.layers.Dense) == ["logits"]


def test_chainers_initial_weights():
    keras.utils.set_random_seed(0)
    kernel, bias = VGGA().get_layer("hidden1").get_weights()
    assert kernel.std() == pytest.approx(1 / 64, rel=0.01)
    assert not bias.any()
