"""`kzoo predict` on exported files gives the run's answers, as text, CSV or JSON, without Keras."""

import csv
import io
import json
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kzoo.errors import InputError, RunFailed
from kzoo.exporting.benchmark import benchmark
from kzoo.exporting.export import export
from kzoo.exporting.predicting import Classifier, predict_files
from kzoo.exporting.runtimes import Exported, _without_wildcards
from tests.exporting.conftest import on_tensorflow


@pytest.fixture
def files(tmp_path):
    """Seven digits as PNG files."""
    paths = [tmp_path / f"{i}.png" for i in range(7)]
    for path, image in zip(paths, load_digits().images, strict=False):
        Image.fromarray(np.round(image * 255 / 16).astype("uint8")).save(path)
    return paths


@pytest.mark.slow
@pytest.mark.representative
@on_tensorflow
def test_same_answers_from_every_file(run, exported, files, command):
    targets = [run.directory, *(exported(name) for name in ("net", "net.onnx", "net.tflite", "net.keras"))]
    export(run, "logits.keras", outputs="logits")
    targets.append("logits.keras")
    answers = []
    for target in targets:
        code, text, errors = command("predict", target, *files, "--json", "--top", 10, "--batch-size", 3)
        assert code == 0, errors
        answers.append(json.loads(text))
    for answer in answers:
        assert [row["file"] for row in answer] == [str(path) for path in files]
        for row, expected in zip(answer, answers[0], strict=True):
            assert sum(row["classes"].values()) == pytest.approx(1)
            for name, probability in row["classes"].items():
                assert probability == pytest.approx(expected["classes"][name], abs=1e-4)


def test_csv(run, files, command):
    code, text, errors = command("predict", run.directory, *files, "--csv", "--top", 2)
    assert code == 0, errors
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["file"], row["rank"]) for row in rows[:3]] == [
        (str(files[0]), "1"),
        (str(files[0]), "2"),
        (str(files[1]), "1"),
    ]
    assert all(1 >= float(row["probability"]) >= 0 for row in rows)
    code, _, errors = command("predict", run.directory, files[0], "--csv", "--json")
    assert (code, errors) == (2, "error: --csv and --json: choose one\n")


@pytest.mark.slow
@pytest.mark.representative
@on_tensorflow
def test_light_files_load_no_keras(run, files):
    for target in ("digits.onnx", "digits.tflite"):
        export(run, target)
        code = (
            f"import sys; sys.argv = ['kzoo', 'predict', {target!r}, {str(files[0])!r}, '--top', '1']\n"
            "from kzoo.cli import main\n"
            "try:\n    main()\nfinally:\n    print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        first, last = done.stdout.splitlines()
        assert first.startswith(f"{files[0]}: 0 ")
        assert last == "[]"


def test_files_that_do_not_name_classes_or_kind():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 50)(image))
    keras.Model(image, pooled).save("means.keras")
    for i, size in enumerate([(4, 6), (9, 5)]):
        Image.fromarray(np.full((*size, 3), (0, 255, 100 + 50 * i), np.uint8)).save(f"{i}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # the network scales its pixels
        classifier = Classifier("means.keras")
    answers = list(predict_files(classifier, ["0.png", "1.png"], top=2))
    assert [name for row in answers for name, _ in row.classes] == ["1", "2", "1", "2"]
    odds = np.exp([0, 255 / 50, 100 / 50])
    odds /= odds.sum()
    assert answers[0].classes[0][1] == pytest.approx(odds[1])


def test_files_of_other_tools(tmp_path):
    onnx = pytest.importorskip("onnx")
    make = onnx.helper.make_tensor_value_info

    def file(name, *shapes):
        images = [make(f"image{i}", onnx.TensorProto.FLOAT, shape) for i, shape in enumerate(shapes)]
        node = onnx.helper.make_node("ReduceMean", ["image0"], ["y"], axes=[1, 2], keepdims=0)
        graph = onnx.helper.make_graph([node], "means", images, [make("y", onnx.TensorProto.FLOAT, [None, None])])
        versions = {"opset_imports": [onnx.helper.make_opsetid("", 13)], "ir_version": 8}
        onnx.save(onnx.helper.make_model(graph, **versions), tmp_path / name)
        return tmp_path / name

    with pytest.warns(UserWarning, match=r"does not say which pixels it takes: it gets 0 to 255"):
        Classifier(file("means.onnx", [None, 8, 8, 3]))
    # Noise shows that its outputs are not probabilities, although the images do not.
    with pytest.warns(UserWarning, match="does not say which pixels"):
        means = Classifier(tmp_path / "means.onnx")
    np.testing.assert_allclose(means.probabilities(np.zeros((2, 8, 8, 3))), np.full((2, 3), 1 / 3))
    assert means.kind == "logits"
    # A file for batches of two images takes any number of images.
    two = Exported(file("batch.onnx", [2, 8, 8, 3]))
    images = np.random.default_rng(0).uniform(0, 255, (5, 8, 8, 3))
    np.testing.assert_allclose(two(images), images.mean((1, 2)), rtol=1e-5)
    with pytest.warns(UserWarning, match="does not say which pixels"):
        one = Classifier(file("one.onnx", [None, 8, 8, 1]))
    with pytest.raises(InputError, match=r"'.*one\.onnx' gives one number that is not a probability"):
        one.probabilities(images[..., :1])
    with pytest.raises(InputError, match=r"of shape \(None, 3, 8, 8\), channels first"):
        Classifier(file("torch.onnx", [None, 3, 8, 8]))
    with pytest.raises(InputError, match="has 2 inputs: a network with one input is needed"):
        Classifier(file("two.onnx", [None, 8, 8, 3], [None, 8, 8, 3]))


def test_one_column_is_no_softmax_whatever_its_name(tmp_path):
    onnx = pytest.importorskip("onnx")
    make, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    images, outputs = (make(n, onnx.TensorProto.FLOAT, s) for n, s in (("x", [None, 8, 8, 1]), ("logits", [None, 1])))
    nodes = [node("ReduceMean", ["x"], ["y"], axes=[1, 2], keepdims=0), node("Sigmoid", ["y"], ["logits"])]
    graph = onnx.helper.make_graph(nodes, "mean", [images], [outputs])
    versions = {"opset_imports": [onnx.helper.make_opsetid("", 13)], "ir_version": 8}
    onnx.save(onnx.helper.make_model(graph, **versions), tmp_path / "one.onnx")
    with pytest.warns(UserWarning, match="does not say which pixels"):
        classifier = Classifier(tmp_path / "one.onnx")
    np.testing.assert_allclose(classifier.probabilities(np.zeros((1, 8, 8, 1))), [[0.5, 0.5]])


def test_an_image_that_a_network_cannot_take_is_named():
    inputs = keras.Input((None, None, 1))
    hidden = keras.layers.Conv2D(2, 5)(keras.layers.Rescaling(1 / 255)(inputs))
    keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(hidden)).save("open.keras")
    Image.new("L", (3, 2)).save("tiny.png")
    with pytest.raises(
        InputError, match=r"'open\.keras' cannot take image 'tiny\.png' of 2x3 pixels, which may be too"
    ):
        list(predict_files(Classifier("open.keras"), [Path("tiny.png")]))


def test_tensorflow_is_not_given_what_it_reads_as_a_wildcard(tmp_path):
    for name in ("plain", "a[1]", "b*", "c?"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text(name)
        with _without_wildcards(tmp_path / name) as path:
            assert (path == tmp_path / name) == (name == "plain")
            assert not set("[]*?") & set(str(path))
            assert (path / "saved_model.pb").read_text() == name
        assert path.exists() == (name == "plain")
        assert (tmp_path / name / "saved_model.pb").exists()


def test_a_damaged_keras_file_is_one_error(model):
    model.save("net.keras")
    content = bytearray(Path("net.keras").read_bytes())
    content[content.index(b"config.json") + 40] ^= 255
    Path("damaged.keras").write_bytes(content)
    with pytest.raises(InputError, match=r"'damaged.keras' is not a Keras model that can be loaded: .*CRC"):
        Classifier("damaged.keras")


@on_tensorflow
def test_a_litert_file_for_images_of_any_size():
    pytest.importorskip("ai_edge_litert")
    image = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(3, 3)(image))
    model = keras.Model(image, keras.layers.Softmax()(x))
    export(model, "any.tflite")
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3)).astype("uint8")
    np.testing.assert_allclose(Exported("any.tflite")(images), model.predict(images, verbose=0), atol=1e-4)


@keras.saving.register_keras_serializable("kzoo-tests")
class Subclassed(keras.Model):
    def call(self, x):
        return x[:, 0, 0]


def test_keras_files_of_other_inputs_or_outputs(model):
    one, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(one)
    keras.Model(one, [x, x + 1]).save("outputs.keras")
    keras.Model([one, other], keras.layers.Flatten()(one + other)).save("inputs.keras")
    custom = Subclassed()
    custom(np.zeros((1, 8, 8, 3)))
    custom.save("custom.keras")
    for name, message in (("outputs", "has 2 outputs"), ("inputs", "has 2 inputs"), ("custom", "does not say which")):
        with pytest.raises(InputError, match=message):
            Classifier(f"{name}.keras")
    with pytest.raises(InputError, match="one input, images"):
        benchmark("inputs.keras", seconds=0.01)
    keras.Model(one, {"shares": keras.layers.Softmax()(x)}).save("named.keras")
    with pytest.warns(UserWarning, match="does not say which pixels"):
        assert Classifier("named.keras").probabilities(np.zeros((2, 8, 8, 3))).shape == (2, 3)


def test_files_that_are_not_classifiers(model):
    image = keras.Input((8, 8, 3))
    keras.Model(image, keras.layers.Conv2D(2, 3)(image)).save("map.keras")
    with pytest.raises(InputError, match="it is not a classifier"):
        Classifier("map.keras").probabilities(np.zeros((1, 8, 8, 3)))
    keras.Sequential([keras.Input((8, 8, 2)), keras.layers.Flatten()]).save("two.keras")
    with pytest.raises(InputError, match="1 or 3 channels"):
        Classifier("two.keras")
    export(model, "net.keras", class_names=list("abcde"))
    with pytest.raises(InputError, match="names 5 classes but gives 4 outputs"):
        Classifier("net.keras").names(4)
    model = keras.models.clone_model(model)
    model.layers[-2].kernel.assign(np.full(model.layers[-2].kernel.shape, np.nan))
    model.save("nan.keras")
    with pytest.raises(RunFailed, match="not finite"):
        Classifier("nan.keras").probabilities(np.zeros((1, 8, 8, 3)))
