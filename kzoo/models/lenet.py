"""Report d's LeNets: the same few convolutions with four ways of reducing the map between them."""

from __future__ import annotations

from typing import Any

import keras

from kzoo.checks import choice, odd, whole
from kzoo.models.blocks import Layers, adaptive_average_2x2, pool
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family

REDUCTIONS = ("max", "average", "strided", "dilated")


@family("lenet2-max", name="lenet")
def LeNet(
    builder: ModelBuilder,
    *,
    layers: int = 2,
    filters: int = 32,
    reduction: str = "max",
    kernel_size: int = 3,
    activation: str = "relu",
    kernel_initializer: str = "torch",
) -> keras.Model:
    """`layers` times convolution, activation and a reduction; then adaptive 2x2 average pooling and the classifier.

    No layer has a bias.

    Args:
        builder: the shared arguments.
        include_top: see `kzoo.models.builder.ModelBuilder`, also for the arguments up to `std`.
            The adaptive pooling belongs to the top.
        input_shape: (height, width, channels); default (28, 28, 1). Without top, None for height and width is allowed.
        layers: number of convolutions with a reduction, 1 or more (the report's L, 1 to 4).
        filters: number of filters of every convolution (the report's F, 32 or 64).
        reduction: "max" or "average": 2x2 pooling with stride 2 over the zero-padded map; the zeros count in the
            average. "strided": another convolution with stride 2, and activation (not in the report, but in the
            framework it used). "dilated": another convolution with dilation 2, 3, 4, ... from block to block and
            padding 1, so that the map shrinks, and activation.
        kernel_size: side of every kernel, odd; the report has only 3. Dilated convolutions are padded by
            (kernel_size - 1) / 2, so that the map shrinks.
        activation: relu (the report's), relu6, leaky_relu, elu or swish.
        kernel_initializer: ``"torch"`` (the report's framework) or the name of a Keras initializer.
    """
    # Check the options.
    layers = whole("layers", layers)
    filters = whole("filters", filters)
    kernel_size = odd("kernel_size", kernel_size)
    choice("reduction", reduction, REDUCTIONS)
    make = Layers(kernel_initializer, activation)

    def final_size(size: int) -> int:
        for block in range(layers):
            size = {"strided": -(-size // 2), "dilated": size - (kernel_size - 1) * (block + 1)}.get(
                reduction, size // 2 + 1
            )
        return size

    # Blocks of a convolution and a reduction.
    x = builder.start(final_size, any_size=not builder.include_top)
    for block in range(1, layers + 1):
        x = make.conv_norm_act(x, filters, kernel_size, batch_norm=False, name=f"block{block}_conv")
        x = _reduce(x, make, filters, kernel_size, reduction, block)

    def flat(x: Any) -> Any:
        return keras.layers.Flatten(name="flatten")(adaptive_average_2x2(x))

    return builder.finish(x, make, pool=False, hidden=flat, bias=False)


def _reduce(x: Any, make: Layers, filters: int, kernel_size: int, reduction: str, block: int) -> Any:
    name = f"block{block}_reduction"
    if reduction in ("max", "average"):
        x = keras.layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        return pool(x, reduction, f"{name}_pool")
    placing: dict[str, int] = (
        {"strides": 2} if reduction == "strided" else {"dilation": block + 1, "padding": (kernel_size - 1) // 2}
    )
    return make.conv_norm_act(x, filters, kernel_size, batch_norm=False, name=f"{name}_conv", **placing)
