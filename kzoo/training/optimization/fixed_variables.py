"""Leaves out the gradients of variables that their rate multipliers no longer move (TensorFlow only).

Keras computes the gradient of every trainable variable. If the first layers of a network do not move any more, as the
whitening bias of a FastNet after three epochs, the gradient need not go back to them, and a step is shorter by the
gradient of the largest maps. All other variables get the same gradients, bit for bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import CustomOptimizer


class FixedVariables:
    """Which variables of a compiled model do not move any more, by epoch.

    Attributes:
        from_epoch: variables by the epoch, counted from 0, from which they never move.
    """

    def __init__(self, recipe: Recipe, view: Any) -> None:
        """Find the variables whose multiplier has a last epoch, or the factor 0."""
        self.view = view
        self.from_epoch: dict[int, list[Any]] = {}
        if not _independent(recipe):
            return
        multipliers = view.optimizer.multipliers.by_variable
        for index, variable in enumerate(view.trainable_variables):
            multiplier = multipliers.get(index)
            if multiplier is None or variable.regularizer is not None or variable.constraint is not None:
                continue
            epoch = 0 if not multiplier.factor else multiplier.last_epoch
            if epoch is not None:
                self.from_epoch.setdefault(epoch, []).append(variable)

    def next_change(self, epoch: int, end: int) -> int:
        """The first epoch after `epoch` from which further variables are fixed, or `end`."""
        return min([end, *(later for later in self.from_epoch if later > epoch)])

    @contextlib.contextmanager
    def without_gradients(self, epoch: int) -> Iterator[None]:
        """A context in which `fit` computes no gradients of the variables that are fixed in `epoch`."""
        fixed = [variable for begin, group in self.from_epoch.items() if begin <= epoch for variable in group]
        if not fixed or len(fixed) == len(self.view.trainable_variables):  # Keras does not train without gradients
            yield
            return
        step, custom = self.view.train_step, "train_step" in vars(self.view)

        def shorter(data: Any) -> Any:
            # Keras asks for the trainable variables while TensorFlow traces the step. Nothing else may see the change.
            for variable in fixed:
                variable.trainable = False
            try:
                return step(data)
            finally:
                for variable in fixed:
                    variable.trainable = True

        self.view.train_step, self.view.train_function = shorter, None
        try:
            yield
        finally:
            del self.view.train_step
            if custom:
                self.view.train_step = step
            self.view.train_function = None


def _independent(recipe: Recipe) -> bool:
    """Whether the gradient of one variable changes no other variable's update."""
    return (
        keras.backend.backend() == "tensorflow"
        and recipe.clip_norm is None  # the norm of all gradients
        and recipe.precision != "mixed_float16"  # one gradient that is not finite skips the step
        and not isinstance(recipe.optimizer, CustomOptimizer)
    )
