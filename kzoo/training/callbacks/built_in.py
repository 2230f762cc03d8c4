"""Callbacks of a run, whose states checkpoints keep.

Keras's callbacks reset themselves when training begins, so states are restored later, when the first epoch begins.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.errors import NotWritten
from kzoo.files import cause
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import Constant, EarlyStop, Plateau
from kzoo.training.optimization.optimizers import averaged
from kzoo.training.optimization.schedules import PlateauRate, learning_rate, rates_by_step


class Rate(keras.callbacks.Callback):
    """Sets the learning rate of each epoch from the recipe's schedule, unless the optimizer knows it step by step.

    Under a constant schedule the rate stays as callbacks leave it, as in Keras: `keras.callbacks.ReduceLROnPlateau`
    sets it when an epoch ends, and a `LearningRateScheduler` can start from the last one. A schedule by epoch sets its
    own rate in the next epoch and warns that the callback has no effect. With a rate for every step, Keras raises an
    error when a callback sets one; `check_callbacks` refuses those of Keras before the run begins.

    Attributes:
        now: the rate of this epoch (of its first step).
    """

    def __init__(self, recipe: Recipe, steps: int) -> None:
        """Follow a resolved recipe, with this many steps per epoch."""
        super().__init__()
        self.recipe, self.steps = recipe, steps
        base = recipe.optimizer.learning_rate
        self.by_step = rates_by_step(recipe.schedule, base, recipe.epochs, steps, recipe.warmup_epochs)
        self.plateau = PlateauRate(recipe.schedule, base) if isinstance(recipe.schedule, Plateau) else None
        self.now = base
        self._begun = self._within = self._resumes = False  # an epoch has begun, is under way, resumes
        self._left: float | None = None  # the rate at an epoch's end, before callbacks can change it

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the rate."""
        if self.by_step is not None:
            # A step that the loss scale of float16 skips does not advance the schedule.
            if not self._resumes:
                planned, current = float(self.by_step[epoch * self.steps]), self._current()
                self.now = planned if current == float(np.float32(planned)) else current
            self._begun, self._within, self._resumes = True, True, False
            return
        if self.plateau:
            self.now = self.plateau.rate
        elif not isinstance(self.recipe.schedule, Constant):
            base = self.recipe.optimizer.learning_rate
            self.now = learning_rate(self.recipe.schedule, base, epoch, self.recipe.epochs)
        elif self._begun and not self._resumes:
            self.now = self.used()

        # Warn about a rate that a callback has set to no effect.
        if self._left not in (None, current := self._current()) and not isinstance(self.recipe.schedule, Constant):
            kind = self.recipe.schedule.kind
            warnings.warn(
                f"a callback set the learning rate to {current:g} at the end of epoch {epoch}, but schedule {kind!r} "
                f"sets it to {self.now:g}: a callback can set the rate only with schedule 'constant'",
                stacklevel=2,
            )
        self.model.optimizer.learning_rate = self.now
        self._begun, self._within, self._resumes = True, True, False

    def _current(self) -> float:
        return float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def used(self) -> float:
        """The optimizer's rate as it is now: a custom callback may have changed the schedule's rate."""
        if self.by_step is not None:
            return self.now  # the schedule of the optimizer, which no callback can set
        rate = self._current()
        return self.now if rate == float(np.float32(self.now)) else rate

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Pass the validation loss to the plateau schedule."""
        self._within = False
        if self.by_step is None:
            self._left = self._current()
        if self.plateau:
            self.plateau.update(logs["val_loss"])

    def state(self) -> dict[str, Any]:
        """The plateau schedule's state, and the rate at which the epoch under way (or the last one) began."""
        return {**(self.plateau.state() if self.plateau else {}), "now": self.now, "within": self._within}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state; in early versions it held only the plateau schedule's."""
        if self.plateau:
            self.plateau.restore(state)
        if "now" in state:
            self.now, self._begun, self._resumes = state["now"], True, state["within"]


class Log(keras.callbacks.Callback):
    """Keeps the history, epoch by epoch, and passes it on."""

    def __init__(self, rate: Rate, write: Callable[[dict[str, list[float]], bool], None]) -> None:
        """Call `write` with the whole history after every epoch (and True) and at a resume (and False)."""
        super().__init__()
        self._rate = rate
        self.history: dict[str, list[float]] = {}
        self._write = write
        self._before = 0.0  # seconds of this epoch in earlier processes
        self._start = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Append an epoch."""
        metrics = {key: float(value) for key, value in logs.items()}
        entry = {**metrics, "learning_rate": self._rate.used(), "seconds": self._seconds()}
        for key, value in entry.items():
            self.history.setdefault(key, []).append(value)
        self._before, self._start = 0.0, time.monotonic()
        self._write(self.history, True)

    def _seconds(self) -> float:
        return round(self._before + time.monotonic() - self._start, 3)

    def state(self) -> dict[str, Any]:
        """The history, and the time spent in the epoch under way."""
        return {"history": {k: list(v) for k, v in self.history.items()}, "seconds": self._seconds()}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self.history = {k: list(v) for k, v in state["history"].items()}
        self._before, self._start = state["seconds"], time.monotonic()
        if self.history:
            self._write(self.history, False)


class Best(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best validation accuracy, in memory and on disk.

    Of epochs with the same accuracy, the best is the one with the lowest loss or the earliest (see `Recipe.ties`).
    Without a validation part the last epoch counts as the best.
    """

    def __init__(self, stock: keras.Model, write: Callable[[], None], ties: str = "loss") -> None:
        """Keep the weights of `stock`; call `write` while it holds new best weights (averaged, if EMA is on)."""
        super().__init__()
        self.stock, self.ties = stock, ties
        self.accuracy, self.loss = -math.inf, math.inf
        self.epoch: int | None = None
        self.weights: list[np.ndarray] = []
        self._write = write

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare."""
        accuracy, loss = float(logs.get("val_accuracy", math.inf)), float(logs.get("val_loss", 0.0))
        tied = self.ties == "loss" and accuracy == self.accuracy and loss < self.loss
        if accuracy > self.accuracy or tied or "val_accuracy" not in logs:
            self.accuracy, self.loss, self.epoch = accuracy, loss, epoch + 1
            with averaged(self.model.optimizer):
                self.weights = self.stock.get_weights()
                self._write()

    def state(self) -> dict[str, Any]:
        """Which epoch was best."""
        return {"accuracy": self.accuracy, "loss": self.loss, "epoch": self.epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self.accuracy, self.epoch = state["accuracy"], state["epoch"]
        self.loss = state.get("loss", math.inf)  # runs of early versions keep the earliest anyway


class EarlyStopper(keras.callbacks.Callback):
    """Ends training once the monitored metric has not improved for `patience` epochs."""

    def __init__(self, rule: EarlyStop) -> None:
        """Follow the recipe's rule."""
        super().__init__()
        self.rule = rule
        self.best = -math.inf
        self.waited = 0
        self.stopped = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare."""
        value = logs[self.rule.monitor] if self.rule.monitor == "val_accuracy" else -logs[self.rule.monitor]
        if value > self.best + self.rule.min_delta:
            self.best, self.waited = float(value), 0
        else:
            self.waited += 1
        if self.waited >= self.rule.patience:
            self.stopped = self.model.stop_training = True

    def state(self) -> dict[str, Any]:
        """The best value, and how long it has waited since."""
        return {"best": self.best, "waited": self.waited, "stopped": self.stopped}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self.best, self.waited, self.stopped = state["best"], state["waited"], state["stopped"]


class Averaging(keras.callbacks.Callback):
    """Validates with the moving average of the weights (keras.callbacks.SwapEMAWeights undoes our `averaged`)."""

    _swap: contextlib.AbstractContextManager[None] | None = None

    def on_test_begin(self, logs: Any = None) -> None:
        """Swap the averages in."""
        self._swap = averaged(self.model.optimizer)
        self._swap.__enter__()

    def on_test_end(self, logs: Any = None) -> None:
        """Swap them out."""
        if self._swap is not None:
            self._swap.__exit__(None, None, None)

    def state(self) -> dict[str, Any]:
        """Empty, because there is no state between epochs."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


class TensorBoardLog:
    """Scalars for TensorBoard, written by tensorboard's writer, which needs no TensorFlow."""

    def __init__(self, folder: Path) -> None:
        """Write event files into `folder`; where tensorboard is not installed, write nothing."""
        try:
            from tensorboard.summary import Writer
        except ImportError:
            self._writer = None
        else:
            self._folder = folder
            with self._guarded():
                self._writer = Writer(str(folder))

    def write(self, history: dict[str, list[float]]) -> None:
        """Add the last epoch of a history."""
        if self._writer is None:
            return
        with self._guarded():
            for name, values in history.items():
                self._writer.add_scalar(f"epoch_{name}", values[-1], len(values))
            self._writer.flush()

    def close(self) -> None:
        """Close the event file; an error would hide the one that ended training."""
        if self._writer is not None:
            with contextlib.suppress(NotWritten), self._guarded():
                self._writer.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """A context in which the event file is written; with TensorFlow, it raises errors of TensorFlow's own."""
        try:
            yield
        except Exception as error:
            self._writer = None
            raise NotWritten(f"cannot write {str(self._folder)!r}: {cause(error)}") from None
