"""What an exported network takes and gives: raw pixels called ``image``, and outputs with a name."""

from __future__ import annotations

import functools
from typing import Any

import keras

from kzoo.errors import InputError
from kzoo.exporting.fold import planned
from kzoo.exporting.replay import Change, Graph, copy_model, replay
from kzoo.introspection.graph import has_graph
from kzoo.introspection.output_kinds import Kind
from kzoo.introspection.outputs import Outputs, read_outputs

INPUTS = ("float32", "uint8")
OUTPUTS = ("probabilities", "logits")


def with_interface(
    model: keras.Model, *, input: str = "float32", outputs: str | None = None, fold: bool = True, named: bool = True
) -> tuple[keras.Model, str, Kind | None]:
    """A copy of a classifier with a certain interface, which computes in float32.

    Args:
        model: a built model with one input, images (batch, height, width, channels), and one output (batch, outputs).
        input: dtype of the pixels.
        outputs: ``"probabilities"``, ``"logits"``, or None for the model's own. Asked for, one sigmoid becomes two
            columns, one for each class.
        fold: whether to fold BatchNorm and leave out what does nothing; see `fold_batch_norm`.
        named: whether the copy gives a dictionary ``{name: outputs}`` (all formats but Keras's own; then the scaling
            of the pixels is folded too, where that can be), else the outputs alone.

    Returns:
        The copy; the name of its outputs: ``"probabilities"`` or ``"logits"`` as asked for, for its own
        ``"probabilities"`` if the model ends in a softmax, else ``"outputs"``; and the kind of its outputs, see
        `kzoo.introspection.output_kinds`, None if they are not a classifier's.

    Raises:
        InputError: the model is of another kind, or its logits cannot be had.
    """
    _check(model)
    found = _read(model, outputs)
    dropped = _dropped(model, found, outputs)
    image = keras.Input(model.inputs[0].shape[1:], dtype=input, name="image")
    x = image if input == "float32" else keras.ops.cast(image, "float32")

    # The network itself, without its softmax or sigmoid where logits are wanted.
    if has_graph(model):
        nested = _nested(fold, named, dropped)
        y = keras.tree.flatten(replay(_graph(model, fold, named, dropped), [x], nested))[0]
    else:
        y = model(x, training=False)

    # Then what was asked for and it does not give.
    kind = found.kind if found is not None else None
    if outputs == "probabilities" and kind == "logits":
        y, kind = keras.layers.Softmax(dtype="float32", name="probabilities")(y), "softmax"
    elif outputs == "probabilities" and kind == "sigmoid":
        y, kind = keras.ops.concatenate([1 - y, y], axis=-1), "softmax"
    elif outputs == "logits" and kind == "sigmoid":
        y, kind = keras.ops.concatenate([keras.ops.zeros_like(y), y], axis=-1), "logits"
    elif outputs == "logits":
        kind = "logits"
    name = outputs or ("probabilities" if kind == "softmax" else "outputs")
    return keras.Model(image, {name: y} if named else y, name=model.name), name, kind


def _read(model: keras.Model, outputs: str | None) -> Outputs | None:
    """What the outputs are; None for a network that is no classifier and of which nothing else is asked."""
    try:
        return read_outputs(model)
    except InputError:
        if outputs is not None:
            raise
        return None


def _dropped(model: keras.Model, found: Outputs | None, outputs: str | None) -> Any:
    """The softmax or sigmoid that is to be left out, or None."""
    if outputs != "logits" or found is None or found.kind == "logits":
        return None
    if found.kind == "sigmoids":
        raise InputError(
            f"outputs='logits': model {model.name!r} gives several labels, not classes: take probabilities"
        )
    if found.ending is None:
        raise InputError(f"outputs='logits': model {model.name!r} ends in no softmax or sigmoid that could be left out")
    return found.ending


def _check(model: keras.Model) -> None:
    inputs, results = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(results) != 1 or len(inputs[0].shape) != 4:
        raise InputError(
            f"model {model.name!r}: one input, images (batch, height, width, channels), and one output are needed to "
            "export it; a model of one's own class must be built"
        )


def _nested(fold: bool, final: bool, dropped: Any) -> Any:
    def copied(model: keras.Model) -> keras.Model:
        return copy_model(_graph(model, fold, final, dropped), copied)

    return copied


def _graph(model: keras.Model, fold: bool, final: bool, dropped: Any = None) -> Graph:
    """A graph and its plan; a final one need not be fit for any further training.

    Args:
        model: whose graph it is.
        fold: whether to fold BatchNorm.
        final: whether it is for use only.
        dropped: a softmax or sigmoid to leave out, if it is in this graph.
    """
    graph = planned(model, "float32", rescaling=final) if fold else Graph(model, "float32")
    for node in graph.nodes if final and fold else ():
        layer, size = node.operation, node.outputs[0].shape[-1]
        if type(layer) is keras.layers.Flatten and layer.data_format == "channels_last" and size is not None:
            # Flatten asks for the size of the batch, which is seven operations in ONNX.
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
