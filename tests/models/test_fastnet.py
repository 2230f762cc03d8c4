"""FastNet: its shape as in the paper, whitening, identity filters, and the properties of every family."""

import keras
import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.exporting.fold import fold_batch_norm
from kzoo.introspection.layer_table import layer_table
from kzoo.models import FastNet, FastNetL, FastNetS, create_model
from kzoo.models.whitening import LAYER, adapt, whitening_kernel
from kzoo.training.directory import custom_model
from kzoo.training.train import _copied
from tests.harness import call, check_model, images, parameters, randomize

SMALL = {"widths": (8, 12), "input_shape": (16, 16, 3), "classes": 4}
STATISTICS = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.25, 0.3)}


def photos(count=60, size=16, channels=3, seed=0):
    """Smooth images, whose neighbouring pixels are correlated, as in photographs."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (count, size // 4 + 1, size // 4 + 1, channels))
    smooth = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)[:, 1 : size + 1, 1 : size + 1]
    return np.clip(smooth + rng.normal(0, 10, smooth.shape), 0, 255).astype("uint8")


def by_hand(widths, convs, classes, channels=3):
    """Trainable parameters: a whitening bias, 3x3 kernels, BatchNorm's shifts, the classifier."""
    total, before = 8 * channels, 8 * channels
    for width in widths:
        total += 9 * before * width + (convs - 1) * 9 * width * width + convs * width
        before = width
    return total + before * classes


@pytest.mark.parametrize("options", [{}, {"convs": 3, "residual": True}, {"whiten": False, "identity": False}])
def test_promises_of_every_family(tmp_path, options):
    expected = by_hand(SMALL["widths"], options.get("convs", 2), 4) + (4 * 3 * 24 if "whiten" in options else 0)
    check_model(lambda: FastNet(**SMALL, **STATISTICS, **options), tmp_path, expected)


def test_the_papers_network():
    model = FastNetS()
    assert parameters(model) == by_hand((64, 256, 256), 2, 10)
    table = {row.name: row for row in layer_table(model).rows}
    sides = [table[f"stage{stage}_conv1"].output_shape[0] for stage in (1, 2, 3)]
    assert (table[LAYER].output_shape, sides) == ((31, 31, 24), [31, 15, 7])
    assert table["stage3_conv2_act"].output_shape == (3, 3, 256)
    # 0.29 PFLOP, as its author counts: three times the forward pass, two operations each, 8 epochs of 50,000 images.
    assert 2 * 3 * layer_table(model).multiply_adds * 400_000 == pytest.approx(0.29e15, rel=0.05)
    assert parameters(FastNetL()) < 12e6


@pytest.mark.backend
def test_logits_equal_pytorchs():
    pytest.importorskip("torch", reason="the reference is a PyTorch network")
    from tests.models import torch_references as theirs

    model = FastNetS(widths=(16, 24, 32), classifier_activation=None, mean=theirs.MEAN, std=theirs.STD)
    randomize(model)
    reference = theirs.FastNet((16, 24, 32))
    theirs.copy_weights(model, reference)
    x = images(model, 3)
    ours = call(model, x)
    assert ours.std(axis=0).mean() > 1e-3
    np.testing.assert_allclose(ours, theirs.logits(reference, x), atol=1e-4, rtol=1e-3)


def test_whitened_patches_are_uncorrelated():
    values = photos().astype("float32") / 255
    kernel = whitening_kernel(values, (2, 2), epsilon=0)
    assert kernel.shape == (2, 2, 3, 24)
    np.testing.assert_array_equal(kernel[..., :12], -kernel[..., 12:])
    out = keras.ops.convert_to_numpy(keras.ops.conv(values, kernel, padding="valid"))[..., :12].reshape(-1, 12)
    np.testing.assert_allclose(out.T @ out / len(out), np.eye(12), atol=2e-3)


def test_adapting_sees_what_the_layer_sees_and_leaves_the_rest():
    model = FastNet(**SMALL, **STATISTICS)
    before = {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}
    assert adapt(model, photos())
    changed = [w.path for w in model.weights if not np.array_equal(before[w.path], keras.ops.convert_to_numpy(w))]
    assert changed == [f"{LAYER}/kernel"]
    seen = (photos() / 255 - STATISTICS["mean"]) / STATISTICS["std"]
    wanted = whitening_kernel(seen.astype("float32"), (2, 2))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model.get_layer(LAYER).kernel), wanted, atol=1e-3)
    assert f"{LAYER}/kernel" not in [weight.path for weight in model.trainable_weights]
    assert not adapt(create_model("lenet1-max", input_shape=(16, 16, 3)), photos())


def test_copies_and_resumed_runs_do_not_train_the_whitening_kernel(tmp_path):
    model = FastNet(**SMALL)
    adapt(model, photos())
    model.save(tmp_path / "initial.keras")
    for other in (_copied(model), custom_model(tmp_path)):
        assert [weight.path for weight in other.trainable_weights] == [
            weight.path for weight in model.trainable_weights
        ]
    assert layer_table(model, (16, 16, 3)).trainable_parameters == parameters(model)


def test_a_whitening_kernel_that_was_not_adapted_is_reported():
    model = FastNet(**SMALL)
    with pytest.warns(UserWarning, match=r"kzoo\.models\.whitening\.adapt\(model, images\)"):
        _copied(model)
    adapt(model, photos())
    _copied(model)
    _copied(FastNet(**SMALL, whiten=False))


def test_first_filters_pass_their_channel_through():
    model = FastNet(**SMALL)
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 24)).astype("float32")
    layer = model.get_layer("stage1_conv1")
    np.testing.assert_allclose(keras.ops.convert_to_numpy(layer(x)), x[..., :8], atol=1e-6)
    wide = keras.ops.convert_to_numpy(model.get_layer("stage2_conv1").kernel)
    assert np.abs(wide[..., 8:]).min() > 0


@pytest.mark.parametrize("shape", [(8, 8, 1), (28, 28, 1), (40, 24, 3), (2, 2, 4)])
def test_any_image(shape):
    model = FastNet(widths=(4, 4, 4), input_shape=shape, classes=3)
    y = call(model, images(model))
    assert y.shape == (2, 3)
    alone = FastNet(widths=(1,), input_shape=shape, classes=1, classifier_activation=None)
    assert np.isfinite(keras.ops.convert_to_numpy(alone.get_layer("logits").kernel)).all()
    features = FastNet(widths=(4, 4, 4), input_shape=shape, include_top=False, pooling="avg")
    assert features.output_shape == (None, 4)


def test_folding_leaves_only_what_follows_a_pool():
    model = FastNet(**SMALL, **STATISTICS)
    randomize(model)
    folded = fold_batch_norm(model)
    left = [layer.name for layer in folded.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert left == ["stage1_conv1_bn", "stage2_conv1_bn"]
    x = images(model)
    np.testing.assert_allclose(call(folded, x), call(model, x), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"convs": 4}, "convs=4: must be 2 or 3"),
        ({"widths": ()}, "at least one stage"),
        ({"activation": "tanh"}, "activation"),
        ({"momentum": 1}, "momentum=1"),
        ({"head_scale": 0}, "head_scale=0"),
        ({"input_shape": (1, 1, 3)}, r"smallest that fits is \(2, 2, 3\)"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(InputError, match=message):
        FastNet(**options)


def test_the_classifier_starts_with_a_standard_deviation_of_one():
    kernel = keras.ops.convert_to_numpy(FastNetS(widths=(16, 24, 32)).get_layer("logits").kernel)
    assert kernel.std() == pytest.approx(1, rel=1e-5)
    assert abs(kernel).max() < 2.2  # uniform, so from -1.73 to 1.73, and slightly more for few values
