"""Learning rates of some variables as multiples of the optimizer's."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

from keras import ops

from kzoo.errors import InputError
from kzoo.recipes import settings


class Multipliers:
    """A recipe's `rate_multipliers`, matched to the variables of a model.

    Attributes:
        by_variable: multipliers by the variable's index, for variables that have one.
    """

    def __init__(self, patterns: dict[str, settings.RateMultiplier], steps: int) -> None:
        """Take wildcards of variable paths, and the number of steps per epoch."""
        self.patterns, self.steps = patterns, steps
        self.by_variable: dict[int, settings.RateMultiplier] = {}

    def match(self, variables: Sequence[Any]) -> None:
        """Find each variable's multiplier.

        Raises:
            InputError: a wildcard matches no variable.
        """
        paths = [variable.path for variable in variables]
        for pattern, multiplier in self.patterns.items():
            fitting = [i for i, path in enumerate(paths) if fnmatch.fnmatchcase(path, pattern)]
            if not fitting:
                some = paths if len(paths) <= 12 else [*paths[:10], "...", paths[-1]]
                raise InputError(
                    f"rate_multipliers has {pattern!r}, which matches no trained variable; there are {', '.join(some)}"
                )
            self.by_variable |= dict.fromkeys(fitting, multiplier)
        if len(self.by_variable) == len(paths) and not any(one.factor for one in self.by_variable.values()):
            raise InputError("rate_multipliers has the factor 0 for every trained variable: nothing would be trained")

    def moves(self, multiplier: settings.RateMultiplier, iterations: Any) -> Any:
        """Whether a variable moves in this step, as a tensor; None if it always does."""
        first = (multiplier.first_epoch - 1) * self.steps
        last = multiplier.last_epoch and multiplier.last_epoch * self.steps
        if not first and not last:
            return None
        step = ops.convert_to_tensor(iterations)
        moves = step >= first
        return moves if not last else ops.logical_and(moves, step < last)
