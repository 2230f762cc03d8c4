"""LiteRT files with integer inputs and outputs give the network's answers; files of other programs."""

import functools
import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from PIL import Image

import kzoo
from kzoo.errors import InputError
from kzoo.exporting import making
from kzoo.exporting.benchmark import benchmark
from kzoo.exporting.export import export
from kzoo.exporting.predicting import Classifier
from kzoo.exporting.runtimes import Exported, Quantization, _check_takes_pixels
from tests.exporting.conftest import on_tensorflow

pytestmark = on_tensorflow


def details(path):
    """LiteRT's function for a file, and the details of its input and output."""
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(path)).get_signature_runner()
    (input_details,), (output_details,) = runner.get_input_details().values(), runner.get_output_details().values()
    return runner, input_details, output_details


@pytest.fixture(scope="module")
def integers(run, tmp_path_factory):
    """Returns a run's int8-only file, with probabilities or logits, and the export's report."""
    directory = tmp_path_factory.mktemp("integers")

    @functools.cache
    def make(outputs):
        path = directory / f"{outputs}.tflite"
        return path, export(run, path, quantize="int8-only", outputs=outputs)

    return make


@pytest.mark.parametrize("outputs", ["probabilities", pytest.param("logits", marks=pytest.mark.slow)])
def test_both_ends_are_int8_and_the_numbers_are_the_networks(integers, run, outputs):
    path, done = integers(outputs)
    runner, input_details, output_details = details(path)
    assert (input_details["dtype"], output_details["dtype"]) == (np.int8, np.int8)
    assert done.parity.scored == (359, "test")
    assert done.parity.accuracy_before == pytest.approx(run.result.test.accuracy, abs=1e-6)
    assert done.parity.accuracy_after > done.parity.accuracy_before - 0.03
    opened = Exported(path)
    assert (opened.input_dtype, opened.metadata["quantized"]) == ("int8", "int8-only")
    assert (opened.metadata["input"]["dtype"], opened.kind) == (
        "int8",
        {"probabilities": "softmax"}.get(outputs, outputs),
    )

    # By hand, with the file's own scales and zero points.
    images = run.part("test").images[:100]
    (scale, zero), (back, base) = input_details["quantization"], output_details["quantization"]
    rounded = np.clip(np.round(images / scale) + zero, -128, 127).astype(np.int8)
    (raw,) = runner(image=rounded).values()
    np.testing.assert_allclose(opened(images), (raw.astype(float) - base) * back, rtol=1e-5, atol=1e-6)
    assert opened.rounding == pytest.approx(back / 2)

    # The outputs agree with the network's probabilities.
    actual, expected = Classifier(path).probabilities(images), Classifier(run.directory).probabilities(images)
    np.testing.assert_allclose(actual.sum(-1), 1, atol=0.02)
    assert np.abs(actual - expected).mean() < 0.02
    assert (actual.argmax(-1) == expected.argmax(-1)).mean() > 0.9


@pytest.mark.slow
def test_the_command_writes_one_and_predict_reads_it(run, command):
    name = "digits.tflite"
    options = ("--to", "litert", "--quantize", "int8-only", "--output", name)
    code, text, errors = command("export", run.directory, *options)
    assert code == 0, errors
    assert "before" in text
    assert details(name)[1]["dtype"] == np.int8
    images = run.part("test").images[:12]
    files = [f"{i}.png" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[..., 0]).save(file)
    answers = []
    for target in (name, run.directory):
        code, text, errors = command("predict", target, *files, "--json", "--top", "1")
        assert code == 0, errors
        answers.append([row["classes"] for row in json.loads(text)])
    same = [actual.keys() == expected.keys() for actual, expected in zip(*answers, strict=True)]
    assert sum(same) >= 11
    shares = [[share for row in rows for share in row.values()] for rows in answers]
    assert np.median(np.abs(np.subtract(*shares))) < 0.05
    code, _, errors = command("export", run.directory, *options[:4], "--input", "uint8", "--output", "b.tflite")
    assert (code, "the input is int8; leave it out" in errors) == (2, True)


def test_the_comparison_reads_the_files_scales(monkeypatch):
    """Without the scales, the test would fail: all pixels would be clipped at 127."""
    keras.utils.set_random_seed(5)
    options = {"blocks": [0], "filters": 8, "input_shape": (8, 8, 3), "classes": 5, "mean": 0.5, "std": 0.25}
    model = kzoo.create_model("vgg08-bn", **options)
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    seen = []
    compare = making.compare
    monkeypatch.setattr(making, "compare", lambda a, b, **k: seen.append((a, b)) or compare(a, b, **k))
    export(model, "net.tflite", quantize="int8-only", calibration=images)
    ((expected, actual),) = seen
    np.testing.assert_allclose(actual.sum(-1), 1, atol=0.02)
    assert np.abs(actual - expected).max() < 0.05


def foreign(path, dtype, rescaling=1 / 255):
    """A quantized file as from another program: the softmax of the mean of each channel."""
    import tensorflow as tf

    image = keras.Input((8, 8, 3), batch_size=1)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(rescaling)(image))
    model = keras.Model(image, keras.layers.Softmax()(pooled))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    drawn = np.random.default_rng(0).uniform(0, 1, (64, 1, 1, 1, 3)) * np.ones((8, 8, 1))  # of one colour each
    drawn = (drawn if rescaling == 1 else 255 * drawn).astype("float32")
    converter.representative_dataset = lambda: ([each] for each in drawn)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = dtype
    path.write_bytes(converter.convert())
    return path


@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs")
def test_files_of_other_programs(tmp_path):
    import tensorflow as tf

    image = np.zeros((1, 8, 8, 3), "uint8") + np.array([250, 50, 0], "uint8")
    odds = np.exp(image[0, 0, 0] / 255)
    for dtype in (tf.int8, tf.uint8):
        with pytest.warns(UserWarning, match="does not say which pixels it takes"):
            classifier = Classifier(foreign(tmp_path / f"{dtype.name}.tflite", dtype))
        (probabilities,) = classifier.probabilities(image)
        assert classifier.kind == "softmax"
        np.testing.assert_allclose(probabilities, odds / odds.sum(), atol=0.02)
    with pytest.raises(InputError, match=r"takes numbers from 0 to 0\.99\d: images with pixels 0-255 are needed"):
        Classifier(foreign(tmp_path / "scaled.tflite", tf.int8, rescaling=1))


@pytest.mark.parametrize(
    ("scale", "zero", "fits"),
    [
        (1.0, -128, True),
        (1.0, 0, False),  # -128 to 127
        (0.5, -128, False),  # 0 to 127.5
        (256 / 510, -128, True),  # 0 to 128
        (2.0, -128, True),
        (1.0, -256, False),  # 128 to 383
        (1.0, -255, True),  # 127 to 382
    ],
)
def test_ranges_that_can_hold_pixels(scale, zero, fits):
    taken = Quantization(scale, zero, np.dtype("int8"))
    _check_takes_pixels(
        SimpleNamespace(path="a.tflite", metadata={"input": {}}), taken
    )  # kzoo's own files say what they take
    foreign = SimpleNamespace(path="a.tflite", metadata={})
    if fits:
        _check_takes_pixels(foreign, taken)
    else:
        with pytest.raises(InputError, match=r"'a.tflite' takes numbers from .*: images with pixels 0-255 are needed"):
            _check_takes_pixels(foreign, taken)
    with pytest.raises(InputError, match="takes int8 without a scale"):
        _check_takes_pixels(foreign, None)


def test_numbers_as_integers_and_back():
    coding = Quantization.of({"quantization": (0.5, 3), "dtype": np.int8})
    assert coding == Quantization(0.5, 3, np.dtype("int8"))
    rounded = coding.integers(np.array([0.0, 0.2, 0.3, -2.0, 1000.0, -1000.0]))
    assert (rounded.tolist(), rounded.dtype) == ([3, 3, 4, -1, 127, -128], np.int8)
    back = coding.numbers(np.array([3, 127, -128], np.int8))
    assert (back.tolist(), back.dtype) == ([0.0, 62.0, -65.5], np.float32)
    assert Quantization.of({"quantization": (0.0, 0), "dtype": np.int8}) is None
    assert Quantization.of({"quantization": (0.5, 3), "dtype": np.float32}) is None


def test_times_are_of_pixels(integers):
    (timing,) = benchmark(integers("probabilities")[0], batches=[1], seconds=0.05)
    assert (timing.runtime, timing.batch) == ("litert", 1)
    assert timing.milliseconds > 0
