"""Parallel coordinates: one line for each score, through the values of several options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib
from matplotlib.figure import Figure

from kzoo.diagnostics.plots import SEQUENTIAL, literal, new_figure

UNSET = "not varied"
BOTTOM = 0.15
"""Height at which a scale begins, above the lines without a value."""
SPREAD = 0.03
"""Lines that share a value are drawn this far apart at most, so that each can be followed."""
Ticks = list[tuple[float, str]]


@dataclass(frozen=True)
class Axis:
    """An axis of a figure.

    Attributes:
        name: name of the option.
        values: one for each line; None if a line has no value.
        scale: ``"levels"`` gives each value a level; ``"linear"`` and ``"log"`` are for numbers.
    """

    name: str
    values: Sequence[Any]
    scale: Literal["levels", "linear", "log"] = "levels"


def plot_parallel_coordinates(
    axes: Sequence[Axis], scores: Sequence[float], *, score: str, larger: bool = True, title: str = ""
) -> Figure:
    """Draw a line for each score, through the values that it was reached with.

    Args:
        axes: axes from left to right; the score follows them.
        scores: one for each line, the best first.
        score: name of the score.
        larger: whether a larger score is better.
        title: title of the figure.

    Returns:
        A figure with axes for the options and the score, and lines in the colour of their scores; the best one is
        thick.
    """
    # One column of heights and one list of ticks for each axis, then for the score.
    columns = [_column(axis) for axis in axes]
    low, high = min(scores), max(scores)
    shares = [(value - low) / ((high - low) or 1.0) for value in scores]
    columns.append((shares, [(part, f"{low + part * (high - low):.4f}") for part in (0.0, 0.5, 1.0)]))

    # Draw the best line last, on top of the others.
    figure = new_figure(max(6.4, 1.6 * len(columns)), 4.2)
    plot = figure.add_subplot()
    colormap = matplotlib.colormaps[SEQUENTIAL]
    for number in reversed(range(len(scores))):
        good = shares[number] if larger else 1.0 - shares[number]
        style: dict[str, Any] = (
            {"linewidth": 3.0, "zorder": 3} if number == 0 else {"linewidth": 1.2, "zorder": 2, "alpha": 0.75}
        )
        heights = [column[number] for column, _ in columns]
        plot.plot(range(len(columns)), heights, color=colormap(0.9 * (1.0 - good)), **style)

    # Draw each axis with its ticks next to it.
    box = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    for index, (_, ticks) in enumerate(columns):
        plot.axvline(index, color="0.6", linewidth=1.0, zorder=1)
        for height, text in ticks:
            where: dict[str, Any] = {
                "xy": (index, height),
                "xytext": (4, 6),
                "textcoords": "offset points",
                "va": "center",
            }
            plot.annotate(literal(text), **where, fontsize=9, zorder=4, bbox=box)
    plot.set_xticks(range(len(columns)), [*(literal(axis.name.replace(".", ".\n")) for axis in axes), score])
    plot.set_yticks([])
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.tick_params(length=0)
    plot.set_xlim(-0.2, len(columns) - 0.5)
    plot.set_title(title, loc="left")
    return figure


def _column(axis: Axis) -> tuple[list[float], Ticks]:
    """Heights of an axis's values, from 0 to 1, and its ticks."""
    values = axis.values
    present = [value for value in values if value is not None]
    missing = [None] if len(present) < len(values) else []

    # A level for each value, or a scale.
    if axis.scale == "levels":
        numbers = all(isinstance(value, int | float) for value in present)
        levels = [*missing, *sorted(set(present), key=None if numbers else str)]
        at = {level: (index + 0.5) / len(levels) for index, level in enumerate(levels)}
        spread = [SPREAD * (index / max(len(values) - 1, 1) - 0.5) for index in range(len(values))]
        heights = [at[value] + apart for value, apart in zip(values, spread, strict=True)]
    else:
        log = axis.scale == "log"
        scale = math.log10 if log else float
        low, high = scale(min(present)), scale(max(present))
        bottom = BOTTOM if missing else 0.0
        middle = (low + high) / 2
        levels = [*missing, *dict.fromkeys([min(present), 10.0**middle if log else middle, max(present)])]
        share = {
            value: (scale(value) - low) / ((high - low) or 1.0) for value in [*present, *levels] if value is not None
        }
        at = {None: 0.0, **{value: bottom + (1 - bottom) * part for value, part in share.items()}}
        heights = [at[value] for value in values]
    return heights, [(at[level], _text(level)) for level in levels]


def _text(level: Any) -> str:
    if level is None:
        return UNSET
    return f"{level:.4g}" if isinstance(level, float) else str(level)
