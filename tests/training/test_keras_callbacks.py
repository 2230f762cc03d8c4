"""Keras's own callbacks in a run: which model they save, what they are told, and which of them are refused."""

import os
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.training.callbacks.lists import Combined

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = {"dataset": "digits", "train_size": 480, "batch_size": 360, "progress": False, "diagnostics": False}  # 2 steps


def train(*callbacks, **changes):
    return kzoo.train("mlp", callbacks=callbacks, **{**TINY, "epochs": 2, "model_options.hidden": [4], **changes})


@pytest.mark.parametrize("ema", [None, 0.9])
def test_model_checkpoint_saves_the_model_of_the_run_with_averaged_weights(ema):
    run = train(keras.callbacks.ModelCheckpoint("last.keras"), ema=ema)
    run.model.load_weights(run.directory / "final.weights.h5")
    images = np.random.default_rng(0).integers(0, 256, (5, *run.model.input_shape[1:]), "uint8")
    expected = run.model.predict(images, verbose=0)
    saved = keras.saving.load_model("last.keras")
    assert [layer.name for layer in saved.layers] == [layer.name for layer in run.model.layers]
    np.testing.assert_array_equal(saved.predict(images, verbose=0), expected)
    np.testing.assert_allclose(expected.sum(axis=1), 1, rtol=1e-5)


class Copies(keras.callbacks.Callback):
    """Keeps a copy of the model that is trained, as averages of weights and snapshots are written."""

    def on_epoch_end(self, epoch, logs=None):
        self.copy = keras.models.clone_model(self.model)
        self.copy.set_weights(self.model.get_weights())
        self.weights = self.model.get_weights()


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "l2": 0.01, "ema": 0.9},
        {"optimizer": "muon", "schedule": "linear", "rate_multipliers": {"*/kernel": 0.5}},
        {"precision": "mixed_float16", "lookahead": {}},
    ],
)
@pytest.mark.filterwarnings("ignore:optimizer.sgd_rate")
def test_callbacks_can_copy_the_trained_model(changes):
    copies = Copies()
    train(copies, **changes)
    for ours, theirs in zip(copies.copy.get_weights(), copies.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("ema", [None, 0.9])
def test_model_checkpoint_within_epochs_saves_current_averaged_weights(ema):
    """The last step of the run is saved: the file has the weights at its end."""
    run = train(keras.callbacks.ModelCheckpoint("last.weights.h5", save_weights_only=True, save_freq=2), ema=ema)
    run.model.load_weights(run.directory / "final.weights.h5")
    final = run.model.get_weights()
    run.model.load_weights("last.weights.h5")
    for saved, value in zip(run.model.get_weights(), final, strict=True):
        np.testing.assert_array_equal(saved, value)


class Reads(keras.callbacks.Callback):
    """Reads what Keras tells every callback."""

    def on_epoch_end(self, epoch, logs=None):
        self.told = dict(self.params)


def test_callbacks_have_the_params_of_fit():
    reads = Reads()
    train(reads)
    assert reads.told == {"epochs": 2, "steps": 2, "verbose": 0}


NAMES = ["backup", "early stop", "swap", "plateau", "combined"]
REFUSED = [
    (keras.callbacks.BackupAndRestore("kept"), {}, "BackupAndRestore, which would restore .*: leave it out"),
    (
        keras.callbacks.EarlyStopping("loss", restore_best_weights=True),
        {"ema": 0.9},
        r"EarlyStopping with restore_best_weights=True, which does not restore averaged weights \(ema=0\.9\)",
    ),
    (keras.callbacks.SwapEMAWeights(), {"ema": 0.9}, "SwapEMAWeights, which would mix .*: leave it out"),
    (
        keras.callbacks.ReduceLROnPlateau(),
        {"schedule": "linear"},
        "ReduceLROnPlateau, but schedule 'linear' sets the learning rate at every step: leave one of them out",
    ),
    (
        Combined([keras.callbacks.LearningRateScheduler(float)], None),
        {"warmup_epochs": 0.5},
        r"LearningRateScheduler, but warmup_epochs=0\.5 sets the learning rate at every step",
    ),
]


@pytest.mark.parametrize(
    ("callback", "changes", "message"), REFUSED, ids=["backup", "early stop", "swap", "plateau", "combined"]
)
def test_callbacks_that_contradict_the_run_are_refused_before_it_begins(callback, changes, message):
    with pytest.raises(kzoo.InputError, match=message):
        train(callback, **changes)
    assert list(Path().iterdir()) == []


class SignalAtEnd(keras.callbacks.Callback):
    """Interrupts this process once, at the end of the last epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1 and not Path("sent").exists():
            Path("sent").touch()
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.slow
@pytest.mark.representative
def test_training_ends_for_callbacks_although_it_was_interrupted_in_the_last_epoch():
    """The first epoch has the largest loss, so that the end of training changes the weights."""

    def stop():
        return keras.callbacks.EarlyStopping("loss", mode="max", patience=9, restore_best_weights=True)

    Path("sent").touch()
    whole = train(stop(), SignalAtEnd(), directory="whole")
    Path("sent").unlink()
    with pytest.raises(KeyboardInterrupt):
        train(stop(), SignalAtEnd(), directory="cut")
    resumed = kzoo.resume("cut", callbacks=[stop(), SignalAtEnd()], progress=False)
    assert np.argmax(whole.history["loss"]) == 0
    whole.model.load_weights(whole.directory / "final.weights.h5")
    resumed.model.load_weights(resumed.directory / "final.weights.h5")
    for a, b in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_two_combined_callbacks_of_one_class_keep_their_own_states():
    before = Combined([keras.callbacks.EarlyStopping("loss"), keras.callbacks.EarlyStopping("accuracy")], None)
    before.callbacks[0].best, before.callbacks[1].best = 0.5, 0.9
    after = Combined([keras.callbacks.EarlyStopping("loss"), keras.callbacks.EarlyStopping("accuracy")], None)
    after.restore(before.state())
    assert [part.best for part in after.callbacks] == [0.5, 0.9]

    # A state of an early version had one entry for a class.
    after.restore({"EarlyStopping": {"best": 0.25}})
    assert [part.best for part in after.callbacks] == [0.25, 0.9]


class Counts(keras.callbacks.Callback):
    """Counts epochs, and is interrupted once, when the second one begins."""

    epochs = 0

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1 and not Path("interrupted").exists():
            Path("interrupted").touch()
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


def test_members_of_a_list_of_keras_keep_states_and_logs():
    def members():
        return [Counts(), keras.callbacks.CSVLogger("log.csv")]

    with pytest.raises(KeyboardInterrupt):
        train(keras.callbacks.CallbackList(members(), add_history=False), directory="run", epochs=3)
    counts, log = members()
    train(keras.callbacks.CallbackList([counts, log], add_history=False), directory="run", epochs=3)
    assert counts.epochs == 3
    assert [line.partition(",")[0] for line in Path("log.csv").read_text().splitlines()] == ["epoch", "0", "1", "2"]
