"""A tuner's callbacks in a run, as one: a resumed run may have others than it began with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

# Private: keras-tuner exports neither, and passes both to a hyper-model's `fit`. Tested with keras-tuner 1.4.8.
from keras_tuner.src.engine.tuner_utils import SaveBestEpoch, TunerCallback

from kzoo.training.callback_list import restore_state, state_of
from kzoo.training.optimizers import averaged

__all__ = ["SAVERS", "SaveBestEpoch", "TunerCallback", "TunerCallbacks"]

SAVERS = (SaveBestEpoch, keras.callbacks.ModelCheckpoint)


class TunerCallbacks(keras.callbacks.CallbackList):
    """Several callbacks as one.

    Those that save weights get the model that is saved everywhere else, not the view of it that is trained (their
    layers' classes differ), and see averaged weights where the recipe averages them.
    """

    def __init__(self, callbacks: Sequence[Any], stock: keras.Model | None) -> None:
        """Combine `callbacks`; `stock` is the model to save."""
        self.stock = stock
        super().__init__(list(callbacks))

    def set_model(self, model: Any) -> None:
        """Give each callback the model that it is meant for."""
        super().set_model(model)
        for callback in self.callbacks:
            if isinstance(callback, SAVERS) and model is not None and self.stock is not None:
                callback.set_model(self.stock)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Call each; savers with averaged weights."""
        for callback in self.callbacks:
            if isinstance(callback, SAVERS):
                with averaged(self.model.optimizer):
                    callback.on_epoch_end(epoch, logs)
            else:
                callback.on_epoch_end(epoch, logs)

    def state(self) -> dict[str, Any]:
        """Each callback's state, by class."""
        return {type(callback).__name__: state_of(callback) for callback in self.callbacks}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state; callbacks that are not in it begin anew."""
        for callback in self.callbacks:
            if type(callback).__name__ in state:
                restore_state(callback, state[type(callback).__name__])
