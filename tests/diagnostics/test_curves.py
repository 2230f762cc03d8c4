from types import SimpleNamespace

import numpy as np
import pytest

from kzoo.diagnostics.curves import plot_learning_curves
from kzoo.errors import InputError

HISTORY = {
    "loss": [2.0, 1.0],
    "val_loss": [2.5, 2.0],
    "accuracy": [0.1, 0.4],
    "val_accuracy": [0.1, 0.3],
    "seconds": [1, 1],
}


def test_one_run():
    figure = plot_learning_curves(HISTORY, best_epoch=2)
    loss, accuracy = figure.axes
    assert [list(line.get_ydata()) for line in loss.lines[:2]] == [[2.0, 1.0], [2.5, 2.0]]
    assert list(accuracy.lines[1].get_ydata()) == [0.1, 0.3]
    assert list(accuracy.lines[1].get_xdata()) == [1, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation", "best epoch (2)"]


def test_values_in_arrays():
    figure = plot_learning_curves({"loss": np.array([2.0, 1.0]), "accuracy": np.array([])})
    assert [len(axes.lines) for axes in figure.axes] == [1, 0]


def test_several_runs_have_a_colour_each():
    figure = plot_learning_curves({"a": HISTORY, "b": {"loss": [1.0]}})
    lines = figure.axes[0].lines
    assert len(lines) == 3
    assert lines[0].get_color() == lines[1].get_color() != lines[2].get_color()
    assert lines[2].get_marker() == "o"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation", "a", "b"]


@pytest.mark.parametrize("histories", [{}, {"a": {}}, {"a": {"seconds": [1]}}, {"seconds": [1]}])
def test_bad_input(histories):
    with pytest.raises(InputError, match=r"no history|no loss"):
        plot_learning_curves(histories)


def test_a_list_of_histories_has_no_names():
    with pytest.raises(InputError, match=r"histories must be a run's history, or histories by name, not \[\{'loss'"):
        plot_learning_curves([HISTORY])


def test_validation_every_few_epochs_is_drawn_where_it_was_measured():
    history = {"loss": [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.5], "val_loss": [4.5, 2.5]}
    figure = plot_learning_curves(SimpleNamespace(history=history))  # what Keras's fit returns
    assert [list(line.get_xdata()) for line in figure.axes[0].lines] == [[1, 2, 3, 4, 5, 6, 7], [3, 6]]
    history["loss"].append(0.4)  # every third or every fourth epoch
    with pytest.raises(InputError, match="2 values of val_loss for 8 epochs, so their epochs are not known"):
        plot_learning_curves({"a": history})
