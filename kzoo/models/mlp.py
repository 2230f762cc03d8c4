"""A fully connected network, to compare with convolutional ones on digits, as report a planned."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.checks import rate, several
from kzoo.models.blocks import Layers
from kzoo.models.builder import ModelBuilder
from kzoo.models.families import family


@family("mlp", name="mlp")
def MLP(
    builder: ModelBuilder,
    *,
    hidden: Sequence[int] = (512, 512),
    activation: str = "relu",
    dropout: float = 0.0,
    kernel_initializer: str = "torch",
) -> keras.Model:
    """Dense layers on the flattened image.

    Two hidden layers of 512 are our choice, because the reports name no network. This size is common for digits; at
    28x28x1 it has about 0.67 million parameters, more than any of report d's LeNets.

    Args:
        builder: the shared arguments.
        include_top: see `kzoo.models.builder.ModelBuilder`, also for the arguments up to `std`.
            Without it, the model ends in the last hidden layer.
        input_shape: (height, width, channels), of any size but fixed; default (32, 32, 3).
        pooling: must be None, because there is no map.
        hidden: widths of the hidden layers; empty for a linear classifier.
        activation: relu, relu6, leaky_relu (slope 0.01), elu or swish.
        dropout: rate after every hidden layer.
        kernel_initializer: ``"torch"`` or the name of a Keras initializer.
    """
    hidden = several("hidden", hidden)
    dropout = rate("dropout", dropout)
    layers = Layers(kernel_initializer, activation)
    x = layers.hidden(builder.start(lambda size: size, any_size=False), hidden, dropout)
    return builder.finish(x, layers, pool=False)
