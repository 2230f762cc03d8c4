"""Learning curves as charts: of one run, and of all runs of a study on one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from kzoo.pages.charts import COLORS, Chart, color, dash, log_ticks, mode, new_chart, rounded
from kzoo.pages.document import Absent, Table
from kzoo.training.records import Result

TRAIN, VALIDATION = COLORS[1], COLORS[0]
LEGEND = 170  # pixels; a longer one scrolls


def run_curves(record: Result) -> list[Chart] | Absent:
    """Accuracy, loss and learning rate of a run by epoch."""
    history = record.history
    if not record.epochs or not history.get("loss"):
        return Absent("The run ended before its first epoch was done, so there is no curve.")
    validation = "val_loss" in history
    parts = "training and validation" if validation else "training"
    charts = []
    for key, title in (("accuracy", "Accuracy"), ("loss", "Loss")):
        figure = new_chart("epoch", "accuracy" if key == "accuracy" else "cross entropy (nats)")
        _line(figure, history[key], "training", TRAIN, "dash")
        if validation:
            _line(figure, history[f"val_{key}"], "validation", VALIDATION, "solid")
            if record.best_epoch and record.status == "completed":
                best = history[f"val_{key}"][record.best_epoch - 1]
                marker = {"size": 11, "symbol": "circle-open", "color": VALIDATION, "line": {"width": 2}}
                figure.add_scatter(
                    x=[record.best_epoch],
                    y=rounded([best]),
                    mode="markers",
                    name="best epoch",
                    marker=marker,
                    hovertemplate="best epoch %{x}: %{y:.4f}<extra></extra>",
                )
        if key == "accuracy":
            figure.update_yaxes(rangemode="tozero")
        caption = (
            "Training figures are averages while the epoch ran, augmentation and dropout on." if validation else ""
        )
        charts.append(Chart(figure, title, f"{title} on {parts} images over {record.epochs} epochs", caption))
    rates = history.get("learning_rate")
    if rates:
        figure = new_chart("epoch", "learning rate")
        _line(figure, rates, "learning rate", COLORS[2], "solid")
        positive = [rate for rate in rates if rate > 0]
        if positive and max(rates) > 20 * min(positive):
            values, texts = log_ticks(min(positive), max(positive))
            figure.update_yaxes(type="log", tickvals=values, ticktext=texts)
        else:
            figure.update_yaxes(rangemode="tozero")
        figure.update_layout(showlegend=False)
        charts.append(Chart(figure, "Learning rate", f"Learning rate over {record.epochs} epochs", height="16rem"))
    for chart in charts:
        _whole_epochs(chart.figure, record.epochs)
    return charts


def _line(figure: go.Figure, values: Sequence[float], name: str, shade: str, style: str) -> None:
    figure.add_scatter(
        x=list(range(1, len(values) + 1)),
        y=rounded(values),
        name=name,
        mode=mode(len(values)),
        line={"color": shade, "dash": style, "width": 2},
        marker={"size": 5},
        hovertemplate=f"epoch %{{x}}, {name}: %{{y:.4~g}}<extra></extra>",
    )


def _whole_epochs(figure: go.Figure, epochs: int) -> None:
    figure.update_xaxes(range=[0.5, max(epochs, 2) + 0.5], **({"dtick": 1} if epochs <= 12 else {"nticks": 10}))


def epoch_table(record: Result) -> Table:
    """The history, one line an epoch."""
    titles = {
        "loss": "training loss",
        "accuracy": "training accuracy",
        "val_loss": "validation loss",
        "val_accuracy": "validation accuracy",
        "learning_rate": "learning rate",
        "seconds": "seconds",
    }
    names = list(record.history)
    form = {"learning_rate": "{:.4g}", "seconds": "{:,.1f}"}
    rows = [
        (str(epoch), *(form.get(name, "{:.4f}").format(value) for name, value in zip(names, values, strict=True)))
        for epoch, values in enumerate(zip(*record.history.values(), strict=True), start=1)
    ]
    header = ("epoch", *(titles.get(name, name) for name in names))
    return Table("Figures of every epoch", header, tuple(rows), tuple(range(len(header))))


def study_curves(records: Mapping[str, Sequence[Result]]) -> list[Chart] | Absent:
    """Accuracy and loss of all runs by epoch: a colour an entry, its further seeds lighter, training thin.

    Args:
        records: of each entry by its label, by seed.
    """
    drawn = {label: [r for r in rows if r.history.get("loss")] for label, rows in records.items()}
    if not any(drawn.values()):
        return Absent("No run got through its first epoch, so there are no curves.")
    longest = max(len(record.history["loss"]) for rows in drawn.values() for record in rows)
    runs = sum(map(len, drawn.values()))
    charts = []
    for key, title in (("accuracy", "Accuracy"), ("loss", "Loss")):
        figure = new_chart("epoch", "accuracy" if key == "accuracy" else "cross entropy (nats)")
        kinds: list[str] = []
        for place, (label, rows) in enumerate(drawn.items()):
            for number, record in enumerate(rows):
                for kind, name in (("validation", f"val_{key}"), ("training", key)):
                    if name in record.history:
                        figure.add_trace(_run_line(record, record.history[name], kind, label, place, number))
                        kinds.append(kind)
        figure.update_layout(
            updatemenus=[_choice(kinds)],
            legend={
                "orientation": "h",
                "yanchor": "top",
                "y": -0.16,
                "x": 0,
                "groupclick": "togglegroup",
                "maxheight": LEGEND,
            },
            margin={"t": 44},
        )
        _whole_epochs(figure, longest)
        seeds = " Further seeds of an entry are lighter." if any(len(rows) > 1 for rows in drawn.values()) else ""
        caption = (
            "Validation is thick, training thin and dotted. A click on a name hides or shows a run, a double click "
            "shows it alone."
        )
        label = f"{title} of {runs} runs over up to {longest} epochs: {', '.join(drawn)}"
        height = "26rem" if len(drawn) <= 8 else "34rem"
        charts.append(Chart(figure, title, label, caption + seeds, height))
    return charts


def _run_line(record: Result, values: Sequence[float], kind: str, label: str, place: int, number: int) -> go.Scatter:
    seed = record.recipe["seed"]
    validation = kind == "validation"
    style = dash(place) if validation else "dot"
    return go.Scatter(
        x=list(range(1, len(values) + 1)),
        y=rounded(values, 5),
        name=label,
        legendgroup=label,
        showlegend=number == 0 and validation,
        mode=mode(len(values)),
        opacity=(1.0 if number == 0 else 0.5) * (1.0 if validation else 0.75),
        line={"color": color(place), "width": 2.25 if validation else 1.25, "dash": style},
        marker={"size": 5 if validation else 3},
        hovertemplate=f"{label}, seed {seed}<br>epoch %{{x}}, {kind}: %{{y:.4~g}}<extra></extra>",
    )


def _choice(kinds: Sequence[str]) -> dict[str, Any]:
    """Buttons that show validation, training or both."""
    both = {"label": "both", "method": "restyle", "args": ["visible", [True] * len(kinds)]}
    single = [
        {"label": kind, "method": "restyle", "args": ["visible", [k == kind for k in kinds]]}
        for kind in ("validation", "training")
    ]
    return {
        "type": "buttons",
        "direction": "right",
        "buttons": [both, *single],
        "x": 0,
        "xanchor": "left",
        "y": 1.02,
        "yanchor": "bottom",
        "pad": {"t": 0, "b": 4, "l": 0},
        "showactive": False,
    }
