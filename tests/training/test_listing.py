"""Many runs: listing them, training several seeds, and comparing runs."""

import datetime
import json
import statistics
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.html_report.recipe import changes_table
from kzoo.recipes import get_recipe
from kzoo.studies.run_comparison import compare
from kzoo.training.listing import runs, summary
from tests.html_report.conftest import full
from tests.studies.conftest import make

pytestmark = pytest.mark.usefixtures("eagerly")


def put(directory, record, finished=True):
    """A run's directory as training leaves it, without weights."""
    from kzoo.recipes import Recipe

    directory.mkdir(parents=True)
    (directory / "recipe.json").write_text(Recipe(**record.recipe).to_json())
    if finished:
        (directory / "result.json").write_text(record.to_json())
    return directory


@pytest.fixture
def three(tmp_path):
    """A finished run, one that failed, and one that was cut off after two of its epochs."""
    base = get_recipe("rescue/vgg38")
    put(tmp_path / "runs" / "good", full(base))
    put(tmp_path / "runs" / "bad", make(base.override(seed=1), failed=True))
    cut = put(tmp_path / "runs" / "cut", make(get_recipe("vgg08").override(train_size=500)), finished=False)
    (cut / "metrics.csv").write_text("epoch,loss,val_accuracy\n1,2.0,0.25\n2,1.5,0.125\n")
    return tmp_path / "runs"


def test_list_distinguishes_finished_failed_and_cut_off(three):
    listed = {row.directory.name: row for row in runs("*", three)}
    assert {name: row.state for name, row in listed.items()} == {
        "good": "finished",
        "bad": "failed",
        "cut": "unfinished",
    }
    good, cut = listed["good"], listed["cut"]
    assert (good.best, good.test, good.budget) == (0.46875, 14 / 30, "6 epochs")
    assert good.when == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert (cut.best, cut.test, cut.curve) == (0.25, None, (0.25, 0.125))
    assert cut.budget == f"2 of {get_recipe('vgg08').epochs} epochs, 500 images"
    assert listed["bad"].test is None
    assert runs("*", three)[-1].directory.name == "good"  # the oldest


def test_wildcard_is_on_recipe_model_and_directory(three):
    assert {row.directory.name for row in runs("vgg38", three)} == {"good", "bad"}
    assert {row.directory.name for row in runs("rescue/*", three)} == {"good", "bad"}
    assert {row.directory.name for row in runs("cut*", three)} == {"cut"}
    assert runs("resnet*", three) == []


def test_damaged_runs_are_reported_and_left_out(three):
    good = (three / "good" / "result.json").read_text()
    (three / "good" / "result.json").write_text("{}")
    listed = runs("*", three)
    assert {row.directory.name for row in listed} == {"bad", "cut"}
    assert len(listed.problems) == 1
    assert "good" in listed.problems[0]
    record = json.loads(good)
    record["segments"][0]["started"] = "yesterday"
    (three / "bad" / "result.json").write_text(json.dumps(record))
    assert any("segments.0.started" in problem for problem in runs("*", three).problems)
    with pytest.raises(kzoo.InputError, match="does not exist"):
        runs("*", three / "elsewhere")


def test_list_is_a_table_in_a_notebook_and_when_printed(three):
    listed = runs("*", three)
    lines = str(listed).splitlines()
    assert lines[0].split() == ["run", "model", "data", "budget", "best", "test", "when", "state"]
    assert len(lines) == 4
    page = listed._repr_html_()
    assert page.count("<tr>") == 4
    assert page.count("<polyline") == 3
    assert str(three / "good") in page


def test_command_lists_runs(three, command):
    code, text, errors = command("runs", "--directory", three)
    assert (code, errors) == (0, "")
    assert sum(" finished" in line for line in text.splitlines()) == 1
    code, text, _ = command("runs", "vgg08", "--directory", three, "--json")
    assert [row["state"] for row in json.loads(text)] == ["unfinished"]
    code, _, errors = command("runs", "resnet*", "--directory", three)
    assert (code, errors.count("\n")) == (2, 1)
    code, _, errors = command("runs")
    assert (code, errors.count("\n")) == (2, 1)
    assert "does not exist" in errors


def test_compared_runs_show_what_differs(tmp_path):
    base = get_recipe("rescue/vgg38")
    one = put(tmp_path / "one", full(base))
    two = put(tmp_path / "two", full(get_recipe("rescue/bn"), test={"loss": 1.0, "accuracy": 0.5}, confusion=None))
    comparison = compare(one, two)
    assert comparison.labels == ("rescue/vgg38", "rescue/bn")
    assert comparison.differences() == [("model", "vgg38", "vgg38-bn")]
    rows = {row[0]: row[1:] for row in comparison.results()}
    assert rows["test accuracy"] == ("0.4667", "0.5000")
    assert rows["seconds per epoch"] == ("10.46", "10.46")  # 62.75 s, 6 epochs
    assert comparison.notes() == []
    assert "0.4667" in comparison._repr_html_()
    other = put(tmp_path / "other", full(base.override(seed=3), data={**full().data, "fingerprint": "other"}))
    assert "test accuracy with test-time augmentation" not in rows
    tta = put(tmp_path / "tta", full(base.override(seed=4), test_tta={"loss": 1.0, "accuracy": 0.6}))
    assert ("test accuracy with test-time augmentation", "-", "0.6000") in compare(one, tta).results()
    named = compare(one, other)
    assert named.labels == ("rescue/vgg38 seed 0", "rescue/vgg38 seed 3")
    assert named.differences() == [("seed", "0", "3")]
    assert "different data" in named.notes()[0]
    assert repr(named) == "RunComparison of rescue/vgg38 seed 0, rescue/vgg38 seed 3: they differ in 1 field"
    assert repr(compare(two, other)).endswith("they differ in 2 fields")
    for given, message in (
        ((one,), "two runs or more, not 1"),
        ((), "two runs or more, not 0"),
        ((one, one), "same run"),
    ):
        with pytest.raises(kzoo.InputError, match=message):
            compare(*given)


def test_records_from_before_a_field_do_not_differ_in_it(tmp_path):
    late = get_recipe("rescue/bn").override(seed=1)
    early = make(get_recipe("rescue/bn"), 0.5)
    old = {name: value for name, value in early.recipe.items() if name not in ("ties", "tta", "warmup_epochs")}
    old["split"] = {name: value for name, value in old["split"].items() if name != "stratified"}
    old["schema_version"] = 1
    put(tmp_path / "early", early.model_copy(update={"recipe": old}))
    put(tmp_path / "late", make(late, 0.5))
    comparison = compare(tmp_path / "early", tmp_path / "late")
    assert comparison.differences() == [("seed", "0", "1")]
    assert comparison.notes() == []
    fields = [row[0] for row in changes_table({**old, "epochs": 7}).rows]
    assert "epochs" in fields
    assert not {"ties", "tta", "warmup_epochs", "split.stratified"} & set(fields)


def test_values_of_other_kinds_differ(tmp_path):
    for name, classes in (("names", ["1", "2"]), ("indices", [1, 2])):
        put(tmp_path / name, make(get_recipe("rescue/bn").override(class_names=classes), 0.5))
    assert compare(tmp_path / "names", tmp_path / "indices").differences() == [("class_names", "1, 2", "1, 2")]


def test_an_extended_run_began_when_it_was_extended(tmp_path):
    record = full(get_recipe("rescue/vgg38"))
    segment = record.segments[0]
    parts = [
        segment.model_copy(update={"started": f"2025-0{month}-01T00:00:00+00:00", "first_epoch": first})
        for month, first in ((1, 1), (2, 3), (3, 4))
    ]
    extended = record.model_copy(update={"segments": parts, "extends": {"name": "x", "digest": "y", "epochs": 2}})
    assert summary(put(tmp_path / "extended", extended)).when.month == 2
    assert summary(put(tmp_path / "whole", record.model_copy(update={"segments": parts}))).when.month == 1


@pytest.mark.slow
@pytest.mark.representative
def test_comparison_command_and_page(three, command, tmp_path):
    # Drawing takes long, so the records have gradients only from before training.
    flow = {**full().gradient_flow, "epochs": [0], "gradients": [[1e-6, 1e-4, 1e-2]], "update_ratio": [[None] * 3]}
    for name, recipe in (("one", "rescue/vgg38"), ("other", "rescue/bn")):
        put(three / name, full(get_recipe(recipe), gradient_flow=flow, confusion=None))
    other = three / "other"
    code, text, errors = command("compare", three / "one", other, three / "bad", "--output", tmp_path / "c.html")
    assert (code, errors) == (0, "")
    assert "vgg38-bn" in text
    assert "failed: the training loss is nan" in text
    page = (tmp_path / "c.html").read_text()
    assert page.count("Gradient over depth") > 1
    assert 'id="gradients"' in page
    code, text, _ = command("compare", three / "one", other, "--json")
    assert json.loads(text)["results"]["test accuracy"] == {"rescue/vgg38": "0.4667", "rescue/bn": "0.4667"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("good",), "two runs or more"),
        (("good", "good"), "same run twice"),
        (("good", "good/result.json"), "same run twice"),
        (("good", "cut"), "is not finished: kzoo resume"),
        (("good", "nowhere"), "is not a run"),
    ],
)
def test_wrong_comparisons_are_one_line(three, command, words, message):
    code, _, errors = command("compare", *(three / word for word in words))
    assert (code, errors.count("\n")) == (2, 1)
    assert message in errors


def test_seeds_give_mean_and_deviation(command):
    small = (
        "--dataset",
        "digits",
        "--epochs",
        1,
        "--batch-size",
        400,
        "--set",
        "train_size=60",
        "--set",
        "model_options.hidden=[4]",
        "--no-diagnostics",
    )
    code, text, errors = command("train", "mlp", *small, "--seeds", "0,1")
    assert code == 0, errors
    listed = runs("*")
    assert sorted(row.seed for row in listed) == [0, 1]
    tests = [row.test for row in listed]
    assert f"{statistics.fmean(tests):.4f} ± {statistics.stdev(tests):.4f}" in text
    assert "mean ± sd (n=2)" in text
    before = {row.directory: row.directory.stat().st_mtime_ns for row in listed}
    options = {"dataset": "digits", "epochs": 1, "batch_size": 400, "train_size": 60, "model_options": {"hidden": [4]}}
    options["progress"] = False
    again = kzoo.train_seeds("mlp", [0, 1], **options)  # finished: nothing is trained again
    assert {run.directory: run.directory.stat().st_mtime_ns for run in again} == before
    assert again.mean() == pytest.approx(statistics.fmean(tests))
    assert kzoo.train_seeds("mlp", np.arange(2), **options).mean() == again.mean()
    Path("mlp.json").write_text(kzoo.get_recipe("mlp").to_json())
    assert kzoo.train_seeds(Path("mlp.json"), [0], **options)[0].directory == again[0].directory
    with pytest.raises(kzoo.InputError, match=r"e\.g\. \[0, 1, 2\], not 3"):
        kzoo.train_seeds("mlp", 3, **options)
    for wrong in ([[0]], ["0"], [-1], [0.5]):
        with pytest.raises(kzoo.InputError, match="seeds must be one or more different integers >= 0, not"):
            kzoo.train_seeds("mlp", wrong, **options)
    assert again.sd("test") == pytest.approx(statistics.stdev(tests))
    for words in (("--seeds", "0,1", "--seed", 3), ("--seeds", "0,0"), ("--seeds", "0,1", "--directory", "here")):
        code, _, errors = command("train", "mlp", *small, *words)
        assert (code, errors.count("\n")) == (2, 1), words


class Remembers(keras.callbacks.Callback):
    """Counts epochs, and ends training after the second that it sees."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def on_epoch_end(self, epoch, logs=None):
        self.seen += 1
        self.model.stop_training = self.seen >= 2


@pytest.mark.slow
@pytest.mark.representative
def test_what_a_callback_remembers_of_one_seed_does_not_reach_the_next():
    own = Remembers()
    options = {"dataset": "digits", "train_size": 40, "epochs": 3, "progress": False, "callbacks": [own]}
    assert [run.result.epochs for run in kzoo.train_seeds("mlp", [0, 1], **options)] == [2, 2]
    assert own.seen == 0


def test_other_seeds_train_after_one_fails():
    rate = {"kind": "sgd", "learning_rate": 1e30}
    options = {
        "dataset": "digits",
        "epochs": 2,
        "train_size": 100,
        "batch_size": 100,
        "optimizer": rate,
        "progress": False,
        "diagnostics": False,
        "model_options": {"hidden": [4]},
    }
    with pytest.raises(kzoo.RunFailed, match=r"2 of 2 seeds failed \(4, 5\); 4: the (training|validation) loss"):
        kzoo.train_seeds("mlp", [4, 5], **options)
    assert [row.state for row in runs("*")] == ["failed", "failed"]
