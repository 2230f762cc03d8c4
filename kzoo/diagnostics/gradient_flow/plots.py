"""Figures of gradient flow: lines over depth, a heat map, and the change of each layer in one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure

from kzoo.diagnostics.plots import SEQUENTIAL, new_figure, sequential_colors, thin_ticks
from kzoo.errors import InputError
from kzoo.training.recorders.flow_history import FlowHistory

MOST_LINES = 12
LEGEND_UP_TO = 8
"""With more lines than this, a colour bar labels them."""
USUAL_UPDATE = 1e-3


def plot_gradient_flow(flow: FlowHistory | Mapping[str, Any], *, title: str = "") -> Figure:
    """Mean absolute gradient over depth, one line for each of up to 12 epochs, dark to light; logarithmic.

    Args:
        flow: a `FlowHistory`, or its data in a record (`run.result.gradient_flow`).
        title: title of the figure.

    Raises:
        InputError: there is nothing to draw.
    """
    history = _history(flow)
    return _lines(history, history.gradients, "mean absolute gradient", title)


def plot_update_ratio(flow: FlowHistory | Mapping[str, Any], *, title: str = "") -> Figure:
    """Relative change of each layer's kernel in the last step of an epoch, over depth; logarithmic.

    Arguments and errors are as for `plot_gradient_flow`.
    """
    history = _history(flow)
    if not np.isfinite(history.update_ratio).any():
        raise InputError("gradient_flow has no update ratios: no epoch was trained")
    figure = _lines(history, history.update_ratio, "update / weight (mean absolute)", title)
    axes = figure.axes[0]
    axes.axhline(USUAL_UPDATE, color="#444444", linewidth=1.0, linestyle=":", zorder=0)
    axes.set_xlabel(
        "; ".join(filter(None, [f"dotted: {USUAL_UPDATE:g}, usual where a network learns", axes.get_xlabel()]))
    )
    return figure


def plot_gradient_heatmap(flow: FlowHistory | Mapping[str, Any], *, title: str = "") -> Figure:
    """Mean absolute gradient by layer (first at the top) and epoch; colours show its logarithm, and grey is 0.

    Arguments and errors are as for `plot_gradient_flow`.
    """
    history = _history(flow)
    values = np.where(history.gradients > 0, history.gradients, np.nan)
    shown = values[np.isfinite(values)]
    count, depth = len(history.epochs), len(history.layers)
    figure = new_figure(min(3.8 + 0.16 * count, 10.0), min(max(2.4, 1.2 + 0.17 * depth), 9.0))
    axes = figure.add_subplot()
    axes.set_facecolor("#cccccc")
    low, high = (shown.min(), shown.max()) if len(shown) else (0.1, 1.0)
    norm = LogNorm(low, high if high > low else low * 10)
    image = axes.imshow(values.T, norm=norm, cmap=SEQUENTIAL, aspect="auto", interpolation="nearest")
    thin_ticks(axes.xaxis, [str(epoch) for epoch in history.epochs], at_most=15)
    thin_ticks(axes.yaxis, history.layers, at_most=45, fontsize=8)
    axes.set_xlabel("epoch (0: before training)")
    figure.colorbar(image, ax=axes, label="mean absolute gradient")
    axes.set_title(title)
    return figure


def _history(flow: Any) -> FlowHistory:
    history = flow if isinstance(flow, FlowHistory) else FlowHistory.from_dict(flow) if flow else None
    if history is None or not history.epochs or not history.layers:
        raise InputError("gradient_flow is empty: the run was trained without diagnostics, or they failed")
    return history


def _lines(history: FlowHistory, table: np.ndarray, label: str, title: str) -> Figure:
    # Choose the epochs.
    rows = np.flatnonzero(np.isfinite(table).any(axis=1))
    indices = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_LINES)).round().astype(int))]
    few = len(indices) <= LEGEND_UP_TO
    epochs = Normalize(0, max(history.epochs[-1], 1))
    # Leave out the palest colours, like `sequential_colors`.
    colormap = ListedColormap(sequential_colors(256))
    colors = sequential_colors(len(indices)) if few else [colormap(epochs(history.epochs[i])) for i in indices]

    # One line for each of them.
    figure = new_figure(7.2, 4.6)
    axes = figure.add_subplot()
    depth = len(history.layers)
    for index, color in zip(indices, colors, strict=True):
        values = np.where(table[index] > 0, table[index], np.nan)
        epoch = history.epochs[index]
        name = "before training" if epoch == 0 else f"epoch {epoch}"
        marker = "o" if depth <= 40 else None
        axes.plot(range(depth), values, color=color, linewidth=1.6, marker=marker, markersize=3.5, label=name)
    if few:
        axes.legend(fontsize=9, frameon=False)
    else:
        figure.colorbar(ScalarMappable(epochs, colormap), ax=axes, label="epoch (0: before training)")
    axes.set_yscale("log")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel(label)
    if (table[indices] == 0).any():
        axes.set_xlabel("no point: exactly 0")
    thin_ticks(axes.xaxis, history.layers, at_most=20, rotation=90, fontsize=8)
    axes.set_title(title)
    return figure
