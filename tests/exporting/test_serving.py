"""The docs' server answers like kzoo; timings; the folder for Hugging Face; what files say about resizing."""

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import kzoo
from kzoo.exporting.benchmark import benchmark
from kzoo.exporting.export import RESIZE
from kzoo.exporting.predicting import Classifier, predict_files
from kzoo.exporting.runtimes import Exported
from kzoo.models.huggingface import publish
from tests.exporting.conftest import on_tensorflow

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def server():
    match = re.search(r":caption: serve\.py\n\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return match[1]


@on_tensorflow
def test_server_of_the_docs_answers_as_predict_does(exported):
    assert len([line for line in server().splitlines() if line.strip()]) == 15
    shutil.copy(exported("net.onnx"), "net.onnx")
    Path("serve.py").write_text(server(), encoding="utf-8")
    image = np.round(np.kron(load_digits().images[5], np.ones((7, 7))) * 255 / 16).astype("uint8")
    Image.fromarray(image).convert("RGB").save("five.png")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "serve.py", "net.onnx", str(port)], stderr=subprocess.PIPE)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", Path("five.png").read_bytes(), timeout=30) as answer:
            predicted = json.loads(answer.read())
    finally:
        process.kill()
        process.wait()
    (expected,) = predict_files(Classifier("net.onnx"), [Path("five.png")], top=10)
    assert predicted == pytest.approx(dict(expected.classes), abs=1e-6)


@on_tensorflow
@pytest.mark.parametrize("name", ["net.onnx", "net.tflite", "net.keras", "net"])
def test_every_file_stores_classes_and_resizing(run, exported, name):
    metadata = Exported(exported(name)).metadata
    assert metadata["resize"] == RESIZE
    assert tuple(metadata["class_names"]) == run.class_names


@pytest.mark.slow
@pytest.mark.representative
@on_tensorflow
def test_benchmark_of_a_file_and_of_a_set(exported, command):
    code, text, errors = command("benchmark", exported("net.onnx"), "--batch", "1,3", "--seconds", "0.01", "--json")
    assert code == 0, errors
    rows = json.loads(text)["timings"]
    assert [(row["runtime"], row["batch"]) for row in rows] == [("onnx", 1), ("onnx", 3)]
    for row in rows:
        assert row["calls"] >= 10
        assert 0 < row["milliseconds"] <= row["slowest"] * 1.0001
        assert row["images_per_second"] == pytest.approx(1000 * row["batch"] / row["milliseconds"])
    timings = benchmark("lenet1-max:emnist", batches=(2,), seconds=0.01)
    there = [n for n, m in (("onnx", "onnxruntime"), ("litert", "ai_edge_litert")) if importlib.util.find_spec(m)]
    assert [row.runtime for row in timings] == ["keras", *there, "savedmodel"]


def test_wrong_benchmarks_are_one_line(command):
    for words, message in (
        (("nowhere.onnx",), "does not exist"),
        (("lenet1-max:emnist", "--batch", "0"), "batches must be positive"),
        (("lenet1-max:emnist", "--batch", "many"), "--batch takes integers"),
        (("lenet1-max:emnist", "--seconds", "0"), "seconds must be above 0"),
    ):
        code, _, errors = command("benchmark", *words)
        assert (code, errors.count("\n")) == (2, 1), errors
        assert message in errors


def test_published_folder_is_a_set(command):
    code, text, errors = command("publish", "lenet1-max:emnist", "folder")
    assert code == 0, errors
    assert "hf upload USER/NAME folder" in text
    names = {path.name for path in Path("folder").iterdir()}
    assert names == {"README.md", "config.json", "model.weights.h5", "record.json", "set.json"}
    config = json.loads(Path("folder/config.json").read_text())
    assert config["id2label"]["10"] == "A"
    assert config["label2id"]["A"] == 10
    assert (config["num_labels"], config["image_size"], config["num_channels"]) == (47, [28, 28], 1)
    address = Path("folder").resolve().as_uri() + "/set.json"
    theirs = kzoo.create_model("lenet1-max", weights=address)
    ours = kzoo.create_model("lenet1-max", weights="emnist")
    for a, b in zip(theirs.weights, ours.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    assert Path("folder/README.md").read_text().startswith("---\n")


def test_nothing_is_overwritten_by_publishing(command):
    Path("mine").mkdir()
    Path("mine/notes").write_text("mine")
    Path("runs/one").mkdir(parents=True)
    Path("runs/one/recipe.json").write_text("{}")
    for words, message in (
        (("lenet1-max:emnist", "mine"), "is not empty"),
        (("lenet1-max:mnist", "new"), "did you mean 'emnist'"),
        (("nowhere/at/all", "new"), "no readable"),
        (("runs/one", "new"), "it is a run, and kzoo weights save runs/one makes a set of it"),
    ):
        code, _, errors = command("publish", *words)
        assert (code, errors.count("\n")) == (2, 1), errors
        assert message in errors
    assert not Path("new").exists()
    publish("lenet1-max:emnist", "new")
    with pytest.raises(kzoo.InputError, match="is not empty"):
        publish("lenet1-max:emnist", "new")
