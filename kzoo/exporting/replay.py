"""Rebuilds a model's graph on other inputs, with some layers left out or changed.

`keras.models.clone_model` is not used: it changes layers, not calls, and makes new weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError, first_line
from kzoo.introspection.graph import fresh_names, functional, has_graph, input_structure, nodes, output_structure
from kzoo.introspection.layers import give_weights

LOW_PRECISION = ("float16", "bfloat16")


@dataclass(frozen=True)
class Change:
    """Changes of one layer.

    Attributes:
        config: entries of its configuration to replace.
        weights: its new weights, in the order of `get_weights`; None keeps the present weights.
    """

    config: Mapping[str, Any]
    weights: list[np.ndarray] | None = None


@dataclass
class Plan:
    """Changes of a graph.

    Attributes:
        passed: calls to leave out; their input is passed on.
        replaced: functions of one tensor, by the call that each replaces.
        changes: changes by layer.
        names: new names by layer.
    """

    passed: set[Any] = field(default_factory=set)
    replaced: dict[Any, Callable[[Any], Any]] = field(default_factory=dict)
    changes: dict[Any, Change] = field(default_factory=dict)
    names: dict[Any, str] = field(default_factory=dict)


class Graph:
    """Calls of a Functional or Sequential model, and the users of their outputs (Keras's nodes and symbolic tensors).

    Attributes:
        model: the model of the graph.
        nodes: the calls, each after the calls that it depends on.
        calls: number of calls of each layer.
        dtype: type in which copies of low-precision layers compute; None keeps the layers' types.
        plan: changes to make; `maker` and `users` skip the calls that it leaves out.
    """

    def __init__(self, model: keras.Model, dtype: str | None = None) -> None:
        """Read a model for which `has_graph` is true."""
        self.model, self.dtype = model, dtype
        graph = functional(model)
        self.nodes = [node for node in nodes(model) if not node.is_input]
        self.calls = Counter(node.operation for node in self.nodes)
        self.inputs, self.outputs = list(graph.inputs), list(graph.outputs)
        self.structure = output_structure(model)
        self.plan = Plan()
        self._makers = {id(tensor): node for node in self.nodes for tensor in node.outputs}
        self._users: dict[int, list[Any]] = {}
        for node in self.nodes:
            for tensor in node.input_tensors:
                self._users.setdefault(id(tensor), []).append(node)

    def computes_in(self, layer: Any) -> str:
        """The type that a layer's copy computes in."""
        if self.dtype is not None and layer.compute_dtype in LOW_PRECISION:
            return self.dtype
        return str(layer.compute_dtype)

    def maker(self, tensor: Any) -> Any:
        """The call that returns a tensor; None for an input."""
        node = self._makers.get(id(tensor))
        while node is not None and node in self.plan.passed:
            node = self._makers.get(id(node.input_tensors[0]))
        return node

    def users(self, tensor: Any) -> list[Any]:
        """The calls that use a tensor, plus a None for each time that it is an output of the model."""
        calls: list[Any] = [None for output in self.outputs if output is tensor]
        for node in self._users.get(id(tensor), []):
            calls += self.users(node.outputs[0]) if node in self.plan.passed else [node]
        return calls


def replay(graph: Graph, inputs: list[Any], nested: Callable[[keras.Model], Any]) -> Any:
    """Rebuild a graph for inference, with the changes of its plan.

    Layers are copied with their weights, so the model stays as it is.

    Returns:
        Symbolic tensors in the structure of the model's outputs.

    Raises:
        InputError: a layer cannot be copied.
    """
    tensors = {id(old): new for old, new in zip(graph.inputs, inputs, strict=True)}
    copies: dict[Any, Any] = {}
    for node in graph.nodes:
        # Leave the call out, or replace it with a function.
        if node in graph.plan.passed:
            tensors[id(node.outputs[0])] = tensors[id(node.input_tensors[0])]
            continue
        if node in graph.plan.replaced:
            tensors[id(node.outputs[0])] = graph.plan.replaced[node](tensors[id(node.input_tensors[0])])
            continue

        # Otherwise repeat the call on a copy of its layer.
        operation = node.operation
        args, kwargs = node.arguments.fill_in(tensors)
        if kwargs.get("training"):
            # Image augmentation can set it. `predict` overrides it; an exported file would not.
            kwargs["training"] = False
        whole = isinstance(operation, keras.Model) and has_graph(operation, subclasses=True)
        is_new = operation not in copies
        if is_new:
            copies[operation] = nested(operation) if whole else _copy(operation, graph)
            copies[operation].name = graph.plan.names.get(operation, copies[operation].name)
        results = copies[operation](*args, **kwargs)
        if is_new and not whole and isinstance(operation, keras.layers.Layer):
            _give_weights(copies[operation], operation, graph.plan.changes.get(operation))
        tensors.update(zip(map(id, node.outputs), keras.tree.flatten(results), strict=True))
    outputs = [tensors[id(tensor)] for tensor in graph.outputs]
    return keras.tree.pack_sequence_as(graph.structure, outputs)


def copy_model(graph: Graph, nested: Callable[[keras.Model], Any]) -> keras.Model:
    """A separate model from a graph, with the changes of its plan."""
    model = graph.model
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in graph.inputs]
    with fresh_names(beside=model):
        outputs = replay(graph, inputs, nested)
    return keras.Model(keras.tree.pack_sequence_as(input_structure(model), inputs), outputs, name=model.name)


def _copy(operation: Any, graph: Graph) -> Any:
    try:
        config = operation.get_config()
    except NotImplementedError as error:
        raise _uncopied(operation, error) from None
    if isinstance(operation, keras.layers.Layer):
        if graph.computes_in(operation) != operation.compute_dtype:
            config["dtype"] = graph.dtype
        if operation in graph.plan.changes:
            config |= graph.plan.changes[operation].config
    try:
        return type(operation).from_config(config)
    except (TypeError, ValueError) as error:
        # Keras finds only its own functions by name: set others, such as TensorFlow's, on the copy.
        function = getattr(operation, "activation", None)
        if not callable(function) or not isinstance(config.get("activation"), Mapping):
            raise _uncopied(operation, error) from None
    try:
        copy = type(operation).from_config({**config, "activation": None})
    except (TypeError, ValueError) as error:
        raise _uncopied(operation, error) from None
    copy.activation = function
    return copy


def _uncopied(operation: Any, error: Exception) -> InputError:
    return InputError(
        f"layer {operation.name!r} cannot be copied ({first_line(error)}): give its class a get_config() and a "
        "from_config(), or use a layer of Keras in its place"
    )


def _give_weights(copy: Any, layer: Any, change: Change | None) -> None:
    weights = change.weights if change is not None else None
    give_weights(copy, layer.get_weights() if weights is None else weights)
