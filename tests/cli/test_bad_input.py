"""Bad input at the command line: one clear line, exit status 2, nothing overwritten, no traceback."""

import json
import os
import sys

import filelock
import keras
import numpy as np
import pytest

import kzoo
from kzoo.training import checkpoint

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = ["train", "lenet1-max", "--dataset", "digits", "--epochs", "1", "--set", "train_size=100"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run; tests copy it before they damage it."""
    directory = tmp_path_factory.mktemp("module") / "run"
    return kzoo.train(
        "lenet1-max",
        dataset="digits",
        epochs=1,
        train_size=100,
        split={"test": 40},
        directory=directory,
        progress=False,
    ).directory


@pytest.fixture
def run_directory(finished, tmp_path):
    import shutil

    return shutil.copytree(finished, tmp_path / "run")


def snapshot(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


CASES = [
    (["train", "vgg39"], "unknown recipe 'vgg39': did you mean 'vgg38'?"),
    (["train", "rescue/bn-residul"], "did you mean 'rescue/bn-residual'"),
    (["train", "absent.json"], "cannot read recipe file 'absent.json'"),
    (["train", "vgg08", "--set", "epoch=5"], "unknown recipe field 'epoch': did you mean 'epochs'?"),
    (["train", "vgg08", "--set", "epochs"], "--set takes FIELD=VALUE, not 'epochs'"),
    (["train", "vgg08", "--epochs", "0"], "'epochs' is 0"),
    (["train", "vgg08", "--epochs", "many"], "'epochs' is 'many': input should be a valid integer"),
    (["train", "vgg08", "--dataset", "cifar11"], "unknown dataset 'cifar11': did you mean 'cifar10'?"),
    (["train", "vgg08", "--set", "model_options.colour=1", "--dataset", "digits"], "colour"),
    (["train", "resnet10", "--set", "model_options.block_order=origin", "--dataset", "digits"], "'original'"),
    (["train", "lenet3-dilated", "--dataset", "digits"], "smallest"),
    (["train", "vgg08", "--dataset", "digits", "--set", "model_options.classes=7"], "10 classes"),
    (["train", "vgg08", "--dataset", "digits", "--set", "train_size=100000"], "train_size"),
    (["train", "vgg08", "--dataset", "digits", "--set", "split.validation=1797"], "validation"),
    (["train", "vgg08", "--dataset", "digits", "--set", 'class_names=["0","11"]'], "'11'"),
    (["train", "vgg08", "--dataset", "digits", "--set", 'normalization={"mean":[0,0],"std":[1,1]}'], "2 channels"),
    (["train", "vgg08", "--dataset", "digits", "--set", 'freeze=["conv99"]'], "'conv99', which is not a layer"),
    (["train", "vgg08", "--dataset", "digits", "--set", "initial_weights=absent"], "there is no file 'absent'"),
    (["train", "vgg08", "--dataset", "cifar10", "--data-dir", "absent"], "cifar10"),
    (["train", "vgg08", "--dataset", "npz:absent.npz"], "absent.npz"),
    (["train", "vgg08", "--dataset", "folder:absent"], "absent"),
    (["train", "no_such_module:build"], "no_such_module"),
    (["resume", "absent"], "'absent' is not a run"),
    (["evaluate", "absent"], "'absent' is not a run"),
    (["predict", "absent", "x.png"], "'absent' is not a run"),
    (["info", "vgg40"], "did you mean"),
    (["info", "absent.keras"], "'absent.keras' does not exist"),
    (["list", "nothing*"], "matches no model"),
]


@pytest.mark.parametrize(("words", "message"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_one_clear_error(command, tmp_path, words, message):
    code, _, errors = command(*words)
    assert code == 2, errors
    assert message in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors
    assert "Traceback" not in errors
    assert list((tmp_path / "work").rglob("*")) == []


def test_directory_that_is_a_file_or_below_one(command, tmp_path):
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "run"):
        code, _, errors = command(*TINY, "--directory", directory)
        assert (code, "is a file" in errors) == (2, True), errors
    assert (tmp_path / "file").read_text() == "mine"


def test_directory_of_something_else_or_of_another_recipe(command, tmp_path, run_directory):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"cat")
    code, _, errors = command(*TINY, "--directory", tmp_path / "photos")
    assert (code, "'cat.png' and no recipe.json" in errors) == (2, True), errors
    before = snapshot(run_directory)
    code, _, errors = command(*TINY, "--seed", 5, "--directory", run_directory)
    assert (code, "the run of another recipe" in errors) == (2, True), errors
    assert snapshot(run_directory) == before


def test_recipe_edited_or_damaged_after_the_run_began(command, run_directory):
    (run_directory / "result.json").unlink()
    text = (run_directory / "recipe.json").read_text()
    (run_directory / "recipe.json").write_text(text.replace('"epochs": 1', '"epochs": 7'))
    code, _, errors = command("resume", run_directory)
    assert (code, "was changed after the run began" in errors) == (2, True), errors
    (run_directory / "recipe.json").write_text(text[:40])
    code, _, errors = command("resume", run_directory)
    assert (code, "is not valid JSON" in errors) == (2, True), errors


def test_damaged_record(command, run_directory):
    path = run_directory / "result.json"
    path.write_text(path.read_text()[:200])
    before = snapshot(run_directory)
    code, _, errors = command("resume", run_directory)
    assert (code, "cannot be read" in errors) == (2, True), errors
    path.write_text(json.dumps({"schema_version": 99}))
    code, _, errors = command("evaluate", run_directory)
    assert (code, "upgrade kzoo" in errors) == (2, True), errors
    path.write_bytes(before["result.json"])
    assert snapshot(run_directory) == before


@pytest.mark.filterwarnings("default")
def test_truncated_newest_checkpoint_falls_back_and_all_corrupt_refuses(command, run_directory):
    (run_directory / "result.json").unlink()
    files = checkpoint.files(run_directory / "checkpoint")
    assert len(files) == 2
    files[1].write_bytes(files[1].read_bytes()[:-1000])
    code, _, errors = command("resume", run_directory)
    assert code == 0
    assert f"{files[1].name}' is damaged" in errors
    assert "warning" in errors
    (run_directory / "result.json").unlink()
    for path in checkpoint.files(run_directory / "checkpoint"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    before = snapshot(run_directory)
    code, _, errors = command("resume", run_directory)
    assert (code, "every checkpoint" in errors) == (2, True), errors
    assert snapshot(run_directory) == before


def test_truncated_npz(command, tmp_path):
    path = tmp_path / "data.npz"
    images = np.random.default_rng(0).integers(0, 255, (50, 8, 8, 1)).astype("uint8")
    np.savez(path, images=images, labels=np.arange(50) % 5)
    path.write_bytes(path.read_bytes()[:-200])
    code, _, errors = command("train", "vgg08", "--dataset", f"npz:{path}")
    assert (code, "data.npz" in errors, errors.count("\n")) == (2, True, 1), errors


def test_invalid_images_and_splits(command, run_directory, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"not an image")
    code, _, errors = command("predict", run_directory, tmp_path / "broken.png")
    assert (code, "cannot read image" in errors and "broken.png" in errors) == (2, True), errors
    code, _, errors = command("predict", run_directory, tmp_path / "absent.png")
    assert (code, "cannot read image" in errors and "absent.png" in errors) == (2, True), errors
    code, _, errors = command("evaluate", run_directory, "--split", "tset")
    assert (code, "'train', 'validation' or 'test', not 'tset'" in errors) == (2, True), errors


def test_data_that_changed_is_refused(command, tmp_path):
    path, directory = tmp_path / "data.npz", tmp_path / "run"
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (60, 8, 8, 1)).astype("uint8")
    np.savez(path, images=images, labels=np.arange(60) % 5)
    code, _, errors = command(
        "train", "lenet1-max", "--dataset", f"npz:{path}", "--epochs", 1, "--directory", directory
    )
    assert code == 0, errors
    images[0] = 0
    np.savez(path, images=images, labels=np.arange(60) % 5)
    code, _, errors = command("evaluate", directory)
    assert (code, "has changed since it began" in errors) == (2, True), errors


def test_custom_models_that_do_not_fit():
    wrong_classes = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(kzoo.InputError, match="the data has 10 classes"):
        kzoo.train(kzoo.Recipe("a/b", model="mlp"), model=wrong_classes, progress=False)
    wrong_shape = keras.Sequential([keras.Input((9, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(kzoo.InputError, match=r"takes images of shape \(9, 8, 1\), the data has \(8, 8, 1\)"):
        kzoo.train(kzoo.Recipe("a/b", model="mlp"), model=wrong_shape, progress=False)
    nothing_to_train = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Reshape((64,)), keras.layers.Dense(10)])
    nothing_to_train.trainable = False
    with pytest.raises(kzoo.InputError, match="no weights to train"):
        kzoo.train(kzoo.Recipe("a/b", model="mlp"), model=nothing_to_train, progress=False)
    with pytest.raises(kzoo.InputError, match="is not built"):
        kzoo.train(kzoo.Recipe("a/b", model="mlp"), model=keras.Sequential([keras.layers.Dense(10)]), progress=False)


def test_a_directory_that_another_one_trains_in_is_refused(command, tmp_path):
    (tmp_path / "run").mkdir()
    with filelock.FileLock(tmp_path / "run" / ".lock"):
        code, _, errors = command(*TINY, "--directory", tmp_path / "run")
    assert (code, "another process trains there" in errors) == (2, True), errors


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGINT as a shell sends it")
def test_second_process_is_refused_and_interrupt_writes_a_checkpoint(command, tmp_path):
    import signal
    import subprocess
    import time

    directory = tmp_path / "run"
    words = ["train", "lenet1-max", "--dataset", "digits", "--epochs", "500", "--directory", str(directory)]
    process = subprocess.Popen(
        [sys.executable, "-m", "kzoo", *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not checkpoint.files(directory / "checkpoint")[1:]:
        assert process.poll() is None
        time.sleep(0.05)
    code, _, errors = command(*words)
    assert (code, "another process trains there" in errors) == (2, True), errors
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "can be resumed" in errors
    assert "Traceback" not in errors
    last = checkpoint.load_latest(directory / "checkpoint")
    assert last.epoch > 0
    assert not (directory / "result.json").exists()
