"""Gradient flow, once and during training, which it does not change."""

import json

import keras
import numpy as np
import pytest
from keras import layers

import kzoo
from kzoo.diagnostics.gradient_flow import GradientFlowCallback, gradient_flow
from kzoo.errors import InputError
from kzoo.introspection.gradients import parameter_gradients
from kzoo.introspection.layers import find_kernels
from kzoo.training import checkpoint
from kzoo.training.recorders.flow_history import FlowHistory, first_last_ratio, layer_factor
from kzoo.training.records import RunRecord, read_result
from tests.conftest import graphs

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (24, 8, 8, 1)).astype("uint8")
LABELS = RNG.integers(0, 3, 24)


def network(dropout=0.0):
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(3, 3, name="conv"),
            layers.BatchNormalization(),
            layers.SeparableConv2D(4, 3, activation="relu", name="separable"),
            layers.Dropout(dropout),
            layers.Flatten(),
            layers.Dense(3, name="top"),
        ],
        name="net",
    )


@pytest.mark.backend
def test_one_shot():
    model = network()
    flow = gradient_flow(model, IMAGES, LABELS)
    loss, gradients = parameter_gradients(model, IMAGES, LABELS)
    by_path = {v.path.removeprefix("net/"): g for v, g in zip(model.trainable_variables, gradients, strict=True)}
    assert flow.layers == ("conv", "separable", "top")
    assert flow.loss == loss
    assert flow.mean_abs[0] == pytest.approx(np.abs(by_path["conv/kernel"]).mean())
    both = np.concatenate([g.ravel() for path, g in by_path.items() if path.startswith("separable") and g.ndim > 1])
    assert len(both) == 27 + 12
    assert flow.mean_abs[1] == pytest.approx(np.abs(both).mean())
    assert flow.weight_mean_abs[2] == pytest.approx(np.abs(model.get_layer("top").get_weights()[0]).mean())
    assert np.isnan(flow.update_ratio).all()
    assert flow.first_last_ratio == pytest.approx(flow.mean_abs[0] / flow.mean_abs[2])


def test_fitted_factor():
    assert layer_factor([1e-4, 1e-3, 1e-2]) == pytest.approx(0.1)
    assert layer_factor([0, 8, 4, np.nan, 1]) == pytest.approx(2)
    assert np.isnan(layer_factor([0, 1]))
    assert first_last_ratio([2, 5, 4]) == 0.5
    assert first_last_ratio([1, 0]) == np.inf
    assert np.isnan(first_last_ratio([0, 0]))


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly_once")
def test_plain_vgg38_vanishes_and_vgg08_does_not():
    images, labels = RNG.integers(0, 256, (16, 32, 32, 3)).astype("uint8"), RNG.integers(0, 100, 16)
    keras.utils.set_random_seed(0)
    deep = gradient_flow(kzoo.create_model("vgg38"), images, labels)
    assert len(deep.layers) == 38
    assert deep.first_last_ratio < 1e-12
    assert 0.3 < deep.layer_factor < 0.6  # a leaky-ReLU convolution shrinks the variance by about 6
    assert gradient_flow(kzoo.create_model("vgg08"), images, labels).first_last_ratio > 1e-3


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
@pytest.mark.parametrize("used", [False, True])
def test_ratio_of_one_step_is_that_of_the_optimizer(used):
    model = network()
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    if used:
        model.train_on_batch(IMAGES, LABELS)
    before = [np.array(w) for w in model.get_weights()]
    flow = gradient_flow(model, IMAGES, LABELS, optimizer=model.optimizer)
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
    model.train_on_batch(IMAGES, LABELS)
    kernel = [path.endswith("conv/kernel") for path in (w.path for w in model.weights)].index(True)
    change = np.abs(model.get_weights()[kernel] - before[kernel]).mean() / np.abs(before[kernel]).mean()
    assert flow.update_ratio[0] == pytest.approx(change, rel=1e-3)


def test_one_step_has_no_loss_scale_and_keeps_what_is_set_for_single_variables():
    model = network()
    plain = gradient_flow(model, IMAGES, LABELS, optimizer=keras.optimizers.SGD(0.1)).update_ratio
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1))
    np.testing.assert_allclose(gradient_flow(model, IMAGES, LABELS, optimizer=scaled).update_ratio, plain)
    decays = keras.optimizers.SGD(0.1, weight_decay=5)
    decays.exclude_from_weight_decay([model.get_layer("top").kernel])
    decays.build(model.trainable_variables)
    conv, _, top = gradient_flow(model, IMAGES, LABELS, optimizer=decays).update_ratio
    assert conv > 0.4 > plain[2] == pytest.approx(top)
    assert decays.iterations == 0


def test_a_learning_rate_is_plain_gradient_descent():
    flow = gradient_flow(network(), IMAGES, LABELS, optimizer=0.1)
    np.testing.assert_allclose(flow.update_ratio, 0.1 * flow.mean_abs / flow.weight_mean_abs)
    for wrong in (0, -1, "adam", True):
        with pytest.raises(InputError, match="optimizer must be"):
            gradient_flow(network(), IMAGES, LABELS, optimizer=wrong)


def test_models_without_kernels():
    inputs = keras.Input((8, 8, 1))
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(inputs))
    model = keras.Model(inputs, layers.Concatenate()([x, -x]), name="bare")
    with pytest.raises(InputError, match="'bare' has no layer with a kernel"):
        gradient_flow(model, IMAGES, LABELS % 2)
    frozen = network()
    frozen.get_layer("conv").trainable = False
    assert [path for path, _ in find_kernels(frozen)] == ["separable", "top"]


def fit(callbacks, epochs=3, **options):
    model = network(dropout=0.3)
    model.compile(keras.optimizers.SGD(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, LABELS, batch_size=8, epochs=epochs, verbose=0, shuffle=False, callbacks=callbacks, **options)
    return model


@pytest.mark.backend
def test_callback_in_any_training():
    flow = GradientFlowCallback(IMAGES[:5], LABELS[:5])
    model = fit([flow])
    history = flow.history
    assert history.layers == ("conv", "separable", "top")
    assert history.epochs == (0, 1, 2, 3)
    start = gradient_flow(network(dropout=0.3), IMAGES[:5], LABELS[:5])
    np.testing.assert_allclose(history.gradients[0], start.mean_abs, rtol=1e-3)
    end = gradient_flow(model, IMAGES[:5], LABELS[:5])
    np.testing.assert_allclose(history.gradients[-1], end.mean_abs, rtol=1e-3)
    assert np.isnan(history.update_ratio[0]).all()
    ratios = history.update_ratio[1:]
    assert ((ratios > 1e-6) & (ratios < 1)).all()


@pytest.mark.usefixtures("eagerly_once")
def test_update_ratio_is_of_the_last_step():
    flow = GradientFlowCallback(IMAGES[:5], LABELS[:5])
    kept = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if hasattr(self.model, "jax_state_sync"):
                self.model.jax_state_sync()
            kept.append(np.array(self.model.get_layer("top").get_weights()[0]))

    model = fit([flow, Keep()], epochs=1)
    assert len(kept) == 3
    change = np.abs(model.get_layer("top").get_weights()[0] - kept[-1]).mean() / np.abs(kept[-1]).mean()
    assert flow.history.update_ratio[1, 2] == pytest.approx(change, rel=1e-5)


@pytest.mark.usefixtures("eagerly_once")
def test_every_third_epoch():
    flow = GradientFlowCallback(IMAGES[:5], LABELS[:5], every=3)
    fit([flow], epochs=4)
    assert flow.history.epochs == (0, 3)
    with pytest.raises(InputError, match="every must be 1 or more"):
        GradientFlowCallback(IMAGES, LABELS, every=0)


@pytest.mark.backend
def test_training_ends_with_the_same_bits():
    models = [fit(callbacks) for callbacks in ([], [GradientFlowCallback(IMAGES[:5], LABELS[:5])])]
    for a, b in zip(*(model.variables for model in models), strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(a), keras.ops.convert_to_numpy(b), err_msg=a.path)


@pytest.mark.usefixtures("eagerly_once")
def test_a_failing_probe_is_reported_once_and_ends_no_training():
    with pytest.warns(UserWarning, match="gradient flow is not recorded: images must") as warned:
        fit([GradientFlowCallback(IMAGES[:5, :4], LABELS[:5], strict=False)])
    messages = [str(warning.message) for warning in warned]  # including PyTorch's own deprecations
    assert sum("gradient flow is not recorded" in text for text in messages) == 1, messages
    with pytest.raises(InputError, match="images must"):
        fit([GradientFlowCallback(IMAGES[:5, :4], LABELS[:5])])


@pytest.mark.usefixtures("eagerly_once")
def test_a_measurement_that_fails_leaves_no_empty_history():
    class Limited(keras.layers.Layer):
        def call(self, x):
            if x.shape[0] == 5:
                raise ValueError("out of memory")
            return x

    x = keras.Input((8, 8, 1))
    model = keras.Model(x, keras.layers.Dense(10)(keras.layers.Flatten()(Limited()(x))))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callback = GradientFlowCallback(IMAGES[:5], LABELS[:5], strict=False)
    with pytest.warns(UserWarning, match="gradient flow is not recorded"):
        model.fit(IMAGES[:4], LABELS[:4], callbacks=[callback], verbose=0)
    assert callback.history is None
    assert callback.state() == {"flow": None}


def test_history_as_json():
    table = np.array([[1.23456e-9, np.inf], [2, 3]])
    history = FlowHistory(("a", "b"), (0, 1), table, np.array([[np.nan, np.nan], [1e-3, 0.12346]]))
    data = json.loads(json.dumps(history.to_dict(), allow_nan=False))
    assert data == {
        "layers": ["a", "b"],
        "epochs": [0, 1],
        "gradients": [[1.235e-09, None], [2, 3]],
        "update_ratio": [[None, None], [0.001, 0.1235]],
    }
    table = [line.split() for line in history.table().splitlines()]
    assert table == [
        ["layer", "before", "training", "epoch", "1", "update", "ratio"],
        ["a", "1.23e-09", "2.00e+00", "1.00e-03"],
        ["b", "inf", "3.00e+00", "1.23e-01"],
        ["first", "/", "last", "layer", "0", "0.667"],
        ["factor", "a", "layer", *(f"{layer_factor(row):.3g}" for row in history.gradients)],
    ]
    again = FlowHistory.from_dict(data)
    assert again.layers == history.layers
    assert again.epochs == history.epochs
    np.testing.assert_allclose(again.update_ratio, history.update_ratio, rtol=1e-3)
    exact = FlowHistory.from_dict(history.to_dict(digits=17))
    np.testing.assert_array_equal(exact.gradients[1], history.gradients[1])
    for wrong in ({}, {**data, "layers": ["a"]}, {**data, "gradients": [[1], [2, 3]]}):
        with pytest.raises(InputError, match="gradient_flow must have"):
            FlowHistory.from_dict(wrong)
    none = FlowHistory.from_dict({"layers": ["a", "b"], "epochs": [], "gradients": [], "update_ratio": []})
    assert none.gradients.shape == none.update_ratio.shape == (0, 2)
    one = {"layers": ["a", "b"], "epochs": [1], "gradients": [[1]], "update_ratio": [[1, 2]]}
    with pytest.raises(InputError, match="must have tables of 1 epochs by 2 layers"):
        FlowHistory.from_dict(one)


# Runs of kzoo --------------------------------------------------------------------------------------------------------

RECIPE = kzoo.Recipe(
    name="test/flow",
    model="vgg08-bn",
    model_options={"dropout": 0.3, "filters": 8, "blocks": [0]},
    dataset="digits",
    train_size=40,
    split={"validation": 20, "test": 20},
    batch_size=20,
    epochs=2,
)

SMALL = RECIPE.override(model="mlp", model_options={"hidden": [4]}, train_size=40)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run without graphs, like the runs compared with it (`fit` above makes graphs)."""
    with graphs(made=False):
        return kzoo.train(RECIPE, directory=tmp_path_factory.mktemp("runs") / "whole", progress=False)


def arrays(run):
    return checkpoint.load(checkpoint.files(run.directory / "checkpoint")[-1]).arrays


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.usefixtures("eagerly_once")
def test_a_run_is_the_same_with_and_without(whole):
    on = kzoo.Run(whole.directory)
    off = kzoo.train(RECIPE, directory="off", progress=False, diagnostics=False)
    with_, without = arrays(on), arrays(off)
    assert with_.keys() == without.keys()
    for kind in with_:
        assert len(with_[kind]) == len(without[kind])
        for a, b in zip(with_[kind], without[kind], strict=True):
            np.testing.assert_array_equal(a, b)
    for history in (on.history, off.history):
        history.pop("seconds")
    assert on.history == off.history
    assert on.result.test == off.result.test
    assert off.result.gradient_flow is None
    flow = FlowHistory.from_dict(on.result.gradient_flow)
    assert flow.epochs == (0, 1, 2)
    assert flow.layers[0] == "entry_conv"
    assert len(flow.layers) == 4
    assert (flow.gradients > 0).all()
    assert (flow.update_ratio[1:] > 0).all()


class Cut(keras.callbacks.Callback):
    """Ends a run in the middle."""

    def __init__(self, epoch, step):
        super().__init__()
        self.at, self.now = (epoch, step), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == self.at:
            raise KeyboardInterrupt

    def state(self):
        return {}

    def restore(self, state):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("eagerly_once")
@pytest.mark.parametrize("at", [pytest.param((0, 0), marks=pytest.mark.representative), (1, 0)])
def test_a_resumed_run_has_the_same_flow(whole, at):
    with pytest.raises(KeyboardInterrupt):
        kzoo.train(RECIPE, directory="cut", progress=False, checkpoint_minutes=0, callbacks=[Cut(*at)])
    resumed = kzoo.resume("cut", progress=False, callbacks=[keras.callbacks.Callback()])
    assert resumed.result.gradient_flow == whole.result.gradient_flow


@pytest.mark.usefixtures("eagerly_once")
def test_a_resumed_run_keeps_to_its_choice():
    with pytest.raises(KeyboardInterrupt):
        kzoo.train(
            SMALL, directory="cut", progress=False, checkpoint_minutes=0, callbacks=[Cut(1, 0)], diagnostics=False
        )
    assert (
        kzoo.train(SMALL, directory="cut", progress=False, callbacks=[keras.callbacks.Callback()]).result.gradient_flow
        is None
    )


@pytest.mark.usefixtures("eagerly_once")
def test_records_of_earlier_versions_and_command_line(command):
    sizes = ("--set", "train_size=40", "--set", "split.test=40")
    words = ("--dataset", "digits", "--epochs", 1, *sizes, "--directory", "run", "--no-diagnostics")
    code, _, err = command("train", "mlp", *words)
    assert code == 0, err
    record = json.loads(kzoo.Run("run").result.to_json())
    assert record.pop("gradient_flow") is None
    assert RunRecord(**record).gradient_flow is None
    code, _, err = command("gradients", "run")
    assert code == 2
    assert "no gradient flow" in err


def test_the_command_shows_a_run(command, whole):
    run = whole.directory
    code, out, err = command("gradients", run, "--output", "flow.svg")
    assert code == 0, err
    flow = read_result(run / "result.json").gradient_flow
    assert all(layer in out for layer in flow["layers"])
    assert f"{flow['gradients'][0][0]:.2e}" in out
    assert f"{flow['gradients'][-1][-1]:.2e}" in out
    with open("flow.svg", encoding="utf-8") as file:
        assert "mean absolute gradient" in file.read()
    code, _, err = command("gradients", run, "--output", "flow.svg")
    assert code == 2
    assert "exists" in err
    assert command("gradients", run, "--output", "flow.svg", "--force")[0] == 0
    code, _, err = command("gradients", run, "--output", "flow.jpg")
    assert code == 2
    assert "must end in .png or .svg" in err
    code, _, err = command("gradients", "nowhere")
    assert code == 2
    assert "is not a run" in err


def test_a_record_of_an_early_version_is_continued_without_the_slopes_of_prelu():
    x = keras.Input((4,))
    y = keras.layers.PReLU(name="slopes")(keras.layers.Dense(3, name="one")(x))
    model = keras.Model(x, keras.layers.Dense(2, name="two")(y))
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = np.ones((4, 4), "float32"), np.arange(4) % 2
    early = FlowHistory(("one", "slopes", "two"), (0,), np.array([[1.0, 2.0, 3.0]]), np.full((1, 3), np.nan))
    callback = GradientFlowCallback(images, labels)
    callback.restore({"flow": early.to_dict(digits=17)})
    model.fit(images, labels, epochs=1, verbose=0, callbacks=[callback])
    assert callback.history.layers == ("one", "two")
    assert callback.history.epochs == (0, 1)
    assert callback.history.gradients[0].tolist() == [1.0, 3.0]
