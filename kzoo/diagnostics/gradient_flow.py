"""Gradient flow: how large each layer's gradient is, once or at every epoch of a training (report b, figure 3)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kzoo.diagnostics.backends import sync
from kzoo.diagnostics.flow_history import FlowHistory, first_last_ratio, layer_factor
from kzoo.diagnostics.gradients import LossGradients, LossProbe
from kzoo.diagnostics.layers import find_kernels
from kzoo.errors import InputError

__all__ = ["FlowHistory", "GradientFlow", "GradientFlowCallback", "gradient_flow"]

PROBE_IMAGES = 64
"""Images of the probe batch of a run, at most."""


@dataclass(frozen=True)
class GradientFlow:
    """Mean absolute values of each layer with a kernel, first layer first.

    Attributes:
        layers: their paths.
        loss: mean cross entropy (nats).
        mean_abs: of the gradient by the kernel, float64 (layers,).
        weight_mean_abs: of the kernel, float64 (layers,).
        update_ratio: mean absolute change of the kernel by one step of the optimizer, divided by `weight_mean_abs`;
            not a number (nan) where no optimizer was given.
    """

    layers: tuple[str, ...]
    loss: float
    mean_abs: np.ndarray
    weight_mean_abs: np.ndarray
    update_ratio: np.ndarray

    @property
    def first_last_ratio(self) -> float:
        """The first layer's mean absolute gradient divided by the last layer's."""
        return first_last_ratio(self.mean_abs)

    @property
    def layer_factor(self) -> float:
        """By what the gradient is multiplied on its way back through one layer."""
        return layer_factor(self.mean_abs)


def gradient_flow(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    optimizer: keras.optimizers.Optimizer | float | None = None,
    training: bool = True,
) -> GradientFlow:
    """How large the gradient of each layer's kernel is on some images; the model stays as it is.

    Args:
        model: a built Keras model with one input and one output (batch, classes).
        images: (n, ...) as the model takes them.
        labels: integers (n,), or shares of each class (n, classes).
        optimizer: to measure one step of it, which is not taken: a Keras optimizer, whose moments count if it is the
            one that trains the model, or a learning rate of plain gradient descent.
        training: whether BatchNorm uses the statistics of this batch and dropout is on.

    Raises:
        InputError: the model cannot be looked into (see `parameter_gradients`) or has no kernel to train.
    """
    probe = _FlowProbe(model, images, labels, training=training, compiled=False)
    loss, gradients = probe.loss_and_gradients()
    weights = probe.weights()
    size = _means(weights)
    change = np.full(len(weights), np.nan)
    if optimizer is not None:
        change = _means(probe.by_layer(_one_step(model, optimizer, gradients)))
    return GradientFlow(probe.layers, loss, _means(probe.by_layer(gradients)), size, _ratio(change, size))


class _FlowProbe:
    """The layers of a model that have kernels, and a probe of the gradients by them."""

    def __init__(self, model: Any, images: Any, labels: Any, *, training: bool = True, compiled: bool = True) -> None:
        self._probe = LossProbe(model, images, labels, training=training, compiled=compiled)
        rows = find_kernels(model)
        if not rows:
            raise InputError(f"model {model.name!r} has no layer with a kernel to train")
        place = {id(variable): i for i, variable in enumerate(model.trainable_variables)}
        self.layers = tuple(path for path, _ in rows)
        self._kernels = [own for _, own in rows]
        self._places = [[place[id(variable)] for variable in own] for own in self._kernels]

    def loss_and_gradients(self) -> LossGradients:
        return self._probe()

    def by_layer(self, arrays: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Of one array for each trainable variable, those of the kernels."""
        return [[arrays[i] for i in places] for places in self._places]

    def weights(self) -> list[list[np.ndarray]]:
        """Copies of the kernels."""
        return [[np.array(keras.ops.convert_to_numpy(kernel)) for kernel in own] for own in self._kernels]


def _means(layers: list[list[np.ndarray]]) -> np.ndarray:
    """Mean absolute values, float64 (layers,); of a layer with several kernels, over all their weights."""
    flat = (np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays]) for arrays in layers)
    return np.array([np.abs(values).mean() for values in flat])


def _ratio(change: np.ndarray, size: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return change / size


def _one_step(model: Any, optimizer: Any, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """What one step would add to each trainable variable; taken by a copy of the optimizer on copies of them."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        if isinstance(optimizer, bool) or not isinstance(optimizer, int | float) or not optimizer > 0:
            raise InputError(f"optimizer must be a Keras optimizer or a learning rate above 0, not {optimizer!r}")
        return [-optimizer * gradient for gradient in gradients]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in model.trainable_variables]
    copies = [keras.Variable(value, name=v.name) for value, v in zip(before, model.trainable_variables, strict=True)]
    own = type(optimizer).from_config(optimizer.get_config())
    own.build(copies)
    if optimizer.built and [v.shape for v in optimizer.variables] == [v.shape for v in own.variables]:
        for mine, its in zip(own.variables, optimizer.variables, strict=True):
            mine.assign(its)
    own.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], copies)
    after = [keras.ops.convert_to_numpy(copy) for copy in copies]
    return [b - a for a, b in zip(before, after, strict=True)]


class GradientFlowCallback(keras.callbacks.Callback):
    """Measures gradient flow before training and after every epoch, on the same few images; changes nothing.

    Attributes:
        history: what was measured so far; None before training begins.
    """

    def __init__(
        self,
        images: Any,
        labels: Any,
        every: int = 1,
        *,
        steps: Callable[[], int] | None = None,
        strict: bool = True,
    ) -> None:
        """Prepare.

        Args:
            images: (n, ...) as the model takes them; a few dozen are enough.
            labels: integers (n,), or shares of each class (n, classes).
            every: measure after every so many epochs.
            steps: tells how many steps the epoch that begins will have, where `fit` does not know. If nothing tells,
                the epoch before is asked, and the first epoch has no update ratio.
            strict: whether an error ends the training; else it is a warning, and measuring ends.

        Raises:
            InputError: `every` is below 1.
        """
        super().__init__()
        if every < 1:
            raise InputError(f"every must be 1 or more, not {every}")
        self.history: FlowHistory | None = None
        self._images, self._labels, self._every = images, labels, every
        self._steps, self._strict = steps, strict
        self._probe: _FlowProbe | None = None
        self._before: list[list[np.ndarray]] | None = None
        self._due = self._failed = False
        self._expected: int | None = None  # steps of this epoch
        self._seen = 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Measure before the first epoch; find out which step will be the last of this one."""
        self._due = (epoch + 1) % self._every == 0
        told = self._steps() if self._steps else (self.params or {}).get("steps")
        self._expected, self._seen, self._before = told or self._seen or None, 0, None
        if self._probe is None:
            self._guarded(lambda: self._begin(epoch))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Remember the kernels before the last step."""
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
        except Exception as error:  # of any layer, on any backend: training must not end for it
            if self._strict:
                raise
            self._failed = True
            warnings.warn(f"gradient flow is not recorded: {error}", stacklevel=2)

    def _begin(self, epoch: int) -> None:
        self._probe = _FlowProbe(self.model, self._images, self._labels)
        if self.history is None:  # else another process has begun
            nothing = np.empty((0, len(self._probe.layers)))
            self.history = FlowHistory(self._probe.layers, (), nothing, nothing)
            self._record(self._probe, epoch)

    def _record(self, probe: _FlowProbe, epoch: int) -> None:
        assert self.history is not None
        ratio = np.full(len(probe.layers), np.nan)
        if self._before is not None:
            pairs = zip(probe.weights(), self._before, strict=True)
            change = [[a - b for a, b in zip(now, then, strict=True)] for now, then in pairs]
            ratio = _ratio(_means(change), _means(self._before))
        gradients = _means(probe.by_layer(probe.loss_and_gradients().gradients))
        self.history = self.history.with_epoch(epoch, gradients, ratio)
        self._before = None

    def state(self) -> dict[str, Any]:
        """What was measured so far, exactly."""
        return {"flow": self.history and self.history.to_dict(digits=17)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.history = FlowHistory.from_dict(state["flow"]) if state["flow"] else None
