"""With Keras, JAX and the light packages alone, kzoo trains, resumes and evaluates (in a separate environment)."""

import json
import re
import subprocess
import tomllib
import venv
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "keras-tuner", "tensorflow-datasets", "tensorboard", "six", "importlib_resources"}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment without TensorFlow."""
    directory = tmp_path_factory.mktemp("light")
    venv.create(directory, with_pip=True)
    executable = directory / "bin" / "python"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    light = [need for need in project["dependencies"] if re.match(r"[\w-]+", need)[0] not in HEAVY]
    pip = [str(executable), "-m", "pip", "install", "-q", "--no-warn-script-location"]
    subprocess.run([*pip, *light, *project["optional-dependencies"]["jax"]], check=True, timeout=600)
    subprocess.run([*pip, "--no-deps", str(ROOT)], check=True, timeout=300)
    return executable


def kzoo(python, *words, code=0):
    command = [str(python), "-m", "kzoo", *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == code, result.stderr[-3000:]
    return result.stdout + result.stderr


def test_trains_resumes_and_evaluates(python, tmp_path):
    done = subprocess.run([str(python), "-c", "import tensorflow"], capture_output=True, text=True)
    assert "No module named 'tensorflow'" in done.stderr
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    images = rng.integers(0, 60, (200, 8, 8, 3)) + (labels * 60)[:, None, None, None]
    np.savez(tmp_path / "own.npz", images=images.clip(0, 255).astype("uint8"), labels=labels)
    for name, dataset, goal in (("digits", "digits", 0.9), ("own", f"npz:{tmp_path / 'own.npz'}", 0.5)):
        words = ["train", "vgg08-bn", "--dataset", dataset, "--batch-size", 20, "--epochs", 12]
        whole, cut = tmp_path / f"{name}-whole", tmp_path / f"{name}-cut"
        kzoo(python, *words, "--directory", whole)
        script = (
            "import os, sys, kzoo, keras\n"
            "class Die(keras.callbacks.Callback):\n"
            "    def on_train_batch_end(self, batch, logs=None):\n"
            "        if self.model.optimizer.iterations > 12: os._exit(9)\n"
            f"kzoo.train('vgg08-bn', dataset={dataset!r}, batch_size=20, epochs=12, directory={str(cut)!r},\n"
            "           progress=False, checkpoint_minutes=0, callbacks=[])\n"
        )
        died = subprocess.run(
            [str(python), "-c", script.replace("callbacks=[]", "callbacks=[Die()]")], capture_output=True, text=True
        )
        assert died.returncode == 9, died.stderr[-3000:]
        subprocess.run(
            [str(python), "-c", script.replace("callbacks=[]", "callbacks=[keras.callbacks.Callback()]")], check=True
        )
        records = [json.loads((directory / "result.json").read_text()) for directory in (whole, cut)]
        assert records[0]["segments"][0]["backend"] == "jax"
        assert len(records[1]["segments"]) == 2
        assert records[0]["history"]["loss"] == records[1]["history"]["loss"]
        assert records[0]["test"] == records[1]["test"]
        assert records[0]["test"]["accuracy"] > goal
        score = json.loads(kzoo(python, "evaluate", cut, "--json"))
        assert score["accuracy"] == records[0]["test"]["accuracy"]


def test_what_needs_tensorflow_says_so(python, tmp_path):
    text = kzoo(python, "train", "vgg08", "--dataset", "cifar10", "--data-dir", tmp_path, code=2)
    assert "tensorflow" in text.lower()
    assert "Traceback" not in text


def test_searches_once_keras_tuner_is_there(python, tmp_path):
    """keras-tuner is not among the light packages, but it does not need TensorFlow either."""
    pip = [str(python), "-m", "pip", "install", "-q", "--no-warn-script-location", "keras-tuner", "six"]
    subprocess.run(pip, check=True, timeout=600)
    file = ROOT / "tuning" / "lenet_layers_filters_reduction.py"
    words = ["--dataset", "digits", "--epochs", "1", "--set", "train_size=40", "--trials", "2", "--tuner", "random"]
    text = kzoo(python, "search", file, *words, "--directory", tmp_path / "search")
    assert "2 trials (2 completed)" in text
    record = json.loads((tmp_path / "search" / "search.json").read_text())
    assert record["environment"]["backend"] == "jax"
    assert "tensorflow" not in record["environment"]["versions"]
