"""Report c's pruned VGG A, D and E: columns of Simonyan and Zisserman (2015), cut to their first three stages."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import keras

from kzoo.checks import choice, odd, rate, several, whole
from kzoo.errors import InputError
from kzoo.models.blocks import Layers, pool
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family, preset

DROPOUT_PLACEMENTS = ("both", "pools", "hidden")


@family("vgg-e", name="vgg-ade")
def VGGADE(
    builder: ModelBuilder,
    *,
    convs: Sequence[int] = (2, 2, 4),
    filters: Sequence[int] = (64, 128, 256),
    stages: int | None = None,
    hidden: Sequence[int] = (500, 500),
    batch_norm: bool = False,
    dropout: float = 0.0,
    dropout_placement: str = "both",
    pooling_type: str = "max",
    kernel_size: int = 3,
    activation: str = "relu",
    kernel_initializer: str = "lecun_normal",
) -> keras.Model:
    """[[convolution, activation] x N, pool] x M, [dense, activation] x K, dense; N, M, K and all widths are options.

    Report c used Chainer, whose defaults are the defaults here: LeCun-normal kernels (Keras truncates the normal
    distribution at two deviations and keeps its variance, Chainer does not truncate it), zero biases, BatchNorm with
    epsilon 2e-5 and momentum 0.9. The report has no normalization layer; we assume pixels in [0, 1], ``mean=0, std=1``.

    Args:
        builder: the shared arguments.
        include_top: see `kzoo.models.builder.ModelBuilder`, also for the arguments up to `std`.
            The hidden dense layers belong to the top.
        input_shape: (height, width, channels); default (32, 32, 3). Without top, None for height and width is allowed.
        convs: convolutions per stage, each with a bias (A 1-1-2-2, D 2-2-3-3, E 2-2-4-4).
        filters: of the convolutions, per stage.
        stages: how many of the stages in `convs` and `filters` to build, from the first; None for all of them.
            The variants list four and build three, as the report's final network does.
        hidden: widths of the dense layers before the classifier.
        batch_norm: BatchNorm between every convolution and its activation.
        dropout: dropout rate; the report's best is 0.4.
        dropout_placement: after the "pools", after the "hidden" dense layers, or "both".
        pooling_type: 2x2 "max" or "average" pooling at the end of each stage.
        kernel_size: of every convolution, odd (the report tried 3, 5 and 7).
        activation: relu (the report's), relu6, leaky_relu, elu or swish.
        kernel_initializer: ``"torch"`` or the name of a Keras initializer, of dense layers too.
    """
    # Check the options.
    convs, filters, hidden = several("convs", convs), several("filters", filters), several("hidden", hidden)
    if len(convs) != len(filters) or not convs:
        raise InputError(f"convs={convs} and filters={filters}: one number per stage is needed in both")
    if whole("stages", stages if stages is not None else len(convs)) > len(convs):
        raise InputError(f"stages={stages}: convs and filters are given for {len(convs)} stages only")
    convs, filters = convs[:stages], filters[:stages]
    kernel_size = odd("kernel_size", kernel_size)
    dropout = rate("dropout", dropout)
    choice("dropout_placement", dropout_placement, DROPOUT_PLACEMENTS)
    choice("pooling_type", pooling_type, ("max", "average"))
    layers = Layers(kernel_initializer, activation, epsilon=2e-5)

    # Stages of convolutions and a pooling.
    x = builder.start(lambda size: size // 2 ** len(convs), any_size=not builder.include_top)
    for stage, (count, width) in enumerate(zip(convs, filters, strict=True), 1):
        for i in range(1, count + 1):
            name = f"stage{stage}_conv{i}"
            x = layers.conv_norm_act(x, width, kernel_size, bias=True, batch_norm=batch_norm, name=name)
        x = pool(x, pooling_type, f"stage{stage}_pool")
        if dropout and dropout_placement in ("pools", "both"):
            x = keras.layers.Dropout(dropout, name=f"stage{stage}_dropout")(x)

    hidden_dropout = dropout if dropout_placement in ("hidden", "both") else 0.0
    dense = functools.partial(layers.hidden, widths=hidden, dropout=hidden_dropout)
    return builder.finish(x, layers, pool=False, hidden=dense)


VGGA = preset(VGGADE, "VGGA", "vgg-a")
VGGD = preset(VGGADE, "VGGD", "vgg-d")
VGGE = preset(VGGADE, "VGGE", "vgg-e")
