"""Lookahead (Zhang et al. 2019b): slow copies of the weights, to which the trained ones return every few steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from kzoo.recipes import settings


class SlowWeights:
    """The slow weights of one optimizer, kept as its variables, so that checkpoints hold them."""

    def __init__(self, setting: settings.Lookahead, steps: int) -> None:
        """Follow a recipe's `lookahead` in a run of this many steps."""
        self.setting, self.steps = setting, steps

    def build(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Make the copies; the first step fills them, when the weights have their initial values."""
        self.slow = optimizer.add_optimizer_variables(variables, "slow")

    def before(self, optimizer: Any, variables: Sequence[Any]) -> None:
        """Begin with the weights as they are before the first step; `after` moves the same variables."""
        self.moving = variables
        first = ops.equal(optimizer._iterations, 0)
        for index, variable in self._pairs(optimizer, variables):
            value = ops.convert_to_tensor(variable)
            optimizer.assign(self.slow[index], ops.where(first, value, ops.convert_to_tensor(self.slow[index])))

    def after(self, optimizer: Any, step: Any) -> None:
        """Every few steps (from 1), move the slow weights towards the trained ones, which continue from there."""
        now = ops.equal(step % self.setting.every, 0)
        keep = self.setting.keep * (ops.cast(step, "float32") / self.steps) ** self.setting.power
        for index, variable in self._pairs(optimizer, self.moving):
            value, slow = ops.convert_to_tensor(variable), ops.convert_to_tensor(self.slow[index])
            mixed = value + ops.cast(keep, value.dtype) * (slow - value)
            chosen = optimizer.multipliers.by_variable.get(index)
            moves = None if chosen is None else optimizer.multipliers.moves(chosen, step - 1)
            due = now if moves is None else ops.logical_and(now, moves)
            optimizer.assign(variable, ops.where(due, mixed, value))
            optimizer.assign(self.slow[index], ops.where(due, mixed, slow))

    @staticmethod
    def _pairs(optimizer: Any, variables: Sequence[Any]) -> list[tuple[int, Any]]:
        """Variables with their index, without those that never move."""
        pairs = [(optimizer._get_variable_index(variable), variable) for variable in variables]
        chosen = optimizer.multipliers.by_variable
        return [pair for pair in pairs if pair[0] not in chosen or chosen[pair[0]].factor]
