"""Commands that draw: what they print and write, and that they overwrite nothing."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo

pytestmark = pytest.mark.usefixtures("eagerly")

FIELDS = {"train_size": 200, "batch_size": 200, "epochs": 2, "model_options": {"filters": 4, "blocks": [0]}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("run") / "run"
    kzoo.train("vgg08-bn", dataset="digits", directory=directory, progress=False, **FIELDS)
    return directory


def test_histograms_of_a_run(run, command):
    code, text, _ = command("histograms", run, "--output", "weights.png")
    assert code == 0
    assert "entry_conv" in text
    assert Path("weights.png").read_bytes().startswith(b"\x89PNG")
    content = json.loads(command("histograms", run, "--json")[1])
    assert content["epochs"] == [0, 1, 2]
    model = kzoo.Run(run).model
    assert len(content["layers"]) == sum(len(weight.shape) == 4 or len(weight.shape) == 2 for weight in model.weights)
    code, text, _ = command("histograms", run, "--layer", "logits")
    assert "entry_conv" not in text
    code, _, error = command("histograms", run, "--layer", "logit")
    assert (code, "did you mean 'logits'?" in error) == (2, True)


def test_final_histograms_are_of_the_final_weights(run):
    from kzoo.training.recorders.weight_histograms import read_weight_histograms, weight_histograms

    opened = kzoo.Run(run)
    model = opened.model
    model.load_weights(run / "final.weights.h5")
    history = read_weight_histograms(run)
    assert [h.counts for h in history.histograms[-1]] == [h.counts for h in weight_histograms(model).values()]
    model.load_weights(run / "best.weights.h5")


def test_a_run_without_histograms_says_so(run, tmp_path, command):
    directory = shutil.copytree(run, tmp_path / "plain")
    (directory / "weight_histograms.json").unlink()
    code, _, error = command("histograms", directory)
    assert (code, "diagnostics were off" in error) == (2, True)


@pytest.mark.slow
def test_without_diagnostics_the_same_bits_and_no_histograms(run, tmp_path, command):
    directory = tmp_path / "plain"
    plain = kzoo.train("vgg08-bn", dataset="digits", directory=directory, progress=False, diagnostics=False, **FIELDS)
    for one, two in zip(kzoo.Run(run).model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    code, _, error = command("histograms", directory)
    assert (code, "diagnostics were off" in error) == (2, True)


def test_confusion_of_a_run(run, command):
    names = ("matrix.svg", "classes.png", "mistakes.png")
    options = zip(("--output", "--per-class", "--mistakes"), names, strict=True)
    code, text, _ = command("confusion", run, *(word for pair in options for word in pair))
    assert code == 0
    assert "most confused" in text
    assert all(Path(name).stat().st_size > 1000 for name in names)
    content = json.loads(command("confusion", run, "--json")[1])
    record = json.loads((run / "result.json").read_text())
    assert content["accuracy"] == pytest.approx(record["test"]["accuracy"])
    assert content["matrix"] == record["confusion"]


@pytest.mark.slow
@pytest.mark.representative
def test_calibration_of_a_run(run, command):
    code, text, _ = command("calibration", run, "--output", "reliability.svg")
    assert code == 0
    assert "at temperature" in text
    assert Path("reliability.svg").exists()
    content = json.loads(command("calibration", run, "--json", "--bins", "5")[1])
    record = json.loads((run / "result.json").read_text())
    trained, scaled = content["results"].values()
    assert trained["accuracy"] == scaled["accuracy"] == pytest.approx(record["test"]["accuracy"])
    assert trained["negative_log_likelihood"] == pytest.approx(record["test"]["loss"], rel=1e-4)
    assert len(trained["bins"]["counts"]) == 5
    assert json.loads(command("calibration", run, "--json", "--split", "validation")[1])["temperature"] is None


def test_diagrams(run, command):
    assert command("diagram", "lenet1-max")[0] == 0
    assert ET.fromstring(Path("lenet1-max.svg").read_text(encoding="utf-8")).tag.endswith("svg")
    assert command("diagram", run, "--output", "run.svg", "--detail", "layers")[0] == 0
    assert "stage1_reduction_pool" in Path("run.svg").read_text(encoding="utf-8")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)], name="mine").save("mine.keras")
    assert command("diagram", "mine.keras", "--output", "mine.svg")[0] == 0
    assert command("diagram", "vgg08", "--set", "batch_norm=true", "--output", "bn.svg")[0] == 0
    assert "BatchNorm" in Path("bn.svg").read_text(encoding="utf-8")
    assert not Path("vgg08.svg").exists()


def test_a_built_model_takes_no_builder_options(run, command):
    Path("mine.keras").touch()
    targets = [
        ("diagram", "mine.keras"),
        ("info", "mine.keras"),
        ("diagram", run),
        ("diagram", "lenet2-average:emnist"),
    ]
    for words in targets:
        code, _, error = command(*words, "--set", "batch_norm=true")
        assert (code, error.count("\n")) == (2, 1)
        assert f"--set takes options of a named model: leave it out, because '{words[1]}' is already built" in error
    code, text, _ = command("info", "lenet2-average:emnist", "--set", "kernel_initializer=zeros")
    assert (code, "lenet2-average" in text) == (0, True)


def test_nothing_is_overwritten_unless_asked(run, command):
    Path("there.svg").write_text("mine")
    for words in (("diagram", "vgg08"), ("confusion", run), ("calibration", run), ("histograms", run)):
        code, _, error = command(*words, "--output", "there.svg")
        assert (code, "there.svg" in error) == (2, True)
        assert Path("there.svg").read_text() == "mine"
    assert command("diagram", "vgg08", "--output", "there.svg", "--force")[0] == 0
    assert Path("there.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("diagram", "vgg09"), "did you mean"),
        (("diagram", "vgg08", "--detail", "all"), "detail must be"),
        (("diagram", "vgg08", "--output", "a.png"), "must end in .svg"),
        (("diagram", "none.keras"), "does not exist"),
        (("confusion", "nowhere"), "is not a run"),
        (("confusion", "RUN", "--output", "a.pdf"), "must end in .png or .svg"),
        (("calibration", "RUN", "--split", "all"), "must be 'train', 'validation' or 'test'"),
        (("calibration", "RUN", "--output", "none/a.png"), "does not exist"),
        (("histograms", "nowhere"), "is not a run"),
    ],
)
def test_bad_input(words, message, run, command):
    code, out, error = command(*(run if word == "RUN" else word for word in words))
    assert (code, message in error.replace("\n", " ")) == (2, True), error
    assert "Traceback" not in out + error
