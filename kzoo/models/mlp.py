"""A fully connected network, to compare with convolutional ones on digits, as report a planned."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kzoo.checks import rate, several
from kzoo.models.blocks import Layers
from kzoo.models.frame import Frame, family


@family("mlp", name="mlp")
def MLP(
    frame: Frame,
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
        frame: the shared arguments.
        include_top: see `kzoo.models.frame.Frame`, as for the following ones up to `std`.
            Without it, the model ends in the last hidden layer.
        input_shape: (height, width, channels), of any size but fixed; default (32, 32, 3).
        pooling: must be None, as there is no map.
        hidden: widths of the hidden layers; empty for a linear classifier.
        activation: relu, relu6, leaky_relu (slope 0.01), elu or swish.
        dropout: rate after every hidden layer.
        kernel_initializer: ``"torch"`` or the name of a Keras initializer.

    Returns:
        A Functional model from images (batch, height, width, channels), pixels 0 to 255, to probabilities
        (batch, classes), float32.

    Raises:
        InputError: an option's value is not allowed.
    """
    hidden = several("hidden", hidden)
    rate("dropout", dropout)
    layers = Layers(kernel_initializer, activation)
    x = keras.layers.Flatten(name="flatten")(frame.start(lambda size: size, any_size=False))
    for i, width in enumerate(hidden, 1):
        x = layers.act(layers.dense(x, width, name=f"hidden{i}"), f"hidden{i}_act")
        if dropout:
            x = keras.layers.Dropout(dropout, name=f"hidden{i}_dropout")(x)
    return frame.finish(x, layers, pool=False)
