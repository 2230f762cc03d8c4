"""VGG-08 and VGG-38: equality with PyTorch, and the effect of every option."""

import keras
import numpy as np
import pytest

from kzoo.models import VGG, VGG08, VGG38
from tests.harness import call, check_call, images, parameters, randomize

FLAGS = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.backend
@pytest.mark.parametrize(
    ("builder", "blocks", "flags"),
    [
        (VGG08, 0, FLAGS[0]),
        (VGG08, 0, FLAGS[1]),
        *(pytest.param(VGG38, 5, flags, marks=pytest.mark.slow) for flags in FLAGS[:3]),
        (VGG38, 5, FLAGS[3]),
    ],
)
def test_logits_equal_pytorchs(builder, blocks, flags):
    pytest.importorskip("torch", reason="the reference is a PyTorch network")
    from torch_references import MEAN, STD, ThinVGG, copy_weights, logits

    batch_norm, residual = flags
    # Kernels that keep the signal's size: with the default ones, a plain VGG-38 returns the same logits for any image.
    initializer = "lecun_normal" if residual else "he_normal"
    keras.utils.set_random_seed(5)
    model = builder(
        batch_norm=batch_norm, residual=residual, kernel_initializer=initializer,
        classifier_activation=None, mean=MEAN, std=STD,
    )  # fmt: skip
    randomize(model)
    reference = ThinVGG(blocks, batch_norm, residual)
    copy_weights(model, reference)
    x = images(model, 4)
    ours = call(model, x)
    assert ours.std(axis=0).mean() > 0.01  # the outputs depend on the image
    np.testing.assert_allclose(ours, logits(reference, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("reduction", ["average", "max", "strided", "space-to-depth"])
@pytest.mark.parametrize("shortcut", ["none", "pooled", "projected"])
@pytest.mark.parametrize("size", [pytest.param((16, 16), marks=pytest.mark.slow), (13, 11)])
def test_every_reduction_and_shortcut(reduction, shortcut, size):
    plain = VGG(blocks=0, input_shape=(*size, 3), classes=4)
    model = VGG(blocks=0, reduction=reduction, shortcut=shortcut, input_shape=(*size, 3), classes=4)
    check_call(model)
    added = (3 * 9 * 3 * 32 * 32 if reduction == "space-to-depth" else 0) + (
        3 * 32 * 32 if shortcut == "projected" else 0
    )
    assert parameters(model) - parameters(plain) == added
    maps = [model.get_layer(f"stage{i}_reduction_conv2_act").output.shape[1:3] for i in (1, 2, 3)]
    expected, sizes = [], size
    for _ in range(3):
        sizes = tuple(-(-n // 2) if reduction == "strided" else n // 2 for n in sizes)
        expected.append(sizes)
    assert maps == expected


def test_projected_shortcut_is_normalized_with_batch_norm():
    model = VGG(blocks=0, batch_norm=True, shortcut="projected")
    assert model.get_layer("stage2_reduction_shortcut_bn").gamma.shape == (32,)
    assert "stage2_reduction_shortcut_bn" not in [layer.name for layer in VGG(blocks=0, shortcut="projected").layers]


def test_pooled_shortcut_adds_the_pooled_input():
    model = VGG(blocks=0, shortcut="pooled", input_shape=(8, 8, 3))
    taps = {name: model.get_layer(name).output for name in
            ("entry_conv_act", "stage1_reduction_conv2", "stage1_reduction_conv2_act")}  # fmt: skip
    out = {k: keras.ops.convert_to_numpy(v) for k, v in keras.Model(model.input, taps)(images(model)).items()}
    pooled = out["entry_conv_act"].reshape(2, 4, 2, 4, 2, 32).mean(axis=(2, 4))
    total = out["stage1_reduction_conv2"] + pooled
    np.testing.assert_allclose(out["stage1_reduction_conv2_act"], np.where(total > 0, total, 0.01 * total), atol=1e-3)


def test_blocks_per_stage_set_the_number_of_stages():
    model = VGG(blocks=(2, 0, 1, 1), filters=8, input_shape=(16, 16, 1), classes=3)
    names = {layer.name.rpartition("_conv")[0] for layer in model.layers if layer.name.endswith("_conv1")}
    assert names == {"stage1_block1", "stage1_block2", "stage3_block1", "stage4_block1"} | {
        f"stage{i}_reduction" for i in (1, 2, 3, 4)
    }
    check_call(model)


def test_kernel_size_stride_activation_and_dropout():
    model = VGG(blocks=0, kernel_size=5, entry_stride=2, activation="elu", dropout=0.5)
    assert model.get_layer("entry_conv").output.shape == (None, 16, 16, 32)
    assert model.get_layer("stage3_reduction_conv2").kernel.shape == (5, 5, 32, 32)
    assert isinstance(model.get_layer("entry_conv_act"), keras.layers.ELU)
    assert [layer.name for layer in model.layers[-4:]] == ["global_pool", "dropout", "logits", "predictions"]
    assert model.get_layer("dropout").rate == 0.5


def test_plain_network_ends_alike_for_all_images_and_batch_norm_does_not():
    spread = {}
    for batch_norm in (False, True):
        keras.utils.set_random_seed(0)
        model = VGG38(batch_norm=batch_norm, include_top=False, pooling="avg", mean=0.5, std=0.25)
        features = keras.ops.convert_to_numpy(model(images(model, 8), training=True))
        spread[batch_norm] = features.std(axis=0).max()
    assert spread[False] < 1e-6 < 0.1 < spread[True]
