"""The importance of the varied fields."""

from __future__ import annotations

from kzoo.diagnostics.option_importance import Importance, option_importances
from kzoo.errors import InputError
from kzoo.search.results import SearchResult

LEAST = 5
"""Smallest number of completed trials (our choice)."""


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
