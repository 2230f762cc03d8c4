"""Checks whether a model is the network that a set of weights was trained in, and loads them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras

from kzoo.errors import InputError, first_line
from kzoo.files import names_keras_file
from kzoo.introspection.graph import functional, has_graph, inner_layers, last_node
from kzoo.introspection.layers import is_automatic
from kzoo.models.blocks import ADAPTIVE
from kzoo.models.structure import ENDS, IDLE, call_entry
from kzoo.models.weight_transfer import transfer

# Settings that shapes do not show: with another stride, say, the weights have the same shapes.
COMPARED = (
    *("strides", "dilation_rate", "padding", "pool_size", "activation", "epsilon", "groups"),
    *("negative_slope", "alpha", "max_value", "threshold", "scale", "offset", "mean", "variance", "invert"),
    *("size", "interpolation", "cropping", "axis", "axes", "order", "normalize", "use_bias", "depth_multiplier"),
)
FREE = (*IDLE, "GlobalAveragePooling2D", "GlobalMaxPooling2D")
"""Layers that do not count: those that act only in training, and the `pooling` without top. Nor do the scaling of the
pixels at the input, which a set stores itself, and the softmax or sigmoid at the end."""


def outline(model: keras.Model) -> dict[str, list[Any]]:
    """Each layer's class, settings that change its computation, and weights' shapes, by name, as JSON data.

    A nested model's layers follow it; their names start with its name and a slash. Names of operations such as
    ``keras.ops.max_pool`` end in brackets. Adaptive pooling is left out, because its windows depend on the image size.
    """
    parts = [(name, part) for name, part in _parts(model) if type(part).__name__ not in FREE]
    if parts and isinstance(parts[0][1], keras.layers.Rescaling):
        parts = parts[1:]
    return {name: _line(part) for name, part in parts if not part.name.startswith(ADAPTIVE)}


def _parts(model: keras.Model, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Layers and operations by name, including those of nested models."""
    for part in functional(model).operations if has_graph(model) else model.layers:
        name = f"{prefix}{part.name}"
        yield (name if isinstance(part, keras.Layer) else f"{name}()"), part
        if isinstance(part, keras.Model) and has_graph(part):
            yield from _parts(part, f"{name}/")


def _line(layer: Any) -> list[Any]:
    if not isinstance(layer, keras.Layer):
        return [type(layer).__name__, call_entry(layer, [], last_node(layer))["config"], []]
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
    """Whether two lines agree in the settings that both have: earlier versions of kzoo wrote fewer."""
    if [line[0], line[2]] != [trained[0], list(trained[2])]:
        return False
    return all(_same(line[1][key], trained[1][key]) for key in line[1].keys() & trained[1].keys())


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, list) and isinstance(other, str):  # earlier versions kept only an object's class
        return bool(value) and value[0] == other
    return bool(value == other)


def difference(model: keras.Model, trained: Mapping[str, list[Any]]) -> str:
    """How a model differs from a network with the outline `trained`; empty if they agree.

    A model without the top may lack the last layers.
    """
    lines = outline(model)
    trained = {name: line for name, line in trained.items() if line[0] not in FREE}
    if not any(map(_within, trained)):  # earlier versions of kzoo left these out
        lines = {name: line for name, line in lines.items() if not _within(name)}

    # What the model has.
    ours, theirs = _keys(lines), _keys(trained)
    for key, name in ours.items():
        if key in theirs and not _alike(lines[name], trained[theirs[key]]):
            return f"layer {name!r} is {lines[name]}, but they were trained in {list(trained[theirs[key]])}"
        if key not in theirs and not _is_end(lines[name]):
            return f"it has a layer {name!r}, which they were not trained with"

    # What it lacks: a model without the top must still have everything below its last layer.
    order = list(theirs)
    weighted = [key for key in order if trained[theirs[key]][-1]]
    whole = not weighted or weighted[-1] in ours
    last = len(order) if whole else max((order.index(key) for key in order if key in ours), default=0)
    for key in order[:last]:
        if key not in ours and not _is_end(trained[theirs[key]]):
            return f"it lacks the layer {theirs[key]!r}, which they were trained with"
    return ""


def _within(name: str) -> bool:
    """Whether a name belongs to an operation, or to a layer of a nested model."""
    return "/" in name or name.endswith("()")


def _is_end(line: Sequence[Any]) -> bool:
    return line[0] in ENDS or (
        line[0] == "Activation" and line[1].get("activation") in ("linear", "softmax", "sigmoid")
    )


def _keys(lines: Mapping[str, list[Any]]) -> dict[str, str]:
    """The names of an outline by key: the name itself, or its position among the names that Keras chose.

    Keras keeps counting from model to model: the same builder's ``conv2d`` is called ``conv2d_1`` the next time.
    """
    names: dict[str, str] = {}
    key_of: dict[str, str] = {"": ""}
    counts: Counter[str] = Counter()
    for name, line in lines.items():
        parent, slash, own = name.rpartition("/")
        kind = f"{key_of.get(parent, parent)}{slash}"
        if is_automatic(own.removesuffix("()"), line[0]):
            kind = f"{kind}{'()' if own.endswith('()') else ''}"
            counts[kind] += 1
            own = f"#{counts[kind]}"
        key_of[name] = f"{kind}{own}"
        names[key_of[name]] = name
    return names


def load_file(model: keras.Model, path: Path, source: str, *, whole: bool = True) -> None:
    """Load a ``.weights.h5`` or ``.keras`` file into a model.

    A ``.keras`` file is compared by its structure; a ``.weights.h5`` file only by the number and shapes of its weights.

    Raises:
        InputError: the file cannot be read, or does not fit.
    """
    # A .keras file has a structure to compare.
    if names_keras_file(path):
        try:
            trained = keras.saving.load_model(path, compile=False)
        except Exception as error:  # a damaged file raises nearly anything
            raise InputError(
                f"weights={source!r}: cannot be loaded into {model.name!r}: {first_line(error)}"
            ) from error
        done = transfer(trained, model, what=f"weights={source!r}", partial=not whole, same_pixels=True)
        if done.initialized:
            why = "; ".join([*done.notes, f"they have none that fit {', '.join(done.initialized)}"])
            raise InputError(f"weights={source!r}: cannot be loaded into {model.name!r}: {why}")
        return

    # A .weights.h5 file shows only the number and shapes of its weights.
    count = _weights_in(path)
    if whole and count is not None and count > len(model.weights) + _states_in(model):
        raise InputError(
            f"weights={source!r}: they belong to another network than {model.name!r}: the file has {count} weights, "
            f"the model {len(model.weights)}"
        )
    try:
        with warnings.catch_warnings():
            # Keras warns about each list of layers before it raises for the layers themselves.
            warnings.filterwarnings("ignore", message="Skipping nested container")
            model.load_weights(path)
    except Exception as error:  # a damaged file raises nearly anything
        raise InputError(f"weights={source!r}: cannot be loaded into {model.name!r}: {first_line(error)}") from error


def _weights_in(path: Path) -> int | None:
    """The number of weights a ``.weights.h5`` file holds; None if it cannot be read as one."""
    names: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    except Exception:  # a damaged file makes h5py raise nearly anything; loading it raises again
        return None
    states = "seed_generator/vars/"  # of dropout
    return sum("/vars/" in f"/{name}" and states not in name and not name.startswith("optimizer") for name in names)


def _states_in(model: keras.Model) -> int:
    """The number of random generators' states not named like dropout's, such as those of Keras's augmentation."""
    named = sum(hasattr(layer, "seed_generator") for layer in inner_layers(model))
    return max(0, len(model.variables) - len(model.weights) - named)


def load_set(model: keras.Model, trained: Mapping[str, list[Any]], path: Path, source: str) -> None:
    """Load a set's weights file into a model that may lack the top.

    Raises:
        InputError: the model is another network.
    """
    other = difference(model, trained)
    if other:
        raise InputError(f"weights={source!r}: they belong to another network than {model.name!r}: {other}")
    load_file(model, path, source, whole=False)  # `difference` has compared the rest


def name_classes(model: keras.Model, names: Sequence[str]) -> None:
    """Store class names, by label, as ``model.class_names``, if the classifier has as many outputs."""
    shape = model.output_shape
    if names and len(shape) == 2 and (shape[-1] == len(names) or (shape[-1], len(names)) == (1, 2)):
        model.class_names = tuple(names)
