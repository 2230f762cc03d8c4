"""Learning rates as a function of the epoch, as in the reports, or of the step (no Keras).

Each schedule agrees with PyTorch's scheduler of the same name; reports a, b, d and e used PyTorch.
"""

from __future__ import annotations

import math

import numpy as np

from kzoo.errors import InputError, shown
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import (
    AnySchedule,
    Constant,
    Cosine,
    CosineRestarts,
    CustomSchedule,
    Exponential,
    Linear,
    OneCycle,
    Plateau,
    Polynomial,
    Step,
)

BY_STEP = (Linear, Polynomial, OneCycle)
FILL_THE_RUN = (Cosine, CustomSchedule, *BY_STEP)
"""Schedules whose rates depend on the number of epochs, or may do so (custom functions)."""


def learning_rate(schedule: AnySchedule | CustomSchedule, base: float, epoch: int, epochs: int) -> float:
    """The rate of an epoch under a schedule that depends on the epoch alone.

    Raises:
        InputError: a custom schedule returns no valid rate.
    """
    match schedule:
        case Constant():
            return base
        case Cosine(minimum=minimum):
            return _cosine(base, minimum, epoch / epochs)
        case CosineRestarts(period=period, minimum=minimum):
            return _cosine(base, minimum, epoch % period / period)
        case Exponential(factor=factor):
            return base * factor**epoch
        case Step(every=every, factor=factor):
            return base * factor ** (epoch // every)
        case CustomSchedule():
            return _custom(schedule, base, epoch, epochs)
    raise TypeError(f"no rate by epoch for {schedule!r}")


def _custom(schedule: CustomSchedule, base: float, epoch: int, epochs: int) -> float:
    value = schedule.function()(base, epoch, epochs, **schedule.options)
    try:
        rate = float(value)
    except (TypeError, ValueError):
        rate = math.nan
    if not (math.isfinite(rate) and rate >= 0):
        raise InputError(
            f"schedule {schedule.kind!r} must return a finite rate of 0 or more, not {shown(value)} in epoch {epoch} "
            f"of {epochs} (counted from 0)"
        )
    return rate


def rates_by_step(
    schedule: AnySchedule | CustomSchedule, base: float, epochs: int, steps: int, warmup_epochs: float = 0.0
) -> np.ndarray | None:
    """The rate of every step of a run if it changes within epochs; otherwise None.

    Args:
        schedule: the recipe's schedule.
        base: the optimizer's rate.
        epochs: epochs of the whole run.
        steps: steps per epoch.
        warmup_epochs: epochs in which the rate rises linearly to the schedule's first rate; the schedule itself fills
            the rest of the run, at least one step (PyTorch's LinearLR with ``start_factor=1 / (w + 1)``
            over the w steps of the warm-up, then the schedule, in a SequentialLR).

    Returns:
        float64 (epochs * steps,).
    """
    if not warmup_epochs and not isinstance(schedule, BY_STEP):
        return None
    warm = min(round(warmup_epochs * steps), epochs * steps - 1)
    rest = epochs * steps - warm
    if isinstance(schedule, BY_STEP):
        main = [base * _share(schedule, step, rest) for step in range(rest)]
    else:
        epochs = max(1, -(-rest // steps))
        by_epoch = [learning_rate(schedule, base, epoch, epochs) for epoch in range(epochs)]
        main = [by_epoch[step // steps] for step in range(rest)]
    rise = [main[0] * (step + 1) / (warm + 1) for step in range(warm)]
    return np.array([*rise, *main])


def first_rate(recipe: Recipe, steps: int) -> float:
    """The rate of a run's first step; `steps` is the number per epoch."""
    schedule, base = recipe.schedule, recipe.optimizer.learning_rate
    by_step = rates_by_step(schedule, base, recipe.epochs, steps, recipe.warmup_epochs)
    if by_step is not None:
        return float(by_step[0])
    return base if isinstance(schedule, Plateau) else learning_rate(schedule, base, 0, recipe.epochs)


def _share(schedule: Linear | Polynomial | OneCycle, step: int, steps: int) -> float:
    """The rate of a step as a share of the optimizer's."""
    match schedule:
        case Linear(end=end):
            return 1 + (end - 1) * step / steps
        case Polynomial(power=power):
            return float((1 - step / steps) ** power)
    top = schedule.peak * steps - 1  # as in PyTorch, the first step is 0 and the last one ends the cycle
    if step <= top:
        first, last, progress = schedule.start, 1.0, step / top if top else 1.0
    else:
        first, last, progress = 1.0, schedule.end, (step - top) / (steps - 1 - top)  # above 0, as the peak is below 1
    if schedule.anneal == "cosine":
        return _cosine(first, last, progress)
    return first + (last - first) * progress


def _cosine(base: float, minimum: float, progress: float) -> float:
    return minimum + (base - minimum) * (1 + math.cos(math.pi * progress)) / 2


class PlateauRate:
    """The rate of a run whose schedule is `Plateau`: it depends on the validation losses so far."""

    def __init__(self, schedule: Plateau, base: float) -> None:
        """Start at the optimizer's rate `base`."""
        self.schedule = schedule
        self.rate = base
        self.best = math.inf
        self.bad_epochs = 0

    def update(self, loss: float) -> None:
        """Take one epoch's validation loss into account."""
        if loss < self.best * (1 - self.schedule.threshold):
            self.best, self.bad_epochs = loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.schedule.patience:
            self.rate = min(self.rate, max(self.rate * self.schedule.factor, self.schedule.minimum))
            self.bad_epochs = 0

    def state(self) -> dict[str, float]:
        """What `restore` needs."""
        return {"rate": self.rate, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: dict[str, float]) -> None:
        """Resume from an earlier `state`."""
        self.rate, self.best, self.bad_epochs = state["rate"], state["best"], int(state["bad_epochs"])
