"""Runs: what they write, what repeating the command does, failures, transfer, custom models and callbacks."""

import csv
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.training import checkpoint
from kzoo.training import train as train_module
from kzoo.training.callbacks.finite_guard import first_not_finite
from kzoo.training.records import RunRecord, read_result

pytestmark = pytest.mark.usefixtures("eagerly")

# One training step and two validation steps per epoch: without graphs, steps take most of the time.
SMALL = {"dataset": "digits", "train_size": 200, "batch_size": 200, "progress": False}
NET = {"filters": 8, "blocks": [0]}


def train(**changes):
    """Train a VGG with one stage, whose graphs take half as long to make as those of three stages."""
    options = {f"model_options.{name}": value for name, value in NET.items()}
    return kzoo.train("vgg08-bn", **{**SMALL, "epochs": 2, **options, **changes})


def train_mlp(**changes):
    """Train one hidden layer, for tests that do not depend on the network."""
    options = {**SMALL, "batch_size": 400, "epochs": 2, "diagnostics": False, "model_options.hidden": [8]}
    return kzoo.train("mlp", **{**options, **changes})


class Stop(keras.callbacks.Callback):
    """Interrupts a run at the end of an epoch."""

    def __init__(self, epoch=0):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run for tests that only read it."""
    return train(directory=tmp_path_factory.mktemp("runs") / "finished")


@pytest.mark.backend
def test_directory_and_record(finished):
    run = finished
    names = {path.name for path in run.directory.iterdir()}
    expected = {"recipe.json", "metrics.csv", "checkpoint", "best.weights.h5", "final.weights.h5", "result.json"}
    assert expected <= names
    assert list((run.directory / "tensorboard").glob("events*"))
    result = run.result
    assert result.status == "completed"
    assert result.sizes == {"drawn": 200, "train": 200, "validation": 216, "test": 359}
    assert result.parameters == sum(int(np.prod(w.shape)) for w in run.model.trainable_weights)
    assert result.epochs == len(result.history["loss"]) == 2
    rows = list(csv.DictReader((run.directory / "metrics.csv").open()))
    assert [float(row["val_loss"]) for row in rows] == result.history["val_loss"]
    best = result.best_epoch - 1
    assert result.history["val_accuracy"][best] == max(result.history["val_accuracy"]) == result.best.accuracy
    confusion = np.array(result.confusion)
    assert confusion.sum() == 359
    assert np.trace(confusion) / 359 == pytest.approx(result.test.accuracy)
    assert result.segments[0].backend == keras.backend.backend()
    assert result.peak_memory > 1e8
    assert RunRecord(**json.loads(result.to_json())) == result


def test_a_finished_run_is_returned_unchanged_the_second_time():
    first = train_mlp(epochs=1)
    assert first.directory.parent.name == "runs"
    assert first.directory.name == f"default-mlp-{first.result.digest}"
    before = {p: p.stat().st_mtime_ns for p in first.directory.rglob("*") if p.is_file() and p.name != ".lock"}
    again = train_mlp(epochs=1)
    assert again.directory == first.directory
    assert before == {p: p.stat().st_mtime_ns for p in first.directory.rglob("*") if p.is_file() and p.name != ".lock"}
    for path in (first.directory / "checkpoint").iterdir():
        path.write_bytes(path.read_bytes()[:100])  # a finished run needs no checkpoint
    assert train_mlp(epochs=1).result == kzoo.resume(first.directory, progress=False).result == first.result
    other = train_mlp(epochs=1, fresh=True)
    assert other.directory.name == first.directory.name + "-2"
    assert other.history["loss"] == first.history["loss"]
    assert train_mlp(epochs=1, seed=1).history["loss"] != first.history["loss"]


@pytest.mark.backend
def test_evaluate_agrees_with_the_record_and_with_keras(finished):
    run = finished
    reopened = kzoo.Run(run.directory)
    score = reopened.evaluate("test")
    assert score.accuracy == run.result.test.accuracy
    assert score.loss == pytest.approx(run.result.test.loss, rel=1e-4)
    best = reopened.evaluate("validation")
    assert best.accuracy == pytest.approx(run.result.best.accuracy)
    assert best.loss == pytest.approx(run.result.best.loss, rel=1e-3)
    # raw pixels in, probabilities out
    probabilities = reopened.model.predict(np.zeros((2, 8, 8, 1), "uint8"), verbose=0)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-5)


def test_evaluate_takes_another_dataset_of_the_same_classes(finished, tmp_path):
    """The test images upside down; those of twice the size are scaled."""
    test = finished.part("test")
    turned = np.flip(test.images, 1)
    arrays = {"images": test.images[:20], "labels": np.arange(20) % 10, "test_labels": test.labels}
    np.savez(tmp_path / "turned.npz", test_images=turned, **arrays)
    score = finished.evaluate(dataset=f"npz:{tmp_path / 'turned.npz'}")
    answers = finished.model.predict(turned, verbose=0).argmax(-1)
    assert (score.accuracy, score.images) == (pytest.approx(np.mean(answers == test.labels)), len(test))
    arrays["images"] = test.images[:20].repeat(2, 1).repeat(2, 2)
    np.savez(tmp_path / "doubled.npz", test_images=turned.repeat(2, 1).repeat(2, 2), **arrays)
    assert finished.evaluate(dataset=f"npz:{tmp_path / 'doubled.npz'}").images == len(test)

    # Other classes, channels and parts are refused.
    np.savez(tmp_path / "two.npz", images=test.images[:20], labels=np.arange(20) % 2)
    with pytest.raises(kzoo.InputError, match=r"two.npz' has other classes than run '.*finished': 0, 1, not 0, 1, 2"):
        finished.evaluate(dataset=f"npz:{tmp_path / 'two.npz'}")
    colour = test.images[:20].repeat(3, -1)
    np.savez(tmp_path / "colour.npz", images=colour, labels=np.arange(20) % 10)
    with pytest.raises(kzoo.InputError, match=r"has images of 8x8x3, run '.*finished' takes 8x8x1"):
        finished.evaluate(dataset=f"npz:{tmp_path / 'colour.npz'}")
    with pytest.raises(kzoo.InputError, match="part must be"):
        finished.evaluate("tests", dataset="digits")


def test_a_recipe_or_weights_put_in_after_the_run_are_refused(finished, tmp_path):
    edited = Path(shutil.copytree(finished.directory, tmp_path / "edited"))
    recipe = kzoo.Recipe.from_file(edited / "recipe.json")
    (edited / "recipe.json").write_text(recipe.override(**{"split.seed": 5}).to_json())
    with pytest.raises(kzoo.InputError, match=r"recipe\.json' was changed after the run \(split\): put it back"):
        kzoo.Run(edited).evaluate()
    other = Path(shutil.copytree(finished.directory, tmp_path / "other"))
    kzoo.create_model("vgg08", **NET, classes=10, input_shape=(8, 8, 1)).save_weights(other / "best.weights.h5")
    with pytest.raises(kzoo.InputError, match=r"best\.weights\.h5'"):
        kzoo.Run(other).model  # noqa: B018
    (other / "best.weights.h5").unlink()
    with pytest.raises(kzoo.InputError, match=r"weights file .* does not exist"):
        kzoo.Run(other).model  # noqa: B018


def test_weights_on_disk_are_those_of_the_stock_model(finished):
    run = finished
    for name in ("best", "final"):
        model = kzoo.create_model("vgg08-bn", **NET, classes=10, input_shape=(8, 8, 1), mean=(0.5,), std=(0.5,))
        model.load_weights(run.directory / f"{name}.weights.h5")
    model.load_weights(run.directory / "best.weights.h5")
    for a, b in zip(model.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.backend
def test_diverged_run_fails_naming_a_layer_and_stays_failed():
    options = {"optimizer": "sgd", "optimizer.learning_rate": 1e30, "epochs": 3, "batch_size": 100}
    with pytest.raises(kzoo.RunFailed, match=r"training loss is (nan|inf).*first layer .* is '\w+'"):
        train(**options, directory="diverged")
    record = read_result(kzoo.Run("diverged").directory / "result.json")
    assert (record.status, record.test) == ("failed", None)
    with pytest.raises(kzoo.RunFailed, match="--fresh"):
        train(**options, directory="diverged")


def test_the_layer_that_is_not_finite_may_be_a_model():
    image = keras.Input((4, 4, 1))
    inner = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Rescaling(1.0), keras.layers.Rescaling(1e38, 1e38)])
    model = keras.Sequential([image, keras.layers.Rescaling(2.0), inner, keras.layers.Flatten()])
    assert "finite: the loss itself" in first_not_finite(model, np.zeros((1, 4, 4, 1)))
    assert f"is {inner.name!r} (its output)" in first_not_finite(model, np.ones((1, 4, 4, 1)) * 255)


def test_early_stop_ends_the_run_and_best_epoch_is_kept():
    rule = {"monitor": "val_accuracy", "patience": 1, "min_delta": 0.9}
    run = train_mlp(epochs=50, early_stop=rule)
    assert run.result.epochs <= 3
    assert run.result.best_epoch <= run.result.epochs


@pytest.mark.backend
def test_ema_is_what_is_validated_and_kept():
    # Two steps: the average differs from the second one on.
    run = train(ema=0.99, epochs=1, train_size=400, batch_size=360, diagnostics=False)
    last = checkpoint.load_latest(run.directory / "checkpoint")
    raw = last.arrays["model"]
    final = kzoo.create_model("vgg08-bn", **NET, classes=10, input_shape=(8, 8, 1), mean=(0.5,), std=(0.5,))
    final.load_weights(run.directory / "final.weights.h5")
    differ = [not np.array_equal(a, b) for a, b in zip(raw, final.get_weights(), strict=False)]
    assert any(differ)
    assert run.evaluate("validation").accuracy == pytest.approx(run.result.best.accuracy)


def test_initial_weights_and_freezing_for_transfer(finished):
    source = finished
    begin = {"initial_weights": str(source.directory), "freeze": ("entry*", "stage*")}
    run = train(**begin, epochs=1, class_names=("0", "1", "2"), diagnostics=False)
    moved = []
    for name in [layer.name for layer in run.model.layers if layer.weights]:
        before, after = source.model.get_layer(name).get_weights(), run.model.get_layer(name).get_weights()
        if [w.shape for w in before] != [w.shape for w in after] or any(map(np.any, map(np.subtract, before, after))):
            moved.append(name)
    assert moved == ["logits"]
    with pytest.raises(kzoo.InputError, match="another network"):
        kzoo.train("mlp", **SMALL, epochs=1, initial_weights=str(source.directory))


@pytest.mark.backend
def test_custom_model_is_trained_and_resumed(tmp_path):
    def custom():
        keras.utils.set_random_seed(5)
        adapted = keras.layers.Normalization()  # has its mean and variance twice, which copying must respect
        adapted.adapt(np.stack([np.zeros((8, 8, 1)), np.full((8, 8, 1), 255.0)]))
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                adapted,
                keras.layers.Flatten(),
                keras.layers.Dropout(0.2),
                keras.layers.Dense(2, activation="softmax"),
            ],
            name="mine",
        )

    adam = {"kind": "adam", "learning_rate": 0.03}
    zeros_and_ones = {"dataset": "digits", "class_names": [0, 1], "train_size": 180, "batch_size": 90}  # two steps
    recipe = kzoo.Recipe("mine/digits", model="mlp", epochs=2, optimizer=adam, **zeros_and_ones)
    whole = kzoo.train(recipe, model=custom(), directory="whole", progress=False, diagnostics=False)
    assert whole.result.recipe["model"] == "keras:mine"
    assert whole.result.test.accuracy > 0.8
    with pytest.raises(KeyboardInterrupt):
        kzoo.train(recipe, model=custom(), directory="cut", progress=False, diagnostics=False, callbacks=[Stop()])
    with pytest.raises(kzoo.InputError, match="no callback; it was trained with Stop"):
        kzoo.resume("cut", progress=False)
    # The base class, which does nothing, continues the run without the callback.
    resumed = kzoo.resume("cut", progress=False, callbacks=[keras.callbacks.Callback()])
    assert resumed.history["loss"] == whole.history["loss"]
    np.testing.assert_array_equal(resumed.model.get_weights()[0], whole.model.get_weights()[0])
    assert kzoo.Run("cut").model.predict(np.zeros((1, 8, 8, 1)), verbose=0).shape == (1, 2)


def test_states_of_keras_callbacks_survive(tmp_path):
    def stopper():
        return keras.callbacks.EarlyStopping(monitor="val_loss", patience=2, min_delta=100.0)

    with pytest.raises(KeyboardInterrupt):
        train_mlp(epochs=30, directory="cut", callbacks=[stopper(), Stop(1)])
    resumed = train_mlp(epochs=30, directory="cut", callbacks=[stopper(), keras.callbacks.Callback()])
    assert resumed.result.epochs == 3  # one epoch that improves on infinity, then two that do not


@pytest.mark.filterwarnings("ignore:tta=")
def test_no_validation_part_keeps_the_last_epoch():
    run = train_mlp(**{"split.validation": 0})
    assert run.result.best is None
    assert run.result.best_epoch == 2
    assert "val_loss" not in run.history
    with pytest.raises(kzoo.InputError, match="tta='flip' scores test images"):
        kzoo.train("lenet1-max", dataset="digits", tta="flip", split={"test": 0}, progress=False)
    with pytest.raises(kzoo.InputError, match="needs validation images"):
        train_mlp(**{"split.validation": 0, "schedule": "plateau"})


@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.backend
def test_mixed_precision_trains():
    run = train(precision="mixed_bfloat16", epochs=3, batch_size=50)
    assert run.result.recipe["precision"] == "mixed_bfloat16"
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.backend
def test_small_gradients_count_in_float16():
    weights = {str(digit): 1e-6 for digit in range(10)}
    options = {"precision": "mixed_float16", "optimizer": "sgd", "optimizer.learning_rate": 1e5}
    loss = train_mlp(**options, class_weights=weights).history["loss"]
    assert loss[1] < 0.99 * loss[0]


class Fill(keras.callbacks.Callback):
    """Makes the system refuse files of more than 20 kB after the second epoch."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.mark.slow
@pytest.mark.representative
def test_full_disk_ends_with_1_and_keeps_the_last_checkpoint(tmp_path, command, monkeypatch):
    """A limit on file size represents the full disk: the system refuses to write more, with OSError."""
    words = ["mlp", "--dataset", "digits", "--epochs", 4, "--directory", "run", "--no-diagnostics"]
    words += ["--set", "train_size=100", "--set", "model_options.hidden=[64]"]
    limits, real = resource.getrlimit(resource.RLIMIT_FSIZE), train_module.train
    monkeypatch.setattr(train_module, "train", lambda *a, **k: real(*a, callbacks=[Fill()], **{**k, "progress": False}))
    try:
        code, _, errors = command("train", *words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1, errors
    assert "cannot write" in errors
    assert "Traceback" not in errors
    directory = tmp_path / "work" / "run"
    last = checkpoint.load_latest(directory / "checkpoint")
    assert (last.epoch, last.step) == (1, 0)
    assert not (directory / "result.json").exists()
    assert not list(directory.rglob("*.tmp"))
    done = kzoo.resume(directory, progress=False, callbacks=[keras.callbacks.Callback()])
    assert done.result.epochs == 4


@pytest.fixture
def disk(tmp_path):
    """A file system of 2,500 KiB."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(disk)]).returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


SAVE = """
import sys
from pathlib import Path
import kzoo
from kzoo.errors import NotWritten
from kzoo.training.directory import save_weights

disk, model = Path(sys.argv[1]), kzoo.create_model("lenet1-max")
save_weights(model, disk / "net.weights.h5")
before = (disk / "net.weights.h5").read_bytes()
for kib in range(0, 4 + len(before) // 1024, 4):
    (disk / "filler").write_bytes(bytes((2500 - 4 * -(-len(before) // 4096) - kib) * 1024))
    try:
        save_weights(model, disk / "net.weights.h5")
        print("written", kib * 1024 >= len(before))
    except NotWritten as error:
        assert "No space left" in str(error)
    assert (disk / "net.weights.h5").read_bytes() == before
    assert sorted(path.name for path in disk.iterdir()) == ["filler", "net.weights.h5"]
"""


def test_weights_on_a_disk_without_room_for_them(disk):
    """HDF5 can crash the process there, so it must not write to the disk itself."""
    done = subprocess.run([sys.executable, "-c", SAVE, str(disk)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "written True\n"), done.stderr


@pytest.mark.slow
def test_really_full_disk(disk):
    command = ["train", "vgg08-bn", "--dataset", "digits", "--epochs", "5", "--directory", str(disk / "run")]
    result = subprocess.run([sys.executable, "-m", "kzoo", *command], capture_output=True, text=True, timeout=120)
    assert result.returncode == 1, result.stderr
    assert "No space left" in result.stderr
    last = checkpoint.load_latest(disk / "run" / "checkpoint")
    assert last is not None
    subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
    assert kzoo.resume(disk / "run", progress=False).result.epochs == 5


def without_a_part(state):
    return dataclasses.replace(state, parts=state.parts[1:])


def with_other_names(state):
    first, second, *others = state.callbacks
    return dataclasses.replace(state, callbacks=[first, {f"old_{k}": v for k, v in second.items()}, *others])


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run that was interrupted after its first epoch; tests copy it."""
    directory = tmp_path_factory.mktemp("runs") / "cut"
    with pytest.raises(KeyboardInterrupt):
        train_mlp(directory=directory, callbacks=[Stop()])
    return directory


@pytest.mark.parametrize("change", [without_a_part, with_other_names])
def test_checkpoint_of_a_kzoo_with_other_states_is_refused(cut, change):
    shutil.copytree(cut, "cut")
    for path in checkpoint.files(Path("cut/checkpoint")):
        loaded = checkpoint.load(path)
        checkpoint.save(path.parent, dataclasses.replace(loaded, state=change(loaded.state)))
    with pytest.raises(kzoo.InputError, match="written by another version of kzoo"):
        kzoo.resume("cut", progress=False, callbacks=[keras.callbacks.Callback()])
