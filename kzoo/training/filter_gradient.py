"""The gradient of convolution kernels on narrow maps, faster where the processor multiplies bfloat16 by AMX tiles.

For this gradient, oneDNN multiplies row by row, and a row of seven positions leaves most of a tile empty: on 7x7 maps
with 256 channels, it takes more than four times as long as the convolution itself. With several images side by side,
their rows fill the tiles. Measured on two cores with AMX, in bfloat16, against TensorFlow's own gradient: 1.8 times as
fast on 7x7 maps with 256 channels, 4 times on 3x3 maps. It is not faster on wider maps, with fewer channels, in float32
or without AMX.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras

from kzoo.backend import processor

WIDEST, FEWEST_CHANNELS = 8, 128
"""The maps and kernels for which images side by side are faster."""
ROW = 32
"""Positions of a bfloat16 row that fill a tile."""


def has_slow_gradient(layer: Any) -> bool:
    """Whether a layer is a convolution whose kernel gradient is faster with images side by side (TensorFlow only)."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.compute_dtype == "bfloat16"
        and layer.data_format == "channels_last"
        and layer.padding == "same"
        and (layer.strides, layer.dilation_rate, layer.groups) == ((1, 1), (1, 1), 1)
        and not layer.lora_enabled
        and min(layer.kernel.shape[2:]) >= FEWEST_CHANNELS
        and any((node.outputs[0].shape[2] or WIDEST + 1) <= WIDEST for node in layer._inbound_nodes)
        and _has_amx()
    )


def side_by_side(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """A stand-in for a built convolution: the same variables, the gradient of `kernel_gradient` (TensorFlow only)."""
    stand_in = _layer_class().from_config(layer.get_config())
    stand_in.trainable = layer.trainable
    for name in ("_kernel", "bias"):
        setattr(stand_in, name, getattr(layer, name))
    stand_in.input_spec = layer.input_spec
    stand_in.built = True
    return stand_in


@cache
def _layer_class() -> type[keras.layers.Conv2D]:
    import tensorflow as tf

    stock = keras.layers.Conv2D

    class Conv2D(stock):  # type: ignore[misc, valid-type]
        def build(self, input_shape: Any) -> None:
            """Do nothing: the variables are another layer's."""

        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            if inputs.shape[2] is None or inputs.shape[2] > WIDEST:
                return super().convolution_op(inputs, kernel)
            return _convolve()(inputs, tf.cast(kernel, inputs.dtype))

    # Weight files are keyed by class name and configurations by module: whatever saves the view saves stock layers.
    Conv2D.__module__ = stock.__module__
    Conv2D.__qualname__ = stock.__qualname__
    return Conv2D


@cache
def _convolve() -> Callable[[Any, Any], Any]:
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(inputs: Any, kernel: Any) -> Any:
        def gradient(upstream: Any) -> tuple[Any, Any]:
            to_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs),
                filter=kernel,
                out_backprop=upstream,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            return to_inputs, kernel_gradient(inputs, upstream, kernel.shape)

        return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradient

    return convolve


def kernel_gradient(inputs: Any, upstream: Any, shape: Any) -> Any:
    """The gradient of a kernel of a convolution with stride 1 that keeps the size of its maps (TensorFlow only).

    Args:
        inputs, upstream: the convolution's inputs and the gradient of its outputs, (batch, height, width, channels).
        shape: of the kernel, (rows, columns, input channels, output channels).

    Returns:
        The gradient, up to rounding that of `Conv2DBackpropFilter`.
    """
    import tensorflow as tf

    width = inputs.shape[2]
    gap = shape[1] // 2  # columns of zeros between two images, so that a kernel never sees both
    images = max(1, round(ROW / (width + gap)))

    def joined(x: Any) -> Any:
        """Several images in each row; the batch is filled up with images of zeros."""
        missing = -tf.shape(x)[0] % images
        x = tf.pad(x, [[0, missing], [0, 0], [0, gap], [0, 0]])
        x = tf.reshape(x, [-1, images, tf.shape(x)[1], width + gap, x.shape[3]])
        x = tf.transpose(x, [0, 2, 1, 3, 4])
        return tf.reshape(x, [-1, tf.shape(x)[1], images * (width + gap), x.shape[4]])

    return tf.raw_ops.Conv2DBackpropFilter(
        input=joined(inputs),
        filter_sizes=shape,
        out_backprop=joined(upstream),
        strides=[1, 1, 1, 1],
        padding="SAME",
    )


@cache
def _has_amx() -> bool:
    """Whether TensorFlow computes on a processor with AMX, and not on a GPU."""
    import tensorflow as tf

    return "amx_bf16" in processor()[1] and not tf.config.list_logical_devices("GPU")
