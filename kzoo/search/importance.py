"""Which of the varied fields matter: a random forest on the trials, and what it loses without a field."""

from __future__ import annotations

import dataclasses
from typing import Any

from kzoo.errors import InputError
from kzoo.search.results import SearchResult

LEAST = 5
"""Completed trials without which nothing can be said (ours)."""
TREES, REPEATS = 100, 20


@dataclasses.dataclass(frozen=True)
class Importance:
    """How much one field matters.

    Attributes:
        field: its name.
        importance: by how much the forest's R² falls, on average, when the field's values are shuffled among trials.
        deviation: standard deviation over the shufflings.
    """

    field: str
    importance: float
    deviation: float


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
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    trials = result.ranked()
    if len(trials) < LEAST:
        raise InputError(
            f"search {result.record.name!r} has {len(trials)} completed trials: importance needs {LEAST} at least"
        )
    columns = {name: _numbers([trial.values.get(name) for trial in trials]) for name in result.fields}
    varied = [name for name, column in columns.items() if len(set(column)) > 1]
    if not varied:
        raise InputError(f"search {result.record.name!r}: all completed trials had the same values")
    x = np.array([columns[name] for name in varied]).T
    y = np.array([trial.score for trial in trials])
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=seed).fit(x, y)
    found = permutation_importance(forest, x, y, n_repeats=REPEATS, random_state=seed)
    rows = [
        Importance(name, float(mean), float(deviation))
        for name, mean, deviation in zip(varied, found.importances_mean, found.importances_std, strict=True)
    ]
    return sorted(rows, key=lambda row: -row.importance), float(forest.oob_score_)


def _numbers(values: list[Any]) -> list[float]:
    """Values as numbers that a tree can split: numbers as they are, labels by rank, what was not varied below all."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, int | float) for value in present):
        lowest = min(present, default=0.0)
        return [float(lowest - 1.0 if value is None else value) for value in values]
    order = {value: float(rank) for rank, value in enumerate(sorted(set(present), key=str))}
    return [order.get(value, -1.0) for value in values]
