"""Which of several options a score depends on, by the permutation importance of a random forest."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

TREES, REPEATS = 100, 20


@dataclasses.dataclass(frozen=True)
class Importance:
    """How much one option matters.

    Attributes:
        field: the option's name.
        importance: by how much the forest's R² falls, on average, when the option's values are shuffled.
        deviation: standard deviation over the shufflings.
    """

    field: str
    importance: float
    deviation: float


def option_importances(
    options: Mapping[str, Sequence[Any]], scores: Sequence[float], seed: int = 0
) -> tuple[list[Importance], float]:
    """Permutation importance (Breiman 2001) of options.

    Args:
        options: the values of each option, one for each score; None if the option had no value.
        scores: the scores reached with these values.
        seed: seed of the forest and the shuffling.

    Returns:
        The options, the most important first, and the forest's out-of-bag R².
    """
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.preprocessing import OrdinalEncoder

    # Trees need only the order of values; an option without a value comes below all of them.
    table = np.array(list(options.values()), dtype=object).T
    x, y = OrdinalEncoder(encoded_missing_value=-1).fit_transform(table), np.array(scores)
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=seed).fit(x, y)
    loss = permutation_importance(forest, x, y, n_repeats=REPEATS, random_state=seed)
    numbers = zip(options, loss.importances_mean.tolist(), loss.importances_std.tolist(), strict=True)
    ranked = sorted((Importance(*fields) for fields in numbers), key=lambda item: -item.importance)
    return ranked, float(forest.oob_score_)
