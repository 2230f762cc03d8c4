"""Writes a run's checkpoints, and restores a run from its last checkpoint."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.data.batches import Batches
from kzoo.errors import InputError
from kzoo.introspection.backends import sync
from kzoo.training.callbacks.built_in import Best
from kzoo.training.callbacks.lists import StatefulCallbacks
from kzoo.training.checkpoint import Checkpoint, RunState, save
from kzoo.training.directory import save_weights

KINDS = ("model", "optimizer", "metrics")


class Checkpointer(keras.callbacks.Callback):
    """The last of a run's callbacks, which writes a checkpoint every few minutes and at the end of each epoch.

    Attributes:
        interrupted: returns whether a signal asks the run to stop after its next checkpoint.
    """

    def __init__(
        self,
        stock: keras.Model,
        view: keras.Model,
        batches: Batches,
        directory: Path,
        *,
        state: RunState,
        parts: StatefulCallbacks,
        best: Best,
        segments: Callable[[], list[dict[str, Any]]],
        minutes: float,
    ) -> None:
        """Prepare to write checkpoints.

        Args:
            stock: the model whose weights are saved.
            view: the model that is trained, which has the optimizer and the metrics.
            batches: the training batches, which know the epoch and step.
            directory: of the run.
            state: the part of the state that is the same in every checkpoint.
            parts: the callbacks whose states are kept.
            best: the callback among them that holds the best weights.
            segments: returns what each process has contributed so far.
            minutes: between two checkpoints within an epoch.
        """
        super().__init__()
        self.stock, self.view, self.batches, self.directory = stock, view, batches, directory
        self._state, self._parts, self._best = state, parts, best
        self._segments, self._interval = segments, minutes * 60
        self._last_save = time.monotonic()
        self.interrupted: Callable[[], bool] = lambda: False

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Write a checkpoint every few minutes; the epoch's last step leaves it to `on_epoch_end`."""
        epoch, step = self.batches.epoch, self.batches.first_step + batch + 1
        if step >= self.batches.steps:
            return
        if self.interrupted() or time.monotonic() - self._last_save >= self._interval:
            sync(self.model)
            self.save(epoch, step)
            self._stop_if_interrupted()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write a checkpoint."""
        self.save(epoch + 1, 0)
        self._stop_if_interrupted()

    def _stop_if_interrupted(self) -> None:
        if self.interrupted():
            raise KeyboardInterrupt(f"interrupted; {str(self.directory)!r} can be resumed")

    def save(self, epoch: int, step: int) -> None:
        """Write a checkpoint from which the run resumes at a step of an epoch, both counted from 0."""
        arrays = {kind: [np.asarray(keras.ops.convert_to_numpy(v)) for v in self._variables(kind)] for kind in KINDS}
        arrays["best"] = self._best.weights
        states, arrays["callbacks"] = self._parts.states()
        state = dataclasses.replace(
            self._state,
            paths=[variable.path for variable in self._variables("model")],
            parts=self._parts.names,
            callbacks=states,
            stopped=step == 0 and bool(self.view.stop_training),  # by any callback
            segments=self._segments(),
        )
        save(self.directory / "checkpoint", Checkpoint(epoch, step, arrays, state))
        self._last_save = time.monotonic()

    def restore(self, start: Checkpoint) -> None:
        """Restore model, optimizer, metrics and callbacks from a checkpoint.

        Raises:
            InputError: the checkpoint does not fit them.
        """
        # Variables
        for kind in KINDS:
            if kind == "metrics" and not start.step:
                continue  # an epoch begins with empty metrics
            variables, values = self._variables(kind), start.arrays.get(kind, [])
            if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
                raise InputError(
                    f"the checkpoint in {str(self.directory)!r} does not fit the {kind} that its recipe gives now: "
                    "was it written by other versions, or has the code of the model changed?"
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

        # Callbacks. The file of best weights may come from a later epoch, which will be trained again.
        self._parts.restore(start.state, start.arrays.get("callbacks", []), self.directory)
        self._best.weights = start.arrays.get("best", [])
        if self._best.weights:
            now = self.stock.get_weights()
            self.stock.set_weights(self._best.weights)
            save_weights(self.stock, self.directory / "best.weights.h5")
            self.stock.set_weights(now)

    def _variables(self, kind: str) -> list[Any]:
        if kind == "model":
            return self.stock.variables  # seed generators' states included
        if kind == "optimizer":
            return self.view.optimizer.variables
        return self.view.metrics_variables
