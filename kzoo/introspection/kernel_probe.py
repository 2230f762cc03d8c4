"""Gradients and sizes of a model's kernels, layer by layer, for gradient flow."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.introspection.gradients import LossGradients, LossProbe
from kzoo.introspection.layers import find_kernels


class KernelProbe:
    """The layers of a model that have kernels, and the gradients with respect to these kernels on fixed images.

    Attributes:
        layers: paths of the layers that have a kernel to train, first layer first.
    """

    def __init__(self, model: Any, images: Any, labels: Any, *, training: bool = True, compiled: bool = True) -> None:
        """Prepare; see `LossProbe` for arguments and errors."""
        self._probe = LossProbe(model, images, labels, training=training, compiled=compiled)
        rows = find_kernels(model)
        if not rows:
            raise InputError(f"model {model.name!r} has no layer with a kernel to train")
        index_of = {id(variable): i for i, variable in enumerate(model.trainable_variables)}
        self.layers = tuple(path for path, _ in rows)
        self._kernels = [variables for _, variables in rows]
        self._indices = [[index_of[id(variable)] for variable in variables] for variables in self._kernels]

    def loss_and_gradients(self) -> LossGradients:
        """The loss, and one gradient for each trainable variable."""
        return self._probe()

    def by_layer(self, arrays: list[np.ndarray]) -> list[list[np.ndarray]]:
        """Select the kernels' arrays, layer by layer, from one array for each trainable variable."""
        return [[arrays[i] for i in indices] for indices in self._indices]

    def weights(self) -> list[list[np.ndarray]]:
        """Copies of the kernels."""
        return [[np.array(keras.ops.convert_to_numpy(kernel)) for kernel in variables] for variables in self._kernels]


def mean_absolute(layers: list[list[np.ndarray]]) -> np.ndarray:
    """Mean absolute values, float64 (layers,); a layer with several kernels counts all their weights."""
    flat = (np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays]) for arrays in layers)
    return np.array([np.abs(values).mean() for values in flat])


def relative_change(change: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Change divided by size, layer by layer; infinite or not a number where the size is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return change / size
