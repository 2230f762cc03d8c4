"""Other uses of trained networks: inner features, and predictions by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kzoo.checks import whole
from kzoo.errors import InputError, unknown
from kzoo.introspection.graph import node_within


def feature_extractor(model: keras.Model, layers: str | Sequence[str]) -> keras.Model:
    """A model with the same input, layers and weights (shared, not copied) that gives inner features.

    Args:
        model: any Functional or built Sequential model, kzoo's or not.
        layers: a layer's name, or several.

    Returns:
        A model with one output for one name, or with a dictionary of outputs, by layer name, for several. For a
        layer that is used several times, the output of its last use.

    Raises:
        InputError: the model has no fixed graph, or no such layer; the nearest name is suggested.

    Example:
        >>> kzoo.feature_extractor(model, "block1_conv").output_shape
        (None, 8, 8, 32)
    """
    names = [layers] if isinstance(layers, str) else list(layers)
    if not names:
        raise InputError("layers: at least one name is needed")
    known = {layer.name: layer for layer in model.layers}
    for name in names:
        if name not in known:
            raise unknown(f"layer of model {model.name!r}", name, known)
    try:
        made = {name: node_within(model, known[name]).output_tensors for name in names}
        outputs: dict[str, Any] = {name: tensors[0] if len(tensors) == 1 else tensors for name, tensors in made.items()}
        inputs = list(model.inputs)
    except AttributeError:  # of a model without a graph
        raise InputError(f"model {model.name!r}: a Functional or built Sequential model is needed") from None
    inputs = inputs[0] if len(inputs) == 1 else inputs
    return keras.Model(inputs, outputs[layers] if isinstance(layers, str) else outputs, name=f"{model.name}_features")


def top_k(probabilities: Any, class_names: Sequence[str], k: int = 5) -> list[list[tuple[str, float]]]:
    """The k likeliest classes of each image, by name.

    Args:
        probabilities: (images, classes), NumPy or a backend's tensor on the CPU.
        class_names: one per class, in the order of the outputs.
        k: how many; all of them if there are fewer classes.

    Returns:
        Per image, (name, probability) from the likeliest down; ties keep the order of the classes.

    Raises:
        InputError: the numbers of names and classes differ, or k is not positive.

    Example:
        >>> kzoo.top_k([[0.25, 0.75]], ["cat", "dog"], k=1)
        [[('dog', 0.75)]]
    """
    values = np.asarray(keras.ops.convert_to_numpy(probabilities))
    if values.ndim != 2 or values.shape[1] != len(class_names):
        raise InputError(
            f"probabilities of shape {values.shape}: (images, {len(class_names)}) is needed for the names given"
        )
    best = np.argsort(-values, axis=1, kind="stable")[:, : whole("k", k)]
    return [[(class_names[i], float(row[i])) for i in order] for row, order in zip(values, best, strict=True)]
