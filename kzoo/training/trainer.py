"""One process's part of a run: `fit` with checkpoints, from where the last process stopped."""

from __future__ import annotations

import datetime
import inspect
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console

from kzoo.backend import ONEDNN
from kzoo.checks import is_number
from kzoo.console import console_for
from kzoo.errors import InputError, shown
from kzoo.files import write_text
from kzoo.interrupts import interruptible
from kzoo.introspection.backends import devices, seed_step
from kzoo.introspection.layers import find_kernels
from kzoo.memory import reset_peak
from kzoo.recipes.schema import Recipe
from kzoo.training import records
from kzoo.training.build import Data
from kzoo.training.callbacks import built_in as cb
from kzoo.training.callbacks.checkpointer import Checkpointer
from kzoo.training.callbacks.finite_guard import FiniteGuard
from kzoo.training.callbacks.lists import OnceList, StatefulCallbacks, continue_logs
from kzoo.training.callbacks.progress_bar import ProgressBar
from kzoo.training.checkpoint import Checkpoint, RunState
from kzoo.training.directory import save_weights
from kzoo.training.extending import Extended
from kzoo.training.feeding import feed
from kzoo.training.optimization.fixed_variables import FixedVariables
from kzoo.training.optimization.muon import Muon
from kzoo.training.optimization.optimizers import averaged, build_optimizer
from kzoo.training.recorders.gradient_flow import PROBE_IMAGES, GradientFlowCallback
from kzoo.training.recorders.weight_histograms import WeightHistograms
from kzoo.training.speed import advice_on_precision
from kzoo.training.training_view import training_view


@dataclass(frozen=True)
class Options:
    """The arguments of `kzoo.train` apart from the recipe and the model.

    Attributes:
        data_dir, progress, checkpoint_minutes, diagnostics: as for `kzoo.train`.
        callbacks: as for `kzoo.train`; if None, those of a finished run are not compared.
        data: the recipe's data, if already loaded.
        test: whether to read the test part at the end. A search does not, because it would read it once per trial.
        until: end after this many of the recipe's epochs.
        begin: the run that the new run extends.
    """

    data_dir: str | Path | None = None
    callbacks: Sequence[keras.callbacks.Callback] | None = ()
    progress: bool | Console = True
    checkpoint_minutes: float = 3.0
    diagnostics: bool = True
    data: Data | None = None
    test: bool = True
    until: int | None = None
    begin: Extended | None = None

    def __post_init__(self) -> None:
        """Check what the user gave.

        Raises:
            InputError: `callbacks` is not a list or contains a class, or `checkpoint_minutes` is not a number >= 0.
        """
        if not isinstance(self.callbacks, Sequence | None):
            raise InputError(f"callbacks must be a list of callbacks, not {shown(self.callbacks)}")
        for callback in self.callbacks or ():
            if inspect.isclass(callback):
                raise InputError(f"callbacks has the class {callback.__name__}: give an object, {callback.__name__}()")
        if not is_number(self.checkpoint_minutes) or not self.checkpoint_minutes >= 0:
            raise InputError(f"checkpoint_minutes={self.checkpoint_minutes!r}: must be a number >= 0")


class Trainer:
    """Trains a model in a run's directory, from its beginning or from a checkpoint.

    Attributes:
        stock: the model whose weights are saved.
        view: the model that is trained, which shares its weights.
        state: the part of the state that is the same in every checkpoint.
        best, log, flow: the callbacks that hold the results so far.
    """

    def __init__(
        self,
        stock: keras.Model,
        recipe: Recipe,
        data: Data,
        directory: Path,
        *,
        start: Checkpoint | None,
        state: RunState,
        options: Options,
    ) -> None:
        """Prepare to train; `start` is the checkpoint to resume from, None for a new run."""
        self.end = min(recipe.epochs, options.until or recipe.epochs)
        self.stock, self.recipe, self.data, self.directory = stock, recipe, data, directory
        self.state, self.start = state, start
        self.view, self.logits = training_view(stock)
        self.batches = data.batches("train", recipe)
        self.validation = data.batches("validation", recipe) if len(data.validation) else None
        self._began = time.monotonic()
        reset_peak()
        self._earlier = list(start.state.segments) if start else []
        self._segment = _describe(start.epoch if start else 0)
        if self._earlier:
            records.warn_of_other_bits(directory, self._earlier[-1], self._segment)
        self._compile()
        self.flow: GradientFlowCallback | None = None
        self._make_callbacks(options, self._watchers() if state.diagnostics else [])

    def _compile(self) -> None:
        kind = "Categorical" if self.batches.soft else "SparseCategorical"
        with_logits = {"from_logits": self.logits}
        if not self.view.trainable_variables:
            raise InputError(f"model {self.stock.name!r} has no weights to train")
        optimizer = build_optimizer(self.recipe, self.batches.steps)
        if isinstance(optimizer, Muon):
            optimizer.see(self.view)
        optimizer.build(self.view.trainable_variables)

        # Small gradients are zero in float16 unless the loss is scaled up. Keras scales it only if the model's own
        # policy says so, and the view has no policy. Checkpoints of early versions hold no scale.
        unscaled = self.start is not None and len(self.start.arrays["optimizer"]) == len(optimizer.variables)
        if self.recipe.precision == "mixed_float16" and not unscaled:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(self.view.trainable_variables)

        self.view.compile(
            optimizer=optimizer,
            loss=getattr(keras.losses, f"{kind}Crossentropy")(**with_logits),
            metrics=[getattr(keras.metrics, f"{kind}Accuracy")(name="accuracy")],
        )
        self.fixed = FixedVariables(self.recipe, self.view)

    def _watchers(self) -> list[Any]:
        """Callbacks that only observe; each has `state()` and `restore(state)`."""
        if not find_kernels(self.view):
            return []
        train = self.data.train
        images, labels = (np.array(part[:PROBE_IMAGES]) for part in (train.images, train.labels))
        self.flow = GradientFlowCallback(images, labels, steps=lambda: len(self.batches), strict=False)
        return [self.flow, WeightHistograms(self.stock, self.directory, self.recipe.epochs)]

    def _make_callbacks(self, options: Options, watchers: list[Any]) -> None:
        # Files, rate and history
        self.board = cb.TensorBoardLog(self.directory / "tensorboard")
        rate = cb.Rate(self.recipe, self.batches.steps)
        self.log = cb.Log(rate, self._write_history)
        best = self.directory / "best.weights.h5"
        self.best = cb.Best(self.stock, lambda: save_weights(self.stock, best), self.recipe.ties)
        self.stopper = cb.EarlyStopper(self.recipe.early_stop) if self.recipe.early_stop else None

        # Progress, and the guard that ends a run whose loss is not finite
        self.bar = None
        console = console_for(options.progress)
        if console is not None:
            args = (self.recipe.epochs, self.batches.steps, len(self.data.train), self.recipe.batch_size)
            # A run that resumes keeps its precision.
            advice = advice_on_precision(self.recipe) if self.start is None else None
            self.bar = ProgressBar(console, *args, advice=advice)
        guard = FiniteGuard(self.stock, self.data.train.images[: self.recipe.batch_size])

        # Callbacks with state, the user's included; the checkpointer, which saves their states, comes last.
        built_in = [cb.Averaging(), *watchers, self.log, rate, self.best, *([self.stopper] if self.stopper else [])]
        parts = StatefulCallbacks(built_in, options.callbacks or ())
        if self.start is not None:
            continue_logs(parts.custom, self.start.epoch)
        self.checkpointer = Checkpointer(
            self.stock,
            self.view,
            self.batches,
            self.directory,
            state=self.state,
            parts=parts,
            best=self.best,
            segments=self.segments,
            minutes=options.checkpoint_minutes,
        )
        bar = [self.bar] if self.bar else []
        members = [_Opening(self), guard, *parts.all, *bar, self.checkpointer]
        params = {"epochs": self.end, "steps": self.batches.steps, "verbose": 0}
        self.callbacks = OnceList(members, self.view, self.stock, **params)

    def run(self) -> None:
        """Train to the last epoch, or until a callback stops training.

        Raises:
            RunFailed: the loss is not finite, or the disk is full.
            KeyboardInterrupt: on SIGINT or SIGTERM; a checkpoint was written first.
        """
        # Choose where to start; a new run begins with a checkpoint.
        first, step = (self.start.epoch, self.start.step) if self.start else (0, 0)
        stopped = bool(self.start and self.start.state.stopped)
        if self.start is None:
            self.checkpointer.save(0, 0)

        # Restore a run that has nothing left to train; train all others.
        if self.start is not None and (first >= self.end or stopped):
            self.callbacks.on_train_begin()
            self.checkpointer.restore(self.start)
            self.board.close()
        else:
            self.batches.position(first, step)
            if step:
                # Metrics must exist before an epoch can resume midway; TensorFlow makes them lazily.
                self.view.test_on_batch(*self.batches[0])
            with interruptible() as self.checkpointer.interrupted:
                try:
                    if step:  # the rest of an epoch has fewer steps than Keras expects later
                        self._fit(first, first + 1)
                        first += 1
                    while first < self.end and not self.view.stop_training:
                        self.batches.position(first)
                        last = self.fixed.next_change(first, self.end)
                        self._fit(first, last)
                        first = last
                finally:
                    if self.bar is not None:
                        self.bar.close()
                    self.board.close()

    def _fit(self, first: int, end: int) -> None:
        with self.fixed.without_gradients(first):
            self.view.fit(
                feed(self.batches),
                validation_data=feed(self.validation) if self.validation is not None else None,
                initial_epoch=first,
                epochs=end,
                callbacks=self.callbacks,
                verbose=0,
                shuffle=False,  # the batches shuffle themselves in each epoch
            )

    def finish(self) -> None:
        """End the callbacks and write the final weights, then leave the best ones in the model."""
        self.callbacks.end()  # after a resume too: the interruption may have come before it, and it can change weights
        with averaged(self.view.optimizer):
            save_weights(self.stock, self.directory / "final.weights.h5")
        self.stock.set_weights(self.best.weights)
        save_weights(self.stock, self.directory / "best.weights.h5")

    def _write_history(self, history: dict[str, list[float]], ended: bool) -> None:
        text = records.history_csv(history)
        write_text(self.directory / records.METRICS, text, locked=True)
        if ended:  # TensorBoard keeps what earlier processes wrote
            self.board.write(history)

    def segments(self) -> list[dict[str, Any]]:
        """The parts of all processes so far; this process's part is the last."""
        return [*self._earlier, {**self._segment, "seconds": round(time.monotonic() - self._began, 3)}]


def _describe(epoch: int) -> dict[str, Any]:
    """This process's part of a run, which begins with an epoch counted from 0; how long it took is added later."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "first_epoch": epoch + 1,
        "backend": keras.backend.backend(),
        "versions": records.versions(),
        "python": platform.python_version(),
        "devices": devices(),
        "onednn": os.environ.get(ONEDNN) if keras.backend.backend() == "tensorflow" else None,
        **records.hardware(),
    }


class _Opening(keras.callbacks.Callback):
    """First of all callbacks: restores the run where it stopped, and sets the epoch of the batches."""

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()
        self.trainer = trainer
        self.restored = trainer.start is None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        trainer = self.trainer
        step = 0
        if not self.restored and trainer.start is not None:
            trainer.checkpointer.restore(trainer.start)
            self.restored, step = True, trainer.start.step
            if not (trainer.directory / "checkpoint").exists():  # an extended run begins with one, like every new run
                trainer.checkpointer.save(epoch, step)
            if trainer.bar is not None:
                trainer.bar.first_step = step
        trainer.batches.position(epoch, step)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        batches = self.trainer.batches
        seed_step(self.trainer.recipe.seed, batches.epoch, batches.first_step + batch)
