"""Gradients agree between backends and with finite differences, and computing them changes nothing."""

import importlib.util
import os
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

import kzoo
from kzoo.errors import InputError
from kzoo.introspection.gradients import (
    LossProbe,
    activation_gradients,
    input_gradients,
    layer_outputs,
    parameter_gradients,
)
from kzoo.introspection.layers import find_kernels, find_layers

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 8, 2)).astype("uint8")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def network(dtype="float32", dropout=0.0, softmax=True):
    keras.utils.set_random_seed(1)
    x = inputs = keras.Input((8, 8, 2), dtype=dtype.removeprefix("mixed_b").replace("float16", "float32"))
    x = layers.Rescaling(1 / 64, offset=-2, dtype=dtype)(x)
    x = layers.Conv2D(4, 3, padding="same", name="first", dtype=dtype)(x)
    x = shortcut = layers.LeakyReLU(0.1, dtype=dtype)(x)
    x = layers.BatchNormalization(momentum=0.9, name="norm", dtype=dtype)(x)
    x = layers.Conv2D(4, 3, padding="same", name="second", dtype=dtype)(x)
    x = layers.Dropout(dropout, seed=3, dtype=dtype)(x)
    x = layers.Add(dtype=dtype)([x, shortcut])
    x = layers.MaxPooling2D(dtype=dtype)(x)
    x = layers.AveragePooling2D(2, dtype=dtype)(x)
    x = layers.Dense(5, activation="tanh", name="hidden", dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    x = layers.Dense(3, name="classes", dtype=dtype)(x)
    return keras.Model(inputs, layers.Softmax(dtype=dtype)(x) if softmax else x, name="small")


def compute(folder: Path, backend: str) -> dict[str, dict[str, np.ndarray]]:
    """The values of `gradients_child` on a backend, by dtype."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1"}
    command = [sys.executable, str(Path(__file__).with_name("gradients_child.py")), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return {dtype: dict(np.load(folder / f"{backend}-{dtype}.npz")) for dtype in ("float32", "float64")}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gradients")
    model = network()
    model.save(folder / "float32.keras")
    double = network("float64")
    double.set_weights([weight.astype("float64") for weight in model.get_weights()])
    double.save(folder / "float64.keras")
    np.savez(folder / "data.npz", images=IMAGES, labels=LABELS)
    return folder


@pytest.fixture(scope="module")
def here(saved):
    return compute(saved, keras.backend.backend())


def error(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values - expected).max() / np.abs(expected).max())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras has double precision on TensorFlow alone")
@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_the_slope_of_the_loss(training):
    model = network("float64")
    slopes = parameter_gradients(model, IMAGES, LABELS, training=training).gradients
    rng, probe, step = np.random.default_rng(2), LossProbe(model, IMAGES, LABELS, training=training), 1e-6
    for variable, slope in zip(model.trainable_variables, slopes, strict=True):
        value, way = np.array(ops.convert_to_numpy(variable)), rng.normal(size=variable.shape)
        losses = []
        for sign in (1, -1):
            variable.assign(value + sign * step * way)
            losses.append(probe().loss)
        variable.assign(value)
        expected = (losses[0] - losses[1]) / (2 * step)
        assert np.vdot(ops.convert_to_numpy(slope), way) == pytest.approx(expected, rel=1e-4, abs=1e-8), variable.path


# On other backends, Keras's mean and BatchNorm round to single precision; `test_backends_agree` tests these.
@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras has double precision on TensorFlow alone")
def test_gradients_are_finite_differences(here):
    of_weights, of_input = here["float64"]["difference weights"], here["float64"]["difference input"]
    assert len(of_weights) == 10
    # Every weight has an effect, because a sum after BatchNorm adds values that it does not normalize.
    assert np.abs(of_weights).min() > 1e-4
    np.testing.assert_allclose(of_weights[:, 0], of_weights[:, 1], rtol=1e-5)
    np.testing.assert_allclose(of_input[0], of_input[1], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.representative
def test_single_precision_is_double_precision_rounded(here):
    for key, value in here["float32"].items():
        assert error(value, here["float64"][key]) < 1e-5, key


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_backends_agree(saved, here, backend):
    if backend == keras.backend.backend() or not importlib.util.find_spec(backend):
        pytest.skip("the backend of this process" if importlib.util.find_spec(backend) else f"no {backend} here")
    there = compute(saved, backend)
    for dtype in ("float32", "float64"):
        shared = there[dtype].keys() & here[dtype].keys()
        assert len(shared) == 2 * (1 + 10) + 3
        for key in shared:
            assert error(there[dtype][key], here[dtype][key]) < 1e-5, (dtype, key)


def global_state():
    state = [random.getstate(), tuple(np.random.get_state()[1])]
    if keras.backend.backend() == "torch":
        import torch

        state.append(torch.random.get_rng_state().numpy().tolist())
    return state


@pytest.mark.parametrize("training", [True, False])
def test_nothing_changes(training):
    model = network(dropout=0.5)
    model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
    model.train_on_batch(IMAGES, LABELS)
    if keras.backend.backend() == "torch":
        for variable in model.trainable_variables:
            variable.value.grad = variable.value.detach() * 2
    before = [np.array(ops.convert_to_numpy(v)) for v in model.variables]
    random_before, calls = global_state(), [layer.__dict__.get("call") for _, layer in find_layers(model)]
    probe = LossProbe(model, IMAGES, LABELS, training=training)
    losses = [probe().loss, probe().loss, parameter_gradients(model, IMAGES, LABELS, training=training).loss]
    layer_outputs(model, ["first", "hidden"], IMAGES, training=training)
    activation_gradients(model, "second", IMAGES, lambda outputs: outputs[:, 0], training=training)
    input_gradients(model, IMAGES, lambda outputs: outputs[:, 0])
    assert random_before == global_state()
    assert calls == [layer.__dict__.get("call") for _, layer in find_layers(model)]
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value, err_msg=variable.path)
    if keras.backend.backend() == "torch":
        for variable in model.trainable_variables:
            assert (variable.value.grad == variable.value.detach() * 2).all()
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


def test_training_mode_is_batch_statistics_and_dropout():
    model = network()
    expected = model(IMAGES, training=True)
    loss = -np.log(ops.convert_to_numpy(expected)[np.arange(6), LABELS]).mean()
    model = network()
    assert parameter_gradients(model, IMAGES, LABELS).loss == pytest.approx(loss, rel=1e-5)
    assert parameter_gradients(model, IMAGES, LABELS, training=False).loss != pytest.approx(loss, rel=1e-3)
    model = network(dropout=0.5)
    name = next(layer.name for layer in model.layers if isinstance(layer, layers.Dropout))
    dropped, kept = (layer_outputs(model, [name], IMAGES, **options)[0] for options in ({"training": True}, {}))
    looked_at = activation_gradients(model, name, IMAGES, lambda outputs: outputs[:, 0]).activations
    np.testing.assert_allclose(looked_at, kept, rtol=1e-4, atol=1e-6)  # by default, dropout is off in both
    assert (dropped == 0).mean() == pytest.approx(0.5, abs=0.1)
    assert (kept == 0).mean() < 0.01


def test_a_compiled_probe_follows_the_weights():
    model = network()
    probe = LossProbe(model, IMAGES, LABELS)
    before = probe()
    model.set_weights([weight * 1.1 for weight in model.get_weights()])
    after, once = probe(), parameter_gradients(model, IMAGES, LABELS)
    assert after.loss != before.loss
    assert after.loss == pytest.approx(once.loss, rel=1e-5)
    for a, b in zip(after.gradients, once.gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max())


def test_logits_probabilities_and_soft_targets():
    with_softmax, logits = network(), network(softmax=False)
    inputs = with_softmax.input
    dense = layers.Dense(3, activation="softmax")
    probabilities = keras.Model(inputs, dense(with_softmax.get_layer("hidden").output))
    dense.set_weights(with_softmax.get_layer("classes").get_weights())
    all_ = [parameter_gradients(m, IMAGES, LABELS) for m in (with_softmax, logits, probabilities)]
    soft = parameter_gradients(logits, IMAGES, np.eye(3)[LABELS])
    for other in [*all_[1:], soft]:
        assert other.loss == pytest.approx(all_[0].loss, rel=1e-5)
        for a, b in zip(other.gradients, all_[0].gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * np.abs(b).max())


@keras.saving.register_keras_serializable("kzoo-tests")
class Block(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = layers.Conv2D(2, 3, padding="same", name="convolution")

    def call(self, inputs):
        return inputs + self.convolution(self.convolution(inputs))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="subclassed")
        self.block, self.pool, self.top = Block(name="block"), layers.Flatten(), layers.Dense(3, name="top")
        self.unused = layers.Dense(2, name="unused")

    def call(self, inputs, training=None):
        return self.top(self.pool(self.block(inputs)))


def nested():
    inputs = keras.Input((8, 8, 2))
    inner = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(2, 3, name="conv"), layers.ReLU()], name="inner")
    x = layers.Dense(3, name="top")(layers.Flatten()(inner(Block(name="block")(inputs))))
    return keras.Model(inputs, layers.Softmax()(x), name="outer")


def test_layers_of_nested_and_subclassed_models():
    paths = [path for path, _ in find_layers(nested())]
    assert [path for path in paths if "/" in path][:2] == ["block/convolution", "inner/conv"]
    assert len(paths) == 6
    assert paths[-2] == "top"
    model = Subclassed()
    model(IMAGES.astype("float32"))
    assert [path.split("/")[0] for path, _ in find_layers(model)][::2] == ["block", "top"]


def test_kernels_within_a_layer_that_has_weights_of_its_own_are_listed_once():
    class Scaled(keras.layers.Layer):
        def __init__(self):
            super().__init__(name="scaled")
            self.inner = keras.layers.Dense(2, name="inner")

        def build(self, shape):
            self.scale = self.add_weight(shape=(1,), name="scale")
            self.inner.build(shape)

        def call(self, x):
            return self.scale * self.inner(x)

    model = keras.Sequential([keras.Input((4,)), Scaled(), keras.layers.Dense(3, name="top")])
    assert [path for path, _ in find_kernels(model)] == ["scaled/inner", "top"]


@pytest.mark.parametrize("make", [nested, Subclassed])
def test_nested_and_subclassed_models(make):
    keras.utils.set_random_seed(2)
    model, images = make(), IMAGES.astype("float32") / 64 - 2
    outputs = model(images)
    loss, gradients = parameter_gradients(model, images, LABELS)
    values = ops.convert_to_numpy(outputs if make is nested else ops.softmax(outputs))
    assert loss == pytest.approx(-np.log(values[np.arange(6), LABELS]).mean(), rel=1e-4)
    shapes = [tuple(variable.shape) for variable in model.trainable_variables]
    assert [gradient.shape for gradient in gradients] == shapes
    activations, gradient = activation_gradients(model, "top", images, lambda outputs: outputs[:, 0])
    assert activations.shape == gradient.shape == (6, 3)
    if make is Subclassed:
        np.testing.assert_allclose(gradient, np.eye(3)[[0] * 6])
    # The block's convolution is used twice; its last use counts, which is added to the block's input.
    last, whole = layer_outputs(model, ["convolution", "block"], images)
    np.testing.assert_allclose(whole, last + images, rtol=1e-4, atol=1e-3)
    last_use, by_use = activation_gradients(model, "block/convolution", images, lambda outputs: outputs[:, 0])
    np.testing.assert_allclose(last_use, last, rtol=1e-4, atol=1e-3)
    by_block = activation_gradients(model, "block", images, lambda outputs: outputs[:, 0]).gradients
    np.testing.assert_allclose(by_use, by_block, rtol=1e-4, atol=1e-7)


def test_layer_objects_and_mixed_precision():
    model = network()
    by_name, by_object = layer_outputs(model, ["first", model.get_layer("first")], IMAGES)
    np.testing.assert_array_equal(by_name, by_object)
    mixed = network("mixed_bfloat16")
    assert layer_outputs(mixed, ["first"], IMAGES)[0].dtype == np.float32
    loss, gradients = parameter_gradients(mixed, IMAGES, LABELS)
    assert loss == pytest.approx(parameter_gradients(model, IMAGES, LABELS).loss, rel=0.05)
    assert all(np.isfinite(gradient).all() and gradient.dtype == np.float32 for gradient in gradients)


@pytest.mark.backend
def test_small_gradients_are_measured_in_float16():
    """The logits' gradients are below the smallest positive number of float16, 6e-8."""

    def measured(policy):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((4,))
        hidden = layers.Dense(3, dtype=policy, name="hidden")(inputs)
        logits = layers.Dense(2, dtype=policy, kernel_initializer=keras.initializers.Constant([[3e-4, 0]] * 3))(hidden)
        model = keras.Model(inputs, logits)
        images = np.linspace(0, 1e-3, 20, dtype="float32").reshape(5, 4)
        return parameter_gradients(model, images, np.zeros(5, int))

    loss, gradients = measured("mixed_float16")
    reference = measured("float32")
    assert loss == pytest.approx(reference.loss, rel=1e-3)
    assert 0 < np.abs(reference.gradients[0]).max() < 1e-7
    for one, other in zip(gradients, reference.gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=0.02, atol=np.abs(other).max() * 0.01)


def test_large_gradients_are_measured_in_float16():
    inputs = keras.Input((1,))
    model = keras.Model(inputs, layers.Dense(2, dtype="mixed_float16", kernel_initializer="zeros")(inputs))
    _, (kernel, _) = parameter_gradients(model, np.full((2, 1), 2e3, "float32"), np.zeros(2, int))
    np.testing.assert_allclose(kernel, [[-1e3, 1e3]], rtol=1e-3)


@pytest.mark.backend
def test_small_gradients_of_scores_are_measured_in_float16():
    def model(policy):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((8,))
        hidden = layers.Dense(3, activation="tanh", dtype=policy, name="hidden")(inputs)
        return keras.Model(inputs, layers.Dense(2, dtype=policy)(hidden))

    def score(outputs):
        return outputs[:, 0] * 1e-6

    images = np.linspace(-1, 1, 48, dtype="float32").reshape(6, 8)
    half, reference = model("mixed_float16"), model("float32")
    pairs = [
        (input_gradients(half, images, score), input_gradients(reference, images, score)),
        (
            activation_gradients(half, "hidden", images, score).gradients,
            activation_gradients(reference, "hidden", images, score).gradients,
        ),
    ]
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=0.02, atol=np.abs(other).max() * 0.01)


def two_inputs():
    inputs = [keras.Input((4,), name="left"), keras.Input((4,), name="right")]
    return keras.Model(inputs, layers.Dense(3)(layers.Add()(inputs)), name="two")


def two_outputs():
    inputs = keras.Input((8, 8, 2))
    flat = layers.Flatten()(inputs)
    return keras.Model(inputs, [layers.Dense(3)(flat), layers.Dense(2)(flat)], name="two")


def frozen():
    model = network()
    model.trainable = False
    return model


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([layers.Dense(3)], name="new"), "'new' is not built"),
        (Subclassed, "'subclassed' is not built"),
        (two_inputs, r"several inputs \('left', 'right'\)"),
        (two_outputs, "several outputs"),
        (frozen, "no weights to train"),
        (lambda: "vgg08", "must be a keras.Model, not str"),
    ],
)
def test_models_that_cannot_be_diagnosed(make, message):
    with pytest.raises(InputError, match=message):
        parameter_gradients(make(), IMAGES, LABELS)


def test_bad_layers_images_and_targets():
    model = network()
    with pytest.raises(InputError, match="unknown layer 'secnd': did you mean 'second'"):
        layer_outputs(model, ["secnd"], IMAGES)
    with pytest.raises(InputError, match="'conv' is not part of model 'small'"):
        layer_outputs(model, [layers.Dense(2, name="conv")], IMAGES)
    for images in (IMAGES[:, :4], IMAGES[0], IMAGES[:0], [[1], [1, 2]], "cat.png", np.array(["cat.png"])):
        with pytest.raises(InputError, match="images must"):
            layer_outputs(model, ["first"], images)
    for targets in ([0, 1], [0, 1, 2, 0, 1, 3], [-1] * 6, [0.5] * 6, np.zeros((6, 4))):
        with pytest.raises(InputError, match="targets must be"):
            parameter_gradients(model, IMAGES, targets)
    other = Subclassed()
    other(IMAGES.astype("float32"))
    other.unused.build((None, 2))
    with pytest.raises(InputError, match="'unused' is not used"):
        layer_outputs(other, ["unused"], IMAGES)


def test_names_that_several_layers_have():
    inputs = keras.Input((8, 8, 2))
    parts = [keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(2, 3, padding="same", name="conv")]) for _ in "ab"]
    x = layers.Flatten()(parts[1](parts[0](inputs)))
    model = keras.Model(inputs, layers.Dense(3)(x))
    with pytest.raises(InputError, match="give its path, one of sequential"):
        layer_outputs(model, ["conv"], IMAGES)
    assert layer_outputs(model, [f"{parts[1].name}/conv"], IMAGES)[0].shape == (6, 8, 8, 2)


def wrapping(classes=10, **options):
    """A network with a module of PyTorch."""
    import torch

    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 16), torch.nn.BatchNorm1d(16))
    wrapper = layers.TorchModuleWrapper(net, name="wrapped", output_shape=(None, 16))
    return keras.Sequential([keras.Input((8, 8, 1)), wrapper, layers.Dense(classes)])


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="only PyTorch runs its modules")
def test_modules_of_pytorch_are_refused_unchanged():
    """They use their own parameters, so their gradients would be 0, and BatchNorm's buffers would change."""
    model = wrapping()
    buffers = [*model.get_layer("wrapped").module.buffers()]
    before = [buffer.clone() for buffer in buffers]
    images, labels = np.zeros((8, 8, 8, 1), np.float32), np.arange(8)
    for refused in (
        lambda: parameter_gradients(model, images, labels),
        lambda: activation_gradients(model, "wrapped", images, lambda outputs: outputs[:, 0], training=True),
        lambda: kzoo.doctor(model, images=images, labels=labels),
    ):
        with pytest.raises(InputError, match=r"layer 'wrapped' wraps a torch\.nn\.Module, whose gradients"):
            refused()
    layer_outputs(model, ["wrapped"], images + 1, training=True)
    assert all((buffer == value).all() for buffer, value in zip(buffers, before, strict=True))
    with pytest.raises(InputError, match=r"with buffers \(2\.running_mean, .*\), which a resumed run"):
        kzoo.train(f"{__name__}:wrapping", dataset="digits", epochs=1, progress=False)


def test_in_a_callback_within_an_epoch():
    """On JAX, the variables of the model are empty then, and its weights elsewhere."""
    model = network()
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    measured = []

    def measure(batch, logs=None):
        values = [
            parameter_gradients(model, IMAGES, LABELS, training=False).loss,
            str(kzoo.doctor(model)),
            kzoo.fold_batch_norm(model).predict(IMAGES, verbose=0),
        ]
        measured.append((model.get_weights(), values))

    model.fit(
        IMAGES,
        LABELS,
        epochs=2,
        batch_size=3,
        shuffle=False,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=measure)],
    )
    assert len(measured) == 4
    assert not np.allclose(measured[0][0][0], measured[1][0][0])
    for weights, (loss, lines, folded) in measured:
        model.set_weights(weights)
        assert loss == pytest.approx(parameter_gradients(model, IMAGES, LABELS, training=False).loss, rel=1e-6)
        assert lines == str(kzoo.doctor(model))
        np.testing.assert_allclose(folded, model.predict(IMAGES, verbose=0), atol=1e-5)
