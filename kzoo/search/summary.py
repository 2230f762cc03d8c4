"""The summary of a finished search: its table, picture and best recipe, and how much each varied field matters."""

from __future__ import annotations

import contextlib

from matplotlib.figure import Figure

from kzoo.diagnostics.option_importance import Importance, option_importances
from kzoo.diagnostics.parallel_coordinates import Axis, plot_parallel_coordinates
from kzoo.diagnostics.plots import literal, save_figure
from kzoo.errors import InputError, counted
from kzoo.files import write_text
from kzoo.search.results import BEST, PICTURE, TABLE, SearchResult
from kzoo.search.tables import markdown, summary

LEAST = 5  # completed trials that `importances` needs (our choice)


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
    scores = [trial.score or 0.0 for trial in trials]
    title = f"{literal(name)}: {counted(len(trials), 'trial')}, the best one thick"
    larger = result.objective.endswith("accuracy")
    return plot_parallel_coordinates(axes, scores, score=result.objective, larger=larger, title=title)


def importances(result: SearchResult, seed: int = 0) -> tuple[list[Importance], float]:
    """Permutation importance (Breiman 2001) of every field that took more than one value.

    It describes the trials that ran, not the space: fields that changed together share their importance.

    Args:
        result: a search with at least five completed trials.
        seed: seed of the forest and the shuffling.

    Returns:
        The fields, the most important first, and the forest's out-of-bag R². If it is near or below zero, the
        importances mean nothing.

    Raises:
        InputError: too few trials were completed, or all had the same values.
    """
    trials, name = result.ranked(), result.record.name
    if len(trials) < LEAST:
        raise InputError(f"search {name!r} has {len(trials)} completed trials: importance needs at least {LEAST}")
    fields = {field: [trial.values.get(field) for trial in trials] for field in result.fields}
    varied = {field: values for field, values in fields.items() if len(set(values)) > 1}
    if not varied:
        raise InputError(f"search {name!r}: all completed trials had the same values")
    return option_importances(varied, [trial.score or 0.0 for trial in trials], seed)
