"""A search's trials as parallel coordinates: one axis for each field, one line for each trial."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from kzoo.diagnostics.plots import SEQUENTIAL, new_figure
from kzoo.errors import InputError
from kzoo.search.results import SearchResult
from kzoo.search.tables import cell

INACTIVE = "not varied"


BOTTOM = 0.15
"""Where a scale begins above the place of trials in which the field was not varied."""


class _Axis:
    """Where values lie on an axis from 0 to 1, and what is written at which place."""

    def __init__(self, values: list[Any], entry: dict[str, Any]) -> None:
        present = [value for value in values if value is not None]
        self.missing = len(present) < len(values)
        self.levels: list[Any] | None = None
        if entry.get("kind", "choice") == "choice":
            numbers = all(isinstance(value, int | float) for value in present)
            self.levels = [None] * self.missing + sorted(set(present), key=None if numbers else str)
        else:
            self.log: bool = entry["log"]
            self.low, self.high = self.scale(min(present)), self.scale(max(present))
            self.bottom = BOTTOM if self.missing else 0.0

    def place(self, value: Any) -> float:
        if self.levels is not None:
            return (self.levels.index(value) + 0.5) / len(self.levels)
        if value is None:
            return 0.0
        return self.bottom + (1 - self.bottom) * (self.scale(value) - self.low) / ((self.high - self.low) or 1.0)

    def scale(self, value: float) -> float:
        return math.log10(value) if self.log else float(value)

    def ticks(self) -> list[tuple[float, str]]:
        if self.levels is not None:
            return [(self.place(level), INACTIVE if level is None else cell(level)) for level in self.levels]
        scaled = [self.low + part * (self.high - self.low) for part in (0.0, 0.5, 1.0)]
        numbers = [10.0**number if self.log else number for number in scaled]
        found = [(self.place(number), cell(float(number))) for number in dict.fromkeys(numbers)]
        return [(0.0, INACTIVE), *found] if self.missing else found


def plot_search(result: SearchResult) -> Figure:
    """Draw a search's completed trials.

    Args:
        result: with two completed trials at least.

    Returns:
        A figure: axes for the fields and the score, a line for each trial in the colour of its score, the best thick.

    Raises:
        InputError: fewer than two trials were completed.
    """
    trials = result.ranked()
    if len(trials) < 2:
        raise InputError(f"search {result.record.name!r} has {len(trials)} completed trials: a picture needs two")
    space = result.record.search["space"]
    axes = [(name, _Axis([trial.values.get(name) for trial in trials], space.get(name, {}))) for name in result.fields]
    scores = [trial.score or 0.0 for trial in trials]
    low, high = min(scores), max(scores)
    figure = new_figure(max(6.4, 1.6 * (len(axes) + 1)), 4.2)
    plot = figure.add_subplot()
    colormap = matplotlib.colormaps[SEQUENTIAL]
    for number, trial in reversed(list(enumerate(trials))):
        share = (scores[number] - low) / ((high - low) or 1.0)
        good = share if result.objective.endswith("accuracy") else 1.0 - share
        # Where trials share a value, their lines are spread a little so that each can be followed.
        spread = 0.03 * (number / max(len(trials) - 1, 1) - 0.5)
        heights = [axis.place(trial.values.get(name)) + spread * (axis.levels is not None) for name, axis in axes]
        best = number == 0
        plot.plot(
            range(len(axes) + 1),
            [*heights, share],
            color=colormap(0.9 * (1.0 - good)),
            linewidth=3.0 if best else 1.2,
            alpha=1.0 if best else 0.75,
            zorder=3 if best else 2,
        )
    for place, (_, axis) in enumerate(axes):
        _draw_axis(plot, place, axis.ticks())
    _draw_axis(plot, len(axes), [(part, f"{low + part * (high - low):.4f}") for part in (0.0, 0.5, 1.0)])
    plot.set_xticks(range(len(axes) + 1), [*(_wrapped(name) for name, _ in axes), result.objective])
    plot.set_yticks([])
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.tick_params(length=0)
    plot.set_xlim(-0.2, len(axes) + 0.5)
    plot.set_title(f"{result.record.name}: {len(trials)} trials, the best one thick", loc="left")
    return figure


def _draw_axis(plot: Any, place: int, ticks: list[tuple[float, str]]) -> None:
    plot.axvline(place, color="0.6", linewidth=1.0, zorder=1)
    for height, text in ticks:
        plot.annotate(
            text,
            (place, height),
            xytext=(4, 6),
            textcoords="offset points",
            va="center",
            fontsize=9,
            zorder=4,
            bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8},
        )


def _wrapped(name: str) -> str:
    return name.replace(".", ".\n")
