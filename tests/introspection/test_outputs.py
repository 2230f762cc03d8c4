"""The kind of the outputs follows from what a network computes, and class probabilities equal the network's."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy.special import softmax

from kzoo.errors import InputError
from kzoo.introspection.output_kinds import as_probabilities, kind_of
from kzoo.introspection.outputs import class_outputs, read_outputs, without_ending

IMAGES = np.random.default_rng(1).uniform(0, 255, (6, 8, 8, 3)).astype("float32")


def network(end=lambda y: y, outputs=4, activation=None):
    """A small network that ends with a dense layer and `end`, applied to it."""
    x = keras.Input((8, 8, 3))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(x)))
    wide = keras.initializers.RandomNormal(stddev=5)
    y = layers.Dense(outputs, activation=activation, kernel_initializer=wide, bias_initializer=wide)(y)
    return keras.Model(x, end(y))


def of_custom_class(outputs, end):
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat, self.dense = layers.Flatten(), layers.Dense(outputs)

        def call(self, x):
            return end(self.dense(self.flat(x / 255.0)))

    model = Custom()
    model(IMAGES)
    return model


def stack(*parts):
    return keras.Sequential([layers.Input((8, 8, 3)), *parts])


def shares(y):
    return y / ops.sum(y, axis=-1, keepdims=True)


def float32():
    return layers.Activation("linear", dtype="float32")


def wrapped(activation):
    return layers.SpectralNormalization(layers.Dense(4, activation=activation))


CASES = {
    "logits": ("logits", lambda: network()),
    "two logits": ("logits", lambda: network(outputs=2)),
    "logits in float32": ("logits", lambda: network(float32())),
    "logits by a temperature": ("logits", lambda: network(lambda y: y / 300)),
    "log softmax": ("logits", lambda: network(ops.log_softmax)),
    "logarithm of a softmax": ("logits", lambda: network(lambda y: ops.log(ops.softmax(y) + 1e-9))),
    "map and pooling": ("logits", lambda: stack(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D())),
    "custom class, small logits": ("logits", lambda: of_custom_class(2, lambda y: y * 0.001)),
    # Between 0 and 1 by chance, until the weights are moved far, down, or a little.
    "custom class, near 0.4": ("logits", lambda: of_custom_class(2, lambda y: y * 1e-3 + 0.4)),
    "custom class, never above 0.9": ("logits", lambda: of_custom_class(2, lambda y: ops.minimum(y * 1e-3 + 0.4, 0.9))),
    "custom class, exponential": ("logits", lambda: of_custom_class(2, lambda y: ops.exp(y * 0.3 - 1))),
    "Softmax": ("softmax", lambda: network(layers.Softmax())),
    "Activation": ("softmax", lambda: network(layers.Activation("softmax"))),
    "ops.softmax": ("softmax", lambda: network(ops.softmax)),
    "Lambda": ("softmax", lambda: network(layers.Lambda(lambda y: ops.softmax(y)))),
    "dense softmax": ("softmax", lambda: network(activation="softmax")),
    "dense Softmax()": ("softmax", lambda: network(activation=layers.Softmax())),
    "dense ops.softmax": ("softmax", lambda: network(activation=ops.softmax)),
    "softmax, then float32": ("softmax", lambda: network(lambda y: float32()(layers.Softmax()(y)))),
    "wrapped dense": ("logits", lambda: stack(layers.Flatten(), wrapped(None))),
    "wrapped dense softmax": ("softmax", lambda: stack(layers.Flatten(), wrapped("softmax"))),
    "wrapped dense softmax, then float32": (
        "softmax",
        lambda: stack(layers.Flatten(), wrapped("softmax"), float32()),
    ),
    "dense softmax, then float32": ("softmax", lambda: network(float32(), activation="softmax")),
    "softmax, then dropout": ("softmax", lambda: network(lambda y: layers.Dropout(0.5)(layers.Softmax()(y)))),
    "softmax, then rescaled by 1": ("softmax", lambda: network(lambda y: layers.Rescaling(1.0)(layers.Softmax()(y)))),
    "temperature": ("softmax", lambda: network(lambda y: layers.Softmax()(layers.Rescaling(1 / 3)(y)))),
    "smoothed": ("softmax", lambda: network(lambda y: layers.Softmax()(y) * 0.9 + 0.025)),
    "two softmaxes": ("softmax", lambda: network(lambda y: layers.Softmax()(layers.Softmax()(y)))),
    "ensemble": ("softmax", lambda: network(lambda y: layers.Average()([ops.softmax(y), ops.softmax(-y)]))),
    "softmax of a map": ("softmax", lambda: stack(layers.Conv2D(4, 8, activation="softmax"), layers.Flatten())),
    "nested": ("softmax", lambda: stack(network(layers.Softmax()))),
    "nested softmax alone": (
        "softmax",
        lambda: stack(network(), keras.Sequential([layers.Input((4,)), layers.Softmax()])),
    ),
    "softmax by hand": ("softmax", lambda: network(lambda y: shares(ops.exp(y)))),
    "softmax by hand, safe": ("softmax", lambda: network(lambda y: shares(ops.exp(y - ops.max(y, -1, keepdims=True))))),
    "shares of sigmoids": ("softmax", lambda: network(lambda y: shares(ops.sigmoid(y) + 1e-3))),
    "dense shares": ("softmax", lambda: network(activation=lambda y: shares(ops.softplus(y)))),
    "dense relu": ("logits", lambda: network(activation="relu")),
    "dense tanh": ("logits", lambda: network(activation="tanh")),
    "dense softplus": ("logits", lambda: network(activation="softplus")),
    "dense log softmax": ("logits", lambda: network(activation="log_softmax")),
    "dense hard sigmoids": ("sigmoids", lambda: network(activation="hard_sigmoid")),
    "custom class, softmax": ("softmax", lambda: of_custom_class(4, ops.softmax)),
    "dense sigmoid": ("sigmoid", lambda: network(outputs=1, activation="sigmoid")),
    "sigmoid layer": ("sigmoid", lambda: network(layers.Activation("sigmoid"), outputs=1)),
    "sigmoid, then float32": ("sigmoid", lambda: network(lambda y: float32()(ops.sigmoid(y)), outputs=1)),
    "nested sigmoid": ("sigmoid", lambda: stack(network(ops.sigmoid, outputs=1))),
    "custom class, sigmoid": ("sigmoid", lambda: of_custom_class(1, ops.sigmoid)),
    "sigmoids": ("sigmoids", lambda: network(activation="sigmoid")),
    "two sigmoids": ("sigmoids", lambda: network(ops.sigmoid, outputs=2)),
    "custom class, sigmoids": ("sigmoids", lambda: of_custom_class(3, ops.sigmoid)),
}
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    CASES["tf.nn.softmax in a layer"] = ("softmax", lambda: network(layers.Activation(tf.nn.softmax)))
    CASES["dense tf.nn.softmax"] = ("softmax", lambda: network(activation=tf.nn.softmax))
    CASES["Lambda tf.nn.softmax"] = ("softmax", lambda: network(layers.Lambda(tf.nn.softmax)))
    CASES["tf.nn.sigmoid"] = ("sigmoid", lambda: network(outputs=1, activation=tf.nn.sigmoid))


# No single layer or operation computes the probabilities, so there is none to leave out.
WITHOUT_ENDING = {
    *("smoothed", "ensemble", "softmax of a map", "softmax by hand", "softmax by hand, safe", "shares of sigmoids"),
    *(
        "dense shares",
        "dense hard sigmoids",
        "custom class, softmax",
        "custom class, sigmoid",
        "custom class, sigmoids",
    ),
    *("wrapped dense softmax", "wrapped dense softmax, then float32"),
}
# The view ends before these, with logits; layers with weights or in a nested model stay whole.
LEFT_OUT = {
    *("Softmax", "Activation", "ops.softmax", "Lambda", "softmax, then float32", "softmax, then dropout"),
    *("softmax, then rescaled by 1", "temperature", "two softmaxes", "sigmoid layer", "sigmoid, then float32"),
    *("tf.nn.softmax in a layer", "Lambda tf.nn.softmax"),
}


@pytest.mark.parametrize("case", CASES)
def test_kind_and_probabilities(case):
    kind, make = CASES[case]
    model = make()
    outputs = read_outputs(model)
    assert outputs.kind == kind
    assert (outputs.ending is None) == (kind == "logits" or case in WITHOUT_ENDING)
    assert outputs.logits == (kind == "logits" or case in LEFT_OUT)
    raw = np.asarray(ops.convert_to_numpy(model(IMAGES)))
    assert outputs.classes == (2 if kind == "sigmoid" else raw.shape[-1])

    # The view's outputs, read as the kind that it states, give the probabilities of the network's raw outputs.
    by_view = np.asarray(ops.convert_to_numpy(outputs.model(IMAGES)))
    of_view = as_probabilities(by_view, "logits" if outputs.logits else "sigmoids" if kind == "sigmoids" else "softmax")
    expected = softmax(raw, axis=-1) if kind == "logits" else raw
    expected = np.concatenate([1 - raw, raw], -1) if kind == "sigmoid" else expected
    assert of_view == pytest.approx(expected, abs=1e-4)

    # Without its ending, the network returns logits; afterwards, the ending is restored.
    with without_ending(outputs.ending):
        let_through = np.asarray(ops.convert_to_numpy(model(IMAGES)))
    if outputs.ending is not None and kind == "softmax":
        assert as_probabilities(let_through, "logits") == pytest.approx(expected, abs=1e-4)
    if outputs.ending is not None and kind in ("sigmoid", "sigmoids"):
        assert 1 / (1 + np.exp(-let_through)) == pytest.approx(raw, abs=1e-4)
    assert np.asarray(ops.convert_to_numpy(model(IMAGES))) == pytest.approx(raw, abs=1e-6)


def _two_outputs():
    x = keras.Input((8, 8, 3))
    y = layers.Flatten()(x)
    return x, layers.Dense(2, name="a")(y), layers.Dense(3, name="b")(y)


def _sum_of_softmaxes():
    x, *_ = _two_outputs()
    y = layers.Flatten()(x)
    return keras.Model(x, layers.Add()([layers.Dense(4, activation="softmax")(y) for _ in range(2)]))


class Pair(keras.Model):
    """A custom class with two outputs."""

    def call(self, images):
        return images[:, 0, 0], images[:, 1, 1]


def _pair():
    model = Pair()
    model(np.zeros((1, 6, 6, 3), "float32"))
    return model


REFUSED = {
    "a sum of softmaxes": ("positive and add up to 2 for every image", _sum_of_softmaxes),
    "two outputs of a class": ("a dictionary or several outputs: one output", _pair),
    "percentages": ("something after its softmax", lambda: network(lambda y: layers.Rescaling(100.0)(ops.softmax(y)))),
    "one logit": ("one output without a sigmoid", lambda: network(outputs=1)),
    "a softmax over one": (
        "a softmax over one output is always 1",
        lambda: network(lambda y: layers.Lambda(lambda v: v * 0 + 1)(y), outputs=1, activation="softmax"),
    ),
    "a softmax over the images": (
        "different outputs for an image alone and in a batch",
        lambda: network(layers.Softmax(axis=0)),
    ),
    "a map": (
        r"outputs of shape \(6, 6, 4\): one output .*: end it in global pooling",
        lambda: stack(layers.Conv2D(4, 3, activation="softmax")),
    ),
    "of any width": (
        r"outputs of shape \(None,\): one output \(batch, classes\) is needed$",
        lambda: keras.Sequential([layers.Input((None,)), layers.ReLU()]),
    ),
    "two outputs": (
        "a dictionary or several outputs",
        lambda: (lambda x, a, b: keras.Model(x, [a, b]))(*_two_outputs()),
    ),
    "a dictionary": (r"several outputs \(a\)", lambda: (lambda x, a, b: keras.Model(x, {"a": a}))(*_two_outputs())),
}


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis")
@pytest.mark.parametrize("case", REFUSED)
def test_one_error_for_what_is_neither(case):
    message, make = REFUSED[case]
    with pytest.raises(InputError, match=message):
        read_outputs(make())


@pytest.mark.parametrize(
    ("rows", "kind", "rounded"),  # `rounded`: the kind if each value can be off by 0.01
    [
        ([[0.2, 0.8], [0.0, 1.0]], "softmax", "softmax"),
        ([[0.0, 1.0005]], "softmax", "softmax"),
        ([[-0.005, 1.005]], "logits", "softmax"),
        ([[0.0, 1.02]], "logits", "logits"),
        ([[-0.02, 1.0]], "logits", "logits"),
        ([[0.3, 0.704]], "softmax", "softmax"),
        ([[0.3, 0.72]], "sigmoids", "softmax"),
        ([[0.3, 0.7], [0.3, 0.74]], "sigmoids", "sigmoids"),
        ([[0.3], [0.9]], "sigmoid", "sigmoid"),
        ([[1.005]], "logits", "sigmoid"),
        ([[-0.5]], "logits", "logits"),
    ],
)
def test_kinds_by_values_alone(rows, kind, rounded):
    assert (kind_of([np.array(rows)]), kind_of([np.array(rows)], rounding=0.01)) == (kind, rounded)
    assert kind_of([np.array([[0.5] * len(rows[0])]), np.array(rows) * 9]) == "logits"  # one trial is enough


def test_logits_are_the_models_own_where_models_share_their_softmax():
    x = keras.Input((8, 8, 3))
    features, end = layers.GlobalAveragePooling2D()(x), layers.Softmax()
    for model in [keras.Model(x, end(layers.Dense(4)(features))) for _ in range(2)]:
        logits = ops.convert_to_numpy(read_outputs(model).model(IMAGES))
        np.testing.assert_allclose(softmax(logits, axis=-1), ops.convert_to_numpy(model(IMAGES)), atol=1e-5)


def test_several_sigmoids_are_not_classes():
    with pytest.raises(InputError, match="ends in 4 sigmoids, that is several labels for one image"):
        class_outputs(network(activation="sigmoid"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_the_same_on_every_backend(backend, monkeypatch):
    if backend == keras.backend.backend():
        pytest.skip("this process")
    pytest.importorskip(backend)
    monkeypatch.setenv("KERAS_BACKEND", backend)
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", __file__]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:]
