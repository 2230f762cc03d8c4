"""FastNet: the network of "94% on CIFAR-10 in 3.29 seconds on a single GPU" (Jordan 2024, arXiv 2404.00498)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from kzoo.checks import choice, several
from kzoo.errors import InputError
from kzoo.introspection.graph import maker
from kzoo.models.blocks import Layers
from kzoo.models.frame import Frame, family, preset
from kzoo.models.whitening import whitening

ACTIVATIONS = ("gelu", "silu", "relu")


@family("fastnet-s", name="fastnet")
def FastNet(
    frame: Frame,
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
    `kzoo.train` calls) and not trained. BatchNorm has no scale; its epsilon is 1e-5 where the paper's code has 1e-12,
    which also holds in bfloat16 and on GPUs.

    Args:
        frame: the shared arguments.
        widths: channels of each stage; the paper's networks for 94, 95 and 96% have (64, 256, 256), (128, 384, 384)
            and (128, 384, 512).
        convs: number of convolutions in a stage, 2 or 3.
        residual: whether each stage has a shortcut from its first activation to its last.
        whiten: whether the first convolution whitens; otherwise it is a trained 2x2 convolution of the same size.
        identity: whether the first filters of each convolution start as the identity (section 3.1) and pass one
            channel each; the other filters have PyTorch's default initial weights.
        activation: gelu (the paper's), silu or relu.
        momentum: share of the old value in BatchNorm's moving averages.
        head_scale: factor before the classifier; None means one over the last width.

    Returns:
        A Functional model from images (batch, height, width, channels), pixels 0 to 255, to probabilities
        (batch, classes), float32.

    Raises:
        InputError: an option's value is not allowed, or the image is too small.
    """
    # Check the options.
    widths = several("widths", widths)
    if not widths:
        raise InputError("widths=(): at least one stage is needed")
    if convs not in (2, 3):
        raise InputError(f"convs={convs!r}: must be 2 or 3")
    choice("activation", activation, ACTIVATIONS)
    if isinstance(momentum, bool) or not isinstance(momentum, int | float) or not 0 <= momentum < 1:
        raise InputError(f"momentum={momentum!r}: must be a number from 0 up to, but not including, 1")
    scale = 1 / widths[-1] if head_scale is None else head_scale
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not scale > 0:
        raise InputError(f"head_scale={head_scale!r}: must be a number greater than 0")
    layers = Layers("torch", "relu" if activation == "gelu" else activation, momentum=momentum)

    # The layers, with this network's activation, initialization and BatchNorm.
    def act(x: Any, layer: str) -> Any:
        return keras.layers.Activation(activation, name=layer)(x)

    def conv(x: Any, width: int, layer: str) -> Any:
        outputs = layers.conv(x, width, name=layer)
        if identity:
            _pass_through(maker(outputs)[0])
        return outputs

    def norm(x: Any, layer: str) -> Any:
        options = {"epsilon": layers.epsilon, "momentum": layers.momentum, "scale": False}
        return keras.layers.BatchNormalization(name=layer, **options)(x)

    # The first layer, and the stages.
    x = frame.start(lambda size: size - 1)
    x = whitening(x) if whiten else layers.conv(x, 8 * x.shape[-1], 2, padding=0, bias=True, name="first_conv")
    x = act(x, "first_act")
    for stage, width in enumerate(widths, 1):
        start = None
        for i in range(1, convs + 1):
            block = f"stage{stage}_conv{i}"
            x = conv(x, width, block)
            if i == 1 and 1 not in x.shape[1:3]:
                x = keras.layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
            x = norm(x, f"{block}_bn")
            if residual and i == convs:
                x = keras.layers.Add(name=f"stage{stage}_add")([x, start])
            x = act(x, f"{block}_act")
            start = x if i == 1 else start

    # The classifier's input and scale.
    def head(x: Any) -> Any:
        x = keras.layers.GlobalMaxPooling2D(name="global_pool")(x)
        return keras.layers.Rescaling(scale, name="head_scale")(x)

    return frame.finish(x, layers, pool=False, hidden=head, bias=False)


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
