"""What a finished search leaves for its readers: its trials as parallel coordinates, its table, its best recipe."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from kzoo.diagnostics.plots import SEQUENTIAL, new_figure, save_figure
from kzoo.errors import InputError
from kzoo.files import write_text
from kzoo.search.records import BEST, PICTURE, TABLE
from kzoo.search.results import SearchResult
from kzoo.search.tables import cell, markdown, summary

INACTIVE = "not varied"
BOTTOM = 0.15
"""Where a scale begins, above the trials in which the field was not varied."""
SPREAD = 0.03
"""Trials that share a value are drawn this far apart at most, so that each line can be followed."""
Ticks = list[tuple[float, str]]


def write_summary(result: SearchResult) -> None:
    """Write table, picture and the best recipe into the search's directory, anew at each end."""
    table = markdown(result) + "\n" + "\n\n".join(summary(result).splitlines()) + "\n"
    write_text(result.directory / TABLE, table)
    with contextlib.suppress(InputError):  # nothing was completed, or the model is a function
        write_text(result.directory / BEST, result.recipe().to_json())
    with contextlib.suppress(InputError):  # nothing to draw
        save_figure(plot_search(result), result.directory / PICTURE, overwrite=True)


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

    # One column of heights and one list of ticks for each field, then for the score.
    space = result.record.search["space"]
    names = [name for name in result.fields if any(trial.values.get(name) is not None for trial in trials)]
    columns = [_column([trial.values.get(name) for trial in trials], space.get(name, {})) for name in names]
    scores = [trial.score or 0.0 for trial in trials]
    low, high = min(scores), max(scores)
    shares = [(score - low) / ((high - low) or 1.0) for score in scores]
    columns.append((shares, [(part, f"{low + part * (high - low):.4f}") for part in (0.0, 0.5, 1.0)]))

    # The best trial's line comes last, on top of the others.
    figure = new_figure(max(6.4, 1.6 * len(columns)), 4.2)
    plot = figure.add_subplot()
    colormap = matplotlib.colormaps[SEQUENTIAL]
    for number in reversed(range(len(trials))):
        good = shares[number] if result.objective.endswith("accuracy") else 1.0 - shares[number]
        style: dict[str, Any] = (
            {"linewidth": 3.0, "zorder": 3} if number == 0 else {"linewidth": 1.2, "zorder": 2, "alpha": 0.75}
        )
        heights = [column[number] for column, _ in columns]
        plot.plot(range(len(columns)), heights, color=colormap(0.9 * (1.0 - good)), **style)

    # Each axis has its ticks beside it.
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
            plot.annotate(text, **where, fontsize=9, zorder=4, bbox=box)
    plot.set_xticks(range(len(columns)), [*(name.replace(".", ".\n") for name in names), result.objective])
    plot.set_yticks([])
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.tick_params(length=0)
    plot.set_xlim(-0.2, len(columns) - 0.5)
    plot.set_title(f"{result.record.name}: {len(trials)} trials, the best one thick", loc="left")
    return figure


def _column(values: Sequence[Any], entry: dict[str, Any]) -> tuple[list[float], Ticks]:
    """Heights of a field's values on an axis from 0 to 1, and the axis's ticks.

    Args:
        values: one a trial, the best first; None where the field was not varied.
        entry: of the search's space; empty for what only a model function knows.
    """
    present = [value for value in values if value is not None]
    missing = [None] if len(present) < len(values) else []

    # A choice has a level for each value, a range a scale.
    if entry.get("kind", "choice") == "choice":
        numbers = all(isinstance(value, int | float) for value in present)
        levels = [*missing, *sorted(set(present), key=None if numbers else str)]
        at = {level: (index + 0.5) / len(levels) for index, level in enumerate(levels)}
        spread = [SPREAD * (index / max(len(values) - 1, 1) - 0.5) for index in range(len(values))]
        heights = [at[value] + apart for value, apart in zip(values, spread, strict=True)]
    else:
        scale = math.log10 if entry["log"] else float
        low, high = scale(min(present)), scale(max(present))
        bottom = BOTTOM if missing else 0.0
        middle = (low + high) / 2
        levels = [*missing, *dict.fromkeys([min(present), 10.0**middle if entry["log"] else middle, max(present)])]
        share = {
            value: (scale(value) - low) / ((high - low) or 1.0) for value in [*present, *levels] if value is not None
        }
        at = {None: 0.0, **{value: bottom + (1 - bottom) * part for value, part in share.items()}}
        heights = [at[value] for value in values]
    return heights, [(at[level], INACTIVE if level is None else cell(level)) for level in levels]
