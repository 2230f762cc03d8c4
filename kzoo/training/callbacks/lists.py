"""Lists of callbacks: one that begins and ends once per run, one with states, one that acts as one callback."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.files import write_atomically
from kzoo.introspection.backends import sync
from kzoo.recipes.schema import Recipe
from kzoo.training.callbacks.states import digests, pack_states, restore_state, state_of, unpack
from kzoo.training.checkpoint import RunState
from kzoo.training.optimization.optimizers import averaged
from kzoo.training.optimization.schedules import BY_STEP

REPLACED: dict[Any, str] = {
    keras.callbacks.OrbaxCheckpoint: (
        "would save the layers that kzoo trains in place of the model's: take ModelCheckpoint, or leave it out, kzoo "
        "writes checkpoints by itself"
    ),
    keras.callbacks.BackupAndRestore: (
        "would restore the weights of an earlier training: leave it out, kzoo writes checkpoints and resumes by itself"
    ),
    keras.callbacks.SwapEMAWeights: (
        "would mix averaged and trained weights: leave it out, kzoo validates with averaged weights and saves them if "
        "the recipe has ema"
    ),
}
"""Keras's callbacks that would undo what kzoo does, and what to do instead."""
RATE_SETTERS = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


class OnceList(keras.callbacks.CallbackList):
    """A callback list that calls its members once at the start and end of training, however often `fit` is called."""

    def __init__(self, callbacks: Sequence[Any], view: Any, stock: keras.Model, **params: Any) -> None:
        """Serve `callbacks` for the training of `view`; those that save weights get `stock`.

        `params` become the callbacks' `params`, as in Keras.
        """
        members = [Combined([part], stock) if isinstance(part, Combined.savers) else part for part in callbacks]
        super().__init__(members, add_history=True, add_progbar=False, model=view, **params)
        self._begun = False

    def on_train_begin(self, logs: Any = None) -> None:
        """Pass the first call on."""
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Do nothing: `end` notifies the members."""

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Pass the call on; so do the following methods."""
        _pass_on(super().on_train_batch_begin, batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        _pass_on(super().on_train_batch_end, batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        _pass_on(super().on_test_batch_begin, batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        _pass_on(super().on_test_batch_end, batch, logs)

    def end(self) -> None:
        """Notify all members that training has ended."""
        super().on_train_end(None)


def _pass_on(call: Callable[[int, Any], None], batch: int, logs: Any) -> None:
    """Call the members; a StopIteration is an error, because Keras would end the epoch or the validation at it."""
    try:
        call(batch, logs)
    except StopIteration as error:
        raise RuntimeError("a callback raised StopIteration (next() of an iterator that has ended?)") from error


def check_callbacks(callbacks: Iterable[Any], recipe: Recipe) -> None:
    """Refuse Keras's callbacks that contradict a run.

    Raises:
        InputError: one is in `REPLACED`, restores weights without their averages, or sets a rate that the recipe sets
            at every step.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CallbackList):
            check_callbacks(callback.callbacks, recipe)
        name = type(callback).__name__
        for kind, reason in REPLACED.items():
            if isinstance(callback, kind):
                raise InputError(f"callbacks has {name}, which {reason}")
        if recipe.ema and getattr(callback, "restore_best_weights", False):
            raise InputError(
                f"callbacks has {name} with restore_best_weights=True, which does not restore averaged weights (ema="
                f"{recipe.ema:g}): leave that out, kzoo keeps the best epoch's weights by itself"
            )
        by_step = recipe.warmup_epochs or isinstance(recipe.schedule, BY_STEP)
        if by_step and isinstance(callback, RATE_SETTERS):
            cause = f"warmup_epochs={recipe.warmup_epochs:g}" if recipe.warmup_epochs else ""
            cause = cause or f"schedule {recipe.schedule.kind!r}"
            raise InputError(
                f"callbacks has {name}, but {cause} sets the learning rate at every step: leave one of them out (a "
                "callback can set the rate with schedule 'constant' and no warm-up)"
            )


def continue_logs(callbacks: Sequence[Any], epoch: int) -> None:
    """Let Keras's CSVLogger continue its file in a run that resumes at `epoch`, instead of starting it again.

    A row of that epoch was written after the checkpoint; it is removed, because the epoch is trained again. But the
    first epoch's row may be of an earlier run, whose file the logger was made to continue.
    """
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CallbackList):
            continue_logs(callback.callbacks, epoch)
        if not isinstance(callback, keras.callbacks.CSVLogger):
            continue
        path = Path(callback.filename)
        if path.is_file() and (epoch or not callback.append):
            lines = path.read_bytes().splitlines(keepends=True)
            if lines and lines[-1].startswith(f"{epoch}{callback.sep}".encode()):
                write_atomically(path, methodcaller("writelines", lines[:-1]))
        callback.append = True


class Combined(keras.callbacks.CallbackList):
    """Several callbacks as one, whose states are kept by class, so that a resumed run can have other callbacks.

    Callbacks that save weights get the stock model, not the view that is trained: the classes of some of its layers
    differ, and a file would name kzoo's optimizer. They see averaged weights if the recipe averages weights.
    """

    savers: tuple[Any, ...] = (keras.callbacks.ModelCheckpoint,)
    """Classes of callbacks that save weights."""

    def __init__(self, callbacks: Sequence[Any], stock: keras.Model | None) -> None:
        """Combine `callbacks`; `stock` is the model to save."""
        self.stock = stock
        super().__init__(list(callbacks))

    def set_model(self, model: Any) -> None:
        """Give each callback the model that it should use."""
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, self.savers) and model is not None and self.stock is not None:
                callback.set_model(self.stock)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Call each callback."""
        for callback in self.callbacks:
            within_epochs = getattr(callback, "save_freq", "epoch") != "epoch"
            with self._weights_to_save(callback, within_epochs):
                callback.on_train_batch_end(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call each callback."""
        for callback in self.callbacks:
            with self._weights_to_save(callback):
                callback.on_epoch_end(epoch, logs)

    @contextmanager
    def _weights_to_save(self, callback: Any, saves: bool = True) -> Iterator[None]:
        """A context in which a callback that saves weights sees the current ones, averaged if the recipe has `ema`."""
        if not saves or not isinstance(callback, self.savers):
            yield
            return
        sync(self.model)
        with averaged(self.model.optimizer):
            yield

    def _named(self) -> dict[str, Any]:
        """The callbacks by class; further ones of a class have a number, as in ``"EarlyStopping 2"``."""
        named: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        for callback in self.callbacks:
            name = type(callback).__name__
            seen[name] += 1
            named[name if seen[name] == 1 else f"{name} {seen[name]}"] = callback
        return named

    def state(self) -> dict[str, Any]:
        """Each callback's state."""
        return {name: state_of(callback) for name, callback in self._named().items()}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state; callbacks that are not in it start again."""
        for name, callback in self._named().items():
            if name in state:
                restore_state(callback, state[name])


def _flat(callbacks: Iterable[Any]) -> Iterator[Any]:
    """Callbacks, with the members of Keras's lists in their place."""
    for callback in callbacks:
        if type(callback) is keras.callbacks.CallbackList:
            yield from _flat(callback.callbacks)
        else:
            yield callback


class StatefulCallbacks:
    """The callbacks of a run that keep states: the built-in ones, then the user's.

    Attributes:
        built_in: kzoo's callbacks.
        custom: the user's callbacks, in the order given.
    """

    def __init__(self, built_in: Sequence[Any], custom: Sequence[Any]) -> None:
        """Hold the callbacks; those of Keras's lists one by one, because a list has no state."""
        self.built_in, self.custom = list(built_in), list(_flat(custom))
        self._at_start = [digests(part) for part in self.all]

    @property
    def all(self) -> list[Any]:
        """All of them, in the order of their states."""
        return [*self.built_in, *self.custom]

    @property
    def names(self) -> list[str]:
        """Class names of the built-in callbacks."""
        return [type(part).__name__ for part in self.built_in]

    def states(self) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
        """The states that must survive a kill, as JSON data and the arrays in them."""
        states = [state_of(part, start) for part, start in zip(self.all, self._at_start, strict=True)]
        return pack_states(self.all, states)

    def restore(self, state: RunState, arrays: list[np.ndarray], directory: Path) -> None:
        """Take the states from a checkpoint.

        Raises:
            InputError: the states belong to other callbacks.
        """
        # Refuse states that these callbacks cannot take.
        other = InputError(
            f"the checkpoint in {str(directory)!r} was written by another version of kzoo, which keeps other "
            "states: finish the run with that version, or start again with fresh=True (--fresh)"
        )
        if state.parts != self.names:
            raise other
        count = len(self.built_in)
        if len(state.callbacks) != len(self.all):
            raise InputError(
                f"run {str(directory)!r} was trained with {len(state.callbacks) - count} of your own callbacks and is "
                f"resumed with {len(self.custom)}: pass the same number, in the same order"
            )

        # Restore the built-in callbacks, then the custom ones.
        states = [unpack(kept, arrays) for kept in state.callbacks]
        try:
            for part, kept in zip(self.built_in, states[:count], strict=True):
                restore_state(part, kept)
        except (KeyError, TypeError) as error:
            raise other from error
        for part, kept in zip(self.custom, states[count:], strict=True):
            restore_state(part, kept)
