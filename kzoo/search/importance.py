"""Which of the varied fields matter: a random forest on the trials, and what it loses without a field."""

from __future__ import annotations

import dataclasses

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
    from sklearn.preprocessing import OrdinalEncoder

    trials, name = result.ranked(), result.record.name
    if len(trials) < LEAST:
        raise InputError(f"search {name!r} has {len(trials)} completed trials: importance needs {LEAST} at least")
    columns = {field: [trial.values.get(field) for trial in trials] for field in result.fields}
    columns = {field: values for field, values in columns.items() if len(set(values)) > 1}
    if not columns:
        raise InputError(f"search {name!r}: all completed trials had the same values")

    # Trees need only the order of values; a field that was not varied comes below all of them.
    table = np.array(list(columns.values()), dtype=object).T
    x = OrdinalEncoder(encoded_missing_value=-1).fit_transform(table)
    y = np.array([trial.score for trial in trials])
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=seed).fit(x, y)
    loss = permutation_importance(forest, x, y, n_repeats=REPEATS, random_state=seed)
    numbers = zip(columns, loss.importances_mean.tolist(), loss.importances_std.tolist(), strict=True)
    ranked = sorted((Importance(*fields) for fields in numbers), key=lambda item: -item.importance)
    return ranked, float(forest.oob_score_)
