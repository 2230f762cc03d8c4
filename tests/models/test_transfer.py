"""Feature extraction and named predictions."""

import keras
import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.models import VGG08, feature_extractor, top_k
from tests.harness import call, images


def test_one_layer_gives_one_output():
    model = VGG08()
    features = feature_extractor(model, "stage2_reduction_pool")
    assert features.output_shape == (None, 8, 8, 32)
    x = images(model)
    rest = keras.Model(model.get_layer("stage2_reduction_conv2").input, model.output)
    np.testing.assert_allclose(call(rest, call(features, x)), call(model, x), atol=1e-6)


def test_several_layers_give_a_dictionary_by_name():
    model = VGG08()
    names = ["entry_conv_act", "logits"]
    out = feature_extractor(model, names)(images(model))
    assert list(out) == names
    assert [tuple(value.shape) for value in out.values()] == [(2, 32, 32, 32), (2, 100)]


def test_weights_are_shared():
    model = VGG08()
    features = feature_extractor(model, "entry_conv")
    model.get_layer("entry_conv").kernel.assign(np.zeros((3, 3, 3, 32)))
    assert not call(features, images(model)).any()


def test_of_any_keras_model():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.Dense(2, name="b")])
    assert feature_extractor(model, "a").output_shape == (None, 3)


def test_layers_that_other_models_call_too():
    inner = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten()])
    x = y = keras.Input((4, 4, 1))
    for layer in [keras.layers.Rescaling(2.0), *inner.layers]:
        y = layer(y)
    outer = keras.Model(x, keras.layers.Dense(3)(y))
    pixels = np.random.default_rng(0).random((2, 4, 4, 1), np.float32)
    given = call(feature_extractor(outer, "conv"), pixels)
    np.testing.assert_allclose(given, call(feature_extractor(inner, "conv"), 2 * pixels), atol=1e-6)

    # A nested model, whose own output belongs to its own input.
    base = keras.Model(inner.inputs[0], inner.outputs[0], name="base")
    outer = keras.Model(x, keras.layers.Dense(3)(base(keras.layers.Rescaling(2.0)(x))))
    np.testing.assert_allclose(call(feature_extractor(outer, "base"), pixels), call(base, 2 * pixels), atol=1e-6)


def test_bad_layers():
    model = VGG08()
    with pytest.raises(InputError, match="did you mean 'logits'"):
        feature_extractor(model, "logit")
    with pytest.raises(InputError, match="at least one"):
        feature_extractor(model, [])
    unbuilt = keras.Sequential([keras.layers.Dense(3, name="a")])
    with pytest.raises(InputError, match="built Sequential"):
        feature_extractor(unbuilt, "a")


def test_top_k():
    probabilities = np.array([[0.1, 0.6, 0.3], [0.4, 0.2, 0.4]])
    names = ["cat", "dog", "bird"]
    assert top_k(probabilities, names, 2) == [[("dog", 0.6), ("bird", 0.3)], [("cat", 0.4), ("bird", 0.4)]]
    assert [name for name, _ in top_k(probabilities, names)[0]] == ["dog", "bird", "cat"]
    assert top_k(keras.ops.convert_to_tensor(probabilities), names, 1)[0][0][0] == "dog"


@pytest.mark.parametrize(
    ("shape", "names", "k"),
    [((2, 3), ["a", "b"], 1), ((3,), ["a", "b", "c"], 1), ((2, 2), ["a", "b"], 0), ((2, 2), ["a", "b"], 1.5)],
)
def test_bad_top_k(shape, names, k):
    with pytest.raises(InputError, match=r"probabilities of shape|k="):
        top_k(np.zeros(shape), names, k)
