"""A run that was trained on one backend exports in a process of another."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError, KzooError, RunFailed
from kzoo.exporting.export import export
from kzoo.exporting.runtimes import Exported
from tests.exporting.conftest import on_tensorflow


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="on TensorFlow there is no second process")
def test_runs_of_this_backend_export_through_a_tensorflow_process():
    pytest.importorskip("tensorflow", reason="TensorFlow makes the file")
    changes = {"dataset": "digits", "train_size": 60, "epochs": 1}
    run = kzoo.train("lenet1-max", **changes, directory="run", progress=False, diagnostics=False)
    done = export(run, "digits.onnx")
    assert done.parity.images == {"random": 16, "test": 16}
    assert done.parity.largest_difference < 1e-4
    images = run.part("test").images
    np.testing.assert_allclose(Exported("digits.onnx")(images), run.model.predict(images, verbose=0), atol=1e-4)


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="on TensorFlow there is no second process")
def test_a_registered_function_is_found_by_the_second_process(tmp_path, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow makes the file")
    (tmp_path / "kzoo_test_functions.py").write_text(
        "import keras\n\n\n@keras.saving.register_keras_serializable('mine')\n"
        "def twice(x):\n    return 2 * keras.ops.relu(x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    twice = importlib.import_module("kzoo_test_functions").twice
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Dense(3, activation=twice)(keras.layers.Flatten()(image)))
    parity = export(model, "net.onnx").parity
    assert parity.largest_difference <= parity.tolerance


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="on TensorFlow there is no second process")
def test_a_failure_in_the_second_process_is_reported(model, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow makes the file")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RunFailed, match="ended with status 1: it said nothing"):
        export(model, "net.onnx")


@pytest.mark.backend
@pytest.mark.skipif(keras.backend.backend() == "tensorflow", reason="on TensorFlow there is no second process")
@pytest.mark.parametrize("method", ["call", "build"])
def test_a_layer_that_fails_on_tensorflow_is_named_with_the_reason(tmp_path, monkeypatch, method):
    pytest.importorskip("tensorflow", reason="TensorFlow makes the file")
    (tmp_path / f"kzoo_test_{method}.py").write_text(
        "import keras\n\n\n@keras.saving.register_keras_serializable('mine')\n"
        "class Elsewhere(keras.layers.Layer):\n"
        f"    def {method}(self, x):\n"
        "        if keras.backend.backend() == 'tensorflow':\n"
        "            raise NotImplementedError('not on TensorFlow')\n"
        "        return x\n\n"
        f"    def {'call' if method == 'build' else 'other'}(self, x):\n        return x\n\n"
        "    def compute_output_shape(self, shape):\n        return shape\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    layer = importlib.import_module(f"kzoo_test_{method}").Elsewhere()
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, keras.layers.Dense(3)(keras.layers.Flatten()(layer(image))))
    with pytest.raises(KzooError, match="not on TensorFlow"):
        export(model, "net.onnx")
    assert not Path("net.onnx").exists()


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_runs_of_other_backends(backend):
    pytest.importorskip(backend, reason=f"needs {backend}")
    environment = {**os.environ, "KERAS_BACKEND": backend}

    def command(*words):
        words = [sys.executable, "-m", "kzoo", *words]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("train", "vgg08-bn", "--dataset", "digits", "--epochs", "2", "--directory", "run", "--no-diagnostics")
    for format, path in (("savedmodel", "net"), ("onnx", "net.onnx"), ("litert", "net.tflite")):
        for fold in ("--fold", "--no-fold"):
            text = command("export", "run", "--to", format, "--output", path, fold, "--force", "--json")
            parity = json.loads(text)["parity"]
            assert parity["images"] == {"random": 16, "test": 16}
            assert parity["largest_difference"] < 1e-4
    assert json.loads(Path("run/result.json").read_text())["segments"][0]["backend"] == backend


def test_unfinished_run(tmp_path):
    with pytest.raises(InputError, match="is not a run"):
        export(tmp_path, "net.keras")
