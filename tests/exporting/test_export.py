"""Exported files compute what the model computes, say what they are, and never replace a good file with a bad one."""

import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError, RunFailed
from kzoo.exporting import formats, making
from kzoo.exporting.export import RESIZE, export
from kzoo.exporting.runtimes import Exported
from kzoo.introspection.file_metadata import read_metadata
from tests.exporting.conftest import on_tensorflow
from tests.harness import call, images, randomize

FAMILIES = {
    "vgg08-bn": {"filters": 8},
    "vgg-a-bn": {"input_shape": (16, 16, 3)},
    "resnet10": {"channels": (8, 8, 16, 16), "input_shape": (16, 16, 3)},
    "densenet-bc-40-16": {"depth": 10, "input_shape": (8, 8, 3)},
    "lenet2-dilated": {},
    "mlp": {"input_shape": (8, 8, 3)},
    "fastnet-s": {"widths": (8, 8), "input_shape": (8, 8, 3)},
}
PATHS = {"savedmodel": "net", "onnx": "net.onnx", "litert": "net.tflite", "keras": "net.keras"}


def network(name, **options):
    keras.utils.set_random_seed(3)
    model = kzoo.create_model(name, mean=0.5, std=0.25, **options)
    randomize(model)
    return model


@on_tensorflow
@pytest.mark.slow
@pytest.mark.representative
@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_in_each_format(name):
    model = network(name, **FAMILIES[name])
    x = images(model, 5)
    for format, path in PATHS.items():
        done = export(model, path, format)
        assert done.parity.largest_difference < 1e-4
        assert done.parity.images == {"random": 16, "photographs": 16}
        assert (done.output, done.layers["after"] <= done.layers["before"]) == ("probabilities", True)
        opened = Exported(path)
        assert (opened.format, opened.input_dtype, opened.output) == (format, "float32", "probabilities")
        for batch in (x, x[:1], x[1:4]):
            np.testing.assert_allclose(opened(batch), call(model, batch), atol=1e-4)


@pytest.mark.slow
@on_tensorflow
def test_unfolded_and_folded_are_the_same(model):
    randomize(model)
    for format in ("onnx", "litert"):
        path = PATHS[format]
        layers = [export(model, path, format, fold=fold, overwrite=True).layers for fold in (False, True)]
        assert layers[0]["after"] == layers[0]["before"] == layers[1]["before"]
        assert layers[1]["after"] == layers[1]["before"] - 2  # the BatchNorm and the dropout


@on_tensorflow
@pytest.mark.usefixtures("eagerly_once")
@pytest.mark.parametrize("format", PATHS)
def test_bytes_go_in_logits_come_out_and_metadata_describes_them(model, format):
    names = ("ant", "bee", "cat", "dog", "Ö")
    done = export(model, PATHS[format], format, input="uint8", outputs="logits", class_names=names)
    opened = Exported(PATHS[format])
    assert (opened.input_dtype, opened.output, opened.image_shape) == ("uint8", "logits", (8, 8, 3))
    metadata = opened.metadata
    assert metadata["class_names"] == list(names)
    assert metadata["resize"] == RESIZE
    assert metadata["input"] == {"name": "image", "dtype": "uint8", "shape": [8, 8, 3], "pixels": "0 to 255"}
    assert metadata["output"] == {"name": "logits", "shape": [5], "kind": "logits"}
    assert (metadata["schema_version"], metadata["recipe"], metadata["folded"]) == (1, None, True)
    x = images(model, 3).astype("uint8")
    logits = np.asarray(opened(x), np.float64)
    odds = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(odds, call(model, x.astype("float32")), atol=1e-5)
    assert done.bytes > 1000
    if format == "litert":
        assert zipfile.ZipFile("net.tflite").read("labels.txt").decode().split() == list(names)


@on_tensorflow
def test_names_and_dynamic_batch_in_the_files_themselves(model):
    onnx = pytest.importorskip("onnx")
    import tensorflow as tf

    for format in ("savedmodel", "onnx"):
        export(model, PATHS[format])
    graph = onnx.load("net.onnx").graph
    for value, name in ((graph.input, "image"), (graph.output, "probabilities")):
        assert [each.name for each in value] == [name]
        assert value[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    signature = tf.saved_model.load("net").signatures["serving_default"]
    (spec,) = signature.structured_input_signature[1].values()
    assert (spec.name, tuple(spec.shape)) == ("image", (None, 8, 8, 3))
    assert list(signature.structured_outputs) == ["probabilities"]


@pytest.mark.slow
@pytest.mark.representative
@on_tensorflow
def test_a_run_brings_recipe_classes_and_test_images(run, command):
    code, text, errors = command("export", run.directory, "--to", "onnx", "--output", "digits.onnx", "--json")
    assert code == 0, errors
    content = json.loads(text)
    assert content["parity"]["images"] == {"random": 16, "test": 16}
    opened = Exported("digits.onnx")
    assert opened.metadata["class_names"] == list("0123456789")
    assert opened.metadata["recipe"] == run.result.recipe
    test = run.part("test")
    accuracy = (opened(test.images).argmax(-1) == test.labels).mean()
    assert accuracy == pytest.approx(run.result.test.accuracy, abs=0.003)
    code, _, errors = command("export", run.directory, "--to", "onnx", "--output", "digits.onnx")
    assert (code, "exists" in errors) == (2, True)
    code, text, errors = command("export", run.directory, "--to", "onnx", "--output", "digits.onnx", "--force")
    assert code == 0, errors
    assert "largest difference" in text


@pytest.mark.slow
@pytest.mark.representative
@on_tensorflow
def test_int8_is_calibrated_smaller_and_nearly_as_accurate(run):
    whole = export(run, "digits.tflite")
    small = export(run, "small.tflite", quantize="int8", input="uint8")
    assert small.bytes < 0.55 * whole.bytes  # a quarter for a large network
    assert small.parity.scored == (359, "test")
    assert small.parity.accuracy_before == pytest.approx(run.result.test.accuracy, abs=1e-6)
    assert small.parity.accuracy_after > small.parity.accuracy_before - 0.03
    assert small.parity.largest_difference > 0
    assert Exported("small.tflite").metadata["quantized"] == "int8"
    kinds = {tensor["dtype"] for tensor in _tensors("small.tflite")}
    assert np.int8 in kinds
    assert np.int8 not in {tensor["dtype"] for tensor in _tensors("digits.tflite")}


@on_tensorflow
def test_convolutions_in_groups_are_exported():
    pytest.importorskip("onnx")
    keras.utils.set_random_seed(6)
    layers = keras.layers
    image = keras.Input((9, 8, 6))
    x = layers.Conv2D(9, 3, groups=3, strides=2, padding="same", activation="relu")(image)
    x = layers.Conv2D(6, (2, 1), groups=3, dilation_rate=2, use_bias=False)(x)
    net = keras.Model(image, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x)))
    images = np.random.default_rng(0).normal(size=(4, 9, 8, 6)).astype("float32")
    expected = net.predict(images, verbose=0)
    export(net, "groups.onnx")
    np.testing.assert_allclose(Exported("groups.onnx")(images), expected, atol=1e-6)
    np.testing.assert_array_equal(net.predict(images, verbose=0), expected)  # the model itself is as before


@on_tensorflow
def test_opset_is_the_files_and_its_outputs_are_the_models(model, command):
    onnx = pytest.importorskip("onnx")
    x = images(model, 5)
    export(model, "net.onnx", opset=9)
    before = Path("net.onnx").read_bytes()
    for opset in (6, 19, True):
        with pytest.raises(InputError, match=f"opset={opset}: an integer from 7 to 18 is needed"):
            export(model, "net.onnx", opset=opset, overwrite=True)
    assert Path("net.onnx").read_bytes() == before
    export(model, "net.keras")
    code, _, errors = command("export", "net.keras", "--to", "litert", "--opset", "13")
    assert (code, errors) == (2, "error: opset=13: only format 'onnx' supports it, not 'litert'\n")
    code, _, errors = command("export", "net.keras", "--to", "onnx", "--opset", "17", "--output", "cli.onnx")
    assert code == 0, errors
    for path, opset in (("net.onnx", 9), ("cli.onnx", 17)):
        assert {each.domain: each.version for each in onnx.load(path).opset_import}[""] == opset
        np.testing.assert_allclose(Exported(path)(x), call(model, x), atol=1e-4)


def _tensors(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    return interpreter.get_tensor_details()


@on_tensorflow
@pytest.mark.usefixtures("eagerly_once")
@pytest.mark.parametrize("format", [pytest.param("savedmodel", marks=pytest.mark.slow), "onnx", "keras"])
def test_a_mismatch_fails_and_leaves_the_earlier_file(model, format, monkeypatch):
    export(model, PATHS[format], format)
    before = _content(PATHS[format])

    def wrong(*args, **options):
        ready, *rest = with_interface(*args, **options)
        if options.get("fold"):
            for weight in ready.trainable_weights:
                weight.assign(weight * 1.01)
        return ready, *rest

    with_interface = making.with_interface
    monkeypatch.setattr(making, "with_interface", wrong)
    with pytest.raises(
        RunFailed, match=r"differ from the model's by up to .* on 32 images, at most 0\.0001 is allowed"
    ):
        export(model, PATHS[format], format, overwrite=True)
    assert _content(PATHS[format]) == before
    with pytest.raises(RunFailed):
        export(model, f"other-{PATHS[format]}", format)
    assert [path.name for path in Path().iterdir()] == [PATHS[format]]


def test_a_symbolic_link_stays_and_its_target_is_replaced():
    Path("models").mkdir()
    Path("models/first.keras").write_text("of the user")
    Path("latest.keras").symlink_to("models/first.keras")
    with pytest.raises(InputError, match=r"'latest\.keras' exists"):
        export(network("lenet1-max"), "latest.keras")
    export(network("lenet1-max"), "latest.keras", overwrite=True)
    assert Path("latest.keras").is_symlink()
    assert zipfile.is_zipfile("models/first.keras")
    assert [path.name for path in Path("models").iterdir()] == ["first.keras"]


def test_a_file_made_during_the_export_is_kept(monkeypatch):
    def slow(*args, **options):
        Path("net.keras").write_text("of another process")
        return make(*args, **options)

    make = making.make
    monkeypatch.setattr("kzoo.exporting.export.make", slow)
    with pytest.raises(InputError, match=r"'net\.keras' exists"):
        export(network("lenet1-max"), "net.keras")
    assert Path("net.keras").read_text() == "of another process"
    assert [path.name for path in Path().iterdir()] == ["net.keras"]


class TrainsInItsOwnWay(keras.Model):
    """A graph of layers, as `keras.Model` makes it, with another training step."""

    def train_step(self, data):
        raise NotImplementedError


@keras.saving.register_keras_serializable("tests")
class MakesLayers(keras.layers.Layer):
    """A layer that makes its own convolution, with the type of the global policy."""

    def __init__(self, filters=4, kernel_size=3, **options):
        super().__init__(**options)
        self.inner = keras.layers.Conv2D(filters, kernel_size)

    def build(self, shape):
        self.inner.build(shape)

    def call(self, x):
        return self.inner(x)


@pytest.fixture
def mixed_float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def half(kind, layer):
    x = keras.Input((8, 8, 3))
    y = keras.layers.BatchNormalization()(layer(4, 3)(x))
    y = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(y))
    return kind(x, keras.layers.Softmax(dtype="float32")(y), name="half")


@on_tensorflow
@pytest.mark.usefixtures("mixed_float16")
def test_subclasses_of_a_graph_are_exported_like_graphs():
    exported = export(half(TrainsInItsOwnWay, keras.layers.Conv2D), "half.onnx")
    assert {tensor.dtype for tensor in _constants("half.onnx")} <= {np.dtype("float32"), np.dtype("int64")}
    assert exported.layers["after"] < exported.layers["before"]  # BatchNorm is folded


@on_tensorflow
@pytest.mark.usefixtures("mixed_float16")
def test_layers_that_stay_in_low_precision_are_named():
    with pytest.warns(UserWarning, match="'half' is exported with layers that compute in low precision.*: conv2d"):
        export(half(keras.Model, MakesLayers), "half.onnx")


@on_tensorflow
@pytest.mark.slow
def test_operations_that_litert_lacks():
    x = keras.Input((8, 8, 3))
    y = keras.layers.LSTM(4)(keras.layers.Reshape((8, 24))(x))
    model = keras.Model(x, keras.layers.Dense(3, activation="softmax")(y), name="recurrent")
    with pytest.raises(InputError, match="model 'recurrent' uses operations that LiteRT lacks: export it to another"):
        export(model, "recurrent.tflite")


def _constants(path):
    onnx = pytest.importorskip("onnx")
    return [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer]


def _content(path):
    return {str(file): file.read_bytes() for file in [Path(path), *Path(path).rglob("*")] if file.is_file()}


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
def test_keras_files_need_no_tensorflow_and_can_be_exported_again(model, monkeypatch):
    done = export(model, "net.keras", class_names=list("abcde"))
    assert done.layers["after"] == done.layers["before"] - 2
    again = keras.saving.load_model("net.keras", compile=False)
    assert {type(layer).__module__.partition(".")[0] for layer in again.layers} == {"keras"}
    np.testing.assert_allclose(call(again, images(model)), call(model, images(model)), atol=1e-5)
    export("net.keras", "second.keras")
    assert Exported("second.keras").metadata["class_names"] == list("abcde")
    monkeypatch.setenv("HOME", str(Path.cwd()))
    export("~/net.keras", "third.keras")
    assert Exported("third.keras").metadata["class_names"] == list("abcde")


@on_tensorflow
def test_a_layer_that_onnx_cannot_have_is_named(tmp_path):
    layers = [keras.layers.Normalization(mean=1.0, variance=2.0, name="scaled"), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((4, 4, 1)), *layers, keras.layers.Dense(3)])
    with pytest.raises(InputError, match="cannot write layer 'scaled', a Normalization: replace it by Rescaling"):
        kzoo.export(model, tmp_path / "net.onnx")
    assert not [path for path in tmp_path.iterdir() if "net" in path.name]


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
def test_mixed_precision_is_exported_in_float32():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network("vgg08-bn", filters=8, blocks=[0], input_shape=(8, 8, 3))
    finally:
        keras.config.set_dtype_policy(before)
    done = export(model, "net.keras")
    assert done.layers["after"] == done.layers["before"] - 3
    assert {layer.compute_dtype for layer in keras.saving.load_model("net.keras").layers} == {"float32"}


@pytest.mark.backend
@pytest.mark.usefixtures("eagerly_once")
def test_networks_that_do_not_end_in_a_softmax_layer():
    image = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))
    fused = keras.Model(image, keras.layers.Dense(3, activation="softmax", name="classes")(flat))
    plain = keras.Model(image, keras.layers.Dense(3, name="scores")(flat))
    assert export(fused, "a.keras").output == "probabilities"
    assert export(fused, "b.keras", outputs="logits").output == "logits"
    assert export(plain, "c.keras").output == "outputs"
    assert export(plain, "d.keras", outputs="probabilities").output == "probabilities"
    x = images(fused, 4)
    np.testing.assert_allclose(keras.ops.softmax(Exported("b.keras")(x)), call(fused, x), atol=1e-6)
    np.testing.assert_allclose(keras.ops.softmax(call(plain, x)), Exported("d.keras")(x), atol=1e-6)


BAD = [
    (("net.txt",), {}, "'.txt', which is not a format"),
    (("net.onnx", "onx"), {}, "did you mean 'onnx'"),
    (("net.onnx", "litert"), {}, "must end in .tflite"),
    (("NET.KERAS", "keras"), {}, "must end in .keras"),
    (("NET.KERAS",), {}, "must end in .keras"),
    (("net.onnx", "savedmodel"), {}, "must be a folder's"),
    (("absent/net.onnx",), {}, "folder 'absent' does not exist"),
    (("net.onnx",), {"input": "int8"}, "unknown input 'int8'"),
    (("net.onnx",), {"outputs": "scores"}, "unknown outputs 'scores'"),
    (("net.onnx",), {"quantize": "int8"}, "only format 'litert'"),
    (("net.tflite",), {"quantize": "int4"}, "unknown quantize 'int4'"),
    (("net.tflite",), {"quantize": "int8"}, "needs calibration"),
    (("net.onnx",), {"quantize": "int8-only"}, "quantize='int8-only': only format 'litert'"),
    (("net.tflite",), {"quantize": "int8-only", "input": "uint8"}, "input='uint8': with quantize='int8-only'"),
    (("net.tflite",), {"quantize": "int8-only"}, "needs calibration"),
    (("net.tflite",), {"calibration": np.zeros((4, 8, 8, 3), "uint8")}, "calibration: only quantize='int8'"),
    (("net.tflite",), {"opset": 13}, "opset=13: only format 'onnx'"),
    (("net",), {"format": "savedmodel", "opset": 13}, "opset=13: only format 'onnx'"),
    (("net.keras",), {"opset": 13}, "opset=13: only format 'onnx'"),
    (("net.onnx",), {"opset": 6}, "opset=6: an integer from 7 to 18 is needed"),
    (("net.onnx",), {"opset": "13"}, "opset='13': an integer"),
    (("net.onnx",), {"opset": True}, "opset=True: an integer"),
    (("net.tflite",), {"quantize": "int8", "calibration": np.zeros((4, 9, 8, 3))}, "calibration of shape"),
    (
        ("net.tflite",),
        {"quantize": "int8", "calibration": np.full((4, 8, 8, 3), 0.5)},
        r"from 0\.5 to 0\.5 \(multiply by",
    ),
    (("net.keras",), {"class_names": ["a"]}, "class_names has 1 names"),
    (("net.keras",), {"class_names": np.arange(1)}, "class_names has 1 names"),
]


@pytest.mark.parametrize(("words", "options", "message"), BAD, ids=[message for *_, message in BAD])
def test_bad_arguments(model, words, options, message):
    with pytest.raises(InputError, match=message):
        export(model, *words, **options)


def test_models_that_are_not_image_networks():
    with pytest.raises(InputError, match="images"):
        export(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), "net.keras")
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    with pytest.raises(InputError, match="one input"):
        export(keras.Model([a, b], keras.layers.Add()([a, b])), "net.keras")


def test_damaged_and_strange_files(model, command, tmp_path):
    export(model, "net.keras")
    content = Path("net.keras").read_bytes()
    for name in ("cut.keras", "cut.onnx", "cut.tflite"):
        Path(name).write_bytes(content[:2000])
        with pytest.raises(InputError, match=r"cannot be opened|can be loaded|needs"):
            Exported(name)
    code, _, errors = command("export", "cut.keras", "--to", "keras", "--output", "b.keras")
    assert (code, errors.count("\n"), "not a Keras model" in errors) == (2, 1, True)
    with pytest.raises(InputError, match="neither a SavedModel folder"):
        Exported(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        Exported("absent.onnx")
    with zipfile.ZipFile("net.keras", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("kzoo.json", '{"schema_version": 2}')
    with pytest.raises(InputError, match="schema_version 2, newer than 1"):
        Exported("net.keras")
    assert read_metadata(tmp_path) == {}


def test_without_tensorflow_only_keras_files_are_made(model, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "tensorflow" else find(name, *a))
    with pytest.raises(InputError, match="made by TensorFlow, which is not installed"):
        export(model, "net.onnx")
    assert export(model, "net.keras").format == "keras"


def test_code_in_a_file_is_not_run(model):
    image = keras.Input((8, 8, 1))
    keras.Model(image, keras.layers.Lambda(lambda x: x + 1)(image)).save("code.keras")
    with pytest.raises(InputError, match="can be loaded"):
        Exported("code.keras")
    with pytest.raises(InputError, match="not a Keras model that can be loaded"):
        export("code.keras", "net.keras")


def test_formats_are_recognised_alike_everywhere():
    from kzoo.exporting.interface import INPUTS

    assert list(formats.FORMATS) == list(PATHS)
    assert INPUTS == ("float32", "uint8")
