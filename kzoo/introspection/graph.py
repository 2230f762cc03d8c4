"""A Keras model's graph: its layer calls, with nested models unfolded, and the calls that tensors come from.

Keras has no public way to find the calls of a shared layer, or the layers inside a layer. Only this module uses the
private attributes for them, which `model.summary` uses too.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import keras

from kzoo.errors import InputError

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Call:
    """One use of one layer (or of a Keras operation such as ``a + b``).

    Attributes:
        name: the layer's name, preceded by the path of the nested model that contains it, if any, and a slash.
        layer: the layer or operation.
        inputs: numbers that identify the input tensors; empty for an input of the model.
        outputs: numbers that identify the output tensors.
        input_shapes: their shapes, without the batch.
        output_shapes: their shapes, without the batch.
        output_dtypes: their types, e.g. ``"float32"``.
        first: whether the layer has not been used before (a shared layer is used several times).
    """

    name: str
    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    output_dtypes: tuple[str, ...]
    first: bool


def calls(model: keras.Model) -> list[Call]:
    """All calls, in topological order.

    Raises:
        InputError: the model has no fixed graph: it is an unbuilt Sequential, or a subclass with a custom `call`.
    """
    if isinstance(model, str):
        raise InputError(f"model {model!r} is a text: give a model, such as kzoo.create_model({model!r})")
    graph = _graph(model)
    if graph is None:
        kind = "is a Sequential without an input shape" if isinstance(model, keras.Sequential) else "has no fixed graph"
        raise InputError(f"model {getattr(model, 'name', model)!r} {kind}: build it, or give a Functional model")
    walk = _Walk()
    walk.through(graph, "", None)
    return walk.calls


def has_graph(model: keras.Model, *, subclasses: bool = False) -> bool:
    """Whether a model is a graph of layers and nothing else: Functional or Sequential, built.

    Args:
        model: any model.
        subclasses: whether subclasses count that do not change how the model is called. They may train in another way.
    """
    names = ("Functional", "Sequential")
    if not subclasses or not model.built:
        return type(model).__name__ in names and model.built
    of_keras: Iterator[Any] = (kind for kind in type(model).__mro__ if kind.__module__.startswith("keras."))
    kind = next((kind for kind in of_keras if kind.__name__ in names), None)
    return kind is not None and type(model).call is kind.call


def functional(model: Any) -> Any:
    """The Functional model inside a built Sequential; any other model itself."""
    return model._functional if isinstance(model, keras.Sequential) else model


def nodes(model: keras.Model) -> list[Any]:
    """Keras's nodes of a model with a graph, in topological order, including those of its inputs."""
    by_depth = functional(model)._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def maker(tensor: Any) -> tuple[Any, Any]:
    """The operation that a symbolic tensor comes from, and the node of its call."""
    history = tensor._keras_history
    return history.operation, history.operation._inbound_nodes[history.node_index]


def node_within(model: keras.Model, operation: Any) -> Any:
    """The node of an operation's last call within a model with a graph; other models can call the operation too."""
    return [node for node in nodes(model) if node.operation is operation][-1]


def last_node(operation: Any) -> Any:
    """The node of an operation's last call."""
    return operation._inbound_nodes[-1]


def input_structure(model: keras.Model) -> Any:
    """The inputs of a model with a graph, nested as they were when it was made."""
    return functional(model)._inputs_struct


def output_structure(model: keras.Model) -> Any:
    """The outputs of a model with a graph, nested as they were when it was made; None for other models."""
    return getattr(functional(model), "_outputs_struct", None)


def called_shapes(model: keras.Model) -> dict[str, Any] | None:
    """The input shapes that a subclassed model was built with; None if it does not keep them."""
    return getattr(model, "_build_shapes_dict", None)


@contextlib.contextmanager
def fresh_names(beside: keras.Model | None = None) -> Iterator[None]:
    """A context in which Keras names new layers as in a new process: the first convolution is ``conv2d`` again.

    Names of layers of the model `beside` are left out, so that it can be extended: Keras does not count the names of
    a model that it reads from a file.
    """
    from keras.src.backend.common import global_state  # private: keras.utils.clear_session would clear more

    counts: defaultdict[str, int] = defaultdict(int)
    for operation in getattr(functional(beside), "operations", ()):
        name, _, number = operation.name.rpartition("_")
        name, number = (name, int(number)) if name and number.isdecimal() else (operation.name, 0)
        counts[name] = max(counts[name], number + 1)
    before = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", counts)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", before)


def inner_layers(layer: Any, *, recursive: bool = True) -> list[Any]:
    """The layers inside a layer or model; `recursive` includes the layers inside these."""
    return list(layer._flatten_layers(include_self=False, recursive=recursive))


def direct_trainable_variables(layer: Any) -> list[Any]:
    """The variables that a layer would train if it were not frozen, without those of the layers inside it."""
    return list(layer._trainable_variables)


def _graph(layer: Any) -> Any:
    """The Functional graph of a model; None for any other layer."""
    graph = functional(layer)
    return graph if isinstance(graph, keras.Model) and hasattr(graph, "_nodes_by_depth") else None


class _Walk:
    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.numbers = count()
        self.used: set[int] = set()

    def through(self, graph: Any, prefix: str, entering: list[int] | None) -> list[int]:
        """Append a graph's calls; `entering` are the outer tensors that a nested graph is called with."""
        numbers: dict[int, int] = {}
        if entering is not None:
            numbers = {id(tensor): number for tensor, number in zip(graph.inputs, entering, strict=True)}
        for node in nodes(graph):
            if node.is_input and entering is not None:
                continue
            inputs = [numbers[id(tensor)] for tensor in node.input_tensors]
            name = f"{prefix}{node.operation.name}"
            nested = _graph(node.operation)
            if nested is not None:
                outputs = self.through(nested, f"{name}/", inputs)
            else:
                outputs = self.append(name, node, inputs)
            numbers.update(zip(map(id, node.output_tensors), outputs, strict=True))
        return [numbers[id(tensor)] for tensor in graph.outputs]

    def append(self, name: str, node: Any, inputs: list[int]) -> list[int]:
        outputs = [next(self.numbers) for _ in node.output_tensors]
        self.calls.append(
            Call(
                name,
                node.operation,
                tuple(inputs),
                tuple(outputs),
                tuple(tuple(tensor.shape[1:]) for tensor in node.input_tensors),
                tuple(tuple(tensor.shape[1:]) for tensor in node.output_tensors),
                tuple(keras.backend.standardize_dtype(tensor.dtype) for tensor in node.output_tensors),
                id(node.operation) not in self.used,
            )
        )
        self.used.add(id(node.operation))
        return outputs
