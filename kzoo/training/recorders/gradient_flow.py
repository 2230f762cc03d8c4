"""Gradient flow at every epoch of a run: how large each layer's gradient is (report b, figure 3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.introspection.backends import sync
from kzoo.introspection.kernel_probe import KernelProbe, mean_absolute, relative_change
from kzoo.training.recorders.flow_history import FlowHistory

PROBE_IMAGES = 64
"""Images of the probe batch of a run, at most."""


class GradientFlowCallback(keras.callbacks.Callback):
    """Measures gradient flow before training and after every epoch, on the same few images; training is not affected.

    Attributes:
        history: what was measured so far; None before training begins.

    Example:
        >>> flow = kzoo.GradientFlowCallback(images, labels)
        >>> run = kzoo.train("lenet1-max", dataset="digits", epochs=1, callbacks=[flow], fresh=True, progress=False)
    """

    def __init__(
        self, images: Any, labels: Any, every: int = 1, *, steps: Callable[[], int] | None = None, strict: bool = True
    ) -> None:
        """Prepare.

        Args:
            images: (n, ...) as the model takes them; a few dozen are enough.
            labels: integers (n,), or shares of each class (n, classes).
            every: epochs between two measurements.
            steps: returns the number of steps of the epoch that begins, if `fit` does not know it. If neither knows
                it, the previous epoch's number is used, and the first epoch has no update ratio.
            strict: whether an error ends training; otherwise it causes a warning, and only measuring ends.

        Raises:
            InputError: `every` is below 1.
        """
        super().__init__()
        if every < 1:
            raise InputError(f"every must be 1 or more, not {every}")
        self.history: FlowHistory | None = None
        self._images, self._labels, self._every = images, labels, every
        self._steps, self._strict = steps, strict
        self._probe: KernelProbe | None = None
        self._before: list[list[np.ndarray]] | None = None
        self._due = self._failed = False
        self._expected: int | None = None  # steps of this epoch
        self._seen = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Measure before the first epoch; find out which step will be the last of this one."""
        self._due = (epoch + 1) % self._every == 0
        steps = self._steps() if self._steps else (self.params or {}).get("steps")
        self._expected, self._seen, self._before = steps or self._seen or None, 0, None
        if self._probe is None:
            self._guarded(lambda: self._begin(epoch))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Store the kernels before the last step."""
        several = getattr(self.model, "steps_per_execution", 1)
        if self._due and self._probe and self._expected and batch < self._expected <= batch + several:
            sync(self.model)
            self._before = self._probe.weights()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count."""
        self._seen = batch + 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure."""
        probe = self._probe
        if self._due and probe is not None:
            self._guarded(lambda: self._record(probe, epoch + 1))

    def _guarded(self, measure: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            measure()
        except Exception as error:  # of any layer, on any backend: training should not end because of it
            if self._strict:
                raise
            self._failed = True
            warnings.warn(f"gradient flow is not recorded: {error}", stacklevel=2)

    def _begin(self, epoch: int) -> None:
        self._probe = KernelProbe(self.model, self._images, self._labels)
        if self.history is not None:  # another process has measured it, perhaps with other automatic names
            if len(self.history.layers) != len(self._probe.layers):
                self.history = self.history.of(self._probe.layers)
        else:
            self._record(self._probe, epoch)

    def _record(self, probe: KernelProbe, epoch: int) -> None:
        ratio = np.full(len(probe.layers), np.nan)
        if self._before is not None:
            pairs = zip(probe.weights(), self._before, strict=True)
            change = [[a - b for a, b in zip(now, then, strict=True)] for now, then in pairs]
            ratio = relative_change(mean_absolute(change), mean_absolute(self._before))
        gradients = mean_absolute(probe.by_layer(probe.loss_and_gradients().gradients))
        nothing = np.empty((0, len(probe.layers)))
        history = self.history or FlowHistory(probe.layers, (), nothing, nothing)
        self.history = history.with_epoch(epoch, gradients, ratio)
        self._before = None

    def state(self) -> dict[str, Any]:
        """All measurements so far, exactly."""
        return {"flow": self.history and self.history.to_dict(digits=17)}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self.history = FlowHistory.from_dict(state["flow"]) if state["flow"] else None
