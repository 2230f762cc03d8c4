"""The summary of a finished search: its trials as parallel coordinates, its table, and its best recipe."""

from __future__ import annotations

import contextlib

from matplotlib.figure import Figure

from kzoo.diagnostics.parallel_coordinates import Axis, plot_parallel_coordinates
from kzoo.diagnostics.plots import save_figure
from kzoo.errors import InputError
from kzoo.files import write_text
from kzoo.search.results import BEST, PICTURE, TABLE, SearchResult
from kzoo.search.tables import markdown, summary


def write_summary(result: SearchResult) -> None:
    """Write the table, picture and best recipe to the search's directory, each time the search ends."""
    table = markdown(result) + "\n" + "\n\n".join(summary(result).splitlines()) + "\n"
    write_text(result.directory / TABLE, table)
    with contextlib.suppress(InputError):  # no trial was completed, or the model is a function
        write_text(result.directory / BEST, result.recipe().to_json())
    with contextlib.suppress(InputError):  # nothing to draw
        save_figure(plot_search(result), result.directory / PICTURE, overwrite=True)


def plot_search(result: SearchResult) -> Figure:
    """Draw a search's completed trials.

    Args:
        result: a search with at least two completed trials.

    Returns:
        A figure with axes for the fields and the score, and a line for each trial in the colour of its score; the best
        is thick.

    Raises:
        InputError: fewer than two trials were completed.
    """
    trials, name = result.ranked(), result.record.name
    if len(trials) < 2:
        raise InputError(f"search {name!r} has {len(trials)} completed trials: a picture needs two")
    axes = []
    for field in result.fields:
        entry = result.record.search["space"].get(field, {})  # no entry for fields that only a model function declares
        values = [trial.values.get(field) for trial in trials]
        levels = entry.get("kind", "choice") == "choice"
        if any(value is not None for value in values):
            axes.append(Axis(field, values, "levels" if levels else "log" if entry["log"] else "linear"))
    scores, title = [trial.score or 0.0 for trial in trials], f"{name}: {len(trials)} trials, the best one thick"
    larger = result.objective.endswith("accuracy")
    return plot_parallel_coordinates(axes, scores, score=result.objective, larger=larger, title=title)
