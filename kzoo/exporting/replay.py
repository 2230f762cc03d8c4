"""A model's graph, built again on other inputs, with some of its layers left out or changed.

`keras.models.clone_model` is not used: it changes layers, not calls, and makes new weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kzoo.introspection.graph import functional, has_graph, input_structure, nodes, output_structure

LOW_PRECISION = ("float16", "bfloat16")


@dataclass(frozen=True)
class Change:
    """What becomes of a layer.

    Attributes:
        config: entries of its configuration that are replaced.
        weights: its weights, in the order of `get_weights`; None: those that it has.
    """

    config: Mapping[str, Any]
    weights: list[np.ndarray] | None = None


@dataclass
class Plan:
    """What is to be different.

    Attributes:
        passed: calls that are left out: what goes in is handed on.
        replaced: calls that another function of one tensor stands in for.
        changes: layers that are made differently.
    """

    passed: set[Any] = field(default_factory=set)
    replaced: dict[Any, Callable[[Any], Any]] = field(default_factory=dict)
    changes: dict[Any, Change] = field(default_factory=dict)


class Graph:
    """A Functional or Sequential model's calls and who uses what they give (Keras's nodes and symbolic tensors).

    Attributes:
        model: the model whose graph it is.
        nodes: the calls, each after those that it depends on.
        calls: how often each layer is called.
        dtype: what copies of its layers of lower precision compute in; None: what they do now.
        plan: what is to be different; the methods look through calls that it leaves out.
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
        """The call that a tensor comes from; None for an input."""
        node = self._makers.get(id(tensor))
        while node is not None and node in self.plan.passed:
            node = self._makers.get(id(node.input_tensors[0]))
        return node

    def users(self, tensor: Any) -> list[Any]:
        """The calls that use a tensor, with None for each output of the model that it is."""
        found: list[Any] = [None for output in self.outputs if output is tensor]
        for node in self._users.get(id(tensor), []):
            found += self.users(node.outputs[0]) if node in self.plan.passed else [node]
        return found


def replay(graph: Graph, inputs: list[Any], nested: Callable[[keras.Model], Any]) -> Any:
    """Build a graph again for inference, as its plan says.

    Layers are copied with their weights, so the model stays as it is.

    Args:
        graph: the graph.
        inputs: symbolic tensors, one for each of its inputs.
        nested: gives the copy of a model that is called as a layer and has a graph itself.

    Returns:
        Symbolic tensors in the structure of the model's outputs.
    """
    tensors = {id(old): new for old, new in zip(graph.inputs, inputs, strict=True)}
    copies: dict[Any, Any] = {}
    for node in graph.nodes:
        if node in graph.plan.passed:
            tensors[id(node.outputs[0])] = tensors[id(node.input_tensors[0])]
            continue
        if node in graph.plan.replaced:
            tensors[id(node.outputs[0])] = graph.plan.replaced[node](tensors[id(node.input_tensors[0])])
            continue
        operation = node.operation
        args, kwargs = node.arguments.fill_in(tensors)
        if kwargs.get("training"):
            # Image augmentation says so unasked. `predict` overrules it, an exported file would not.
            kwargs["training"] = False
        whole = isinstance(operation, keras.Model) and has_graph(operation)
        fresh = operation not in copies
        if fresh:
            copies[operation] = nested(operation) if whole else _copy(operation, graph)
        results = copies[operation](*args, **kwargs)
        if fresh and not whole and isinstance(operation, keras.layers.Layer):
            _give_weights(copies[operation], operation, graph.plan.changes.get(operation))
        tensors.update(zip(map(id, node.outputs), keras.tree.flatten(results), strict=True))
    outputs = [tensors[id(tensor)] for tensor in graph.outputs]
    return keras.tree.pack_sequence_as(graph.structure, outputs)


def copy_model(graph: Graph, nested: Callable[[keras.Model], Any]) -> keras.Model:
    """A model of its own from a graph, as its plan says."""
    model = graph.model
    inputs = [keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name) for x in graph.inputs]
    outputs = replay(graph, inputs, nested)
    return keras.Model(keras.tree.pack_sequence_as(input_structure(model), inputs), outputs, name=model.name)


def _copy(operation: Any, graph: Graph) -> Any:
    config = operation.get_config()
    if isinstance(operation, keras.layers.Layer):
        if graph.computes_in(operation) != operation.compute_dtype:
            config["dtype"] = graph.dtype
        if operation in graph.plan.changes:
            config |= graph.plan.changes[operation].config
    return type(operation).from_config(config)


def _give_weights(copy: Any, layer: Any, change: Change | None) -> None:
    weights = change.weights if change is not None else None
    copy.set_weights(layer.get_weights() if weights is None else weights)
    if isinstance(copy, keras.layers.Normalization):
        copy.finalize_state()  # it computes with constants made from its weights
