"""Keras optimizers made from a recipe, with weight penalties coupled into the gradient."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import keras

from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import Adadelta, Adagrad, Adam, AdamW, Momentum, Nesterov, RMSprop


@functools.cache
def coupled(base: type) -> type:
    """A subclass of a Keras optimizer that adds ``l1 * sign(w) + l2 * w`` to the gradient of every parameter w.

    Keras's `weight_decay` is decoupled (Loshchilov and Hutter 2019); the reports trained with PyTorch's optimizers,
    whose `weight_decay` enters the gradient and so the moments of Adam.
    """

    class Coupled(base):
        def __init__(self, *args: Any, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.l1, self.l2 = l1, l2

        def apply(self, grads: Any, trainable_variables: Any = None) -> Any:
            variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
            if self.l1 or self.l2:
                grads = [
                    None if gradient is None else self._penalised(gradient, variable)
                    for gradient, variable in zip(grads, variables, strict=True)
                ]
            return super().apply(grads, trainable_variables)

        def _penalised(self, gradient: Any, variable: Any) -> Any:
            value = keras.ops.cast(variable, gradient.dtype)
            if self.l2:
                gradient = gradient + self.l2 * value
            if self.l1:
                gradient = gradient + self.l1 * keras.ops.sign(value)
            return gradient

        def finalize_variable_values(self, var_list: Any) -> None:
            # fit() calls this whenever it ends, also between the parts of a resumed run, and would overwrite the
            # raw weights with their moving average: `averaged` does that where it is meant.
            pass

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "l1": self.l1, "l2": self.l2}

    Coupled.__name__ = f"Coupled{base.__name__}"
    return Coupled


def build_optimizer(recipe: Recipe) -> keras.optimizers.Optimizer:
    """The optimizer of a resolved recipe; its rate is set anew at each epoch by the schedule."""
    choice = recipe.optimizer
    base: type
    match choice:
        case Adam():
            base = keras.optimizers.AdamW if isinstance(choice, AdamW) else keras.optimizers.Adam
            options = choice.model_dump(include={"beta_1", "beta_2", "epsilon"})
        case Momentum() | Nesterov():
            base = keras.optimizers.SGD
            options = {"momentum": choice.momentum, "nesterov": isinstance(choice, Nesterov)}
        case RMSprop():
            base, options = keras.optimizers.RMSprop, choice.model_dump(include={"rho", "epsilon"})
        case Adagrad():
            base = keras.optimizers.Adagrad
            options = {"initial_accumulator_value": 0.0, "epsilon": choice.epsilon}
        case Adadelta():
            base, options = keras.optimizers.Adadelta, choice.model_dump(include={"rho", "epsilon"})
        case _:
            base, options = keras.optimizers.SGD, {}
    return coupled(base)(
        learning_rate=choice.learning_rate,
        weight_decay=recipe.weight_decay or None,
        use_ema=recipe.ema is not None,
        ema_momentum=recipe.ema if recipe.ema is not None else 0.99,
        l1=recipe.l1,
        l2=recipe.l2,
        **options,
    )


@contextlib.contextmanager
def averaged(optimizer: Any) -> Iterator[None]:
    """Within it, the model's weights are their moving averages; without EMA it changes nothing."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # mixed_float16 wraps it in a loss scale
    if not optimizer.use_ema or not optimizer.built:
        yield
        return
    raw = [keras.ops.convert_to_numpy(variable) for variable in optimizer._trainable_variables]
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(optimizer._trainable_variables, averages, strict=True):
        variable.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        for variable, value in zip(optimizer._trainable_variables, raw, strict=True):
            variable.assign(value)
