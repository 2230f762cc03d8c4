"""Layers that the families share: stock Keras layers that behave as PyTorch's do.

Three defaults differ between the frameworks and decide whether a deep network trains or how it scores: initial
weights, BatchNorm's constants, and where a strided layer puts its padding. All are explicit here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kzoo.checks import choice
from kzoo.errors import InputError

ACTIVATIONS = ("relu", "relu6", "leaky_relu", "elu", "swish", "silu")
ADAPTIVE = "pool2x2"
"""Name of `adaptive_average_2x2` in every network."""


@dataclass(frozen=True)
class Layers:
    """Makes the layers of one network, which agree in initializer, activation and BatchNorm constants.

    Attributes:
        kernel_initializer: ``"torch"`` for PyTorch's default, or the name of a Keras initializer
            (``"he_normal"``, ...), with which biases start at zero.
        activation: one of `ACTIVATIONS`; the leaky slope is 0.01, ELU's alpha 1.
        epsilon: added to the variance in BatchNorm.
        momentum: share of the old value in BatchNorm's moving averages (PyTorch's is one minus this).

    Raises:
        InputError: unknown initializer or activation.
    """

    kernel_initializer: str = "torch"
    activation: str = "relu"
    epsilon: float = 1e-5
    momentum: float = 0.9

    def __post_init__(self) -> None:
        choice("activation", self.activation, ACTIVATIONS)
        self._initializers(1)

    def _initializers(self, fan_in: int) -> dict[str, Any]:
        """Fresh initializers: one object shared by two layers would give both the same kernel."""
        if self.kernel_initializer == "torch":
            bound = 1 / math.sqrt(fan_in)
            return {
                "kernel_initializer": keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
                "bias_initializer": keras.initializers.RandomUniform(-bound, bound),
            }
        try:
            if not isinstance(self.kernel_initializer, str):
                raise ValueError("not a name")
            kernel = keras.initializers.get(self.kernel_initializer)
        except ValueError as error:
            message = (
                f"kernel_initializer={self.kernel_initializer!r}: must be 'torch' or the name of a Keras initializer"
            )
            raise InputError(message) from error
        return {"kernel_initializer": kernel, "bias_initializer": "zeros"}

    def conv(
        self, x: Any, filters: int, kernel_size: int = 3, *, strides: int = 1, dilation: int = 1,
        padding: int | None = None, bias: bool = False, name: str,
    ) -> Any:  # fmt: skip
        """Convolution with `padding` zeros on every side, by default ``(kernel_size - 1) / 2``.

        Keras's "same" pads like this only at stride 1. At other strides it pads bottom and right more, so there the
        padding is a separate layer.
        """
        padding = (kernel_size - 1) // 2 if padding is None else padding
        same = strides == 1 and 2 * padding == dilation * (kernel_size - 1)
        if padding and not same:
            x = keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
        return keras.layers.Conv2D(
            filters, kernel_size, strides=strides, dilation_rate=dilation, padding="same" if same else "valid",
            use_bias=bias, name=name, **self._initializers(kernel_size**2 * x.shape[-1]),
        )(x)  # fmt: skip

    def dense(self, x: Any, units: int, *, bias: bool = True, dtype: Any = None, name: str) -> Any:
        """Fully connected layer without activation."""
        initializers = self._initializers(x.shape[-1])
        return keras.layers.Dense(units, use_bias=bias, dtype=dtype, name=name, **initializers)(x)

    def hidden(self, x: Any, widths: Sequence[int], dropout: float = 0.0) -> Any:
        """Dense layers with activations, and dropout if any, on the flattened map."""
        x = keras.layers.Flatten(name="flatten")(x)
        for i, width in enumerate(widths, 1):
            x = self.act(self.dense(x, width, name=f"hidden{i}"), f"hidden{i}_act")
            if dropout:
                x = keras.layers.Dropout(dropout, name=f"hidden{i}_dropout")(x)
        return x

    def norm(self, x: Any, name: str) -> Any:
        """BatchNorm over the channels."""
        return keras.layers.BatchNormalization(epsilon=self.epsilon, momentum=self.momentum, name=name)(x)

    def act(self, x: Any, name: str) -> Any:
        """The network's activation."""
        makers: dict[str, Callable[[], Any]] = {
            "relu": lambda: keras.layers.ReLU(name=name),
            "relu6": lambda: keras.layers.ReLU(max_value=6.0, name=name),
            "leaky_relu": lambda: keras.layers.LeakyReLU(negative_slope=0.01, name=name),
            "elu": lambda: keras.layers.ELU(name=name),
            "swish": lambda: keras.layers.Activation("silu", name=name),
            "silu": lambda: keras.layers.Activation("silu", name=name),
        }
        return makers[self.activation]()(x)

    def conv_norm_act(
        self, x: Any, filters: int, kernel_size: int = 3, *, batch_norm: bool, name: str, **conv: Any
    ) -> Any:
        """Convolution ``<name>``, BatchNorm ``<name>_bn`` if asked for, activation ``<name>_act``."""
        x = self.conv(x, filters, kernel_size, name=name, **conv)
        if batch_norm:
            x = self.norm(x, f"{name}_bn")
        return self.act(x, f"{name}_act")


def pool(x: Any, kind: str, name: str) -> Any:
    """2x2 pooling with stride 2, "max" or "average"; an odd last row or column is left out, as in PyTorch."""
    makers = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
    return makers[kind](2, name=name)(x)


def crop_to_even(x: Any, name: str) -> Any:
    """The map without an odd last row or column."""
    height, width = (0 if n is None else n % 2 for n in x.shape[1:3])
    if not height and not width:
        return x
    return keras.layers.Cropping2D(((0, height), (0, width)), name=name)(x)


def space_to_depth(x: Any, name: str) -> Any:
    """(batch, h, w, c) to (batch, h/2, w/2, 4c): nothing but an odd last row or column is lost.

    This takes three stock layers, because Keras has none for it.
    """
    x = crop_to_even(x, f"{name}_crop")
    height, width, channels = x.shape[1] // 2, x.shape[2] // 2, x.shape[3]
    x = keras.layers.Reshape((height, 2, width, 2 * channels), name=f"{name}_split")(x)
    x = keras.layers.Permute((1, 3, 2, 4), name=f"{name}_order")(x)
    return keras.layers.Reshape((height, width, 4 * channels), name=name)(x)


def adaptive_average_2x2(x: Any, name: str = ADAPTIVE) -> Any:
    """Average pooling to 2x2 with overlapping windows from floor to ceil, as in PyTorch's AdaptiveAvgPool2d(2).

    For two outputs of n inputs, these windows have size ceil(n/2) and stride floor(n/2). So the plain pooling layer,
    which unlike the adaptive one exports everywhere, does the same; a single row or column is repeated first.
    """
    height, width = x.shape[1:3]
    if 1 in (height, width):
        x = keras.layers.UpSampling2D((2 if height == 1 else 1, 2 if width == 1 else 1), name=f"{name}_repeat")(x)
        height, width = x.shape[1:3]
    windows, strides = (-(-height // 2), -(-width // 2)), (height // 2, width // 2)
    return keras.layers.AveragePooling2D(windows, strides, name=name)(x)
