"""A tuner's callbacks in a run, as one: a resumed run may have others than it began with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

# Private: keras-tuner exports neither, and passes both to a hyper-model's `fit`. Tested with keras-tuner 1.4.8.
from keras_tuner.src.engine.tuner_utils import SaveBestEpoch, TunerCallback

from kzoo.training.callbacks import restore_state, state_of
from kzoo.training.optimizers import averaged

__all__ = ["SAVERS", "SaveBestEpoch", "TunerCallback", "TunerCallbacks"]

SAVERS = (SaveBestEpoch, keras.callbacks.ModelCheckpoint)


class TunerCallbacks(keras.callbacks.Callback):
    """Passes everything on to other callbacks.

    Those that save weights are given the model that is saved everywhere else, not the view of it that is trained (their
    layers' classes differ), and see averaged weights where the recipe averages them.
    """

    def __init__(self, callbacks: Sequence[Any], stock: keras.Model | None) -> None:
        """Pass on to `callbacks`; `stock` is the model to save."""
        super().__init__()
        self.callbacks, self.stock = list(callbacks), stock

    def set_model(self, model: Any) -> None:
        """Give each the model that it is meant for."""
        super().set_model(model)
        for callback in self.callbacks:
            saves = isinstance(callback, SAVERS) and self.stock is not None
            callback.set_model(self.stock if saves else model)

    def set_params(self, params: Any) -> None:
        """Pass it on."""
        super().set_params(params)
        for callback in self.callbacks:
            callback.set_params(params)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            if isinstance(callback, SAVERS):
                with averaged(self.model.optimizer):
                    callback.on_epoch_end(epoch, logs)
            else:
                callback.on_epoch_end(epoch, logs)

    def state(self) -> dict[str, Any]:
        """Each one's state, by class."""
        return {type(callback).__name__: state_of(callback) for callback in self.callbacks}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state; those that were not there before begin anew."""
        for callback in self.callbacks:
            if type(callback).__name__ in state:
                restore_state(callback, state[type(callback).__name__])


def _passes_on(name: str) -> Any:
    def hook(self: TunerCallbacks, *args: Any, **options: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, name)(*args, **options)

    hook.__name__, hook.__doc__ = name, "Pass it on."
    return hook


for _name in (
    "on_epoch_begin",
    *(f"on_{part}{moment}" for part in ("train", "test", "train_batch", "test_batch") for moment in ("_begin", "_end")),
):
    setattr(TunerCallbacks, _name, _passes_on(_name))
