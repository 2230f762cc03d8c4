"""The active Keras backend's own convolution and its gradients, to compare with.

What TensorFlow, JAX and PyTorch each do in their own way is one small function each. Functions are compiled where the
backend compiles, take and give its own tensors, and return when the result is there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kzoo.convolution.geometry import Padding, Pair, of_convolution
from kzoo.introspection.backends import compiled

Tensors = list[Any]


class Framework:
    """One convolution on the active backend: stride, padding and dilation are fixed, arrays are given at each call."""

    def __init__(
        self, *, stride: Pair = 1, padding: Padding = "valid", dilation: Pair = 1, compile: bool = True
    ) -> None:
        """See `kzoo.convolution.conv2d` for the arguments; compiling takes longer than one call without."""
        self.name = keras.backend.backend()
        self._options = (stride, padding, dilation)
        self._forward: Callable[..., Any] = self._convolve
        self._gradients: Callable[..., Any] = functools.partial(_PULLBACKS[self.name], self._convolve)
        if compile:
            self._forward, self._gradients = compiled(self._forward), compiled(self._gradients)

    def _convolve(self, x: Any, kernel: Any, bias: Any) -> Any:
        stride, padding, dilation = self._options
        if not isinstance(padding, str):
            geometry = of_convolution(
                tuple(map(int, x.shape)), tuple(map(int, kernel.shape)), stride, padding, dilation
            )
            zeros = [(axis.before, axis.after) for axis in (geometry.height, geometry.width)]
            x, padding = ops.pad(x, [(0, 0), *zeros, (0, 0)]), "valid"
        return ops.conv(x, kernel, stride, padding, data_format="channels_last", dilation_rate=dilation) + bias

    def tensors(self, *arrays: np.ndarray) -> Tensors:
        """Arrays as the backend's tensors, of the same dtype."""
        return [ops.convert_to_tensor(array, dtype=array.dtype.name) for array in arrays]

    def forward(self, x: Any, kernel: Any, bias: Any) -> Any:
        """The output, see `kzoo.convolution.conv2d`."""
        return _ready(self._forward(x, kernel, bias))

    def gradients(self, x: Any, kernel: Any, bias: Any, gradient: Any) -> Tensors:
        """The output, and by autodiff the gradients by input, kernel and bias, given the one by the output."""
        return _ready(self._gradients(x, kernel, bias, gradient))


def _tensorflow(function: Callable[..., Any], x: Any, kernel: Any, bias: Any, gradient: Any) -> Tensors:
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([x, kernel, bias])
        y = function(x, kernel, bias)
    return [y, *tape.gradient(y, [x, kernel, bias], output_gradients=gradient)]


def _jax(function: Callable[..., Any], x: Any, kernel: Any, bias: Any, gradient: Any) -> Tensors:
    import jax

    y, back = jax.vjp(function, x, kernel, bias)
    return [y, *back(gradient)]


def _torch(function: Callable[..., Any], x: Any, kernel: Any, bias: Any, gradient: Any) -> Tensors:
    import torch

    leaves = [tensor.detach().requires_grad_() for tensor in (x, kernel, bias)]
    with torch.enable_grad():
        y = function(*leaves)
    return [y.detach(), *torch.autograd.grad(y, leaves, gradient)]


_PULLBACKS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}


def _ready(result: Any) -> Any:
    """Wait for a result where the backend computes behind one's back."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.block_until_ready(result)
    return result
