"""What an exported network takes and gives: raw pixels called ``image``, and outputs with a name."""

from __future__ import annotations

import functools
from typing import Any

import keras

from kzoo.errors import InputError
from kzoo.exporting.fold import planned
from kzoo.exporting.replay import Change, Graph, copy_model, replay
from kzoo.models.outputs import before_softmax, has_graph

INPUTS = ("float32", "uint8")
OUTPUTS = ("probabilities", "logits")


def with_interface(
    model: keras.Model, *, input: str = "float32", outputs: str | None = None, fold: bool = True, named: bool = True
) -> tuple[keras.Model, str]:
    """A copy of a classifier with a certain interface, which computes in float32.

    Args:
        model: a built model with one input, images (batch, height, width, channels), and one output.
        input: dtype of the pixels.
        outputs: ``"probabilities"``, ``"logits"``, or None for the model's own.
        fold: whether to fold BatchNorm and leave out what does nothing; see `fold_batch_norm`.
        named: whether the copy gives a dictionary ``{name: outputs}`` (all formats but Keras's own; then the scaling
            of the pixels is folded too, where that can be), else the outputs alone.

    Returns:
        The copy and the name of its outputs: ``"probabilities"`` or ``"logits"`` as asked for;
        for its own ``"probabilities"`` if the model ends in a softmax, else ``"outputs"``.

    Raises:
        InputError: the model is of another kind, or its logits cannot be had.
    """
    _check(model)
    image = keras.Input(model.inputs[0].shape[1:], dtype=input, name="image")
    x = image if input == "float32" else keras.ops.cast(image, "float32")
    if not has_graph(model):
        y, name = _opaque(model, x, outputs)
    else:
        graph = _graph(model, fold, named)
        name, softmax = _ending(model, graph, outputs)
        nested = _nested(fold, named)
        y = keras.tree.flatten(replay(graph, [x], nested))[0]
        y = keras.layers.Softmax(dtype="float32", name="probabilities")(y) if softmax else y
    return keras.Model(image, {name: y} if named else y, name=model.name), name


def _check(model: keras.Model) -> None:
    inputs, results = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(results) != 1 or len(inputs[0].shape) != 4:
        raise InputError(
            f"model {model.name!r}: one input, images (batch, height, width, channels), and one output are needed to "
            "export it; a model of one's own class must be built"
        )


def _nested(fold: bool, final: bool) -> Any:
    def copied(model: keras.Model) -> keras.Model:
        return copy_model(_graph(model, fold, final), copied)

    return copied


def _graph(model: keras.Model, fold: bool, final: bool) -> Graph:
    """A graph and its plan; a final one need not be fit for any further training."""
    if not fold:
        return Graph(model, "float32")
    graph = planned(model, "float32", rescaling=final)
    for node in graph.nodes if final else ():
        layer, size = node.operation, node.outputs[0].shape[-1]
        if type(layer) is keras.layers.Flatten and layer.data_format == "channels_last" and size is not None:
            # Flatten asks for the size of the batch, which is seven operations in ONNX.
            graph.plan.replaced[node] = functools.partial(keras.ops.reshape, newshape=(-1, size))
    return graph


def _opaque(model: keras.Model, x: Any, outputs: str | None) -> tuple[Any, str]:
    """A model with code of its own is called as it is."""
    logits = before_softmax(model)[1]
    y = model(x, training=False)
    if outputs == "logits" and not logits:
        raise InputError(f"outputs='logits': model {model.name!r} has code of its own that gives probabilities")
    if outputs == "probabilities" and logits:
        y = keras.layers.Softmax(dtype="float32", name="probabilities")(y)
    return y, outputs or ("outputs" if logits else "probabilities")


def _ending(model: keras.Model, graph: Graph, outputs: str | None) -> tuple[str, bool]:
    """The outputs' name, and whether a softmax must be added; a plan that leaves one out, if it is not wanted."""
    _, kind = before_softmax(model)
    own = graph.maker(graph.outputs[0])
    layer = own.operation if own is not None else None
    softmax = getattr(layer, "activation", None) is keras.activations.softmax or isinstance(layer, keras.layers.Softmax)
    if outputs is None:
        return ("probabilities" if softmax or not kind else "outputs"), False
    if outputs == "probabilities":
        return outputs, kind and not softmax
    if softmax:
        if isinstance(layer, keras.layers.Softmax | keras.layers.Activation):
            graph.plan.passed.add(own)
        else:
            change = graph.plan.changes.get(layer)
            config = {**(change.config if change else {}), "activation": "linear"}
            graph.plan.changes[layer] = Change(config, change.weights if change else None)
    elif not kind:
        raise InputError(f"outputs='logits': model {model.name!r} ends in no softmax layer that could be left out")
    return outputs, False
