"""Gradients and weights over depth and epochs, as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from kzoo.pages.charts import Chart, color, dash, log_ticks, mode, new_chart, ordered_colors, rounded, spread
from kzoo.pages.document import Absent
from kzoo.training.records import Result

LINES = 10


def flow_charts(record: Result) -> list[Chart] | Absent:
    """The record's gradient flow: lines over depth by epoch, and heat maps of gradient and update by layer."""
    flow: Mapping[str, Any] | None = getattr(record, "gradient_flow", None)
    if not flow or not flow.get("layers") or not flow.get("epochs"):
        return Absent("The record has no gradient flow: the run was trained without diagnostics.")
    layers, epochs = list(flow["layers"]), list(flow["epochs"])
    charts = [_lines(layers, epochs, flow["gradients"])]
    if len(epochs) > 1:
        what = "mean absolute gradient"
        charts.append(power_map(layers, epochs, flow["gradients"], "Gradient by layer and epoch", what))
    ratios = flow.get("update_ratio")
    if ratios and any(value for row in ratios for value in row if value):
        title, what = "Update ratio by layer and epoch", "mean absolute update / mean absolute weight"
        caption = "How much of a kernel a step changes; about 0.001 is usual for networks that learn."
        charts.append(power_map(layers, epochs, ratios, title, what, caption))
    return charts


def _lines(layers: list[str], epochs: list[int], gradients: list[list[float]]) -> Chart:
    figure = new_chart("layer with weights, first to last", "mean absolute gradient")
    chosen = spread(len(epochs), LINES)
    depth = list(range(1, len(layers) + 1))
    for shade, place in zip(ordered_colors(len(chosen)), chosen, strict=True):
        name = "untrained" if epochs[place] == 0 else f"epoch {epochs[place]}"
        figure.add_scatter(
            x=depth,
            # A logarithm has no place for a gradient of nothing: a gap.
            y=rounded([value or None for value in gradients[place]], 4),
            name=name,
            mode=mode(len(layers)),
            customdata=layers,
            line={"color": shade, "width": 2},
            marker={"size": 5},
            hovertemplate=f"%{{customdata}}, {name}: %{{y:.2e}}<extra></extra>",
        )
    figure.update_yaxes(type="log")
    positive = [value for row in gradients for value in row if value]
    if positive:
        values, texts = log_ticks(min(positive), max(positive))
        figure.update_yaxes(tickvals=values, ticktext=texts)
    figure.update_layout(legend={"yanchor": "top", "y": -0.2})
    label = f"Mean absolute gradient of {len(layers)} layers at {len(chosen)} of {len(epochs)} recorded epochs"
    first, last = gradients[0][0], gradients[0][-1]
    caption = ""
    if first and last:
        when = "Before training" if epochs[0] == 0 else f"At epoch {epochs[0]}"
        caption = f"{when} the first layer’s gradient is {first / last:.3g} times the last layer’s."
    return Chart(figure, "Gradient over depth", label, caption, "24rem")


def flow_of_runs(records: Mapping[str, Result]) -> Chart | Absent:
    """Gradient over depth of several runs by their labels: untrained dotted, after the last epoch as a line."""
    flows = {label: getattr(record, "gradient_flow", None) for label, record in records.items()}
    drawn = {label: flow for label, flow in flows.items() if flow and flow.get("layers") and flow.get("epochs")}
    if not drawn:
        return Absent("No record has gradient flow: the runs were trained without diagnostics.")
    figure = new_chart("layer with weights, first to last", "mean absolute gradient")
    positive = [value for flow in drawn.values() for row in flow["gradients"] for value in row if value]
    for label, flow in drawn.items():
        place = list(flows).index(label)  # the colour that the run has in the other charts
        for which in dict.fromkeys((0, len(flow["epochs"]) - 1)):
            epoch = flow["epochs"][which]
            name = f"{label}, {'untrained' if epoch == 0 else f'epoch {epoch}'}"
            figure.add_scatter(
                x=list(range(1, len(flow["layers"]) + 1)),
                y=rounded([value or None for value in flow["gradients"][which]], 4),
                name=name,
                mode=mode(len(flow["layers"])),
                customdata=list(flow["layers"]),
                line={"color": color(place), "width": 2, "dash": "dot" if which == 0 else dash(place)},
                marker={"size": 4},
                hovertemplate=f"%{{customdata}}, {name}: %{{y:.2e}}<extra></extra>",
            )
    figure.update_yaxes(type="log")
    if positive:
        values, texts = log_ticks(min(positive), max(positive))
        figure.update_yaxes(tickvals=values, ticktext=texts)
    figure.update_layout(legend={"yanchor": "top", "y": -0.2, "maxheight": 170})
    without = [label for label in flows if label not in drawn]
    caption = f"Without a record of their gradients: {', '.join(without)}." if without else ""
    label = f"Mean absolute gradient over the depth of {len(drawn)} runs, untrained and at the end"
    return Chart(figure, "Gradient over depth", label, caption, "26rem")


def power_map(layers: list[str], epochs: list[int], values: Any, title: str, what: str, caption: str = "") -> Chart:
    """A heat map with epochs across and layers down, the first layer on top, shaded by the power of ten.

    Args:
        layers: names.
        epochs: one a row of `values`; those without any value are left out.
        values: (epochs, layers); what is not above 0 is a gap.
        title: of the chart.
        what: is shown.
        caption: how to read it.
    """
    table = np.array(values, np.float64).reshape(len(epochs), len(layers))
    kept = np.flatnonzero(np.isfinite(table).any(axis=1))
    table = table[kept].T
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.log10(table)
    powers[~np.isfinite(powers)] = np.nan
    known = powers[np.isfinite(powers)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    figure = new_chart("", "")
    ticks, texts = log_ticks(10**low, 10**high)
    every = -(-len(ticks) // 4)  # a phone has room for four
    ticks, texts = ticks[::every], texts[::every]
    figure.add_heatmap(
        x=[str(epochs[place]) for place in kept],
        y=layers,
        z=powers.astype(np.float32),
        customdata=table.astype(np.float32),
        autocolorscale=True,
        zmin=low,
        zmax=high if high > low else low + 1,
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "y": 1.0,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "tickvals": [math.log10(tick) for tick in ticks],
            "ticktext": texts,
            "ticklabelposition": "outside top",
        },
        hovertemplate=f"%{{y}}, epoch %{{x}}<br>{what}: %{{customdata:.2e}}<extra></extra>",
    )
    # plotly puts a title between the ticks of a map this low, so the first of them says what they are.
    figure.update_xaxes(
        type="category", showgrid=False, nticks=12, ticks="", tickprefix="epoch ", showtickprefix="first"
    )
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, tickfont_size=11, ticks="")
    text = caption or f"{what[0].upper()}{what[1:]}; the shade is logarithmic."
    height = f"{min(11 + 0.8 * len(layers), 34):.0f}rem"
    return Chart(figure, title, f"{title}: {what} of {len(layers)} layers at {len(epochs)} epochs", text, height)
