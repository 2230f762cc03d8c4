"""The convolution of the active Keras backend and its gradients, for comparison.

TensorFlow, JAX and PyTorch each have a small function for gradients. Functions are compiled if the backend compiles.
They take and return the backend's tensors, and return only when the result is complete.
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
    """One convolution on the active backend with fixed stride, padding and dilation."""

    def __init__(
        self, *, stride: Pair = 1, padding: Padding = "valid", dilation: Pair = 1, compile: bool = True
    ) -> None:
        """See `kzoo.convolution.conv2d` for the arguments. Compiling takes longer than one uncompiled call."""
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
        """Return the arrays as tensors of the backend, with the same dtype."""
        return [ops.convert_to_tensor(array, dtype=array.dtype.name) for array in arrays]

    def forward(self, x: Any, kernel: Any, bias: Any) -> Any:
        """Return the output; see `kzoo.convolution.conv2d`."""
        return _ready(self._forward(x, kernel, bias))

    def gradients(self, x: Any, kernel: Any, bias: Any, gradient: Any) -> Tensors:
        """Return the output and, by autodiff, the gradients of input, kernel and bias, given the output gradient."""
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
    """Wait for a result if the backend computes asynchronously."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.block_until_ready(result)
    return result
