"""Which of the varied fields matter."""

from __future__ import annotations

from kzoo.diagnostics.option_importance import Importance, option_importances
from kzoo.errors import InputError
from kzoo.search.results import SearchResult

LEAST = 5
"""Completed trials without which nothing can be said (ours)."""


def importances(result: SearchResult, seed: int = 0) -> tuple[list[Importance], float]:
    """Permutation importance (Breiman 2001) of every field that took more than one value.

    It describes the trials that were run, not the space: fields that changed together share their importance.

    Args:
        result: with five completed trials at least.
        seed: of the forest and the shuffling.

    Returns:
        The fields, the most important first, and the forest's R² on trials that a tree has not seen: near or below
        zero, the importances mean nothing.

    Raises:
        InputError: too few trials were completed, or all had the same values.
    """
    trials, name = result.ranked(), result.record.name
    if len(trials) < LEAST:
        raise InputError(f"search {name!r} has {len(trials)} completed trials: importance needs {LEAST} at least")
    fields = {field: [trial.values.get(field) for trial in trials] for field in result.fields}
    varied = {field: values for field, values in fields.items() if len(set(values)) > 1}
    if not varied:
        raise InputError(f"search {name!r}: all completed trials had the same values")
    return option_importances(varied, [trial.score or 0.0 for trial in trials], seed)
