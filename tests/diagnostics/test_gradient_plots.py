"""Figures of gradient flow show its values."""

import numpy as np
import pytest

from kzoo.diagnostics.gradient_flow.plots import plot_gradient_flow, plot_gradient_heatmap, plot_update_ratio
from kzoo.diagnostics.plots import figure_to_array, save_figure
from kzoo.errors import InputError
from kzoo.training.recorders.flow_history import FlowHistory


def history(epochs=4, depth=5):
    layers = tuple(f"conv{i}" for i in range(depth))
    gradients = 10.0 ** np.add.outer(-np.arange(epochs, dtype=float), np.arange(depth) - 6)
    ratios = np.full((epochs, depth), 2e-3)
    ratios[:1] = np.nan
    return FlowHistory(layers, tuple(range(epochs)), gradients, ratios)


def test_lines_by_epoch():
    flow = history()
    axes = plot_gradient_flow(flow, title="a run").axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "a run"
    assert [line.get_label() for line in axes.lines] == ["before training", "epoch 1", "epoch 2", "epoch 3"]
    for line, row in zip(axes.lines, flow.gradients, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), row)
    assert [label.get_text() for label in axes.get_xticklabels()] == list(flow.layers)
    assert len({line.get_color() for line in axes.lines}) == 4


def test_many_epochs_are_thinned_to_lines_with_a_colour_bar():
    figure = plot_gradient_flow(history(epochs=101))
    axes, bar = figure.axes
    assert len(axes.lines) == 12
    assert axes.get_legend() is None
    assert bar.get_ylabel().startswith("epoch")
    np.testing.assert_array_equal(axes.lines[-1].get_ydata(), history(epochs=101).gradients[-1])


def test_update_ratio_leaves_out_what_was_not_measured():
    axes = plot_update_ratio(history()).axes[0]
    assert [line.get_label() for line in axes.lines if line.get_label().startswith(("epoch", "before"))] == [
        "epoch 1",
        "epoch 2",
        "epoch 3",
    ]
    with pytest.raises(InputError, match="no update ratios"):
        plot_update_ratio(history(epochs=1))


def test_heat_map():
    flow = history()
    axes = plot_gradient_heatmap(flow).axes[0]
    np.testing.assert_allclose(axes.images[0].get_array(), flow.gradients.T)
    assert [label.get_text() for label in axes.get_yticklabels()] == list(flow.layers)


@pytest.mark.slow
def test_zeros_and_records(tmp_path):
    flow = history()
    flow.gradients[1] = 0
    flow.gradients[2, 1] = np.inf
    record = flow.to_dict()
    for plot in (plot_gradient_flow, plot_update_ratio, plot_gradient_heatmap):
        figure = plot(record)
        pixels = figure_to_array(figure, dpi=50)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20
        save_figure(figure, tmp_path / f"{plot.__name__}.svg")
    flow.gradients[:] = 0
    assert figure_to_array(plot_gradient_heatmap(flow), dpi=50).shape[2] == 3
    assert figure_to_array(plot_gradient_flow(flow), dpi=50).shape[2] == 3


@pytest.mark.parametrize("empty", [None, {}, history(epochs=0)])
def test_nothing_to_draw(empty):
    for plot in (plot_gradient_flow, plot_gradient_heatmap, plot_update_ratio):
        with pytest.raises(InputError, match="is empty"):
            plot(empty)
