"""Report e's ResNets of basic blocks for small images (He et al. 2016a), with five orders of a block's layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kzoo.checks import choice, odd, several
from kzoo.errors import InputError
from kzoo.models.blocks import Layers
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family, preset

BLOCK_ORDERS = ("original", "bn-after-add", "relu-before-add", "relu-only-preactivation", "full-preactivation")


@family("resnet24", name="resnet")
def ResNet(
    builder: ModelBuilder,
    *,
    blocks: Sequence[int] = (3, 3, 2, 3),
    channels: Sequence[int] = (64, 128, 128, 256),
    kernel_size: int | Sequence[int] = 3,
    shortcut_kernel_size: int | Sequence[int] = 1,
    activation: str = "relu",
    block_order: str = "original",
    kernel_initializer: str = "torch",
) -> keras.Model:
    """ResNet of basic blocks: a 3x3 stem, stages with strides 1, 2, 2, ..., global average pooling, classifier.

    No convolution has a bias. A shortcut is the identity, or a convolution wherever the stride is not 1 or the width
    changes. The report pools 4x4 at the end, which at 32x32 pixels and four stages is the global pool used here.

    The five block orders are our interpretation of the report, after He et al. (2016b), figure 4:

    - "original": conv, BN, act, conv, BN, add, act.
    - "bn-after-add": conv, BN, act, conv, add, BN, act; the shortcut's convolution has no BN, as one follows the sum.
    - "relu-before-add": conv, BN, act, conv, BN, act, add.
    - "relu-only-preactivation": act, conv, BN, act, conv, BN, add.
    - "full-preactivation": BN, act, conv, BN, act, conv, add; the shortcut's convolution has no BN.

    The stem is convolution, BN, activation in all of them. In the last two, as in that paper, it replaces the first
    block's pre-activation, a projection shortcut starts at the pre-activated input, and the last
    stage ends with the pre-activation of a next block (act, or BN and act).

    Args:
        builder: the shared arguments.
        blocks: residual blocks per stage.
        channels: of the convolutions, per stage; the stem has as many as the first stage.
        kernel_size: of the blocks' convolutions, odd; one number, or one per stage.
        shortcut_kernel_size: of the projection shortcuts, odd; one number, or one per stage.
        activation: relu (the report's choice), relu6, leaky_relu (slope 0.01), elu or swish.
        block_order: one of the five above.
        kernel_initializer: ``"torch"`` or the name of a Keras initializer. The report does not name one. It used
            PyTorch, so we take PyTorch's default. He et al. used ``"he_normal"``.
    """
    # Check the options.
    blocks, channels = several("blocks", blocks), several("channels", channels)
    if len(blocks) != len(channels) or not blocks:
        raise InputError(f"blocks={blocks} and channels={channels}: one number per stage is needed in both")
    kernels = several("kernel_size", kernel_size, len(blocks), odd)
    shortcut_kernels = several("shortcut_kernel_size", shortcut_kernel_size, len(blocks), odd)
    choice("block_order", block_order, BLOCK_ORDERS)
    layers = Layers(kernel_initializer, activation)

    # The stem, and stages of blocks.
    x = builder.start(lambda size: size)  # strided convolutions with padding never shrink a map to nothing
    x = layers.conv_norm_act(x, channels[0], batch_norm=True, name="stem_conv")
    for stage, count in enumerate(blocks, 1):
        for i in range(1, count + 1):
            block = _Block(
                layers, block_order, channels[stage - 1], kernels[stage - 1], shortcut_kernels[stage - 1],
                strides=2 if stage > 1 and i == 1 else 1, first=(stage, i) == (1, 1), name=f"stage{stage}_block{i}",
            )  # fmt: skip
            x = block(x)

    # The last activation of pre-activated networks.
    if block_order == "full-preactivation":
        x = layers.norm(x, "final_bn")
    if block_order in ("full-preactivation", "relu-only-preactivation"):
        x = layers.act(x, "final_act")
    return builder.finish(x, layers)


@dataclass(frozen=True)
class _Block:
    """One basic block; `first` says that the stem has already activated its input."""

    layers: Layers
    order: str
    channels: int
    kernel_size: int
    shortcut_kernel_size: int
    strides: int
    first: bool
    name: str

    def __call__(self, x: Any) -> Any:
        make, order, name = self.layers, self.order, self.name
        full = order == "full-preactivation"
        start = x

        # Pre-activation, and the shortcut.
        if not self.first:
            if full:
                x = make.norm(x, f"{name}_bn1")
            if full or order == "relu-only-preactivation":
                x = make.act(x, f"{name}_act1")
        if self.strides != 1 or start.shape[-1] != self.channels:
            start = self._projection(x)

        # Two convolutions.
        x = make.conv(x, self.channels, self.kernel_size, strides=self.strides, name=f"{name}_conv1")
        x = make.act(make.norm(x, f"{name}_conv1_bn"), f"{name}_conv1_act")
        x = make.conv(x, self.channels, self.kernel_size, name=f"{name}_conv2")
        if order not in ("bn-after-add", "full-preactivation"):
            x = make.norm(x, f"{name}_conv2_bn")
        if order == "relu-before-add":
            x = make.act(x, f"{name}_conv2_act")

        # The sum.
        x = keras.layers.Add(name=f"{name}_add")([x, start])
        if order == "bn-after-add":
            x = make.norm(x, f"{name}_add_bn")
        if order in ("original", "bn-after-add"):
            x = make.act(x, f"{name}_act")
        return x

    def _projection(self, x: Any) -> Any:
        name = f"{self.name}_shortcut"
        x = self.layers.conv(x, self.channels, self.shortcut_kernel_size, strides=self.strides, name=f"{name}_conv")
        if self.order in ("bn-after-add", "full-preactivation"):
            return x
        return self.layers.norm(x, f"{name}_bn")


ResNet10 = preset(ResNet, "ResNet10", "resnet10")
ResNet16 = preset(ResNet, "ResNet16", "resnet16")
ResNet24 = preset(ResNet, "ResNet24", "resnet24")
ResNet48 = preset(ResNet, "ResNet48", "resnet48")
