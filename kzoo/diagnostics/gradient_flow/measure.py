"""Gradient flow, measured once: the size of each layer's gradient on some images (report b, figure 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from kzoo.checks import is_number
from kzoo.errors import InputError
from kzoo.introspection.depth import first_last_ratio, layer_factor
from kzoo.introspection.kernel_probe import KernelProbe, mean_absolute, relative_change


@dataclass(frozen=True)
class GradientFlow:
    """Mean absolute values of each layer with a kernel, first layer first.

    Attributes:
        layers: their paths.
        loss: mean cross entropy (nats).
        mean_abs: of the gradient with respect to the kernel, float64 (layers,).
        weight_mean_abs: of the kernel, float64 (layers,).
        update_ratio: mean absolute change of the kernel by one step of the optimizer, divided by `weight_mean_abs`;
            NaN without an optimizer.
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
        """The factor by which the gradient changes when it passes back through one layer."""
        return layer_factor(self.mean_abs)


def gradient_flow(
    model: keras.Model,
    images: Any,
    labels: Any,
    *,
    optimizer: keras.optimizers.Optimizer | float | None = None,
    training: bool = True,
) -> GradientFlow:
    """The size of the gradient of each layer's kernel on some images; the model does not change.

    Args:
        model: a built Keras model with one input and one output (batch, classes).
        images: (n, ...) as the model takes them.
        labels: integers (n,), or shares of each class (n, classes).
        optimizer: a Keras optimizer, or a learning rate for plain gradient descent, to measure the effect of one step,
            which is not applied. The optimizer's moments count if it is the one that trains the model.
        training: whether BatchNorm uses the statistics of this batch and dropout is on.

    Raises:
        InputError: the model's gradients cannot be computed (see `parameter_gradients`), or it has no kernel to train.

    Example:
        >>> flow = kzoo.gradient_flow(model, images, labels)
        >>> flow.layers
        ('block1_conv', 'logits')
    """
    probe = KernelProbe(model, images, labels, training=training, compiled=False)
    loss, gradients = probe.loss_and_gradients()
    weights = probe.weights()
    size = mean_absolute(weights)
    change = np.full(len(weights), np.nan)
    if optimizer is not None:
        change = mean_absolute(probe.by_layer(_one_step(model, optimizer, gradients)))
    return GradientFlow(
        probe.layers, loss, mean_absolute(probe.by_layer(gradients)), size, relative_change(change, size)
    )


def _one_step(model: Any, optimizer: Any, gradients: list[np.ndarray]) -> list[np.ndarray]:
    """The change of each trainable variable in one step, which is taken on the model itself and undone."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        if not is_number(optimizer) or not optimizer > 0:
            raise InputError(f"optimizer must be a Keras optimizer or a learning rate above 0, not {optimizer!r}")
        return [-optimizer * gradient for gradient in gradients]
    variables = model.trainable_variables
    optimizer = unscaled(optimizer)
    if not optimizer.built or [id(v) for v in optimizer._trainable_variables] != [id(v) for v in variables]:
        # The optimizer is not built, or built for other variables: a copy without moments takes the step.
        optimizer = type(optimizer).from_config(optimizer.get_config())
        optimizer.build(variables)
    # Use the variables themselves, not copies: an optimizer may treat some differently because of their paths.
    kept = [(v, np.array(keras.ops.convert_to_numpy(v))) for v in (*variables, *optimizer.variables)]
    try:
        apply_once(optimizer, gradients)
        after = [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]
    finally:
        for variable, value in kept:
            variable.assign(value)
    return [b - a for (_, a), b in zip(kept[: len(after)], after, strict=True)]


def apply_once(optimizer: Any, gradients: list[np.ndarray]) -> None:
    """Apply gradients until weights change: an optimizer that accumulates gradients needs several calls."""
    for _ in range(optimizer.gradient_accumulation_steps or 1):
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients])


def unscaled(optimizer: Any) -> Any:
    """Unwrap a `LossScaleOptimizer`, because our gradients are not multiplied by its scale."""
    return optimizer.inner_optimizer if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) else optimizer
