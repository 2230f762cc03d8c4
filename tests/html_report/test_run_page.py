"""A run's page shows the content of its record, and says what it cannot show."""

import math
import re
import shutil

import numpy as np
import pytest

from kzoo.errors import InputError
from kzoo.html_report import run_page
from kzoo.html_report.curves import BACKGROUNDS, COLORS, run_curves, study_curves
from kzoo.html_report.recipe import changes_table, recipe_table
from kzoo.html_report.run import budget, numbers
from kzoo.recipes import get_recipe
from kzoo.training.run import Run
from tests.html_report.conftest import CLASSES, full, undrawn
from tests.html_report.reading import Page

# A page builds the network to draw it, so it is small.
SMALL = get_recipe("fully-connected/mlp").override(model_options={"hidden": [4]})


@pytest.fixture(scope="module")
def page_file(record, tmp_path_factory):
    return run_page(record, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture(scope="module")
def page(page_file):
    return Page(page_file)


def test_values_are_those_of_the_record(page):
    shown = dict(page.numbers)
    expected = {
        "Test accuracy": "0.4667",
        "Validation accuracy (best)": "0.4688",
        "Validation accuracy": "0.4375",
        "Train accuracy": "0.6250",
        "Test loss": "1.211",
        "Parameters": "336,196",
        "Training time": "1 min",
    }
    assert {name: shown[name] for name in expected} == expected
    assert "6 of 6 epochs on 1,000 training images of cifar100, 64 validation and 30 test images held out" in page.text


def test_both_counts_of_parameters_are_shown_where_layers_are_frozen(tmp_path):
    shown = {}
    for every in (None, 336196, 400000):
        page = Page(run_page(undrawn(SMALL, all_parameters=every), tmp_path / f"{every}.html"))
        assert dict(page.numbers)["Parameters"] == "336,196"
        shown[every] = page.text
    assert "trained, of 400,000 in all (layers are frozen)" in shown[400000]
    assert "400,000 parameters, 336,196 of them trained" in shown[400000]
    for every in (None, 336196):
        assert "400,000" not in shown[every]
        assert "336,196 parameters." in shown[every]
        assert "frozen" not in shown[every]


def test_every_epoch_is_in_the_table_and_in_the_curves(page, record):
    header, *rows = page.table("Values of every epoch")
    assert header == [
        "epoch",
        "training loss",
        "training accuracy",
        "validation loss",
        "validation accuracy",
        "learning rate",
        "seconds",
    ]
    for i, row in enumerate(rows):
        assert row[0] == str(i + 1)
        *scores, rate, seconds = [values[i] for values in record.history.values()]
        assert row[1:] == [*(f"{score:.4f}" for score in scores), f"{rate:g}", f"{seconds:.1f}"]
    lines = {line["name"]: line["y"] for line in page.charts[0]["lines"]}
    assert lines["training"] == record.history["accuracy"]
    assert lines["validation"] == record.history["val_accuracy"]
    assert lines["best epoch"] == [None, None, None, 0.46875]


def test_classes_are_counted_as_in_the_confusion_matrix(page):
    rows = page.table("Every class on the test images")[1:]
    assert rows[0] == ["cat", "10", "8", "0.8000", "0.4000"]
    assert rows[1][:4] == ["dog", "10", "5", "0.5000"]
    assert rows[2] == [CLASSES[2], "10", "1", "0.1000", "1.0000"]
    assert page.table("Most frequent mistakes")[1] == [CLASSES[2], "cat", "7", "70.0%"]


def test_gradient_flow_is_drawn_from_the_record(page, record):
    assert "Lines of the mean absolute gradient of 3 layers at 3 epochs" in page.labels
    assert "Update ratios of 3 layers" in page.labels
    assert page.tags.count("svg") == 6  # confusion, classes, three of gradients, the network
    assert "Before training the first layer’s gradient is 0.0001 times the last layer’s." in page.text


def test_recipe_is_described_by_its_differences_from_the_family(record):
    rows = changes_table(record.recipe).rows
    assert rows == (("epochs", "6", "100"),)
    changed = get_recipe("rescue/bn-residual").override(**{"optimizer.learning_rate": 0.01}).resolved()
    names = {row[0]: row[1:] for row in changes_table(changed.model_dump(mode="json")).rows}
    assert names["optimizer.learning_rate"] == ("0.01", "0.001")
    assert "default of the model’s family" in changes_table(record.recipe).caption
    same = get_recipe("rescue/vgg38").resolved().model_dump(mode="json")
    assert changes_table(same).rows == ()


def test_all_fields_of_a_recipe_are_listed(record):
    fields = [row[0] for row in recipe_table(record.recipe).rows]
    filled = {name for name, value in record.recipe.items() if value != {}}
    assert {field.partition(".")[0] for field in fields} == filled - {"name", "schema_version"}
    assert ("optimizer.learning_rate", "0.001") in recipe_table(record.recipe).rows


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.06, "0.1 s"), (59.9, "59.9 s"), (60, "1 min"), (3540, "59 min"), (3600, "1 h 00 min"), (9000, "2 h 30 min")],
)
def test_a_time_is_shown_in_the_largest_units(seconds, text):
    assert numbers(undrawn(seconds=seconds))[-1].value == text


def test_the_details_of_the_numbers():
    record = undrawn()
    details = {number.name: number.detail for number in numbers(record)}
    assert details["Validation accuracy (best)"] == "epoch 4"
    assert details["Validation accuracy"] == details["Train accuracy"] == "epoch 6"
    assert (details["Validation loss"], details["Parameters"]) == ("nats, epoch 6", "trainable")
    assert details["Training time"] == "in one process"
    twice = undrawn(segments=[segment.model_dump() for segment in record.segments * 2])
    assert numbers(twice)[-1].detail == "in 2 processes, one after another"


def test_the_score_with_test_time_augmentation_is_shown():
    recipe = get_recipe("rescue/vgg38").override(tta="flip-shift")
    (shown,) = (
        number
        for number in numbers(undrawn(recipe, test_tta={"loss": 1.0, "accuracy": 0.625}))
        if "test-time" in number.name
    )
    assert shown == ("Test accuracy with test-time augmentation", "0.6250", "flip-shift of each image")
    assert not [number for number in numbers(undrawn()) if "test-time" in number.name]


def test_the_budget_shows_what_was_held_out_and_that_images_were_added():
    record = undrawn()
    start, end = "6 of 6 epochs on 1,000 training images", f"; batches of {record.recipe['batch_size']}; seed 0."
    for sizes, text in (
        ({"drawn": 1000, "train": 1000}, f"{start} of cifar100{end}"),
        ({"train": 1000, "test": 30}, f"{start} of cifar100, 30 test images held out{end}"),
        (
            {"drawn": 1000, "train": 2000, "validation": 0, "test": 30},
            f"{start} (expanded to 2,000) of cifar100, 30 test images held out{end}",
        ),
    ):
        assert budget(undrawn(sizes=sizes)) == text


@pytest.mark.parametrize(
    ("rates", "log"),
    [([0.1, 0.004], True), ([0.1, 0.005], False), ([0.1, 0.01, 0.0], False), ([0.1, 0.001, 0.0], True), ([0.0], False)],
)
def test_learning_rates_that_differ_much_are_on_a_logarithmic_axis(rates, log):
    *_, chart = run_curves(undrawn(history={**full().history, "learning_rate": rates}))
    assert (chart.log, chart.zero) == (log, not log)


def test_runs_differ_by_colour_then_by_dash_and_further_seeds_are_lighter():
    many = {str(number): [undrawn()] for number in range(21)}
    many["seeds"] = [undrawn(), undrawn()]
    accuracy, loss = study_curves(many)
    lines = [line for line in accuracy.lines if line["kind"] == "validation"]
    looks = [(line["color"], line["dash"]) for line in lines[:-1]]
    assert len(set(looks)) == 22
    assert looks[0][0] == looks[10][0] == looks[20][0]
    assert [line["opacity"] for line in lines[-3:]] == [1.0, 1.0, 0.5]
    thin = [line for line in accuracy.lines if line["kind"] == "training"]
    assert {line["dash"] for line in thin} == {"2 4"}
    assert max(line["width"] for line in thin) < min(line["width"] for line in lines)
    assert thin[-1]["opacity"] < thin[-2]["opacity"] < 1.0
    assert accuracy.label.startswith("Accuracy of 23 runs over up to 6 epochs: 0, 1, ")
    assert "Further seeds of an entry are lighter." in loss.caption
    assert "lighter" not in study_curves({"a": [undrawn()]})[0].caption


def test_names_cannot_break_the_page(tmp_path):
    name = '</script><img src="x" onerror="alert(1)">'
    record = full(SMALL, gradient_flow=None, data={**full().data, "class_names": [name, "b", "c"]})
    page = Page(run_page(record, tmp_path / "page.html"))
    assert page.table("Every class on the test images")[1][0] == name
    assert "img" not in page.tags


def test_page_is_self_contained(page):
    assert [address for address in page.addresses if not address.startswith(("data:", "#"))] == []
    assert page.tags.count("h1") == 1


def test_record_alone_says_what_it_lacks(page):
    for text in (
        "This page was made from a record only; mistakes need the run’s weights and data",
        "This page was made from a record only; histograms",
        "Images cannot be shown: ",  # the data is missing, or is not this record's
    ):
        assert text in page.text
    assert "svg" in page.tags  # the network is built again


def test_failed_run_says_so(tmp_path):
    failed = {"status": "failed", "reason": "the loss is nan <at> step 3", "confusion": None, "test": None}
    record = undrawn(SMALL, **failed, best=None, last=None, train=None, best_epoch=None)
    page = Page(run_page(record, tmp_path / "page.html"))
    assert "This run failed: the loss is nan <at> step 3" in page.text
    assert "The run failed, so it was not tested." in page.text
    assert "Test accuracy" not in dict(page.numbers)
    assert page.charts


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"test": 359}, "The run did not read its test part, as no trial of a search does."),
        ({}, "The data has no test"),
    ],
)
def test_a_page_says_why_there_is_no_test_score(sizes, why, tmp_path):
    record = undrawn(SMALL, test=None, sizes={"drawn": 100, "train": 100, "validation": 20, **sizes})
    assert Page(run_page(record, tmp_path / "page.html")).text.count(why) == 2  # confusion matrix, mistakes


@pytest.mark.parametrize(
    "lack",
    [
        {"history": {}, "epochs": 0, "best": None, "last": None, "train": None, "test": None, "status": "failed"},
        {"confusion": None, "test": None},
        {"confusion": [[0, 0, 0]] * 3},
        {"gradient_flow": None},
        {"gradient_flow": {"layers": ["a"], "epochs": [0], "gradients": [[0.0]], "update_ratio": [[None]]}},
        {"segments": []},
        {"peak_memory": None},
        {"git_commit": "0" * 40},
    ],
    ids=lambda lack: next(iter(lack)),
)
def test_incomplete_records_have_a_page(lack, tmp_path):
    assert Page(run_page(undrawn(SMALL, **lack), tmp_path / "page.html")).tags.count("h2") == 9


def test_without_validation_there_are_training_curves_only(tmp_path):
    history = {key: values for key, values in full().history.items() if not key.startswith("val_")}
    page = Page(run_page(undrawn(SMALL, history=history, best=None, last=None, best_epoch=6), tmp_path / "page.html"))
    assert [line["name"] for line in page.charts[0]["lines"]] == ["training"]


@pytest.mark.slow
@pytest.mark.representative
def test_command_shows_the_pictures_of_a_real_run(trained, tmp_path, command):
    code, out, err = command("report", trained.directory, "--output", tmp_path / "a.html")
    assert (code, err) == (0, "")
    assert f"page: {tmp_path / 'a.html'}" in out
    page = Page(tmp_path / "a.html")
    wrong = sum(map(sum, trained.result.confusion)) - np.trace(trained.result.confusion)
    assert f"misclassify {wrong:,} of 359 test images" in page.text
    before = sum("before (upper row) and after" in text for text in page.alternatives)
    assert before == 4  # rotations, pad_crop, mixup, all together
    assert len(page.alternatives) == min(wrong, 24) + before
    assert all(page.alternatives)
    assert page.text.count("cannot be shown") == (0 if (trained.directory / "weight_histograms.json").exists() else 1)


@pytest.mark.slow
@pytest.mark.representative
def test_run_without_weights_or_data_says_so(trained, tmp_path, monkeypatch):
    directory = tmp_path / "copy"
    shutil.copytree(trained.directory, directory)
    (directory / "weight_histograms.json").unlink()
    (directory / "result.json").write_text(trained.result.model_copy(update={"gradient_flow": None}).to_json())
    (directory / "best.weights.h5").unlink()
    text = Page(run_page(Run(directory))).text
    assert "weights are missing (best.weights.h5)" in text
    assert (directory / "report.html").is_file()
    (directory / "best.weights.h5").write_bytes(b"damaged")
    assert "Mistakes cannot be shown: weights" in Page(run_page(Run(directory))).text


def test_only_pages_of_kzoo_are_replaced(record, page_file, tmp_path):
    path = tmp_path / "page.html"
    run_page(undrawn(SMALL), path)
    run_page(record, path)
    assert path.read_bytes() == page_file.read_bytes()
    path.write_text("my own notes")
    with pytest.raises(InputError, match="is not a page of kzoo's"):
        run_page(record, path)
    assert path.read_text() == "my own notes"
    with pytest.raises(InputError, match="does not exist"):
        run_page(record, tmp_path / "nowhere" / "page.html")
    with pytest.raises(InputError, match=r"page\.pdf': the name of a page must end in \.html"):
        run_page(record, tmp_path / "page.pdf")
    with pytest.raises(InputError, match="path must be given"):
        run_page(record)


def test_command_makes_the_page_of_a_record(tmp_path, command):
    (tmp_path / "record.json").write_text(undrawn(SMALL).to_json())
    assert command("report", tmp_path / "record.json")[0] == 0
    assert "fully-connected/mlp" in Page(tmp_path / "record.html").text


@pytest.mark.parametrize(
    ("content", "message"), [(None, "is not a run"), ("", "is not a run"), ("{}", "cannot be read")]
)
def test_command_refuses_what_is_not_a_run(content, message, tmp_path, command):
    path = tmp_path / "thing"
    if content == "":
        path.mkdir()
    elif content:
        path.write_text(content)
    code, out, err = command("report", path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert message in err


def _luminance(color):
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("color", COLORS)
def test_colors_stand_out_from_both_backgrounds(color, background):
    dark, light = sorted((_luminance(color), _luminance(background)))
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_what_is_not_finite_is_a_gap_in_a_curve(tmp_path):
    history = {**full().history, "learning_rate": [1 / 3, math.nan, math.inf, 0.1, 0.0, 1e-5]}
    page = Page(run_page(undrawn(SMALL, history=history), tmp_path / "page.html"))
    assert page.charts[2]["lines"][0]["y"] == [0.333333, None, None, 0.1, 0.0, 1e-5]


def test_figures_follow_the_theme_and_stand_alone(page_file):
    text = page_file.read_text()
    drawings = re.findall(r"<svg viewBox.*?</svg>", text)
    assert len(drawings) == 5
    for svg in drawings:
        assert "currentColor" in svg
        assert "#000000" not in svg
        used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))
        assert used <= set(re.findall(r'id="([\w-]+)"', svg))
