"""Every study runs end to end: each run takes a few steps, on images of a size that fits its network."""

import fnmatch
import html
import json
from pathlib import Path

import numpy as np
import pytest

from kzoo.studies import get_study, list_studies, metrics
from kzoo.studies.running import run_study

# 24 training images leave some classes out of the validation part, which is reported.
pytestmark = [pytest.mark.usefixtures("eagerly"), pytest.mark.filterwarnings("ignore:split")]

# Smaller networks of the same kind, if a study does not compare their size.
THIN_VGG = {"model_options.blocks": 1, "model_options.filters": 4}
PRUNED = {"model_options.filters": [4, 4, 4, 4], "model_options.hidden": [8, 8]}
SMALL_RESNET = {"model_options.blocks": [1, 1], "model_options.channels": [4, 4]}
SMALLER = {
    "rescue": {"model_options.filters": 4},
    "batchnorm": {"model_options.filters": 4},
    **dict.fromkeys(("regularise", "learning-rate", "batch-size", "seeds", "batchnorm-decay"), THIN_VGG),
    **dict.fromkeys(("lossless-reduction", "kernel-stride"), THIN_VGG),
    **dict.fromkeys(("depth", "batchnorm-cost", "dropout", "pooling-optimizer", "filter-size"), PRUNED),
    **dict.fromkeys(("augmentation", "pruned-best"), PRUNED),
    **dict.fromkeys(("resnet-schedules", "resnet-penalties", "resnet-activations", "resnet-blocks"), SMALL_RESNET),
    **dict.fromkeys(("resnet-augmentation", "resnet-mixup"), SMALL_RESNET),
    "fast-without": {"model_options.widths": [4, 4]},
}
# Image sizes if 8 pixels are too few: four dilated convolutions, and an entry with stride 2 before three halvings.
SIZES = {"reduction": 24, "dilation": 24, "kernel-stride": 16}
# `batch-size` compares batch sizes. In `reduction`, the tiny dataset gives two entries (EMNIST and CIFAR-10) the same
# run, and a record belongs to an entry with another name only if nothing but the amount of training differs.
# The learning rates of short training are for its batch size.
OWN_BATCHES = ("batch-size", "reduction", "fast", "fast-without")
OWN_EPOCHS = ("fast",)  # the study compares them
# One run of one study of each report; the default run of the tests includes only the cheapest.
FAST = {"fully-connected": "MLP"}
LONG = {
    "fast-without": "all",
    "regularise": "+ dropout",
    "depth": "E",
    "dilation": "dilated L=4",
    "resnet-schedules": "plateau",
}
SLOW = [pytest.mark.slow, pytest.mark.representative]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Files of 24 training and 8 test images in four classes, by size in pixels."""

    def write(size):
        path = tmp_path_factory.mktemp("tiny") / f"images{size}.npz"
        rng = np.random.default_rng(size)
        arrays = {
            f"{letter}_{part}": rng.integers(0, top, shape, np.uint8)
            for part, count in (("train", 24), ("test", 8))
            for letter, top, shape in (("x", 256, (count, size, size, 3)), ("y", 4, (count,)))
        }
        arrays["y_train"][:4] = range(4)
        np.savez(path, **arrays)
        return path

    return {size: write(size) for size in (8, 16, 24)}


def run(command, tiny, name, only="*"):
    """Train a study's runs in this process, because others import Keras; check the study's table and page."""
    study = get_study(name)
    changes = {"dataset": f"npz:{tiny[SIZES.get(name, 8)]}", **SMALLER.get(name, {})}
    if name not in OWN_EPOCHS:
        changes["epochs"] = 1
    if name not in OWN_BATCHES:
        changes["batch_size"] = 24  # one step
    tasks = run_study(study, only=only, changes=changes)
    assert {task.status for task in tasks} == {"recorded"}
    labels = {label for task in tasks for label in task.labels}
    assert labels == {label for label in study.labels if fnmatch.fnmatchcase(label, only)}

    code, text, err = command("study", "table", name, "--json")
    assert (code, err) == (0, "")
    (budget,) = json.loads(text)["budgets"]
    assert ("dataset=npz:" if name in OWN_EPOCHS else "epochs=1, dataset=npz:") in budget["budget"]
    by_label = {entry["label"]: entry["figures"] for entry in budget["rows"] if entry["seeds"]}
    assert set(by_label) == labels
    for label, shown in by_label.items():
        trained = {name for name in study.columns if metrics.metric(name).source == "record"}
        assert trained | {"test_accuracy"} <= set(shown)
        assert 0 <= shown["test_accuracy"]["mean"] <= 1
        assert shown["test_accuracy"]["reported"] == study.entry(label).reported.get("test_accuracy")
    assert [claim["text"] for claim in budget["claims"]] == [claim.text for claim in study.claims]

    code, text, err = command("study", "table", name)
    assert (code, err) == (0, "")
    assert all(label in text for label in labels)

    code, text, err = command("study", "report", name)
    assert (code, err) == (0, "")
    page = html.unescape(Path(text.split(":", 1)[1].strip()).read_text(encoding="utf-8"))
    assert study.question in page
    assert all(label in page for label in labels)
    assert all(claim.text in page for claim in study.claims)
    return tasks, changes


@pytest.mark.parametrize(("name", "only"), [*FAST.items(), *(pytest.param(*item, marks=SLOW) for item in LONG.items())])
def test_one_study_of_each_report(name, only, command, tiny):
    tasks, changes = run(command, tiny, name, only)
    times = [(task.directory / "result.json").stat().st_mtime_ns for task in tasks]
    again = run_study(get_study(name), only=only, changes=changes)
    assert [(task.directory / "result.json").stat().st_mtime_ns for task in again] == times


@pytest.mark.slow
@pytest.mark.parametrize("name", list_studies())
def test_every_study(name, command, tiny):
    # The other runs of `fast` have wider networks, which the study compares and which are slow without graphs.
    run(command, tiny, name, "fast 94" if name == "fast" else "*")
