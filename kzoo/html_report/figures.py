"""The figures of `plot_*` as inline SVG that follows the reader's light or dark theme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import markupsafe
import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure as MatplotlibFigure

from kzoo.diagnostics.gradient_flow.plots import plot_gradient_flow, plot_gradient_heatmap, plot_update_ratio
from kzoo.diagnostics.plots import COLORS, SEQUENTIAL, literal, new_figure, thin_ticks
from kzoo.errors import InputError, counted
from kzoo.html_report.document import Absent
from kzoo.training.recorders.flow_history import recorded_flow
from kzoo.training.records import RunRecord

if TYPE_CHECKING:
    from kzoo.training.recorders.weight_histograms import WeightHistory
    from kzoo.training.run import Run

THEMED = {"#000000": "currentColor", "#4c4c4c": "currentColor", "#444444": "currentColor", "#262626": "currentColor"}
THEMED |= dict.fromkeys(("#ebebeb", "#eaeaea", "#dddddd"), "var(--line)")
"""Colours of text, axes and grids, with their replacements on a page."""
PIXELS_PER_INCH = 96
EPOCHS, LAYERS = 8, 12
"""Largest number of epochs in a histogram, and of layers in a figure of histograms."""


@dataclass(frozen=True)
class Figure:
    """A figure on a page.

    Attributes:
        svg: the drawing.
        title: the heading above it.
        label: description of the figure for readers who cannot see it.
        caption: how to read it.
        width: its natural width in CSS pixels.
    """

    svg: markupsafe.Markup
    title: str
    label: str
    caption: str = ""
    width: int = 0


def embed(figure: MatplotlibFigure, title: str, label: str, caption: str = "") -> Figure:
    """A Matplotlib figure as inline SVG, without its background, in the page's colours for text, axes and grids."""
    # The page's heading replaces the figure's title. Text inside the axes keeps its colour: it lies on coloured areas.
    figure.suptitle("")
    for axes in figure.axes:
        axes.patch.set_alpha(0.0 if to_hex(axes.get_facecolor()) == "#ffffff" else 1.0)
        for text in axes.texts:
            text.set_color("#010101" if to_hex(text.get_color()) == "#000000" else text.get_color())

    # Leave out the date, so that the same figure gives the same text. `Figure.savefig` would draw the figure twice.
    figure.patch.set_alpha(0.0)
    content = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kzoo"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the reader's browser has the fonts
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    svg = content.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)

    # Use the theme's colours, coordinates with two decimals, the page's font, and only identifiers that are used.
    svg = re.sub(r"(fill|stroke): (#\w{6})", lambda m: f"{m[1]}: {THEMED.get(m[2], m[2])}", svg)
    svg = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)  # not in the text between tags
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", re.sub(r"font: ([^;\"]*?px)[^;\"]*", r"font-size: \1", svg))
    svg = re.sub(r"<!--.*?-->|<style.*?</style>", "", svg)
    svg = re.sub(r"(<use [^>]*?) style=\"stroke: currentColor; stroke-width: 0.8\"", r"\1", svg)
    svg = re.sub(r"\s+", " ", svg).replace("> <", "><").replace("xlink:href", "href")
    return Figure(markupsafe.Markup(svg), title, label, caption, round(figure.get_figwidth() * PIXELS_PER_INCH))


def gradient_figures(record: RunRecord) -> list[Figure] | Absent:
    """The gradient flow of a record: over depth, by layer and epoch, and how much each step changes the weights."""
    flow = recorded_flow(record)
    if flow is None:
        return Absent("The record has no gradient flow: the run was trained without diagnostics, or they failed.")
    layers, epochs = len(flow["layers"]), len(flow["epochs"])
    first, last = flow["gradients"][0][0], flow["gradients"][0][-1]
    when = f"At epoch {flow['epochs'][0]}" if flow["epochs"][0] else "Before training"
    caption = (
        f"{when} the first layer’s gradient is {first / last:.3g} times the last layer’s." if first and last else ""
    )
    label = f"mean absolute gradient of {counted(layers, 'layer')} at {counted(epochs, 'epoch')}"

    # Draw it over depth and by layer and epoch; draw update ratios if an epoch was trained.
    figures = [embed(plot_gradient_flow(flow), "Gradient over depth", f"Lines of the {label}", caption)]
    if epochs > 1:
        title = "Gradient by layer and epoch"
        figures.append(embed(plot_gradient_heatmap(flow), title, f"Map of the {label}", "The colour is logarithmic."))
    ratios = flow.get("update_ratio")
    if ratios and any(value for by_layer in ratios for value in by_layer if value):
        title, caption = "Update ratio over depth", "How much of a kernel one step changes."
        figures.append(embed(plot_update_ratio(flow), title, f"Update ratios of {layers} layers", caption))
    return figures


def gradients_of_runs(records: Mapping[str, RunRecord]) -> Figure | Absent:
    """Gradient over depth of several runs by label: untrained dotted, after the last epoch as a line."""
    flows = {label: recorded_flow(record) for label, record in records.items()}
    drawn = {label: flow for label, flow in flows.items() if flow is not None}
    if not drawn:
        return Absent("No record has gradient flow: the runs were trained without diagnostics, or they failed.")
    figure = new_figure(9.0, 4.6)
    axes = figure.add_subplot()
    for index, (label, flow) in enumerate(drawn.items()):
        for which in dict.fromkeys((0, len(flow["epochs"]) - 1)):
            epoch = flow["epochs"][which]
            name = f"{literal(label)}, {f'epoch {epoch}' if epoch else 'untrained'}"
            values = [value or np.nan for value in flow["gradients"][which]]  # a logarithm has no value for 0
            style = "-" if which else ":"
            color = COLORS[index % len(COLORS)]
            axes.plot(range(1, len(values) + 1), values, style, color=color, label=name, linewidth=1.6)

    # Add axes, a legend, and the names of missing runs.
    axes.set(yscale="log", xlabel="layer with weights, first to last", ylabel="mean absolute gradient")
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    without = [label for label in flows if label not in drawn]
    caption = f"Runs without recorded gradients: {', '.join(without)}." if without else ""
    label = f"Mean absolute gradient over the depth of {len(drawn)} runs, untrained and at the end"
    return embed(figure, "Gradient over depth", label, caption)


def weight_figures(run: Run | None) -> list[Figure] | Absent:
    """Histograms of every layer's weights over epochs, and the growth of their spread."""
    if run is None:
        return Absent("This page was made from a record only; histograms of weights are in the run’s directory.")
    from kzoo.diagnostics.weight_plots import plot_weight_histograms
    from kzoo.training.recorders.weight_histograms import read_weight_histograms

    try:
        history = read_weight_histograms(run.directory)
    except InputError as error:
        return Absent(f"Histograms cannot be shown: {error}.")
    if not history.epochs or not history.layers:
        return Absent("No histogram of weights was recorded.")

    # Choose evenly spaced epochs, and draw a figure for each group of layers.
    chosen = np.unique(np.linspace(0, len(history.epochs) - 1, EPOCHS).round().astype(int))
    some = history.until([history.epochs[i] for i in chosen])
    figures = []
    for start in range(0, len(history.layers), LAYERS):
        layers = list(history.layers[start : start + LAYERS])
        title = "Histograms of weights" + (f", {layers[0]} to {layers[-1]}" if len(history.layers) > LAYERS else "")
        label = f"Histograms of the weights of {counted(len(layers), 'layer')} at {counted(len(chosen), 'epoch')}"
        caption = "One ridge for each epoch, the last one in front. Heights follow the square root of the density."
        figures.append(embed(plot_weight_histograms(some, layers), title, label, caption))
    growth = growth_of(history)
    if len(history.epochs) > 1 and np.isfinite(growth).any():
        figures.append(_growth(history, growth))
    return figures


def growth_of(history: WeightHistory) -> np.ndarray:
    """The standard deviation of each layer's weights, divided by its first value: float64 (epochs, layers).

    NaN where the factor is not positive and finite, because it is drawn on a logarithmic scale.
    """
    deviations = np.array([[one.deviation for one in layers] for layers in history.histograms], np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = deviations / deviations[0]
    return np.where(np.isfinite(growth) & (growth > 0), growth, np.nan)


def _growth(history: WeightHistory, growth: np.ndarray) -> Figure:
    """The growth of the spread of the weights, by layer and epoch."""
    # The scale covers at least a factor of 1.1 in both directions, so that noise does not fill it.
    low, high = min(np.nanmin(growth), 1 / 1.1), max(np.nanmax(growth), 1.1)
    figure = new_figure(6.4, min(max(2.4, 1.2 + 0.17 * len(history.layers)), 9.0))
    axes = figure.add_subplot()
    image = axes.imshow(growth.T, norm=LogNorm(low, high), cmap=SEQUENTIAL, aspect="auto", interpolation="nearest")
    thin_ticks(axes.xaxis, [str(epoch) for epoch in history.epochs], at_most=15)
    thin_ticks(axes.yaxis, history.layers, at_most=45, fontsize=8)
    axes.set_xlabel("epoch (0: before training)")
    figure.colorbar(image, ax=axes, label="standard deviation / the first one")
    title = "Growth of the weights by layer and epoch"
    return embed(
        figure, title, f"{title}: {counted(len(history.layers), 'layer')} at {counted(len(history.epochs), 'epoch')}"
    )
