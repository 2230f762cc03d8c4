"""DenseNets for small images (Huang et al. 2017), which reports a and b planned to compare with their ResNet."""

from __future__ import annotations

from typing import Any

import keras

from kzoo.checks import is_number, rate, whole
from kzoo.errors import InputError
from kzoo.models.blocks import Layers, pool
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family


@family("densenet-bc-100-12", name="densenet")
def DenseNet(
    builder: ModelBuilder,
    *,
    depth: int = 100,
    growth_rate: int = 12,
    stages: int = 3,
    bottleneck: bool = True,
    compression: float = 0.5,
    dropout: float = 0.0,
    activation: str = "relu",
    kernel_initializer: str = "he_normal",
) -> keras.Model:
    """DenseNet: each layer appends `growth_rate` channels to its input.

    Stem: a 3x3 convolution. Stage: dense layers, each of which appends its output to its input. Transition between
    stages: BatchNorm, activation, 1x1 convolution, 2x2 average pooling. End: BatchNorm, activation, global average
    pooling and the classifier. No convolution has a bias.

    A dense layer is BatchNorm, activation, 3x3 convolution. A bottleneck puts BatchNorm, activation and a 1x1
    convolution to ``4 * growth_rate`` channels before it. "DenseNet-BC" has bottlenecks and a compression below 1.

    Args:
        builder: the shared arguments.
        depth: number of convolutions plus the classifier, counted as in the paper: ``stages + 1`` more than a multiple
            of `stages` or, with bottlenecks, of ``2 * stages``. 40 and 100 are valid for three stages.
        growth_rate: channels that a dense layer adds (the paper's k).
        stages: dense stages; the map is halved between them.
        bottleneck: 1x1 convolutions before the 3x3 ones. The stem then has ``2 * growth_rate`` channels instead of 16.
        compression: share of the channels that a transition keeps, above 0 up to 1 (the paper's theta).
        dropout: rate after every convolution except the stem (the paper used 0.2 without augmentation).
        activation: relu (the paper's), relu6, leaky_relu (slope 0.01), elu or swish.
        kernel_initializer: ``"torch"`` or the name of a Keras initializer; the paper follows He et al. (2015).
    """
    # Check the options.
    growth_rate = whole("growth_rate", growth_rate)
    dropout = rate("dropout", dropout)
    if not is_number(compression) or not 0 < compression <= 1:
        raise InputError(f"compression={compression!r}: must be a number above 0, up to 1")
    count = _layers_per_stage(depth, whole("stages", stages), bottleneck)
    layers = Layers(kernel_initializer, activation)

    # Stem, dense stages with transitions between them, and the final activation.
    x = builder.start(lambda size: size // 2 ** (stages - 1))
    x = layers.conv(x, 2 * growth_rate if bottleneck else 16, name="stem_conv")
    for stage in range(1, stages + 1):
        for i in range(1, count + 1):
            prefix = f"stage{stage}_layer{i}"
            new = x
            if bottleneck:
                new = _norm_act_conv(new, layers, 4 * growth_rate, 1, dropout, f"{prefix}_bottleneck")
            new = _norm_act_conv(new, layers, growth_rate, 3, dropout, prefix)
            x = keras.layers.Concatenate(name=f"{prefix}_concat")([x, new])
        if stage < stages:
            prefix = f"stage{stage}_transition"
            x = _norm_act_conv(x, layers, max(1, int(compression * x.shape[-1])), 1, dropout, prefix)
            x = pool(x, "average", f"{prefix}_pool")
    x = layers.act(layers.norm(x, "final_bn"), "final_act")
    return builder.finish(x, layers)


def _layers_per_stage(depth: Any, stages: int, bottleneck: bool) -> int:
    """The number of dense layers in a stage; stem, transitions and classifier take ``stages + 1`` of the depth."""
    step = stages * (2 if bottleneck else 1)
    count, rest = divmod(whole("depth", depth) - stages - 1, step)
    if count < 1 or rest:
        nearest = stages + 1 + step * max(1, count)
        raise InputError(
            f"depth={depth!r}: with stages={stages} and bottleneck={bottleneck} it must be {stages + 1} more than a "
            f"multiple of {step}, such as {nearest} or {nearest + step}"
        )
    return count


def _norm_act_conv(x: Any, layers: Layers, filters: int, kernel_size: int, dropout: float, name: str) -> Any:
    """BatchNorm, activation, convolution, and dropout if any."""
    x = layers.act(layers.norm(x, f"{name}_bn"), f"{name}_act")
    x = layers.conv(x, filters, kernel_size, name=f"{name}_conv")
    return keras.layers.Dropout(dropout, name=f"{name}_dropout")(x) if dropout else x
