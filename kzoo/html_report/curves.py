"""Learning curves as interactive charts: of one run, and of several runs on one axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import markupsafe

from kzoo.errors import counted
from kzoo.html_report.document import Absent, Table, for_script
from kzoo.training.records import RunRecord

BACKGROUNDS = ("#ffffff", "#14171c")
"""Background colours of the light and the dark page."""

# Colours of medium lightness: their contrast with both backgrounds is at least 3:1, which WCAG requires for graphics.
COLORS = ("#2b7bba", "#d4601f", "#1a8f6b", "#b9579f", "#8a6d1c", "#2f93b5", "#7b62c9", "#c2454f", "#5f8f2e", "#7a7f87")
DASHES = ("", "8 4", "2 4", "8 4 2 4")
"""Dash patterns (SVG's stroke-dasharray) that distinguish runs of the same colour."""


@dataclass(frozen=True)
class Chart:
    """An interactive chart, drawn by ``curves.js``.

    Attributes:
        lines: one mapping for each line: its name in the legend, ``kind``, the ``text`` shown when a reader points at
            it, values by epoch (``y``, None for a gap), colour, dash, width and opacity.
        title: the heading above it.
        label: description of the chart for readers who cannot see it.
        caption: how to read it.
        axis: the name of the vertical axis.
        log: whether the vertical axis is logarithmic.
        zero: whether the vertical axis starts at 0.
        kinds: the kinds of lines that buttons select; empty for no buttons.
        height: height of the drawing, in CSS.
    """

    lines: tuple[dict[str, Any], ...]
    title: str
    label: str
    caption: str = ""
    axis: str = ""
    log: bool = False
    zero: bool = False
    kinds: tuple[str, ...] = ()
    height: str = "20rem"

    @property
    def json(self) -> markupsafe.Markup:
        """The chart as JSON data in a script element."""
        return for_script({"lines": self.lines, "axis": self.axis, "log": self.log, "zero": self.zero})


def _line(name: str, kind: str, values: Sequence[float], color: str, dash: str = "", **options: Any) -> dict[str, Any]:
    rounded = [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]
    return {"name": name, "kind": kind, "text": name, "y": rounded, "color": color, "dash": dash, **options}


def run_curves(record: RunRecord) -> list[Chart] | Absent:
    """Accuracy, loss and learning rate of a run by epoch."""
    history = record.history
    if not record.epochs or not history.get("loss"):
        return Absent("The run ended before it completed an epoch, so there is no curve.")
    validation = "val_loss" in history
    parts = "training and validation" if validation else "training"
    caption = "Training values are averages over the epoch, with augmentation and dropout on." if validation else ""

    # Accuracy and loss, with a ring around the epoch whose weights are kept
    charts = []
    for key, title, axis in (("accuracy", "Accuracy", "accuracy"), ("loss", "Loss", "cross entropy (nats)")):
        lines = [_line("training", "training", history[key], COLORS[1], DASHES[1])]
        if validation:
            lines.append(_line("validation", "validation", history[f"val_{key}"], COLORS[0]))
            if record.best_epoch and record.status == "completed":
                ring = [math.nan] * (record.best_epoch - 1) + [history[f"val_{key}"][record.best_epoch - 1]]
                lines.append(_line("best epoch", "validation", ring, COLORS[0], ring=True))
        label = f"{title} on {parts} images over {counted(record.epochs, 'epoch')}"
        charts.append(Chart(tuple(lines), title, label, caption, axis, zero=key == "accuracy"))

    # The learning rate
    rates = history.get("learning_rate")
    if rates:
        positive = [rate for rate in rates if rate > 0]
        log = bool(positive) and max(rates) > 20 * min(positive)
        line = _line("learning rate", "", rates, COLORS[2])
        label = f"Learning rate over {counted(record.epochs, 'epoch')}"
        title = "Learning rate"
        charts.append(Chart((line,), title, label, "", "learning rate", log, not log, height="16rem"))
    return charts


def study_curves(records: Mapping[str, Sequence[RunRecord]]) -> list[Chart] | Absent:
    """Accuracy and loss of all runs by epoch: one colour for each entry, further seeds lighter, training thinner."""
    drawn = {label: [run for run in runs if run.history.get("loss")] for label, runs in records.items()}
    if not any(drawn.values()):
        return Absent("No run completed an epoch, so there are no curves.")
    longest = max(len(run.history["loss"]) for runs in drawn.values() for run in runs)
    caption = "Validation is thick, training thin and dotted. Click a name to hide or show a run; double-click to show "
    caption += "it alone."
    if any(len(runs) > 1 for runs in drawn.values()):
        caption += " Further seeds of an entry are lighter."

    # Draw a chart of accuracy and one of loss.
    charts = []
    for key, title, axis in (("accuracy", "Accuracy", "accuracy"), ("loss", "Loss", "cross entropy (nats)")):
        lines = []
        for index, (label, runs) in enumerate(drawn.items()):
            color, dash = COLORS[index % len(COLORS)], DASHES[index // len(COLORS) % len(DASHES)]
            for number, run in enumerate(runs):
                seed, opacity = f"seed {run.recipe['seed']}", 0.5 if number else 1.0
                for kind, values in (("validation", run.history.get(f"val_{key}")), ("training", run.history.get(key))):
                    if values:
                        look = {"width": 2.25, "opacity": opacity}
                        if kind == "training":
                            look = {"width": 1.25, "opacity": 0.75 * opacity}
                        style = dash if kind == "validation" else DASHES[2]
                        lines.append(_line(label, kind, values, color, style, text=f"{label}, {seed}, {kind}", **look))
        runs_, names = sum(map(len, drawn.values())), ", ".join(drawn)
        label = f"{title} of {runs_} runs over up to {longest} epochs: {names}"
        kinds = ("validation", "training")
        charts.append(Chart(tuple(lines), title, label, caption, axis, kinds=kinds, height="24rem"))
    return charts


def epoch_table(record: RunRecord) -> Table:
    """The history, one row for each epoch."""
    titles = {
        "loss": "training loss",
        "accuracy": "training accuracy",
        "val_loss": "validation loss",
        "val_accuracy": "validation accuracy",
        "learning_rate": "learning rate",
    }
    formats = {"learning_rate": "{:.4g}", "seconds": "{:,.1f}"}
    columns = [
        [formats.get(name, "{:.4f}").format(value) for value in values] for name, values in record.history.items()
    ]
    rows = tuple((str(epoch), *cells) for epoch, cells in enumerate(zip(*columns, strict=True), start=1))
    header = ("epoch", *(titles.get(name, name) for name in record.history))
    return Table("Values of every epoch", header, rows, tuple(range(len(header))))
