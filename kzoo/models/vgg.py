"""VGG-08 and VGG-38 of reports a and b: thin VGGs of equal width, with remedies that make the deep one train."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras

from kzoo.checks import choice, odd, rate, several, whole
from kzoo.models.blocks import Layers, crop_to_even, pool, space_to_depth
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family, preset

REDUCTIONS = ("average", "max", "strided", "space-to-depth")
SHORTCUTS = ("none", "pooled", "projected")


@family("vgg38", name="vgg")
def VGG(
    builder: ModelBuilder,
    *,
    blocks: int | Sequence[int] = 5,
    batch_norm: bool = False,
    residual: bool = False,
    filters: int = 32,
    kernel_size: int = 3,
    entry_stride: int = 1,
    activation: str = "leaky_relu",
    dropout: float = 0.0,
    kernel_initializer: str = "torch",
    reduction: str = "average",
    shortcut: str = "none",
) -> keras.Model:
    """VGG with stages of two-convolution blocks, each stage followed by a block that halves the map.

    Entry: convolution, BatchNorm (always, also in the plain network), activation. Stage: `blocks` processing
    blocks, then a reduction block. Then global average pooling and the classifier. Without BatchNorm and shortcuts,
    and with PyTorch's initial weights, each convolution divides the signal's variance by 6: VGG-38 does not train.

    Args:
        builder: the shared arguments.
        input_shape: (height, width, channels); default (32, 32, 3). None for height and width is allowed, except
            with space-to-depth and, as odd sizes are cropped, with the projected shortcut.
        blocks: processing blocks per stage: a number for three equal stages (VGG-08: 0, VGG-38: 5), or a sequence
            with one number per stage.
        batch_norm: BatchNorm between every convolution and its activation.
        residual: add the input of each processing block before its last activation (He et al. 2016a).
        filters: number of filters of every convolution.
        kernel_size: side of every convolution's kernel, odd.
        entry_stride: stride of the entry convolution.
        activation: relu, relu6, leaky_relu (slope 0.01, the reports'), elu or swish.
        dropout: rate before the classifier (report a tried 0.5).
        kernel_initializer: ``"torch"`` (the reports': uniform up to 1/sqrt(fan-in) for kernels and biases) or the
            name of a Keras initializer, then with zero biases.
        reduction: how the reduction block halves the map between its two convolutions: "average" (the reports') or
            "max" pooling; "strided": the second convolution has stride 2; "space-to-depth": each 2x2 square of
            pixels becomes one pixel with four times the channels. Only "strided" keeps an odd last row or column.
        shortcut: what is added before the last activation of the reduction block: "none" (the reports'), "pooled"
            (the block's input, average-pooled) or "projected" (the input after a 1x1 convolution with stride 2, and
            BatchNorm if `batch_norm`). Only the projection adds parameters.
    """
    # Check the options.
    stages = several("blocks", blocks, 3 if isinstance(blocks, Integral) else None, _count)
    filters = whole("filters", filters)
    kernel_size = odd("kernel_size", kernel_size)
    entry_stride = whole("entry_stride", entry_stride)
    dropout = rate("dropout", dropout)
    choice("reduction", reduction, REDUCTIONS)
    choice("shortcut", shortcut, SHORTCUTS)
    layers = Layers(kernel_initializer, activation)

    def final_size(size: int) -> int:
        size = -(-size // entry_stride)
        for _ in stages:
            size = -(-size // 2) if reduction == "strided" else size // 2
        return size

    # The entry, and stages of processing blocks and a reduction.
    x = builder.start(final_size, any_size=reduction != "space-to-depth" and shortcut != "projected")
    x = layers.conv_norm_act(x, filters, kernel_size, strides=entry_stride, batch_norm=True, name="entry_conv")
    conv: dict[str, Any] = {"filters": filters, "kernel_size": kernel_size}
    for stage, count in enumerate(stages, 1):
        for block in range(1, count + 1):
            x = _processing(x, layers, conv, batch_norm, residual, f"stage{stage}_block{block}")
        x = _reduction(x, layers, conv, batch_norm, reduction, shortcut, f"stage{stage}_reduction")
    return builder.finish(x, layers, hidden=keras.layers.Dropout(dropout, name="dropout") if dropout else None)


def _count(option: str, value: Any) -> int:
    return whole(option, value, 0)


def _processing(x: Any, layers: Layers, conv: dict[str, Any], batch_norm: bool, residual: bool, name: str) -> Any:
    """Two convolutions without bias, with the block's input added before the last activation if `residual`."""
    start = x
    x = layers.conv_norm_act(x, **conv, batch_norm=batch_norm, name=f"{name}_conv1")
    x = layers.conv(x, **conv, name=f"{name}_conv2")
    if batch_norm:
        x = layers.norm(x, f"{name}_conv2_bn")
    if residual:
        x = keras.layers.Add(name=f"{name}_add")([x, start])
    return layers.act(x, f"{name}_conv2_act")


def _reduction(
    x: Any, layers: Layers, conv: dict[str, Any], batch_norm: bool, reduction: str, shortcut: str, name: str
) -> Any:
    """Convolution, halving, convolution; both convolutions have a bias, as in the reports' framework."""
    strided = reduction == "strided"

    # Convolution, halving, convolution.
    start = x
    x = layers.conv_norm_act(x, **conv, bias=True, batch_norm=batch_norm, name=f"{name}_conv1")
    if reduction == "space-to-depth":
        x = space_to_depth(x, f"{name}_to_depth")
    elif not strided:
        x = pool(x, reduction, f"{name}_pool")
    x = layers.conv(x, **conv, bias=True, strides=2 if strided else 1, name=f"{name}_conv2")
    if batch_norm:
        x = layers.norm(x, f"{name}_conv2_bn")

    # The shortcut, and the sum.
    if shortcut == "pooled":
        padding = "same" if strided else "valid"  # must keep an odd last row, as the strided convolution does
        start = keras.layers.AveragePooling2D(2, padding=padding, name=f"{name}_shortcut_pool")(start)
    elif shortcut == "projected":
        start = start if strided else crop_to_even(start, f"{name}_shortcut_crop")
        start = layers.conv(start, conv["filters"], 1, strides=2, name=f"{name}_shortcut_conv")
        if batch_norm:
            start = layers.norm(start, f"{name}_shortcut_bn")
    if shortcut != "none":
        x = keras.layers.Add(name=f"{name}_add")([x, start])
    return layers.act(x, f"{name}_conv2_act")


VGG08 = preset(VGG, "VGG08", "vgg08")
VGG38 = preset(VGG, "VGG38", "vgg38")
