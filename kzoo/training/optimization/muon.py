"""Muon for Keras: convolution kernels as matrices, whose momentum is orthogonalised (Jordan et al. 2024)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""The author's coefficients of the quintic Newton-Schulz iteration, chosen for the steepest slope at zero."""


def orthogonalized(matrix: Any, iterations: int) -> Any:
    """Approximately the nearest matrix with orthonormal rows or columns: singular values move to between 0.5 and 1.5.

    Args:
        matrix: (rows, columns), of any scale.
        iterations: Newton-Schulz steps.
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = ops.transpose(matrix) if tall else matrix
    x = x / (ops.sqrt(ops.sum(ops.square(x))) + 1e-7)
    for _ in range(iterations):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return ops.transpose(x) if tall else x


class Muon(keras.optimizers.Optimizer):
    """See `kzoo.recipes.settings.Muon`; all other arguments are those of Keras's optimizers.

    Kernels are the variables with four axes, and those with two except the last, the classifier's.

    Attributes:
        classifier: whether the last variable with two axes is the classifier's; False if the classifier is frozen.
        rate_factor: the factor already applied to the rate of the variable being updated; its decay ignores it.
        decay_factor: factor on the decay of this variable.
    """

    classifier = True
    rate_factor = decay_factor = 1.0

    def __init__(
        self,
        learning_rate: Any = 0.24,
        *,
        momentum: float = 0.6,
        iterations: int = 3,
        normalize: bool = True,
        sgd_rate: float = 106.0,
        sgd_momentum: float = 0.85,
        sgd_decay: float = 0.004,
        **options: Any,
    ) -> None:
        """Set up."""
        super().__init__(learning_rate=learning_rate, **options)
        self.momentum, self.orthogonalizing_steps, self.normalize = momentum, iterations, normalize
        self.sgd_rate, self.sgd_momentum, self.sgd_decay = sgd_rate, sgd_momentum, sgd_decay
        self.peak = float(getattr(learning_rate, "peak", learning_rate))

    def build(self, variables: list[Any]) -> None:
        """Make the momenta, and separate the kernels from the other variables."""
        if self.built:
            return
        super().build(variables)
        self._momenta = self.add_optimizer_variables(variables, "momentum")
        matrices = [index for index, variable in enumerate(variables) if len(variable.shape) == 2]
        self._kernels = {index for index, variable in enumerate(variables) if len(variable.shape) == 4}
        self._kernels |= set(matrices[:-1] if self.classifier else matrices)

    def see(self, model: keras.Model) -> None:
        """Find out whether the classifier of the model to train is frozen; before the optimizer is built."""
        matrices = [variable for variable in model.weights if len(variable.shape) == 2]
        self.classifier = not matrices or bool(matrices[-1].trainable)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable."""
        index = self._get_variable_index(variable)
        moment = self._momenta[index]
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        value = ops.convert_to_tensor(variable)
        if index in self._kernels:
            new = self.momentum * ops.convert_to_tensor(moment) + gradient
            self.assign(moment, new)
            ahead = ops.reshape(gradient + self.momentum * new, (-1, variable.shape[-1]))
            if self.normalize:
                square = ops.maximum(ops.sum(ops.square(value)), 1e-30)  # a kernel may begin with zeros
                value = value * (variable.shape[-1] ** 0.5 / ops.sqrt(square))
            update = ops.reshape(orthogonalized(ahead, self.orthogonalizing_steps), variable.shape)
            self.assign(variable, value - rate * update)
            return
        gradient = gradient + (self.sgd_decay * self.decay_factor / (self.sgd_rate * self.rate_factor)) * value
        new = self.sgd_momentum * ops.convert_to_tensor(moment) + gradient
        self.assign(moment, new)
        rate = rate * (self.sgd_rate / self.peak)
        self.assign(variable, value - rate * (gradient + self.sgd_momentum * new))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = {"momentum": self.momentum, "iterations": self.orthogonalizing_steps, "normalize": self.normalize}
        config |= {"sgd_rate": self.sgd_rate, "sgd_momentum": self.sgd_momentum, "sgd_decay": self.sgd_decay}
        return {**super().get_config(), **config}
