"""A file's outputs are compared with the network's raw outputs: an export that misreads them is refused."""

from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError, RunFailed
from kzoo.exporting import interface
from kzoo.exporting.export import export
from kzoo.exporting.interface import with_interface
from kzoo.exporting.predicting import Classifier
from kzoo.exporting.runtimes import Exported
from kzoo.introspection.output_kinds import as_probabilities
from kzoo.introspection.outputs import Outputs
from tests.exporting.conftest import on_tensorflow

pytestmark = pytest.mark.usefixtures("eagerly")

# The network's last activation and units, the kind that the export takes it for, and the requested outputs.
MISREAD = {
    "a softmax for logits": ("softmax", 5, "logits", "probabilities"),
    "logits for a softmax": ("linear", 5, "softmax", "probabilities"),
    "sigmoids for logits": ("sigmoid", 5, "logits", "probabilities"),
    "a softmax for logits, as it is": ("softmax", 5, "logits", "logits"),
    "sigmoids for a softmax": ("sigmoid", 5, "softmax", None),
}


def network(ending, units):
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 50)(image))
    return keras.Model(image, keras.layers.Dense(units, activation=ending)(flat))


@pytest.fixture(scope="module")
def read_right(tmp_path_factory):
    """Returns a network with a given ending, after an export of it with the same outputs."""
    folder, made = tmp_path_factory.mktemp("right"), {}

    def model(ending, units):
        if ending not in made:
            made[ending] = network(ending, units)
            assert export(made[ending], folder / f"{ending}.keras", outputs=None).parity.largest_difference < 1e-4
        return made[ending]

    return model


@pytest.mark.backend
@pytest.mark.parametrize("case", MISREAD)
def test_misread_outputs_are_refused(case, read_right, monkeypatch):
    ending, units, kind, outputs = MISREAD[case]
    model = read_right(ending, units)
    misread = Outputs(kind, units, model, kind == "logits")
    monkeypatch.setattr(interface, "read_outputs", lambda model: misread)
    with pytest.raises(RunFailed, match="the kind of the model's outputs was misread; nothing was written"):
        export(model, "net.keras", outputs=outputs)
    assert not Path("net.keras").exists()


def written_otherwise(end, activation=None):
    """A network that ends with `end`, applied to a dense layer."""
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 50)(image))
    return keras.Model(image, end(keras.layers.Dense(5, activation=activation)(flat)))


def float32(y):
    return keras.layers.Activation("linear", dtype="float32")(y)


SOFTMAXES = {
    "keras.ops.softmax": lambda: written_otherwise(keras.ops.softmax),
    "a float32 activation behind it": lambda: written_otherwise(float32, "softmax"),
    "Softmax() of a dense layer": lambda: written_otherwise(lambda y: y, keras.layers.Softmax()),
}
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 1)).astype("float32")


@pytest.mark.parametrize("case", SOFTMAXES)
def test_confidence_in_the_file_is_that_of_the_network(case):
    model = SOFTMAXES[case]()
    export(model, "net.keras", outputs="probabilities")
    expected = np.asarray(model.predict(IMAGES, verbose=0))
    assert expected.max() > 0.5
    np.testing.assert_allclose(Exported("net.keras")(IMAGES), expected, atol=1e-5)
    np.testing.assert_allclose(Classifier("net.keras").probabilities(IMAGES), expected, atol=1e-5)


@on_tensorflow
def test_functions_that_keras_does_not_know_by_name():
    import tensorflow as tf

    model = written_otherwise(lambda y: y, tf.nn.softmax)
    export(model, "net", "savedmodel", outputs="probabilities")
    np.testing.assert_allclose(Exported("net")(IMAGES), model.predict(IMAGES, verbose=0), atol=1e-5)
    with pytest.raises(
        InputError, match=r"cannot be loaded again from a \.keras file .*functions that Keras finds by name"
    ):
        export(model, "net.keras", outputs="probabilities")

    class Custom(keras.layers.Layer):
        def __init__(self, factor):
            super().__init__(name="own")
            self.factor = factor

        def call(self, x):
            return x * self.factor

    with pytest.raises(InputError, match=r"layer 'own' cannot be copied .*: give its class a get_config"):
        export(written_otherwise(Custom(2.0), "softmax"), "own.keras")
    assert [path.name for path in Path().iterdir()] == ["net"]


def test_several_sigmoids_are_probabilities_of_labels():
    model = network("sigmoid", 3)
    model.save("plain.keras")
    export(model, "net.keras", class_names=["a", "b", "c"])
    for name in ("plain.keras", "net.keras"):
        probabilities = Classifier(name).probabilities(IMAGES)
        np.testing.assert_allclose(probabilities, model.predict(IMAGES, verbose=0), atol=1e-5)
    assert not np.allclose(probabilities.sum(-1), 1, atol=0.05)


@pytest.mark.parametrize("outputs", [None, "probabilities", "logits"])
def test_one_sigmoid_is_left_or_becomes_two_classes(outputs):
    model = network("sigmoid", 1)
    with_two, name, kind = with_interface(model, outputs=outputs, named=False)
    assert (name, kind) == {
        None: ("outputs", "sigmoid"), "probabilities": ("probabilities", "softmax"), "logits": ("logits", "logits"),
    }[outputs]  # fmt: skip
    raw, two = (keras.ops.convert_to_numpy(each(IMAGES)) for each in (model, with_two))
    if outputs is None:
        np.testing.assert_allclose(two, raw, atol=1e-6)
    else:
        np.testing.assert_allclose(as_probabilities(two, kind), np.hstack([1 - raw, raw]), atol=1e-6)


def test_names_of_classes_go_from_a_set_into_files_and_back():
    model = kzoo.create_model("lenet1-max", weights="emnist")
    assert model.class_names[10:13] == ("A", "B", "C")
    export(model, "set.keras", fold=False)
    assert Classifier("set.keras").names(47) == list(model.class_names)
    again = kzoo.create_model("lenet1-max", weights="set.keras", mean=0.1724, std=0.331)
    assert again.class_names == model.class_names
    assert kzoo.create_model("lenet1-max", weights="set.keras", mean=0.1724, std=0.331, include_top=False).layers
    again.save_weights("again.weights.h5")  # contains no names
    other = kzoo.create_model("lenet1-max", weights="again.weights.h5", mean=0.1724, std=0.331)
    assert not hasattr(other, "class_names")
    np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
