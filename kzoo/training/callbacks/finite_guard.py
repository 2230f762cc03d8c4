"""Ends a run early when its loss is not finite."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from kzoo.errors import RunFailed
from kzoo.introspection.backends import sync
from kzoo.introspection.graph import functional, has_graph, nodes


class NotFinite(RunFailed):
    """The loss is not finite: resuming from a checkpoint would end the same way."""


class FiniteGuard(keras.callbacks.Callback):
    """Ends a run whose training or validation loss is not finite, and names the first layer with such a value."""

    def __init__(self, stock: keras.Model, images: np.ndarray, every: float = 1.0) -> None:
        """Check the loss about every `every` seconds and at each epoch's end; `images` is a batch to find the layer."""
        super().__init__()
        self.stock, self.images, self.every = stock, images, every
        self._next = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Check only now and then, because reading the loss makes an asynchronous device wait."""
        if time.monotonic() >= self._next:
            self._check(logs)
            self._next = time.monotonic() + self.every

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Check the epoch's losses."""
        self._check(logs)
        self._check(logs, "validation", "val_loss")

    def _check(self, logs: Any, part: str = "training", name: str = "loss") -> None:
        loss = float(logs.get(name, 0.0))
        if not math.isfinite(loss):
            sync(self.model)
            where = first_not_finite(self.stock, self.images)
            raise NotFinite(f"the {part} loss is {loss}; {where}. A lower learning rate is the usual remedy")


def first_not_finite(model: keras.Model, images: np.ndarray) -> str:
    """Which layer, in the model's order, is the first with weights or outputs that are not finite."""
    steps: Iterable[tuple[Any, list[Any]]] = ((layer, []) for layer in model.layers)
    if has_graph(model):
        calls = nodes(model)
        probe = keras.Model(functional(model).input, [list(call.output_tensors) for call in calls])
        steps = zip((call.operation for call in calls), probe(images, training=False), strict=True)
    for layer, outputs in steps:
        for weight in getattr(layer, "weights", ()):  # an operation has none
            if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
                return f"the first layer with a value that is not finite is {layer.name!r} (its {weight.name})"
        if not all(np.isfinite(keras.ops.convert_to_numpy(output)).all() for output in outputs):
            return f"the first layer with a value that is not finite is {layer.name!r} (its output)"
    return "weights and outputs of all layers are finite: the loss itself overflows"
