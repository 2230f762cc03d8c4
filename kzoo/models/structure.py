"""A network's structure as plain data, which shows whether weights belong to it and whether its code has changed.

Shapes are not enough: with another pooling, stride, padding or activation, the weights have the same shapes. So a
structure lists every call of a layer with its whole configuration and its inputs. Names are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kzoo.introspection.graph import functional, has_graph, inner_layers, maker
from kzoo.models.blocks import ADAPTIVE

Structure = list[dict[str, Any]]
"""An entry for each call: ``name``, ``class``, ``config``, ``weights`` (shapes), ``inputs`` (indices of entries)."""

IGNORED = ("name", "dtype", "trainable", "seed", "build_config", "autocast", "optional", "ragged", "sparse", "momentum")
"""Settings that do not change what a trained network computes; initializers and the like are found by their names."""
IDLE = (
    *("InputLayer", "Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout"),
    *("GaussianDropout", "GaussianNoise", "ActivityRegularization", "Cast"),
    *("RandomFlip", "RandomRotation", "RandomTranslation", "RandomZoom", "RandomContrast", "RandomBrightness"),
)
"""Layers that do not count: the input, and those that act only in training. Nor does the scaling of pixels."""

ENDS = ("Softmax", "LogSoftmax", "Sigmoid")


def structure(model: keras.Model) -> Structure:
    """The structure of a built model, as JSON data; nested models are taken apart."""
    return [{key: value for key, value in entry.items() if key != "layer"} for entry in with_layers(model)]


def with_layers(model: keras.Model) -> Structure:
    """The structure of a built model, with the layer or operation of each call as ``layer``."""
    entries: Structure = []
    if has_graph(model):
        _follow(model, entries, [None] * len(model.inputs))
    else:
        inside = [layer for layer in inner_layers(model) if not isinstance(layer, keras.Model)]
        entries += [{**call_entry(layer, []), "layer": layer} for layer in inside]
    return entries


def essential(entries: Sequence[Mapping[str, Any]]) -> Structure:
    """A structure without `IDLE` layers, the scaling of pixels, and the softmax or other activation at its end."""
    kept: Structure = []
    new_index: dict[int, int | None] = {}
    for index, entry in enumerate(entries):
        inputs = [new_index.get(i) if i is not None else None for i in entry["inputs"]]
        if entry["class"] in IDLE or _linear(entry) or (entry["class"] == "Rescaling" and inputs == [None]):
            new_index[index] = inputs[0] if inputs else None
            continue
        new_index[index] = len(kept)
        kept.append({**entry, "inputs": inputs})
    while kept and (kept[-1]["class"] in ENDS or kept[-1]["config"].get("activation") in ("softmax", "sigmoid")):
        if kept[-1]["weights"]:
            break
        kept.pop()
    return kept


def entry_difference(one: Mapping[str, Any], other: Mapping[str, Any], *, outputs: bool = True) -> str:
    """The difference between two calls, in words; "" if there is none.

    Args:
        one, other: entries of structures.
        outputs: whether the number of outputs counts: filters, units, and the last axis of the weights.
    """
    if one["class"] != other["class"]:
        return f"{one['class']} instead of {other['class']}"
    free = () if outputs else ("units", "filters", "activation")
    for key in one["config"].keys() & other["config"].keys():  # another version of Keras may write other keys
        adaptive = str(one.get("name")).startswith(ADAPTIVE) and key in ("pool_size", "strides")
        if key not in free and not adaptive and one["config"][key] != other["config"][key]:
            return f"{key} {one['config'][key]!r} instead of {other['config'][key]!r}"
    cut = None if outputs else -1
    shapes = [[shape[:cut] for shape in entry["weights"]] for entry in (one, other)]
    if shapes[0] != shapes[1]:
        return f"weights of shapes {one['weights']} instead of {other['weights']}"
    if one["inputs"] != other["inputs"]:
        return "other inputs"
    return ""


def difference(now: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> str:
    """The first difference between two structures, in words; "" if they agree."""
    for index, (one, other) in enumerate(zip(now, before, strict=False)):
        text = entry_difference(one, other)
        if text:
            named = f" (it was called {other['name']!r})" if other["name"] != one["name"] else ""
            return f"layer {one['name']!r}{named}, number {index + 1}, has {text}"
    if len(now) > len(before):
        return f"it has a layer {now[len(before)]['name']!r} that was not there"
    if len(now) < len(before):
        return f"it lacks the layer {before[len(now)]['name']!r} and {len(before) - len(now) - 1} more"
    return ""


def call_entry(operation: Any, inputs: list[int | None], node: Any = None) -> dict[str, Any]:
    """The entry of a call: an operation's settings and constants, or a layer's configuration."""
    config: dict[str, Any] = {}
    if isinstance(operation, keras.Layer):
        try:
            config = dict(operation.get_config())
        except NotImplementedError:  # of a custom layer
            config = {}
    else:
        config = {key: value for key, value in vars(operation).items() if not key.startswith("_")}
        constants = keras.tree.flatten([*node.arguments.args, node.arguments.kwargs])
        config["constants"] = [str(value) for value in constants if not keras.backend.is_keras_tensor(value)]
    kept = {key: _plain(value) for key, value in config.items() if _tells(key)}
    shapes = [list(weight.shape) for weight in getattr(operation, "weights", ())]
    name = str(operation.name)
    return {"name": name, "class": type(operation).__name__, "config": kept, "weights": shapes, "inputs": inputs}


def _follow(model: keras.Model, entries: Structure, sources: list[int | None]) -> list[int | None]:
    """Add a graph's calls, from its outputs back, so that their order does not depend on when layers were made.

    Returns:
        The index of each output's entry.
    """
    # Visit a tensor again once all its inputs have entries.
    graph = functional(model)
    entry_of: dict[int, int | None] = dict(zip(map(id, graph.inputs), sources, strict=True))
    waiting = list(reversed(graph.outputs))
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in entry_of:
            waiting.pop()
            continue
        operation, node = maker(tensor)
        missing = [needed for needed in node.input_tensors if id(needed) not in entry_of]
        if missing:
            waiting += reversed(missing)
            continue

        # Add the call, or the calls of a nested model.
        inputs = [entry_of[id(needed)] for needed in node.input_tensors]
        if isinstance(operation, keras.Model) and has_graph(operation):
            outputs = _follow(operation, entries, inputs)
        else:
            entries.append({**call_entry(operation, inputs, node), "layer": operation})
            outputs = [len(entries) - 1] * len(node.outputs)
        entry_of.update(zip(map(id, node.outputs), outputs, strict=True))
    return [entry_of[id(tensor)] for tensor in graph.outputs]


def _tells(key: str) -> bool:
    words = ("initializer", "regularizer", "constraint", "lora", "quantization", "batch_shape", "renorm")
    return key not in IGNORED and not any(word in key for word in words)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping) and "class_name" in value:  # a serialized object
        inner = value.get("config")
        name = value["class_name"] if value["class_name"] != "function" else inner
        return [str(name), _plain(inner)] if isinstance(inner, Mapping) else str(name)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if _tells(str(key))}
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


def _linear(entry: Mapping[str, Any]) -> bool:
    return entry["class"] == "Activation" and entry["config"].get("activation") == "linear"
