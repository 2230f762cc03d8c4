"""Models from files, whose layers have names that Keras would give to operations added by an export."""

import keras
import numpy as np
import pytest

from kzoo.exporting.fold import fold_batch_norm
from kzoo.exporting.interface import with_interface
from kzoo.introspection.outputs import read_outputs

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 1)).astype("float32")


def dense(x, units=3, **options):
    return keras.layers.Dense(units, **options)(keras.layers.Flatten()(x))


def reshape(x):
    return dense(keras.layers.Reshape((4, 8))(x), activation="softmax", name="image")


def concatenate(x):
    return dense(keras.layers.Concatenate()([x, x]), 1, activation="sigmoid", name="image_1")


def zeros(x):
    return dense(keras.ops.subtract(x, keras.ops.zeros_like(x)), 1, activation="sigmoid")


def multiply(x):
    added = keras.layers.LeakyReLU()(keras.layers.Add()([x, x]))
    return dense(keras.layers.Multiply()([added, added]), activation="softmax")


def cast(x):
    return dense(keras.ops.cast(x, "float32"), name="probabilities")


def image(x):
    return dense(keras.layers.ReLU(name="image")(x), activation="softmax", name="probabilities")


@pytest.fixture(params=[reshape, concatenate, zeros, multiply, cast, image])
def model(request, tmp_path):
    inputs = keras.Input((6, 6, 1))
    scaled = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(2, 3, name="conv")(scaled))
    keras.Model(inputs, request.param(x)).save(tmp_path / "network.keras")
    keras.utils.clear_session()  # as in another process
    return keras.saving.load_model(tmp_path / "network.keras", compile=False)


def test_exported_operations_have_names_of_their_own(model):
    expected = model.predict(IMAGES, verbose=0)
    likeliest = read_outputs(model).model.predict(IMAGES, verbose=0).argmax(1)
    for outputs in (None, "probabilities", "logits"):
        for dtype in ("float32", "uint8"):
            copy, name, _ = with_interface(model, input=dtype, outputs=outputs)
            values = copy.predict(IMAGES.astype(dtype), verbose=0)[name]
            assert copy.inputs[0].name == "image"
            if outputs is None:
                np.testing.assert_allclose(values, expected, atol=1e-5)
            else:
                assert (values.argmax(1) == likeliest).all()


def test_folding_is_not_given_up_because_of_a_name(model):
    folded = fold_batch_norm(model)
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in folded.layers)
    np.testing.assert_allclose(folded.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-5)


def test_names_of_later_layers_do_not_depend_on_an_export(model):
    keras.utils.clear_session()
    with_interface(model)
    assert keras.layers.Reshape((1,)).name == "reshape"
