"""Pictures of the distribution of each layer's weights over the epochs of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kzoo.checks import whole
from kzoo.diagnostics.plots import literal, new_figure, sequential_colors
from kzoo.errors import InputError, unknown
from kzoo.training.recorders.weight_histograms import WeightHistory


def plot_weight_histograms(
    history: WeightHistory, layers: Sequence[str] | None = None, *, at_most: int = 12, title: str = ""
) -> Figure:
    """One panel per layer, with a ridge for each epoch, from the first (top, dark) to the last (front, light).

    Heights follow the square root of the density, so that a narrow distribution does not dwarf the wide ones.

    Args:
        history: history of a run.
        layers: layers to show; by default `at_most` of them, evenly spaced from first to last.
        at_most: largest number of panels.
        title: title of the figure.

    Raises:
        InputError: a layer is not in the history, `layers` is empty, nothing was recorded, or `at_most` is not
            positive.
    """
    # Choose the layers.
    if not history.epochs or not history.layers:
        raise InputError("there are no weight histograms to show")
    if layers is not None and not layers:
        raise InputError("layers is empty: name at least one, or give None")
    for layer in layers or ():
        if layer not in history.layers:
            raise unknown("layer", layer, history.layers)
    chosen = list(layers or history.layers)
    if layers is None and len(chosen) > whole("at_most", at_most):
        chosen = [chosen[i] for i in np.unique(np.linspace(0, len(chosen) - 1, at_most).round().astype(int))]

    # One panel for each layer.
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = new_figure(max(2.9 * columns, 4.5), 0.6 + 2.6 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.ravel()[len(chosen) :]:
        axes.set_axis_off()
    for axes, layer in zip(panels.ravel(), chosen, strict=False):
        _ridges(axes, history, history.layers.index(layer))
        axes.set_title(literal(layer), fontsize=9)
    for axes in panels[:, 0]:
        axes.set_ylabel("epoch")
    figure.supxlabel("weight", fontsize=11)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _ridges(axes: Any, history: WeightHistory, layer: int) -> None:
    # Densities, and the height of the tallest ridge.
    histograms = [row[layer] for row in history.histograms]
    densities = []
    for one in histograms:
        width = max(one.high - one.low, 1e-12) / len(one.counts)
        densities.append(np.asarray(one.counts) / max(sum(one.counts), 1) / width)
    steps = min(3.0, 1.0 + len(histograms) / 8)  # rows that the tallest ridge spans
    heights = [np.sqrt(density) for density in densities]
    tallest = max(float(height.max()) for height in heights) or 1.0

    # Draw the ridges, later epochs in front.
    for index, (one, height, color) in enumerate(
        zip(histograms, heights, sequential_colors(len(histograms)), strict=True)
    ):
        edges = np.linspace(one.low, one.high, len(one.counts) + 1)
        middles = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
        ridge = -index + steps * np.concatenate([[0.0], height, [0.0]]) / tallest
        axes.fill_between(middles, -index, ridge, color=color, zorder=index + 1, linewidth=0)
        axes.plot(middles, ridge, color="white", linewidth=0.6, zorder=index + 1.5)
    shown = np.unique(np.linspace(0, len(histograms) - 1, min(len(histograms), 6)).round().astype(int))
    axes.set_yticks([-index for index in shown], [str(history.epochs[index]) for index in shown])
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=8)
    axes.locator_params(axis="x", nbins=4)
