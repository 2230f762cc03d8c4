"""The learning rate of each epoch, as the reports set it: a function of the epoch (no Keras).

Each agrees with the scheduler of the same name in PyTorch, which reports a, b, d and e trained with.
"""

from __future__ import annotations

import math

from kzoo.recipes.settings import AnySchedule, Constant, Cosine, CosineRestarts, Exponential, Plateau, Step


def learning_rate(schedule: AnySchedule, base: float, epoch: int, epochs: int) -> float:
    """The rate of an epoch under a schedule that depends on the epoch alone.

    Args:
        schedule: the recipe's schedule; `Plateau` has no such function, see `PlateauRate`.
        base: the optimizer's rate.
        epoch: counted from 0.
        epochs: of the whole run.
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
    raise TypeError(f"no rate by epoch for {schedule!r}")


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
        """Take note of one epoch's validation loss."""
        if loss < self.best * (1 - self.schedule.threshold):
            self.best, self.bad_epochs = loss, 0
            return
        self.bad_epochs += 1
        if self.bad_epochs > self.schedule.patience:
            self.rate = max(self.rate * self.schedule.factor, self.schedule.minimum)
            self.bad_epochs = 0

    def state(self) -> dict[str, float]:
        """What `restore` needs."""
        return {"rate": self.rate, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from an earlier `state`."""
        self.rate, self.best, self.bad_epochs = state["rate"], state["best"], int(state["bad_epochs"])
