"""The combinations of values that a space of keras-tuner's has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds

Values = dict[str, Any]
"""Of the active hyper-parameters, by name."""


class Endless(Exception):
    """A space has a real range, so that its combinations cannot be listed."""


def combinations(space: list[Any], values_of: Callable[[Any], list[Any]]) -> Iterator[Values]:
    """All combinations of the values of hyper-parameters, defaults first; the last one varies fastest.

    Only active hyper-parameters are part of a combination, as of a trial's values.
    """
    hp = keras_tuner.HyperParameters()

    def extend(index: int, chosen: Values) -> Iterator[Values]:
        if index == len(space):
            yield chosen
            return
        entry, hp.values = space[index], chosen
        if not hp.is_active(entry):
            yield from extend(index + 1, chosen)
            return
        for value in dict.fromkeys([entry.default, *values_of(entry)]):
            yield from extend(index + 1, {**chosen, entry.name: value})

    return extend(0, {})


def all_values(entry: Any) -> list[Any]:
    """Every value of a hyper-parameter."""
    if isinstance(entry, kinds.Float) and entry.step is None:
        raise Endless
    if isinstance(entry, kinds.Int) and entry.step is None:
        return list(range(entry.min_value, entry.max_value + 1))
    return list(entry.values)
