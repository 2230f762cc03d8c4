"""One process's part of a run: `fit` with checkpoints, from wherever the last process stopped."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from kzoo.errors import InputError
from kzoo.files import write_text
from kzoo.interrupts import interruptible
from kzoo.introspection.layers import find_kernels
from kzoo.recipes.schema import Recipe
from kzoo.training import callbacks as cb
from kzoo.training import records
from kzoo.training.backends import devices, seed_step, sync
from kzoo.training.build import Data
from kzoo.training.checkpoint import Checkpoint, save
from kzoo.training.directory import save_weights
from kzoo.training.fast_batch_norm import training_view
from kzoo.training.guards import FiniteGuard
from kzoo.training.optimizers import averaged, build_optimizer
from kzoo.training.progress import ProgressBar
from kzoo.training.recorders.gradient_flow import PROBE_IMAGES, GradientFlowCallback
from kzoo.training.recorders.weight_histograms import WeightHistograms


class Session(keras.callbacks.Callback):
    """Trains a model in a run's directory; itself the callback that keeps position and checkpoints.

    Attributes:
        model: (of Keras's callbacks) the training view.
        stock: the model whose weights are saved.
        best, log: what the run has come to.
    """

    def __init__(
        self,
        stock: keras.Model,
        recipe: Recipe,
        data: Data,
        directory: Path,
        *,
        start: Checkpoint | None,
        meta: dict[str, Any],
        extra: Sequence[Any] = (),
        console: Console | None = None,
        checkpoint_minutes: float = 3.0,
        diagnostics: bool = True,
        until: int | None = None,
    ) -> None:
        """Prepare to train; `start` is the checkpoint to go on from, `meta` what every checkpoint carries.

        With `until`, the run ends after so many of the recipe's epochs.
        """
        super().__init__()
        self.end = min(recipe.epochs, until or recipe.epochs)
        self.stock, self.recipe, self.data, self.directory = stock, recipe, data, directory
        self.meta, self.interval = meta, checkpoint_minutes * 60
        self.start = start
        self.view, self.logits = training_view(stock)
        self.batches = data.batches("train", recipe)
        self.validation = data.batches("validation", recipe) if len(data.validation) else None
        self.history: dict[str, list[float]] = {}
        self._interrupted: Callable[[], bool] = lambda: False
        self._began = time.monotonic()
        self._last_save = time.monotonic()
        self._segments = list(start.meta["segments"]) if start else []
        self._compile()
        self.flow: GradientFlowCallback | None = None
        self._make_callbacks(extra, console, self._watchers() if diagnostics else [])
        self.segment = self._describe(start.epoch if start else 0)

    def _compile(self) -> None:
        kind = "Categorical" if self.batches.soft else "SparseCategorical"
        with_logits = {"from_logits": self.logits}
        self.view.compile(
            optimizer=build_optimizer(self.recipe, self.batches.steps),
            loss=getattr(keras.losses, f"{kind}Crossentropy")(**with_logits),
            metrics=[getattr(keras.metrics, f"{kind}Accuracy")(name="accuracy")],
        )
        if not self.view.trainable_variables:
            raise InputError(f"model {self.stock.name!r} has no weights to train")
        self.view.optimizer.build(self.view.trainable_variables)

    def _watchers(self) -> list[Any]:
        """What looks on and changes nothing; each has `state()` and `restore(state)`."""
        if not find_kernels(self.view):
            return []
        train = self.data.train
        images, labels = (np.array(part[:PROBE_IMAGES]) for part in (train.images, train.labels))
        self.flow = GradientFlowCallback(images, labels, steps=lambda: len(self.batches), strict=False)
        return [self.flow, WeightHistograms(self.stock, self.directory, self.recipe.epochs)]

    def _make_callbacks(self, extra: Sequence[Any], console: Console | None, watchers: list[Any]) -> None:
        self.board = cb.TensorBoardLog(self.directory / "tensorboard")
        rate = cb.Rate(self.recipe, self.batches.steps)
        self.log = cb.Log(rate, self._write_history)
        best = self.directory / "best.weights.h5"
        self.best = cb.Best(self.stock, lambda: save_weights(self.stock, best), self.recipe.ties)
        self.stopper = cb.EarlyStopper(self.recipe.early_stop) if self.recipe.early_stop else None
        self.bar = None
        if console is not None:
            args = (self.recipe.epochs, self.batches.steps, len(self.data.train), self.recipe.batch_size)
            self.bar = ProgressBar(console, *args)
        guard = FiniteGuard(self.stock, self.data.train.images[: self.recipe.batch_size])
        # Those with state, the user's among them; the checkpoint that keeps their states is written last.
        self.parts = [cb.Averaging(), *watchers, self.log, rate, self.best]
        self.parts += [*([self.stopper] if self.stopper else []), *extra]
        self.extra = len(extra)
        bar = [self.bar] if self.bar else []
        self.all = cb.OnceList([_Opening(self), guard, *self.parts, *bar, self], self.view)

    def run(self) -> None:
        """Train to the last epoch (or early stop) and leave averaged weights, if any, in the model.

        Raises:
            RunFailed: the loss is not finite, or the disk is full.
            KeyboardInterrupt: SIGINT or SIGTERM came; a checkpoint was written first.
        """
        first, step = (self.start.epoch, self.start.step) if self.start else (0, 0)
        stopped = bool(self.start and self.start.meta.get("stopped"))
        if self.start is None:
            self._save(0, 0)
        if self.start is not None and (first >= self.end or stopped):
            self.restore_variables()
            self._restore_callbacks()
        else:
            self.batches.position(first, step)
            if step:
                # Metrics must exist before an epoch begun elsewhere can go on; TensorFlow makes them lazily.
                self.view.test_on_batch(*self.batches[0])
            with interruptible() as self._interrupted:
                try:
                    if step:  # the rest of an epoch begun elsewhere has fewer steps than Keras expects later
                        self._fit(first, first + 1)
                        first += 1
                    if first < self.end and not self.view.stop_training:
                        self.batches.position(first)
                        self._fit(first, self.end)
                finally:
                    if self.bar is not None:
                        self.bar.close()
                    self.board.close()
            self.all.end()
        self.history = self.log.history

    def _fit(self, first: int, end: int) -> None:
        self.view.fit(
            self.batches,
            validation_data=self.validation,
            initial_epoch=first,
            epochs=end,
            callbacks=self.all,
            verbose=0,
            shuffle=False,  # the batches shuffle themselves, anew each epoch
        )

    def finish(self) -> None:
        """Write the final weights, then leave the best ones in the model."""
        with averaged(self.view.optimizer):
            save_weights(self.stock, self.directory / "final.weights.h5")
        self.stock.set_weights(self.best.weights)
        save_weights(self.stock, self.directory / "best.weights.h5")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Write a checkpoint every few minutes; at the epoch's last step its end will."""
        epoch, step = self.batches.epoch, self.batches.first_step + batch + 1
        if step >= self.batches.steps:
            return
        if self._interrupted() or time.monotonic() - self._last_save >= self.interval:
            sync(self.model)
            self._save(epoch, step)
            self._stop_if_interrupted()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write a checkpoint."""
        self._save(epoch + 1, 0)
        self._stop_if_interrupted()

    def _stop_if_interrupted(self) -> None:
        if self._interrupted():
            raise KeyboardInterrupt(f"interrupted; {str(self.directory)!r} can be resumed")

    def _write_history(self, history: dict[str, list[float]]) -> None:
        text = records.history_csv(history)
        write_text(self.directory / records.METRICS, text)
        self.board.write(history)

    def _save(self, epoch: int, step: int) -> None:
        arrays = {name: [np.asarray(keras.ops.convert_to_numpy(v)) for v in self._variables(name)] for name in KINDS}
        arrays["best"] = self.best.weights
        states = [cb.state_of(part) for part in self.parts]
        self.segment = {**self.segment, "seconds": time.monotonic() - self._began}
        meta = {
            **self.meta,
            "paths": [variable.path for variable in self._variables("model")],
            "parts": self._own_parts(),
            "callbacks": states,
            "stopped": step == 0 and bool(self.view.stop_training),  # by whichever callback
            "segments": self.segments(),
        }
        save(self.directory / "checkpoint", Checkpoint(epoch, step, arrays, meta))
        self._last_save = time.monotonic()

    def _variables(self, kind: str) -> list[Any]:
        if kind == "model":
            return self.stock.variables  # seed generators' states included
        if kind == "optimizer":
            return self.view.optimizer.variables
        return self.view.metrics_variables

    def restore_variables(self) -> None:
        """Give model, optimizer and metrics the values of the checkpoint to go on from."""
        assert self.start is not None
        for kind in KINDS:
            if kind == "metrics" and not self.start.step:
                continue  # an epoch begins with empty metrics
            variables, values = self._variables(kind), self.start.arrays.get(kind, [])
            if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
                raise InputError(
                    f"the checkpoint in {str(self.directory)!r} does not fit the {kind} that its recipe gives now: "
                    "was it written by other versions, or has the code of the model changed?"
                )
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def _restore_callbacks(self) -> None:
        assert self.start is not None
        states = self.start.meta["callbacks"]
        other = InputError(
            f"the checkpoint in {str(self.directory)!r} was written by another version of kzoo, which keeps other "
            "states: finish the run with that version, or start anew with fresh=True (--fresh)"
        )
        if self.start.meta.get("parts") != self._own_parts():
            raise other
        own = len(self.parts) - self.extra
        if len(states) != len(self.parts):
            raise InputError(
                f"run {str(self.directory)!r} was trained with {len(states) - own} callbacks of your own and is "
                f"resumed with {self.extra}: pass as many, in the same order"
            )
        try:
            for part, state in zip(self.parts[:own], states[:own], strict=True):
                cb.restore_state(part, state)
        except (KeyError, TypeError) as error:
            raise other from error
        for part, state in zip(self.parts[own:], states[own:], strict=True):
            cb.restore_state(part, state)
        self.best.weights = self.start.arrays.get("best", [])
        if self.best.weights:
            self._rewrite_best()

    def _own_parts(self) -> list[str]:
        """What keeps states, but for the user's callbacks."""
        return [type(part).__name__ for part in self.parts[: len(self.parts) - self.extra]]

    def _rewrite_best(self) -> None:
        """The file may be of a later epoch than the checkpoint: epochs are run again from here."""
        now = self.stock.get_weights()
        self.stock.set_weights(self.best.weights)
        save_weights(self.stock, self.directory / "best.weights.h5")
        self.stock.set_weights(now)

    def _describe(self, epoch: int) -> dict[str, Any]:
        return {
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": 0.0,
            "first_epoch": epoch + 1,
            "backend": keras.backend.backend(),
            "versions": records.versions(),
            "python": platform.python_version(),
            "devices": devices(),
            **records.hardware(),
        }

    def segments(self) -> list[dict[str, Any]]:
        """All processes' parts so far, this one's last."""
        return [*self._segments, {**self.segment, "seconds": round(time.monotonic() - self._began, 3)}]


KINDS = ("model", "optimizer", "metrics")


class _Opening(keras.callbacks.Callback):
    """First of all callbacks: puts the run where it stopped, then tells the batches which epoch it is."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.restored = session.start is None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        session = self.session
        step = 0
        if not self.restored and session.start is not None:
            session.restore_variables()
            session._restore_callbacks()
            self.restored, step = True, session.start.step
            if session.bar is not None:
                session.bar.first_step = step
        session.batches.position(epoch, step)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        batches = self.session.batches
        seed_step(self.session.recipe.seed, batches.epoch, batches.first_step + batch)
