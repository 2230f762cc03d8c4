"""Inputs and outputs of an exported network: raw pixels called ``image``, and named outputs."""

from __future__ import annotations

import functools
from itertools import count
from typing import Any

import keras

from kzoo.errors import InputError
from kzoo.exporting.fold import planned
from kzoo.exporting.replay import Change, Graph, copy_model, replay
from kzoo.introspection.graph import fresh_names, functional, has_graph
from kzoo.introspection.output_kinds import Kind
from kzoo.introspection.outputs import Outputs, read_outputs

INPUTS = ("float32", "uint8")
IMAGE, PROBABILITIES = "image", "probabilities"
OUTPUTS = (PROBABILITIES, "logits")


def with_interface(
    model: keras.Model, *, input: str = "float32", outputs: str | None = None, fold: bool = True, named: bool = True
) -> tuple[keras.Model, str, Kind | None]:
    """A copy of a classifier that has the requested inputs and outputs and computes in float32.

    Args:
        model: a built model with one input, images (batch, height, width, channels), and one output (batch, outputs).
        input: dtype of the pixels.
        outputs: ``"probabilities"``, ``"logits"``, or None for the model's outputs unchanged. Unless None, a single
            sigmoid becomes two columns, one for each class.
        fold: whether to fold BatchNorm and leave out idle layers; see `fold_batch_norm`.
        named: whether the copy returns a dictionary ``{name: outputs}`` (all formats except Keras) instead of the
            outputs alone. If true, the scaling of the pixels is folded too where possible.

    Returns:
        The copy; the name of its outputs: ``"probabilities"`` or ``"logits"`` as requested, by default
        ``"probabilities"`` if the model ends in a softmax, otherwise ``"outputs"``; and the kind of its outputs (see
        `kzoo.introspection.output_kinds`), None if they are not a classifier's.

    Raises:
        InputError: the model is of another kind, or its logits cannot be recovered.
    """
    _check(model)
    reading = _read(model, outputs)
    with fresh_names(beside=model):
        return _with_interface(model, reading, input, outputs, fold, named)


def _with_interface(
    model: keras.Model, reading: Outputs | None, input: str, outputs: str | None, fold: bool, named: bool
) -> tuple[keras.Model, str, Kind | None]:
    dropped = _dropped(model, reading, outputs)
    image = keras.Input(model.inputs[0].shape[1:], dtype=input, name=IMAGE)
    x = image if input == "float32" else keras.ops.cast(image, "float32")
    names = {operation.name for operation in getattr(functional(model), "operations", ())}

    # The network, without its softmax or sigmoid where logits are requested.
    if has_graph(model, subclasses=True):
        nested = _nested(fold, named, dropped)
        graph = _graph(model, fold, named, dropped)
        if named_so := [operation for operation in graph.calls if operation.name == IMAGE]:
            free = next(name for i in count(1) if (name := f"{IMAGE}_{i}") not in names)
            graph.plan.names = dict.fromkeys(named_so, free)
        y = keras.tree.flatten(replay(graph, [x], nested))[0]
    else:
        y = model(x, training=False)

    # Convert the outputs if the network returns others than requested.
    kind = reading.kind if reading is not None else None
    if outputs == PROBABILITIES and kind == "logits":
        name_of_softmax = None if PROBABILITIES in names else PROBABILITIES
        y, kind = keras.layers.Softmax(dtype="float32", name=name_of_softmax)(y), "softmax"
    elif outputs == PROBABILITIES and kind == "sigmoid":
        y, kind = keras.ops.concatenate([1 - y, y], axis=-1), "softmax"
    elif outputs == "logits" and kind == "sigmoid":
        y, kind = keras.ops.concatenate([keras.ops.zeros_like(y), y], axis=-1), "logits"
    elif outputs == "logits":
        kind = "logits"
    name = outputs or (PROBABILITIES if kind == "softmax" else "outputs")
    return keras.Model(image, {name: y} if named else y, name=model.name), name, kind


def _read(model: keras.Model, outputs: str | None) -> Outputs | None:
    """Kind of the outputs; None if the network is not a classifier and no kind is requested."""
    try:
        return read_outputs(model)
    except InputError:
        if outputs is not None:
            raise
        return None


def _dropped(model: keras.Model, reading: Outputs | None, outputs: str | None) -> Any:
    """The softmax or sigmoid to leave out, or None."""
    if outputs != "logits" or reading is None or reading.kind == "logits":
        return None
    if reading.kind == "sigmoids":
        raise InputError(
            f"outputs='logits': model {model.name!r} gives several labels, not classes: take probabilities"
        )
    if reading.ending is None:
        raise InputError(f"outputs='logits': model {model.name!r} does not end in a removable softmax or sigmoid")
    return reading.ending


def _check(model: keras.Model) -> None:
    inputs, results = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(results) != 1 or len(inputs[0].shape) != 4:
        raise InputError(
            f"model {model.name!r}: one input, images (batch, height, width, channels), and one output are needed to "
            "export it; a subclassed model must be built"
        )


def _nested(fold: bool, final: bool, dropped: Any) -> Any:
    def copied(model: keras.Model) -> keras.Model:
        return copy_model(_graph(model, fold, final, dropped), copied)

    return copied


def _graph(model: keras.Model, fold: bool, final: bool, dropped: Any = None) -> Graph:
    """A graph and its plan; with `final`, the copy cannot be trained further."""
    graph = planned(model, "float32", rescaling=final) if fold else Graph(model, "float32")
    for node in graph.nodes if final and fold else ():
        layer, size = node.operation, node.outputs[0].shape[-1]
        if type(layer) is keras.layers.Flatten and layer.data_format == "channels_last" and size is not None:
            # Flatten reads the batch size, which takes seven operations in ONNX.
            graph.plan.replaced[node] = functools.partial(keras.ops.reshape, newshape=(-1, size))
    for node in graph.nodes if dropped is not None else ():
        if node.operation is not dropped:
            continue
        if getattr(dropped, "weights", ()):
            change = graph.plan.changes.get(dropped)
            config = {**(change.config if change else {}), "activation": "linear"}
            graph.plan.changes[dropped] = Change(config, change.weights if change else None)
        else:
            graph.plan.passed.add(node)
    return graph
