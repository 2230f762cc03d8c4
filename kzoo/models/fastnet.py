"""FastNet: the network of "94% on CIFAR-10 in 3.29 seconds on a single GPU" (Jordan 2024, arXiv 2404.00498)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kzoo.checks import choice, positive, rate, several
from kzoo.errors import InputError
from kzoo.introspection.graph import maker
from kzoo.models.blocks import Layers
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family, preset
from kzoo.models.whitening import whitening

ACTIVATIONS = ("gelu", "silu", "relu")


@family("fastnet-s", name="fastnet")
def FastNet(
    builder: ModelBuilder,
    *,
    widths: Sequence[int] = (64, 256, 256),
    convs: int = 2,
    residual: bool = False,
    whiten: bool = True,
    identity: bool = True,
    activation: str = "gelu",
    momentum: float = 0.6,
    head_scale: float | None = None,
) -> keras.Model:
    """Whitening 2x2 convolution, three stages of convolutions with one pool each, global max pool, scaled classifier.

    A stage is [conv, pool, BN, act, conv, BN, act]; with `convs=3` another [conv, BN, act] follows, and with
    `residual` the stage's first activation is added before the last one (the paper's 96% network, section 5). All
    convolutions except the first are 3x3 without bias. A map of one pixel is not pooled, so that small images fit too;
    at 32x32 pixels the maps are 31, 15, 7 and 3 wide, and the last pool is the paper's 3x3 one.

    The kernel of the whitening convolution is computed from training images (`kzoo.models.whitening.adapt`, which
    `kzoo.train` calls for a network that it builds) and not trained. BatchNorm has no scale; its epsilon is 1e-5, not
    the 1e-12 of the paper's code, so that it also works in bfloat16 and on GPUs.

    Args:
        builder: the shared arguments.
        widths: channels of each stage; the paper's networks for 94, 95 and 96% have (64, 256, 256), (128, 384, 384)
            and (128, 384, 512).
        convs: number of convolutions in a stage, 2 or 3.
        residual: whether each stage has a shortcut from its first activation to its last.
        whiten: whether the first convolution whitens; otherwise it is a trained 2x2 convolution of the same size.
        identity: whether the first filters of each convolution start as the identity (section 3.1) and pass one
            channel each; the other filters have PyTorch's default initial weights.
        activation: gelu (the paper's), silu or relu.
        momentum: share of the old value in BatchNorm's moving averages.
        head_scale: factor before the classifier; None means one over the last width. The classifier's kernel starts
            with a standard deviation of 1, as in the author's code.
    """
    # Check the options.
    widths = several("widths", widths)
    if not widths:
        raise InputError("widths=(): at least one stage is needed")
    if convs not in (2, 3):
        raise InputError(f"convs={convs!r}: must be 2 or 3")
    momentum = rate("momentum", momentum)
    scale = 1 / widths[-1] if head_scale is None else positive("head_scale", head_scale)
    layers = _Layers("torch", activation, momentum=momentum, identity=identity)

    # The first layer, and the stages.
    x = builder.start(lambda size: size - 1)
    x = whitening(x) if whiten else layers.conv(x, 8 * x.shape[-1], 2, padding=0, bias=True, name="first_conv")
    x = layers.act(x, "first_act")
    for stage, width in enumerate(widths, 1):
        x = _stage(x, layers, width, convs, residual, f"stage{stage}")

    # The classifier's input and scale.
    def head(x: Any) -> Any:
        x = keras.layers.GlobalMaxPooling2D(name="global_pool")(x)
        return keras.layers.Rescaling(scale, name="head_scale")(x)

    return builder.finish(x, layers, pool=False, hidden=head, bias=False)


@dataclass(frozen=True)
class _Layers(Layers):
    """Makes this network's layers: activations, BatchNorm without scale, convolutions that start as identity."""

    identity: bool = True

    def __post_init__(self) -> None:
        choice("activation", self.activation, ACTIVATIONS)

    def act(self, x: Any, name: str) -> Any:
        return keras.layers.Activation(self.activation, name=name)(x)

    def norm(self, x: Any, name: str) -> Any:
        options = {"epsilon": self.epsilon, "momentum": self.momentum, "scale": False}
        return keras.layers.BatchNormalization(name=name, **options)(x)

    def dense(self, x: Any, units: int, **options: Any) -> Any:
        outputs = super().dense(x, units, **options)
        kernel = maker(outputs)[0].kernel
        initial = keras.ops.convert_to_numpy(kernel)
        kernel.assign(initial / (initial.std() or 1.0))  # a single value has no deviation
        return outputs

    def stage_conv(self, x: Any, width: int, name: str) -> Any:
        """A 3x3 convolution without bias whose first filters start as the identity, if `identity`."""
        outputs = self.conv(x, width, name=name)
        if self.identity:
            _pass_through(maker(outputs)[0])
        return outputs


def _stage(x: Any, layers: _Layers, width: int, convs: int, residual: bool, name: str) -> Any:
    """Convolutions with BatchNorm and activation, a pool after the first, and a shortcut if `residual`."""
    start = None
    for i in range(1, convs + 1):
        block = f"{name}_conv{i}"
        x = layers.stage_conv(x, width, block)
        if i == 1 and 1 not in x.shape[1:3]:
            x = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x)
        x = layers.norm(x, f"{block}_bn")
        if residual and i == convs:
            x = keras.layers.Add(name=f"{name}_add")([x, start])
        x = layers.act(x, f"{block}_act")
        start = x if i == 1 else start
    return x


def _pass_through(layer: Any) -> None:
    """Let the first filters of a new convolution pass one channel each, as PyTorch's ``dirac_`` does."""
    kernel = keras.ops.convert_to_numpy(layer.kernel).copy()
    height, width, channels, filters = kernel.shape
    first = range(min(channels, filters))
    kernel[..., : len(first)] = 0
    kernel[height // 2, width // 2, first, first] = 1
    layer.kernel.assign(kernel)


FastNetS = preset(FastNet, "FastNetS", "fastnet-s")
FastNetM = preset(FastNet, "FastNetM", "fastnet-m")
FastNetL = preset(FastNet, "FastNetL", "fastnet-l")
