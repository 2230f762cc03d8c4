import xml.etree.ElementTree as ET

import keras
import matplotlib
import numpy as np
import PIL.Image
import pytest

from kzoo.diagnostics.activations import activation_statistics, plot_activations
from kzoo.diagnostics.calibration import calibration, plot_reliability
from kzoo.diagnostics.confusion import Mistake, confusion, plot_confusion, plot_mistakes, plot_per_class
from kzoo.diagnostics.curves import plot_learning_curves
from kzoo.diagnostics.feature_maps import plot_feature_maps
from kzoo.diagnostics.parallel_coordinates import Axis, plot_parallel_coordinates
from kzoo.diagnostics.plots import (
    COLORS,
    check_output,
    figure_to_array,
    figure_to_tensorboard,
    literal,
    new_figure,
    save_figure,
    sequential_colors,
    thin_ticks,
)
from kzoo.diagnostics.receptive_field.effective import effective_field
from kzoo.diagnostics.receptive_field.plots import plot_effective_fields
from kzoo.errors import InputError


def drawn():
    figure = new_figure(4, 3)
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], label="a curve")
    axes.set_title("Some title")
    return figure


def test_style_without_global_settings():
    before = dict(matplotlib.rcParams)
    figure = drawn()
    save_figure(figure, "a.svg")
    assert figure.axes[0].lines[0].get_color() == COLORS[0]
    assert dict(matplotlib.rcParams) == before
    left = figure.subplots(1, 2)[0]
    assert left.plot([1])[0].get_color() == COLORS[0]


def test_formats(tmp_path):
    save_figure(drawn(), tmp_path / "a.png")
    with PIL.Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.size) == ("PNG", (600, 450))
    first = save_figure(drawn(), tmp_path / "a.svg").read_bytes()
    assert any(
        element.text == "Some title" for element in ET.fromstring(first).iter("{http://www.w3.org/2000/svg}text")
    )
    assert save_figure(drawn(), tmp_path / "b.svg").read_bytes() == first


@pytest.mark.parametrize(("name", "message"), [("a.gif", "png or .svg"), ("none/a.png", "does not exist")])
def test_bad_paths(name, message):
    with pytest.raises(InputError, match=message):
        save_figure(drawn(), name)


def test_nothing_is_overwritten_unless_asked(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        save_figure(drawn(), path)
    assert path.read_text() == "mine"
    save_figure(drawn(), path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(InputError, match="exists"):
        check_output(tmp_path / "folder.svg", overwrite=True)


def test_tensorboard_reads_the_figure(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    figure_to_tensorboard(drawn(), tmp_path / "log", "curve", 3)
    figure_to_tensorboard(drawn(), tmp_path / "log", "curve", 4)
    events = EventAccumulator(str(tmp_path / "log"))
    events.Reload()
    images = events.Images("curve")
    assert [(image.step, image.width, image.height) for image in images] == [(3, 400, 300), (4, 400, 300)]
    assert images[0].encoded_image_string.startswith(b"\x89PNG")


def test_pixels():
    pixels = figure_to_array(drawn())
    assert (pixels.shape, pixels.dtype) == ((300, 400, 3), np.uint8)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_colours_and_ticks():
    assert len(sequential_colors(5)) == len(set(sequential_colors(5))) == 5
    assert sequential_colors(0) == []
    axes = new_figure().add_subplot()
    thin_ticks(axes.xaxis, [str(i) for i in range(100)], at_most=20)
    assert [label.get_text() for label in axes.get_xticklabels()] == [str(i) for i in range(0, 100, 5)]
    thin_ticks(axes.xaxis, [])
    assert not axes.get_xticklabels()


NAMES = ("US$ or HK$", "a_$x^^$")  # between two dollar signs, Matplotlib would draw a formula, or refuse it


def named_layers():
    x = keras.Input((6, 6, 1), name="x")
    layers = [keras.layers.Conv2D(2, 3, name=name, padding="same") for name in NAMES]
    return keras.Model(x, keras.layers.Flatten()(layers[1](layers[0](x))))


@pytest.mark.parametrize(
    "plot",
    [
        lambda: plot_confusion(confusion([0, 1, 1], [0, 1, 0], NAMES)),
        lambda: plot_per_class(confusion([0, 1, 1], [0, 1, 0], NAMES)),
        lambda: plot_mistakes(np.zeros((1, 8, 8, 1)), [Mistake(0, 0, 1, 0.9, 0.1)], NAMES),
        lambda: plot_reliability(dict.fromkeys(NAMES, calibration([0, 1], np.eye(2)))),
        lambda: plot_learning_curves({name: {"loss": [2.0, 1.0]} for name in NAMES}),
        lambda: plot_parallel_coordinates([Axis(NAMES[0], [NAMES[1], "b"], "levels")], [0.1, 0.2], score="s"),
        lambda: plot_feature_maps(named_layers(), np.zeros((6, 6, 1))),
        lambda: plot_activations(activation_statistics(named_layers(), np.zeros((1, 6, 6, 1)))),
        lambda: plot_effective_fields([effective_field(named_layers(), name, count=1) for name in NAMES]),
    ],
)
def test_dollar_signs_in_names_are_no_formulas(plot):
    save_figure(plot(), "names.svg")
    texts = [element.text or "" for element in ET.parse("names.svg").iter("{http://www.w3.org/2000/svg}text")]
    for name in NAMES:
        assert any(name in text for text in texts), texts


def test_names_with_an_underscore_in_front_are_in_legends():
    axes = new_figure().add_subplot()
    axes.plot([1, 2], label=literal("_b$"))
    axes.plot([2, 1], label=literal("c_"))
    assert [text.get_text().lstrip("\N{ZERO WIDTH SPACE}") for text in axes.legend().get_texts()] == [r"_b\$", "c_"]
