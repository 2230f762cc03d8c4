"""How runs end: signals, losses that are not numbers, equal accuracies; and what a refused command leaves behind."""

import functools
import os
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import kzoo
from kzoo.recipes import get_recipe
from kzoo.training import checkpoint, train_in
from kzoo.training.callbacks.built_in import Best, Rate
from kzoo.training.callbacks.finite_guard import first_not_finite
from kzoo.training.callbacks.states import restore_state, state_of
from kzoo.training.extending import extended_recipe
from kzoo.training.records import read_result

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = {"dataset": "digits", "train_size": 480, "batch_size": 360, "progress": False, "diagnostics": False}  # 2 steps


def train(**changes):
    return kzoo.train("mlp", **{**TINY, "epochs": 2, "model_options.hidden": [4], **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run; tests copy it."""
    return train(directory=tmp_path_factory.mktemp("runs") / "run").directory


class Signal(keras.callbacks.Callback):
    """Sends this process a signal after a step of the first epoch."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def on_train_batch_end(self, batch, logs=None):
        if batch == 0 and not Path("sent").exists():
            Path("sent").touch()
            os.kill(os.getpid(), self.number)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", pytest.param("SIGUSR1", marks=pytest.mark.slow)])
def test_signals_write_a_checkpoint_and_end_the_run(name, request):
    number = getattr(signal, name)
    # Under `nohup`, the tests start with SIGHUP ignored, which kzoo respects.
    request.addfinalizer(functools.partial(signal.signal, number, signal.signal(number, signal.SIG_DFL)))
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match="'run' can be resumed"):
        train(directory="run", epochs=1, data_dir="data", callbacks=[Signal(number)])
    last = checkpoint.load_latest(Path("run/checkpoint"))
    assert (last.epoch, last.step) == (0, 1)
    assert last.state.data_dir == str(Path("data").absolute())  # found from any directory that resumes the run
    assert signal.getsignal(number) is before
    assert kzoo.resume("run", progress=False, callbacks=[Signal(number)]).result.epochs == 1


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_last_epoch_says_that_the_run_can_be_resumed(number, monkeypatch):
    write = train_in.write_record

    def interrupted(*args, **options):
        os.kill(os.getpid(), number)
        write(*args, **options)

    before = signal.getsignal(number)
    with monkeypatch.context() as patched:
        patched.setattr(train_in, "write_record", interrupted)
        with pytest.raises(KeyboardInterrupt, match="interrupted after the last epoch; 'run' can be resumed"):
            train(directory="run", epochs=1)
    assert signal.getsignal(number) is before
    assert not Path("run/result.json").exists()
    whole = train(directory="whole", epochs=1).result
    assert kzoo.resume("run", progress=False).result.test == whole.test


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_a_hangup_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert train(directory="run", epochs=1, callbacks=[Signal(signal.SIGHUP)]).result.epochs == 1
    finally:
        signal.signal(signal.SIGHUP, before)


class SignalAtSecondEpoch(Signal):
    """Sends the signal after a step of the second epoch."""

    def on_train_batch_end(self, batch, logs=None):
        if len(self.model.history.epoch) == 1:
            super().on_train_batch_end(batch)


@pytest.mark.skipif(os.name != "posix", reason="signals of Unix")
def test_tensorboard_has_each_epoch_once():
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_multiplexer")
    with pytest.raises(KeyboardInterrupt):
        train(directory="run", epochs=3, callbacks=[SignalAtSecondEpoch(signal.SIGTERM)])
    kzoo.resume("run", progress=False, callbacks=[SignalAtSecondEpoch(signal.SIGTERM)])
    steps = []
    for path in sorted(Path("run/tensorboard").glob("events*")):
        events = accumulator.event_accumulator.EventAccumulator(str(path)).Reload()
        if "epoch_loss" in events.Tags()["tensors"]:
            steps += [event.step for event in events.Tensors("epoch_loss")]
    assert steps == [1, 2, 3]


class Overflow(keras.callbacks.Callback):
    """Makes all weights infinite before validation, which overflows; the training loss, computed before, does not."""

    def on_test_begin(self, logs=None):
        layer = next(layer for layer in self.model.layers if layer.weights)
        layer.set_weights([np.full_like(value, np.inf) for value in layer.get_weights()])


def test_a_validation_loss_that_is_not_finite_fails_the_run():
    with pytest.raises(kzoo.RunFailed, match=r"the validation loss is (nan|inf); the first layer"):
        train(directory="run", callbacks=[Overflow()])
    record = read_result(Path("run/result.json"))
    assert (record.status, record.test, record.best) == ("failed", None, None)
    assert "validation loss" in record.reason
    with pytest.raises(kzoo.RunFailed, match="--fresh"):
        train(directory="run", callbacks=[Overflow()])


def test_the_layer_that_is_not_finite_is_found_behind_a_model_within():
    inside = keras.Input((2, 2, 1))
    base = keras.Model(inside, keras.layers.Flatten()(inside), name="base")
    x = keras.Input((2, 2, 1))
    model = keras.Model(x, keras.layers.Dense(3, kernel_initializer="ones", name="last")(base(x)))
    where = first_not_finite(model, np.full((1, 2, 2, 1), 3e38, np.float32))
    assert where == "the first layer with a value that is not finite is 'last' (its output)"


def rates_used(make, schedule="constant", epochs=5, cut=None):
    """The rates of epochs with a constant loss and a callback after kzoo's; `cut` within an epoch, or at its end."""
    recipe = get_recipe("mlp").override(**{"schedule": schedule, "optimizer.learning_rate": 0.1, "epochs": epochs})

    def begun(learning_rate, states=None):
        parts = Rate(recipe, steps=3), make()
        for part in parts:
            part.set_model(SimpleNamespace(optimizer=keras.optimizers.SGD(learning_rate)))
        parts[1]._model.optimizer = parts[0].model.optimizer
        parts[1].on_train_begin()
        if states is not None:
            for part, state in zip(parts, states, strict=True):
                restore_state(part, state)
        return parts

    def stopped_and_resumed(parts):
        return begun(
            float(keras.ops.convert_to_numpy(parts[0].model.optimizer.learning_rate)),
            [state_of(part) for part in parts],
        )

    parts, used = begun(0.1), []
    for epoch in range(epochs):
        for part in parts:
            part.on_epoch_begin(epoch)
        if cut == (epoch, "within"):
            parts = stopped_and_resumed(parts)
            for part in parts:
                part.on_epoch_begin(epoch)
        used.append(parts[0].used())
        for part in parts:
            part.on_epoch_end(epoch, {"val_loss": 1.0})
        if cut == (epoch, "after"):
            parts = stopped_and_resumed(parts)
    return used


@pytest.mark.parametrize("cut", [None, (2, "within"), (2, "after"), (3, "within")])
def test_rates_that_callbacks_set_stay_as_in_keras(cut):
    plateau = functools.partial(keras.callbacks.ReduceLROnPlateau, patience=1, factor=0.5, min_delta=0)
    assert rates_used(plateau, cut=cut) == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125])
    falling = functools.partial(keras.callbacks.LearningRateScheduler, lambda epoch, rate: rate / 2)
    assert rates_used(falling, cut=cut) == pytest.approx([0.05, 0.025, 0.0125, 0.00625, 0.003125])
    assert rates_used(keras.callbacks.Callback, cut=cut) == [0.1] * 5  # not rounded to float32


def test_rates_that_callbacks_set_in_vain_are_reported():
    plateau = functools.partial(keras.callbacks.ReduceLROnPlateau, patience=1, factor=0.5, min_delta=0)
    with pytest.warns(
        UserWarning, match=r"a callback set the learning rate to 0\.\d+ at the end of epoch 2, but schedule"
    ):
        assert rates_used(plateau, "cosine", epochs=3) == rates_used(keras.callbacks.Callback, "cosine", epochs=3)
    fixed = functools.partial(keras.callbacks.LearningRateScheduler, lambda epoch: 0.01)
    assert rates_used(fixed, "cosine", epochs=3) == pytest.approx([0.01] * 3)


def best_epoch(ties, epochs):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    best = Best(model, lambda: None, ties)
    best.set_model(model)
    for epoch, (accuracy, loss) in enumerate(epochs):
        best.on_epoch_end(epoch, {"val_accuracy": accuracy, "val_loss": loss})
        kept = Best(model, lambda: None, ties)
        kept.restore(best.state())
        assert kept.state() == best.state()
    return best.epoch


def test_of_equal_accuracies_the_lower_loss_is_the_best():
    epochs = [(0.5, 1.4), (0.7, 1.25), (0.7, 0.93), (0.7, 1.0), (0.6, 0.1)]
    assert best_epoch("loss", epochs) == 3
    assert best_epoch("first", epochs) == 2
    assert best_epoch("loss", [*epochs, (0.71, 3.0)]) == 6


def test_the_reports_recipes_keep_the_earliest_and_others_do_not():
    for name in ("rescue/vgg08", "depth/vgg-a", "reduction/lenet1-max", "resnet/resnet24", "fully-connected/mlp"):
        assert get_recipe(name).ties == "first", name
    assert get_recipe("vgg08-bn").ties == get_recipe("mlp").ties == kzoo.Recipe("a/b", model="mlp").ties == "loss"
    old = kzoo.Recipe("a/b", model="mlp", schema_version=1)
    assert old.ties == "first"  # the rule when it was written
    as_before = {"ties": "first", "background": None, "split": {"stratified": False}}
    assert old.digest() == kzoo.Recipe("a/b", model="mlp", **as_before).digest()
    assert old.digest() != kzoo.Recipe("a/b", model="mlp", **{**as_before, "ties": "loss"}).digest()


def nothing(path):
    return list(Path(path).rglob("*")) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"train_size": 100_000},
        {"model_options.colour": 1},
        {"model_options.classes": 7},
        {"freeze": ("*",)},
        {"freeze": ("nothing*",)},
        {"dataset": "npz:absent.npz"},
        {"model": keras.Sequential},
        {"callbacks": keras.callbacks.Callback()},
        {"callbacks": [keras.callbacks.Callback]},
        {"checkpoint_minutes": -1},
    ],
    ids=lambda changes: str(changes).partition(" object at ")[0],
)
def test_a_refused_command_leaves_nothing_behind(changes):
    with pytest.raises(kzoo.InputError):
        train(**changes)
    assert nothing(".")
    with pytest.raises(kzoo.InputError):
        train(**changes, directory="deep/er/run")
    assert nothing(".")
    Path("mine").mkdir()
    with pytest.raises(kzoo.InputError):
        train(**changes, directory="mine")
    assert nothing("mine")
    assert Path("mine").is_dir()


def test_a_refused_custom_model_leaves_nothing_behind_and_a_run_stays(finished):
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(kzoo.InputError, match="10 classes"):
        kzoo.train(kzoo.Recipe("a/b", model="mlp"), model=model, progress=False)
    assert nothing(".")
    shutil.copytree(finished, "run")
    before = sorted(path.name for path in Path("run").iterdir())
    with pytest.raises(kzoo.InputError):
        train(directory="run", seed=3)
    assert sorted(path.name for path in Path("run").iterdir()) == before
    assert kzoo.Run("run").result == kzoo.Run(finished).result


def test_more_epochs_are_explained(finished):
    shutil.copytree(finished, "run")
    with pytest.raises(kzoo.InputError) as caught:
        train(directory="run", epochs=5, seed=1)
    assert "epochs is 2 there and 5 here; seed is 0 there and 1 here" in str(caught.value)
    assert "set initial_weights to the directory" in str(caught.value)
    assert train(epochs=1, initial_weights="run").result.epochs == 1


def test_directories_below_the_home_directory(finished, monkeypatch):
    monkeypatch.setenv("HOME", os.getcwd())
    shutil.copytree(finished, "run")
    run = train(directory="~/run")
    assert (run.directory, run.result) == (Path("run").absolute(), kzoo.Run(finished).result)
    assert kzoo.resume("~/run", progress=False).result == kzoo.Run("~/run").result == run.result
    assert kzoo.get_recipe("~/run/recipe.json") == kzoo.get_recipe(Path("run/recipe.json")) == run.recipe
    assert extended_recipe("~/run") == (run.recipe, run.directory)
    assert not Path("~").exists()
