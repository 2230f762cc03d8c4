"""Whether a model is the network that a set of weights was trained in, and loading them into it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras

from kzoo.errors import InputError
from kzoo.introspection.graph import inner_layers
from kzoo.models.blocks import ADAPTIVE
from kzoo.models.weight_transfer import transfer

# Settings that shapes do not show: max and average pooling, say, or another stride, have the same weights.
COMPARED = (
    *("strides", "dilation_rate", "padding", "pool_size", "activation", "epsilon", "groups"),
    *("negative_slope", "alpha", "max_value", "threshold", "scale", "offset", "mean", "variance", "invert"),
    *("size", "interpolation", "cropping", "axis", "axes", "order", "normalize", "use_bias", "depth_multiplier"),
)
FREE = ("InputLayer", "Dropout", "SpatialDropout2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D")
"""Layers that may come and go: the input, dropout, the `pooling` without top; so may the scaling of the pixels at the
input, which a set says itself."""


def outline(model: keras.Model) -> dict[str, list[Any]]:
    """By layer name: the class, the settings that change its computation, its weights' shapes; JSON data.

    Adaptive pooling is left out, as its windows follow the size of the image.
    """
    layers = [layer for layer in model.layers if type(layer).__name__ not in FREE]
    if layers and isinstance(layers[0], keras.layers.Rescaling):
        layers = layers[1:]
    return {layer.name: _line(layer) for layer in layers if not layer.name.startswith(ADAPTIVE)}


def _line(layer: keras.Layer) -> list[Any]:
    config = layer.get_config()
    config_part = {key: _plain(config[key]) for key in COMPARED if key in config}
    return [type(layer).__name__, config_part, [list(weight.shape) for weight in layer.weights]]


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):  # a serialized object
        config = value.get("config")
        settings = {k: _plain(v) for k, v in config.items() if k in COMPARED} if isinstance(config, Mapping) else {}
        return [str(value.get("class_name")), settings] if settings else str(value.get("class_name"))
    return value


def _alike(line: list[Any], trained: Sequence[Any]) -> bool:
    """Whether two lines agree in what both of them hold: earlier versions of kzoo wrote fewer settings."""
    if [line[0], line[2]] != [trained[0], list(trained[2])]:
        return False
    return all(_same(line[1][key], trained[1][key]) for key in line[1].keys() & trained[1].keys())


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, list) and isinstance(other, str):  # an object of which an earlier version kept the class alone
        return bool(value) and value[0] == other
    return bool(value == other)


def difference(model: keras.Model, trained: Mapping[str, list[Any]]) -> str:
    """Where a model is another network than `trained`, the outline of one; empty where they agree.

    A model without the top may lack the last layers.
    """
    layers = outline(model)
    for name, line in layers.items():
        if name not in trained:
            if not line[-1]:
                continue  # without weights, and perhaps named by Keras, which counts on
            return f"it has a layer {name!r}, which they were not trained with"
        if not _alike(line, trained[name]):
            return f"layer {name!r} is {line}, they were trained in {list(trained[name])}"
    names = [name for name, line in trained.items() if line[-1]]
    left = [name for name in names if name not in layers]
    if left and names[-1] in layers:
        return f"it lacks the layer {left[0]!r}, which they were trained with"
    return ""


def load_file(model: keras.Model, path: Path, source: str, *, whole: bool = True) -> None:
    """Load a ``.weights.h5`` or ``.keras`` file into a model.

    Of a ``.keras`` file the structure is compared; of a ``.weights.h5`` file shapes and number: it holds no more.

    Raises:
        InputError: it cannot be read, or does not fit.
    """
    # A .keras file has a structure to compare.
    if path.suffix == ".keras":
        try:
            trained = keras.saving.load_model(path, compile=False)
        except (ValueError, OSError, KeyError, TypeError) as error:
            first = str(error).strip().partition("\n")[0]
            raise InputError(f"weights={source!r}: cannot be loaded into {model.name!r}: {first}") from error
        done = transfer(trained, model, what=f"weights={source!r}", partial=not whole, same_pixels=True)
        if done.initialized:
            why = "; ".join([*done.notes, f"they have none that fit {', '.join(done.initialized)}"])
            raise InputError(f"weights={source!r}: cannot be loaded into {model.name!r}: {why}")
        return

    # A .weights.h5 file has only shapes and a number.
    count = _weights_in(path)
    if whole and count is not None and count > len(model.weights) + _states_in(model):
        raise InputError(
            f"weights={source!r}: they are of another network than {model.name!r}: the file has {count} weights, the "
            f"model {len(model.weights)}"
        )
    try:
        with warnings.catch_warnings():
            # Keras warns of each list of layers before it raises for the layers themselves.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(f"weights={source!r}: cannot be loaded into {model.name!r}: {first}") from error


def _weights_in(path: Path) -> int | None:
    """The number of weights a ``.weights.h5`` file holds; None if that is unknown, or it is no such file."""
    names: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    except OSError:
        return None
    states = "seed_generator/vars/"  # of dropout
    return sum("/vars/" in f"/{name}" and states not in name and not name.startswith("optimizer") for name in names)


def _states_in(model: keras.Model) -> int:
    """The number of states of random generators with other names than dropout's: those of Keras's augmentation, say."""
    named = sum(hasattr(layer, "seed_generator") for layer in inner_layers(model))
    return max(0, len(model.variables) - len(model.weights) - named)


def load_set(model: keras.Model, trained: Mapping[str, list[Any]], path: Path, source: str) -> None:
    """Load a set's weights file into a model that may lack the top.

    Raises:
        InputError: the model is another network.
    """
    other = difference(model, trained)
    if other:
        raise InputError(f"weights={source!r}: they are of another network than {model.name!r}: {other}")
    load_file(model, path, source, whole=False)  # what is left over was compared
