"""The figures of a page, from made-up histories, and the pictures of its images."""

import base64
import io
import json
import re
import types
import warnings
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from kzoo.data.augmentation.spec import AnyAugmentation
from kzoo.diagnostics.confusion import Confusion
from kzoo.diagnostics.plots import new_figure
from kzoo.diagnostics.weight_plots import plot_weight_histograms
from kzoo.html_report.classes import class_table
from kzoo.html_report.figures import Figure, embed, gradient_figures, gradients_of_runs, growth_of, weight_figures
from kzoo.html_report.pictures import png, sheet
from kzoo.html_report.samples import augmentation
from kzoo.recipes import get_recipe
from kzoo.training.recorders.weight_histograms import Histogram, WeightHistory
from tests.html_report.conftest import full, undrawn

FLOW = {"layers": ["a", "b"], "epochs": [5], "gradients": [[2e-3, 1e-3]], "update_ratio": [[None, None]]}


def history(*deviations):
    """The history of layers whose weights have these deviations, epoch by epoch."""
    rows = tuple(tuple(Histogram(-1.0, 1.0, 0.0, one, (1,)) for one in row) for row in deviations)
    return WeightHistory(tuple("abcd"[: len(rows[0])]), tuple(range(len(rows))), rows)


@pytest.fixture
def figures(monkeypatch):
    """Collects Matplotlib's figures instead of embedding them, which takes most of the time."""
    made = []

    def keep(figure, title, label, caption=""):
        made.append(figure)
        return Figure("", title, label, caption)

    monkeypatch.setattr("kzoo.html_report.figures.embed", keep)
    return made


def test_growth_is_by_the_first_epoch_and_has_gaps_where_there_is_none():
    growth = growth_of(history([0.5, 2.0, 0.0, 1.0], [1.0, 1.0, 3.0, 0.0], [0.25, 8.0, 0.0, float("nan")]))
    nan = float("nan")
    np.testing.assert_array_equal(growth, [[1, 1, nan, 1], [2, 0.5, nan, nan], [0.5, 4, nan, nan]])


@pytest.mark.usefixtures("figures")
def test_histograms_are_of_some_epochs_and_of_a_few_layers_each(tmp_path, monkeypatch):
    drawn = []

    def draw(some, layers):
        drawn.append((some.epochs, layers))

    monkeypatch.setattr("kzoo.diagnostics.weight_plots.plot_weight_histograms", draw)
    monkeypatch.setattr("kzoo.html_report.figures.LAYERS", 2)
    for count, layers, titles in (
        (1, 2, ["Histograms of weights"]),
        (
            22,
            3,
            [
                "Histograms of weights, a to b",
                "Histograms of weights, c to c",
                "Growth of the weights by layer and epoch",
            ],
        ),
    ):
        drawn.clear()
        content = history(*[[1.0 + i] * layers for i in range(count)]).to_dict()
        (tmp_path / "weight_histograms.json").write_text(json.dumps(content))
        figures = weight_figures(types.SimpleNamespace(directory=tmp_path))
        assert [figure.title for figure in figures] == titles
    epochs = (0, 3, 6, 9, 12, 15, 18, 21)  # eight of 22, evenly spread, with both ends
    assert drawn == [(epochs, ["a", "b"]), (epochs, ["c"])]
    assert figures[0].label == "Histograms of the weights of 2 layers at 8 epochs"
    assert figures[2].label == "Growth of the weights by layer and epoch: 3 layers at 22 epochs"


def test_a_white_background_is_the_pages_and_others_stay():
    for colour, opaque in (("#ffffff", False), ("#123456", True)):
        figure = new_figure(2.0, 2.0)
        figure.add_subplot().set_facecolor(colour)
        embedded = embed(figure, "title", "label")
        shown = [style for style in re.findall(r'style="(fill: [^"]*)"', embedded.svg) if "opacity: 0" not in style]
        assert any(colour in style for style in shown) == opaque
        assert not any("#ffffff" in style for style in shown)
        assert (embedded.title, embedded.label, embedded.width) == ("title", "label", 192)  # two inches


def test_text_keeps_its_digits_and_a_panel_its_layer():
    rows = tuple((Histogram(-0.003, 0.003, 0.0, 0.001, (1, 2, 1)),) * 2 for _ in range(2))
    svg = embed(plot_weight_histograms(WeightHistory(("conv", "top"), (0, 1), rows)), "title", "label").svg
    shown = re.findall("<text[^>]*>([^<]*)</text>", svg)
    assert {"conv", "top", "0.002"} <= set(shown)
    assert not re.search(r"<[^>]*\d\.\d{3}", svg)


def test_weights_that_were_all_the_same_have_no_figure_of_their_growth(tmp_path, figures):
    (tmp_path / "weight_histograms.json").write_text(json.dumps(history([0.0], [1.0]).to_dict()))
    assert len(weight_figures(types.SimpleNamespace(directory=tmp_path))) == len(figures) == 1


@pytest.mark.usefixtures("figures")
@pytest.mark.parametrize(
    ("changes", "caption"),
    [
        ({}, "At epoch 5 the first layer’s gradient is 2 times the last layer’s."),
        ({"gradients": [[0.0, 1e-3]]}, ""),
    ],
)
def test_one_epoch_has_one_figure_of_gradients(changes, caption):
    (figure,) = gradient_figures(full(gradient_flow=FLOW | changes))
    assert (figure.caption, figure.label) == (caption, "Lines of the mean absolute gradient of 2 layers at 1 epoch")


def test_gradients_of_runs_are_those_of_the_first_and_the_last_epoch(figures):
    figure = gradients_of_runs({"several": full(), "one": full(gradient_flow=FLOW), "none": undrawn()})
    lines = {line.get_label(): line for line in figures[0].axes[0].lines}
    assert list(lines) == ["several, untrained", "several, epoch 2", "one, epoch 5"]
    assert [line.get_linestyle() for line in lines.values()] == [":", "-", ":"]
    np.testing.assert_array_equal(lines["several, untrained"].get_ydata(), [1e-6, 1e-4, 1e-2])
    np.testing.assert_array_equal(lines["several, epoch 2"].get_ydata(), [np.nan, 1e-4, 1e-2])
    np.testing.assert_array_equal(lines["one, epoch 5"].get_xdata(), [1, 2])
    assert figure.caption == "Runs without recorded gradients: none."
    assert "over the depth of 2 runs" in figure.label
    assert gradients_of_runs({"several": full()}).caption == ""
    assert "without diagnostics" in gradients_of_runs({"none": undrawn()}).why


def test_a_sheet_has_every_image_in_its_place():
    rng = np.random.default_rng(0)
    for side, times in ((8, 8), (30, 3), (64, 1), (100, 1)):
        rows = [rng.uniform(-20, 280, (3, side, side, 1)), rng.integers(0, 255, (3, side, side, 1), np.uint8)]
        pixels = sheet(rows)
        size = side * times
        assert pixels.shape == (2 * size + 10, 3 * size + 2 * 3, 1)
        for i, row in enumerate(rows):
            for j, image in enumerate(row):
                top, left = i * (size + 10), j * (size + 3)
                shown = pixels[top : top + size, left : left + size][::times, ::times]
                np.testing.assert_array_equal(shown, np.clip(np.rint(image), 0, 255))
        assert (pixels[size : size + 10] == 127).all()
        assert (pixels[:, size : size + 3] == 127).all()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pictures_are_rounded_and_of_one_or_three_channels(channels):
    pixels = np.random.default_rng(0).uniform(-20, 280, (4, 5, channels))
    kind, _, data = png(pixels).partition(",")
    assert kind == "data:image/png;base64"
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    expected = np.clip(np.rint(pixels), 0, 255)
    np.testing.assert_array_equal(shown, expected if channels == 3 else expected[..., 0])


def test_of_many_classes_those_with_the_lowest_accuracy_are_listed():
    matrix = np.diag(np.full(300, 2))
    matrix[0, 0] = 0  # no images
    matrix[7:106, 0], matrix[150, 0] = 1, 2  # 99 classes with an accuracy of 2/3, and one of 1/2
    shown = class_table(Confusion(matrix, tuple(f"c{i}" for i in range(300))))
    assert shown.caption == "The 100 classes of 300 with the lowest accuracy"
    assert [row[0] for row in shown.rows] == [f"c{i}" for i in (*range(7, 106), 150)]
    assert shown.rows[-1] == ("c150", "4", "2", "0.5000", "1.0000")
    few = class_table(Confusion(matrix[:3, :3], ("none", "one", "two")))
    assert (few.caption, [row[0] for row in few.rows]) == ("Every class on the test images", ["none", "one", "two"])
    assert few.rows[0] == ("none", "0", "0", "–", "–")


@pytest.mark.parametrize("kind", [one.model_fields["kind"].default for one in get_args(AnyAugmentation)])
def test_every_augmentation_has_its_pictures(kind, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    data = types.SimpleNamespace(train=types.SimpleNamespace(images=images), normalization=None, fingerprint="content")
    monkeypatch.setattr("kzoo.training.build.load_parts", lambda recipe, data_dir: data)
    record = types.SimpleNamespace(
        recipe=get_recipe("vgg08").override(dataset="digits", augmentation=[kind, "flip"]).model_dump(mode="json"),
        data={"fingerprint": "content"},
    )
    assert [strip.title for strip in augmentation(record, None, None)] == [kind, "flip", "all together"]


def test_names_in_scripts_that_matplotlibs_font_lacks_cause_no_warning():
    figure = new_figure()
    figure.add_subplot().set_xlabel("\N{CJK UNIFIED IDEOGRAPH-732B}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "\N{CJK UNIFIED IDEOGRAPH-732B}" in str(embed(figure, "title", "label").svg)
