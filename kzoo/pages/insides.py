"""What a run's directory holds of the network itself: weights over epochs, and its architecture as a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import markupsafe
import numpy as np

from kzoo.errors import InputError
from kzoo.pages.charts import Chart, new_chart, ordered_colors, rounded, spread
from kzoo.pages.document import Absent
from kzoo.pages.flow import power_map
from kzoo.training.records import Result

if TYPE_CHECKING:
    from kzoo.training.recorders.weight_histograms import WeightHistory
    from kzoo.training.saved_run import Run

EPOCHS = 8


@dataclass(frozen=True)
class Drawing:
    """The architecture: a sentence, and the drawing as SVG with a text for those who cannot see it."""

    text: str
    svg: markupsafe.Markup
    label: str


def weight_charts(record: Result, run: Run | None) -> list[Chart] | Absent:
    """The spread of every kernel's weights over epochs, and the histograms of one kernel, to be chosen."""
    if run is None:
        return Absent("Only the record is here; histograms of weights are kept in the run’s directory.")
    from kzoo.training.recorders.weight_histograms import read_weight_histograms

    try:
        history = read_weight_histograms(run.directory)
    except InputError as error:
        return Absent(f"Histograms cannot be shown: {error}.")
    if not history.epochs or not history.layers:
        return Absent("No histogram of weights was recorded.")
    charts = [_histograms(history)]
    if len(history.epochs) > 1:
        deviations = np.array([[one.deviation for one in row] for row in history.histograms])
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = deviations / deviations[0]
        title, what = "Growth of the weights by layer and epoch", "standard deviation / the first one"
        chart = power_map(list(history.layers), list(history.epochs), growth, title, what)
        charts.append(chart)
    return charts


def _histograms(history: WeightHistory) -> Chart:
    """Lines of density for some epochs, one layer at a time."""
    figure = new_chart("weight", "density")
    chosen = spread(len(history.epochs), EPOCHS)
    shades = ordered_colors(len(chosen))
    for layer in range(len(history.layers)):
        for shade, place in zip(shades, chosen, strict=True):
            one = history.histograms[place][layer]
            epoch = history.epochs[place]
            width = (one.high - one.low) / len(one.counts)
            scale = sum(one.counts) * width
            figure.add_scatter(
                x=rounded([one.low + (i + 0.5) * width for i in range(len(one.counts))], 4),
                y=rounded([count / scale if scale else None for count in one.counts], 4),
                name="untrained" if epoch == 0 else f"epoch {epoch}",
                visible=layer == 0,
                mode="lines",
                line={"color": shade, "width": 2, "shape": "hvh"},
                hovertemplate="weight %{x:.3f}, density %{y:.3g}",
            )
    count = len(chosen)
    buttons = [
        {
            "label": name,
            "method": "restyle",
            "args": ["visible", [i // count == layer for i in range(len(figure.data))]],
        }
        for layer, name in enumerate(history.layers)
    ]
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom", "pad": {"b": 4}}
    figure.update_layout(updatemenus=[menu], legend={"yanchor": "top", "y": -0.2}, margin={"t": 44})
    label = f"Histograms of the weights of {len(history.layers)} layers at {count} epochs"
    caption = "One layer at a time: choose it from the list."
    return Chart(figure, "Histograms of weights", label, caption, "24rem")


def architecture(record: Result, run: Run | None) -> Drawing | Absent:
    """The layers of the network and how they are joined; from the record alone the model is built anew."""
    from kzoo.diagnostics.diagram import architecture_diagram
    from kzoo.training.directory import own_model
    from kzoo.training.saved_run import recorded_model

    try:
        model = own_model(run.directory) if run is not None else None
        if model is None:
            model = recorded_model(record)
        svg = architecture_diagram(model)
    except InputError as error:
        return Absent(f"The network cannot be drawn: {error}.")
    text = (
        f"{len(model.layers)} layers, {record.parameters_in_words()}. What repeats is drawn once; pointing at a box "
        "names its layers."
    )
    return Drawing(text, markupsafe.Markup(svg), f"Architecture of {record.recipe['model']}")
