"""What all builders share: input, normalization, top and weights."""

import inspect

import keras
import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.models import MLP, VGG08, VGG38, VGGADE, VGGE, LeNet, ResNet, ResNet24
from tests.harness import call, images, randomize


def named(value):
    """A test's name, which is the same in every process: a function's name, or the value."""
    return getattr(value, "__name__", str(value)[:60])


SMALL = [
    (VGG08, {}, (4, 4, 32)),
    (VGGADE, {"convs": (1, 1, 1), "filters": (8, 8, 16)}, (4, 4, 16)),
    (ResNet, {"blocks": (1, 1), "channels": (8, 16)}, (16, 16, 16)),
    (LeNet, {"layers": 2}, (9, 9, 32)),
]


@pytest.mark.parametrize(("builder", "options", "features"), SMALL, ids=named)
def test_without_top(builder, options, features):
    shape = (32, 32, 3)
    assert builder(include_top=False, input_shape=shape, **options).output_shape == (None, *features)
    for kind, reduce in {"avg": np.mean, "max": np.max}.items():
        keras.utils.set_random_seed(0)
        model = builder(include_top=False, pooling=kind, input_shape=shape, **options)
        x = images(model)
        inner = keras.Model(model.input, model.layers[-1].input)
        np.testing.assert_allclose(call(model, x), reduce(call(inner, x), axis=(1, 2)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("builder", "options", "features"), SMALL, ids=named)
def test_feature_map_of_any_size(builder, options, features):
    model = builder(include_top=False, input_shape=(None, None, 3), **options)
    x = np.zeros((1, 32, 32, 3), "float32")
    assert call(model, x).shape == (1, *features)


def test_mlp_without_top():
    assert MLP(include_top=False, hidden=(7,)).output_shape == (None, 7)
    assert MLP(hidden=()).count_params() == 3073 * 10


def test_fully_convolutional_top_takes_any_size():
    model = VGG08(input_shape=(None, None, 3))
    assert call(model, np.zeros((1, 40, 24, 3), "float32")).shape == (1, 100)


@pytest.mark.parametrize("builder", [VGG08, VGGE, ResNet24, LeNet, MLP])
def test_signature_starts_as_in_keras_applications(builder):
    theirs = [name for name in inspect.signature(keras.applications.ResNet50).parameters if name not in ("name",)]
    ours = list(inspect.signature(builder).parameters)
    assert ours[: len(theirs)] == theirs
    assert ours[7:10] == ["name", "mean", "std"]


def test_presets_carry_their_variants_options():
    parameters = inspect.signature(VGG38).parameters
    assert (parameters["blocks"].default, parameters["name"].default) == (5, "vgg38")
    assert inspect.signature(VGG08).parameters["blocks"].default == 0
    assert "VGG" in VGG08.__doc__
    assert VGG08(False).output_shape == (None, 4, 4, 32)
    with pytest.raises(TypeError, match="blokcs"):
        VGG08(blokcs=1)


def test_logits_and_probabilities():
    keras.utils.set_random_seed(3)
    model = VGG08(classes=5)
    assert [layer.name for layer in model.layers[-2:]] == ["logits", "predictions"]
    bare = VGG08(classes=5, classifier_activation=None)
    assert bare.layers[-1].name == "logits"
    bare.set_weights(model.get_weights())
    x = images(model)
    values = np.exp(call(bare, x))
    np.testing.assert_allclose(call(model, x), values / values.sum(axis=1, keepdims=True), rtol=1e-4)


def test_normalization_takes_pixels_to_mean_0_and_deviation_1():
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    model = VGG08(mean=mean, std=std)
    layer = model.get_layer("normalization")
    assert isinstance(layer, keras.layers.Rescaling)
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("uint8")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(layer(x)), (x / 255 - np.array(mean)) / np.array(std), rtol=1e-5, atol=1e-5
    )
    untold = VGG08()
    assert "normalization" not in [layer.name for layer in untold.layers]


def test_one_number_normalizes_every_channel():
    layer = VGGE(mean=0, std=1).get_layer("normalization")
    np.testing.assert_allclose(layer.scale, [1 / 255] * 3)


def test_input_tensor():
    image = keras.Input((20, 20, 3), name="mine")
    x = keras.layers.ZeroPadding2D(6)(image)
    model = VGG08(input_tensor=x, classes=4)
    assert model.input is image
    assert model.output_shape == (None, 4)
    with pytest.raises(InputError, match="differs from the input_tensor"):
        VGG08(input_tensor=x, input_shape=(20, 20, 3))
    small = keras.Input((7, 7, 3))
    with pytest.raises(InputError, match=r"smallest that fits is \(8, 8, 3\)"):
        VGG08(input_tensor=small)


@pytest.mark.parametrize("ending", [".weights.h5", ".keras"])
def test_weights_from_a_file(tmp_path, ending, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    model = VGG08(batch_norm=True, classes=6)
    randomize(model)
    path = tmp_path / f"mine{ending}"
    (model.save_weights if ending == ".weights.h5" else model.save)(path)
    again = VGG08(batch_norm=True, classes=6, weights=f"~/mine{ending}")
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match="cannot be loaded into 'vgg08'"):
        VGG08(batch_norm=True, classes=7, weights=path)


def test_broken_weights_file(tmp_path):
    path = tmp_path / "broken.weights.h5"
    path.write_bytes(b"not a file of weights")
    with pytest.raises(InputError, match="cannot be loaded"):
        VGG08(weights=path)


def test_channels_first_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(InputError, match="channels_last"):
        VGG08()
