"""Whether a model is the network that a set of weights was trained in, and loading them into it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from kzoo.errors import InputError
from kzoo.models.blocks import ADAPTIVE

# What shapes do not tell: max and average pooling, say, or another stride, have the same weights.
TOLD = ("strides", "dilation_rate", "padding", "pool_size", "activation", "epsilon", "groups")
FREE = ("InputLayer", "Rescaling", "Dropout", "SpatialDropout2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D")
"""Layers that may come and go: input and normalization, which a set says itself, dropout, the `pooling` without top."""


def outline(model: keras.Model) -> dict[str, list[Any]]:
    """By layer name: the class, what of its configuration changes what it computes, its weights' shapes; JSON data.

    Adaptive pooling is left out, as its windows follow the size of the image.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ not in FREE]
    return {layer.name: _line(layer) for layer in layers if not layer.name.startswith(ADAPTIVE)}


def _line(layer: keras.Layer) -> list[Any]:
    config = layer.get_config()
    told = {key: _plain(config[key]) for key in TOLD if key in config}
    return [type(layer).__name__, told, [list(weight.shape) for weight in layer.weights]]


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):  # a serialized object
        return str(value.get("class_name"))
    return value


def difference(model: keras.Model, trained: Mapping[str, list[Any]]) -> str:
    """Where a model is another network than `trained`, the outline of one; empty where all its layers are in that."""
    for name, line in outline(model).items():
        if name not in trained:
            if not line[-1]:
                continue  # without weights, and perhaps named by Keras, which counts on
            return f"it has a layer {name!r}, which they were not trained with"
        if line != list(trained[name]):
            return f"layer {name!r} is {line}, they were trained in {list(trained[name])}"
    return ""


def load_file(model: keras.Model, path: Path, source: str) -> None:
    """Load a ``.weights.h5`` or ``.keras`` file into a model; `source` names it in errors.

    Raises:
        InputError: it cannot be read, or does not fit.
    """
    try:
        with warnings.catch_warnings():
            # Keras warns of each list of layers before it raises for the layers themselves.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(f"weights={source!r}: cannot be loaded into {model.name!r}: {first}") from error


def load_set(model: keras.Model, trained: Mapping[str, list[Any]], path: Path, source: str) -> None:
    """Load a set's weights file into a model that may lack the top.

    Args:
        model: built.
        trained: outline of the model that the weights were trained in.
        path: the weights file, checked.
        source: names the set in errors.

    Raises:
        InputError: the model is another network.
    """
    other = difference(model, trained)
    if other:
        raise InputError(f"weights={source!r}: they are of another network than {model.name!r}: {other}")
    load_file(model, path, source)
