"""What a classifier's outputs are: logits or probabilities, and the same model without its softmax."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def before_softmax(model: keras.Model, images: Any = None) -> tuple[keras.Model, bool]:
    """The model without the softmax layer at its end, and whether its outputs are logits.

    Args:
        model: any Keras model with one output of shape (batch, classes).
        images: a few inputs to try it with, where its layers do not tell; drawn from 0-255 if not given.

    Returns:
        A model that shares its layers (`model` itself if it ends in no softmax layer), and True if its outputs are
        logits, False if probabilities.
    """
    if not has_graph(model):
        return model, not _gives_probabilities(model, images)  # its graph is not all there is to know of it
    last = model.outputs[0]._keras_history.operation
    if _is_softmax(last):
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs  # a Sequential may have no `input`
        return keras.Model(inputs, last.input, name=model.name), True
    if isinstance(last, keras.layers.Dense | keras.layers.Activation):
        return model, last.activation is not keras.activations.softmax
    return model, not _gives_probabilities(model, images)


def has_graph(model: keras.Model) -> bool:
    """Whether a model is a graph of layers and nothing else: Functional or Sequential, built, not a subclass."""
    return type(model).__name__ in ("Functional", "Sequential") and model.built


def _is_softmax(layer: Any) -> bool:
    if isinstance(layer, keras.layers.Softmax):
        return layer.axis == -1
    return isinstance(layer, keras.layers.Activation) and layer.activation is keras.activations.softmax


def _gives_probabilities(model: keras.Model, images: Any) -> bool:
    if images is None:
        shape = [size or 32 for size in model.input_shape[1:]]
        images = np.random.default_rng(0).uniform(0, 255, [4, *shape]).astype("float32")
    with keras.StatelessScope():
        output = keras.ops.convert_to_numpy(model(images, training=False))
    return bool((output >= 0).all() and np.allclose(output.sum(-1), 1, atol=1e-3))
