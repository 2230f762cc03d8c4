"""The docs' examples run where only a runtime is installed, and return the run's classes."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import keras
import numpy as np
import pytest

from kzoo.exporting.export import export
from tests.exporting.conftest import on_tensorflow

pytestmark = [pytest.mark.slow, on_tensorflow]
PAGE = Path(__file__).parents[2] / "docs" / "export.md"


def example(name):
    (code,) = re.findall(rf"```{{code-block}} python\n:caption: {name}\n\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return code


@pytest.mark.parametrize(
    ("package", "script", "file"),
    [("onnxruntime", "run_onnx.py", "digits.onnx"), ("ai-edge-litert", "run_litert.py", "digits.tflite")],
)
def test_docs_example_needs_the_runtime_alone(run, package, script, file, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)  # it could name a folder with packages
    export(run, file)
    folder = tmp_path / "alone"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", package], check=True, timeout=600)
    there = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"^(keras|tensorflow|kzoo)\s", there, re.MULTILINE)
    done = subprocess.run([python, "-c", example(script)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("float32")
    expected = run.model.predict(images, verbose=0).argmax(-1)
    assert done.stdout.split() == [run.class_names[label] for label in expected]


def test_keras_file_needs_keras_alone(run, tmp_path):
    export(run, "digits.keras")
    code = (
        "import sys; sys.modules['kzoo'] = None\n"
        "import keras, numpy\n"
        "model = keras.saving.load_model('digits.keras')\n"
        "images = numpy.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype('float32')\n"
        "print(*model.predict(images, verbose=0).argmax(-1))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("float32")
    expected = keras.ops.convert_to_numpy(run.model(images)).argmax(-1)
    assert done.stdout.split() == [str(label) for label in expected]
