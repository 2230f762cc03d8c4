"""Convolutions on narrow maps, faster where the processor multiplies bfloat16 by AMX tiles.

For the gradient of a kernel, oneDNN multiplies row by row, and a row of seven positions leaves most of a tile empty: on
7x7 maps with 256 channels, this gradient takes more than four times as long as the convolution itself. With several
images side by side, their rows fill the tiles. Measured on two cores with AMX, in bfloat16, against TensorFlow alone:
1.8 times as fast on 7x7 maps with 256 channels, 4 times on 3x3 maps. The convolution itself and the gradient of its
inputs are 2.5 times as fast on 3x3 maps with 512 channels, whose kernels do not fit into the processor's second cache.
Neither is faster on wider maps, with fewer channels, in float32 or without AMX.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import keras

from kzoo.backend import processor
from kzoo.introspection.graph import last_node

WIDEST, FEWEST_CHANNELS = 8, 128
"""The maps and kernels for whose gradient images side by side are faster."""
NARROW, MANY_CHANNELS = 4, 384
"""Those for which the convolution and the gradient of its inputs are faster, too."""
ROW = 32
"""Positions of a bfloat16 row that fill a tile."""


def is_slow(layer: Any) -> bool:
    """Whether a layer is a convolution whose kernel gradient is faster with images side by side (TensorFlow only)."""
    return (
        type(layer) is keras.layers.Conv2D
        and layer.compute_dtype == "bfloat16"
        and layer.data_format == "channels_last"
        and layer.padding == "same"
        and (layer.strides, layer.dilation_rate, layer.groups) == ((1, 1), (1, 1), 1)
        and not layer.lora_enabled
        and min(layer.kernel.shape[2:]) >= FEWEST_CHANNELS
        and (last_node(layer).outputs[0].shape[2] or WIDEST + 1) <= WIDEST
        and _has_amx()
    )


def side_by_side(layer: keras.layers.Conv2D) -> keras.layers.Conv2D:
    """A stand-in for a built convolution: the same variables, computed by `convolution` (TensorFlow only)."""
    stand_in = _layer_class()(**layer.get_config())
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
        from_config = stock.from_config  # copies are stock layers, with variables of their own

        def build(self, input_shape: Any) -> None:
            """Do nothing: the variables are another layer's."""

        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            if inputs.shape[2] is None or inputs.shape[2] > WIDEST:
                return super().convolution_op(inputs, kernel)
            return convolution()(inputs, tf.cast(kernel, inputs.dtype))

    # Weight files are keyed by class name and configurations by module: whatever saves the view saves stock layers.
    Conv2D.__module__ = stock.__module__
    Conv2D.__qualname__ = stock.__qualname__
    return Conv2D


@cache
def convolution() -> Callable[[Any, Any], Any]:
    """A convolution with stride 1 and padding "same", up to rounding that of `tf.nn.conv2d` (TensorFlow only).

    Returns:
        A function of inputs (batch, height, width, channels), whose width and channels are known, and a kernel (rows,
        columns, channels, filters).
    """
    import tensorflow as tf

    same: dict[str, Any] = {"strides": [1, 1, 1, 1], "padding": "SAME"}

    @tf.custom_gradient
    def convolve(inputs: Any, kernel: Any) -> Any:
        together = inputs.shape[2] <= NARROW and min(kernel.shape[2:]) >= MANY_CHANNELS
        columns = kernel.shape[1]
        rows = joined(inputs, columns) if together else inputs
        outputs = tf.nn.conv2d(rows, kernel, 1, "SAME")

        def gradient(upstream: Any) -> tuple[Any, Any]:
            long = joined(upstream, columns)
            to_rows = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(rows), filter=kernel, out_backprop=long if together else upstream, **same
            )
            to_kernel = tf.raw_ops.Conv2DBackpropFilter(
                input=rows if together else joined(inputs, columns),
                filter_sizes=kernel.shape,
                out_backprop=long,
                **same,
            )
            return separated(to_rows, inputs, columns) if together else to_rows, to_kernel

        return separated(outputs, inputs, columns) if together else outputs, gradient

    return convolve


def joined(maps: Any, columns: int) -> Any:
    """Maps with several images in each row, the batch filled up with images of zeros.

    Args:
        maps: (batch, height, width, channels).
        columns: of the kernel; half as many columns of zeros follow each image, so that a kernel never sees two.
    """
    import tensorflow as tf

    images, width = _layout(maps.shape[2], columns)
    missing = -tf.shape(maps)[0] % images
    maps = tf.pad(maps, [[0, missing], [0, 0], [0, width - maps.shape[2]], [0, 0]])
    height, channels = tf.shape(maps)[1], maps.shape[3]
    maps = tf.reshape(maps, [-1, images, height, width, channels])
    return tf.reshape(tf.transpose(maps, [0, 2, 1, 3, 4]), [-1, height, images * width, channels])


def separated(rows: Any, like: Any, columns: int) -> Any:
    """The maps that `joined` put into rows, as many and as wide as `like`."""
    import tensorflow as tf

    images, width = _layout(like.shape[2], columns)
    height, channels = tf.shape(rows)[1], rows.shape[3]
    maps = tf.transpose(tf.reshape(rows, [-1, height, images, width, channels]), [0, 2, 1, 3, 4])
    maps = tf.reshape(maps, [-1, height, width, channels])[: tf.shape(like)[0], :, : like.shape[2]]
    return tf.ensure_shape(maps, [*like.shape[:3], channels])


def _layout(width: int, columns: int) -> tuple[int, int]:
    """Images in a row, and the positions that each takes."""
    width += columns // 2
    return max(1, round(ROW / width)), width


@cache
def _has_amx() -> bool:
    """Whether TensorFlow computes on a processor with AMX, and not on a GPU."""
    import tensorflow as tf

    return "amx_bf16" in processor()[1] and not tf.config.list_logical_devices("GPU")
