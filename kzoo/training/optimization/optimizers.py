"""Keras optimizers made from a recipe, with weight penalties coupled into the gradient."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from kzoo.errors import InputError, shown
from kzoo.recipes import settings
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import Adagrad, AdamW, CustomOptimizer, Nesterov, RMSprop
from kzoo.training.optimization.lookahead import SlowWeights
from kzoo.training.optimization.multipliers import Multipliers
from kzoo.training.optimization.muon import Muon
from kzoo.training.optimization.schedules import rates_by_step

# Callbacks may copy the compiled model, and Keras then copies its optimizer.
_registered = keras.saving.register_keras_serializable("kzoo")


@functools.cache
def coupled(base: type) -> type:
    """A subclass of a Keras optimizer that adds ``l1 * sign(w) + l2 * w`` to the gradient of every parameter w.

    Keras's `weight_decay` is decoupled (Loshchilov and Hutter 2019); the reports trained with PyTorch's optimizers,
    whose `weight_decay` enters the gradient and so the moments of Adam.
    """

    class Coupled(base):
        lookahead: SlowWeights | None = None

        def __init__(
            self, *args: Any, l1: float = 0.0, l2: float = 0.0, multipliers: Any = None, **kwargs: Any
        ) -> None:
            super().__init__(*args, **kwargs)
            self.l1, self.l2, self.multipliers = l1, l2, multipliers or Multipliers({}, 1)

        def build(self, variables: Any) -> None:
            self.multipliers.match(variables)
            first = not self.built
            super().build(variables)
            if self.lookahead and first:
                self.lookahead.build(self, variables)

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            chosen = self.multipliers.by_variable.get(self._get_variable_index(variable))
            if chosen is None:
                return super().update_step(gradient, variable, learning_rate)
            if not chosen.factor:
                return None
            moves = self.multipliers.moves(chosen, self._iterations)
            before = None if moves is None else ops.add(variable, 0)  # a copy: a variable's own tensor may change
            self.rate_factor, self.decay_factor = chosen.factor, chosen.decay
            super().update_step(gradient, variable, learning_rate * chosen.factor)
            self.rate_factor = self.decay_factor = 1.0
            if moves is not None:
                # Momentum alone would move it further: put it back.
                self.assign(variable, ops.where(moves, ops.add(variable, 0), before))
            return None

        def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
            # On PyTorch, a base class of Keras's own optimizers updates all variables at once and never calls
            # `update_step`. The next class does; Nadam's multiplies a state of its own first.
            parallel = (kind for kind in type(self).__mro__ if kind.__name__ == "TorchParallelOptimizer")
            skipped = next(parallel, None) if self.multipliers.by_variable else None
            step: Any = super() if skipped is None else super(skipped, self)
            step._backend_update_step(grads, trainable_variables, learning_rate)

        def _apply_weight_decay(self, variables: Any) -> None:
            # Keras's decay uses one rate for all variables, and would also change those that must not move.
            if self.weight_decay is None:
                return
            chosen = [self.multipliers.by_variable.get(self._get_variable_index(variable)) for variable in variables]
            usual = [variable for variable, own in zip(variables, chosen, strict=True) if own is None]
            if usual:
                super()._apply_weight_decay(usual)
            for variable, own in zip(variables, chosen, strict=True):
                if own is None or not own.factor or not self._use_weight_decay(variable):
                    continue
                share = self.weight_decay * own.factor * own.decay * ops.cast(self.learning_rate, variable.dtype)
                moves = self.multipliers.moves(own, self._iterations)
                self.assign(variable, variable * (1 - (share if moves is None else ops.where(moves, share, 0.0))))

        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            variables = self._trainable_variables if trainable_variables is None else list(trainable_variables)
            if not self.built:  # Keras builds in its own `apply`, too late for penalties and Lookahead
                with keras.name_scope(self.name, caller=self):
                    self.build(variables)
            if self.l1 or self.l2:
                grads = [
                    None if gradient is None else self._penalised(gradient, variable)
                    for gradient, variable in zip(grads, variables, strict=True)
                ]
            if self.lookahead:
                self.lookahead.before(self, variables)
            super().apply(grads, trainable_variables)
            if self.lookahead and not self.use_ema:
                self.lookahead.after(self, ops.convert_to_tensor(self._iterations))

        def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
            # The average follows the weights that Lookahead leaves. Keras counts this step later.
            if self.lookahead:
                self.lookahead.after(self, ops.convert_to_tensor(self._iterations) + 1)
            super()._update_model_variables_moving_average(trainable_variables)

        def _penalised(self, gradient: Any, variable: Any) -> Any:
            value = keras.ops.cast(variable, gradient.dtype)
            own = self.multipliers.by_variable.get(self._get_variable_index(variable))
            factor = 1.0 if own is None else own.decay
            if self.l2 and factor:
                gradient = gradient + self.l2 * factor * value
            if self.l1 and factor:
                gradient = gradient + self.l1 * factor * keras.ops.sign(value)
            return gradient

        def finalize_variable_values(self, var_list: Any) -> None:
            # fit() calls this whenever it ends, even between the parts of a resumed run. Keras would overwrite the raw
            # weights with their moving average here; `averaged` does so where needed.
            pass

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "l1": self.l1, "l2": self.l2}

    Coupled.__name__ = f"Coupled{base.__name__}"
    return _registered(Coupled)


@_registered
class ByStep(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate for every step, known in advance; `kzoo.training.optimization.schedules` computes them.

    The optimizer looks it up in every step, and no callback has to set it.

    Attributes:
        peak: the optimizer's rate, of which the rates are shares.
        rates: float (steps,).
    """

    def __init__(self, peak: float, rates: np.ndarray) -> None:
        """Follow `rates`."""
        self.peak, self.rates = peak, np.asarray(rates, np.float32)

    def __call__(self, step: Any) -> Any:
        """The rate of a step; after the last step, its rate is kept."""
        last = len(self.rates) - 1
        return ops.take(ops.convert_to_tensor(self.rates), ops.minimum(ops.cast(step, "int32"), last))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"peak": self.peak, "rates": self.rates.tolist()}


_MAKERS: dict[str, tuple[type, tuple[str, ...]]] = {
    "adam": (keras.optimizers.Adam, ("beta_1", "beta_2", "epsilon")),
    "adamw": (keras.optimizers.AdamW, ("beta_1", "beta_2", "epsilon")),
    "nadam": (keras.optimizers.Nadam, ("beta_1", "beta_2", "epsilon")),
    "lion": (keras.optimizers.Lion, ("beta_1", "beta_2")),
    "sgd": (keras.optimizers.SGD, ()),
    "momentum": (keras.optimizers.SGD, ("momentum",)),
    "nesterov": (keras.optimizers.SGD, ("momentum",)),
    "rmsprop": (keras.optimizers.RMSprop, ("rho", "epsilon")),
    "adagrad": (keras.optimizers.Adagrad, ("epsilon",)),
    "adadelta": (keras.optimizers.Adadelta, ("rho", "epsilon")),
    "muon": (Muon, tuple(name for name in settings.Muon.model_fields if name not in ("kind", "learning_rate"))),
}
"""By kind: Keras's optimizer, and which of the setting's fields it takes under the same name."""


def build_optimizer(recipe: Recipe, steps: int = 1) -> keras.optimizers.Optimizer:
    """The optimizer of a resolved recipe; the schedule sets its rate at each epoch or step.

    Raises:
        InputError: a custom function does not return a new optimizer, or one with a rate of its own.
    """
    # The rate: one number, or one for each step.
    choice = recipe.optimizer
    rate: Any = choice.learning_rate
    by_step = rates_by_step(recipe.schedule, rate, recipe.epochs, steps, recipe.warmup_epochs)
    if by_step is not None:
        rate = ByStep(rate, by_step)
    if isinstance(choice, CustomOptimizer):
        made = _custom(choice, rate, recipe, steps)
    else:
        made = _built_in(choice, rate, recipe, steps)
    if recipe.lookahead is not None:
        made.lookahead = SlowWeights(recipe.lookahead, recipe.epochs * steps)
    return made


def _built_in(choice: Any, rate: Any, recipe: Recipe, steps: int) -> Any:
    """A Keras optimizer with the recipe's settings."""
    # Arguments that only some optimizers take, then the common ones.
    base, names = _MAKERS[choice.kind]
    options: dict[str, Any] = choice.model_dump(include=set(names))
    if isinstance(choice, Adagrad):
        options["initial_accumulator_value"] = 0.0
    if isinstance(choice, Adagrad | RMSprop):
        options["epsilon"] = choice.epsilon**2  # Keras adds it inside the root; PyTorch and Chainer, outside
    if isinstance(choice, Nesterov):
        options["nesterov"] = True
    return coupled(base)(
        learning_rate=rate,
        multipliers=Multipliers(recipe.rate_multipliers, steps),
        weight_decay=recipe.weight_decay if isinstance(choice, AdamW) else recipe.weight_decay or None,
        global_clipnorm=recipe.clip_norm,
        use_ema=recipe.ema is not None,
        ema_momentum=recipe.ema if recipe.ema is not None else 0.99,
        l1=recipe.l1,
        l2=recipe.l2,
        **options,
    )


def _custom(choice: CustomOptimizer, rate: Any, recipe: Recipe, steps: int) -> Any:
    """The optimizer that a custom function returns, with the settings added that all recipes have."""
    make = choice.function()
    scales = inspect.isclass(make) and issubclass(make, keras.optimizers.LossScaleOptimizer)
    made = None if scales else make(rate, **choice.options)
    if scales or isinstance(made, keras.optimizers.LossScaleOptimizer):
        raise InputError(
            f"optimizer {choice.kind!r} must return its inner optimizer, not a LossScaleOptimizer: the recipe's "
            "precision='mixed_float16' scales the loss"
        )
    if not isinstance(made, keras.optimizers.Optimizer) or made.built:
        returned = "one that has been used already" if isinstance(made, keras.optimizers.Optimizer) else shown(made)
        raise InputError(f"optimizer {choice.kind!r} must return a new keras.optimizers.Optimizer, not {returned}")

    _check_rate(choice.kind, made, rate)

    # Changing the class keeps everything that the constructor set; making the optimizer again from its configuration
    # would lose settings that the configuration lacks.
    kind: type = type(made)
    made.__class__ = coupled(kind)
    made.l1, made.l2 = recipe.l1, recipe.l2
    made.multipliers = Multipliers(recipe.rate_multipliers, steps)
    if recipe.weight_decay is not None:
        made.weight_decay = recipe.weight_decay or None
    if recipe.clip_norm is not None:
        made.global_clipnorm, made.clipnorm, made.clipvalue = recipe.clip_norm, None, None
    if recipe.ema is not None:
        made.use_ema, made.ema_momentum = True, recipe.ema
    return made


def _check_rate(name: str, made: keras.optimizers.Optimizer, rate: Any) -> None:
    """Refuse a rate that the recipe's schedule would overwrite: another one than it was given, or a schedule."""
    if isinstance(rate, ByStep):
        own = made._learning_rate is rate
    else:
        by_itself = isinstance(made._learning_rate, keras.optimizers.schedules.LearningRateSchedule)
        own = not by_itself and np.isclose(float(keras.ops.convert_to_numpy(made.learning_rate)), rate, rtol=1e-5)
    if not own:
        what = "a schedule" if isinstance(rate, ByStep) else f"{rate:g}"
        raise InputError(
            f"optimizer {name!r} must use the learning rate that it is given, {what}: the recipe sets the rate "
            "(optimizer.learning_rate, schedule)"
        )


@contextlib.contextmanager
def averaged(optimizer: Any) -> Iterator[None]:
    """A context in which the model's weights are their moving averages; without EMA it changes nothing."""
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
