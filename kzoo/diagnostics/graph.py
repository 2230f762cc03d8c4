"""A Keras model as a list of layer calls, with the models nested in it unfolded."""

from __future__ import annotations

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
        name: the layer's name; inside a nested model, after the latter's name and a slash.
        layer: the layer or operation.
        inputs: numbers of the tensors that go in; none for an input of the model.
        outputs: numbers of the tensors that come out.
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
    """All calls, each after those whose tensors it uses.

    Raises:
        InputError: the model has no fixed graph: it is an unbuilt Sequential, or a subclass with its own `call`.
    """
    graph = _graph(model)
    if graph is None:
        kind = "is a Sequential without an input shape" if isinstance(model, keras.Sequential) else "has no fixed graph"
        raise InputError(f"model {getattr(model, 'name', model)!r} {kind}: build it, or give a Functional model")
    walk = _Walk()
    walk.through(graph, "", None)
    return walk.calls


def _graph(layer: Any) -> Any:
    """The Functional graph of a model; None for any other layer."""
    if isinstance(layer, keras.Sequential):
        return layer._functional
    return layer if isinstance(layer, keras.Model) and hasattr(layer, "_nodes_by_depth") else None


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
        # Keras offers no public way to the calls of a shared layer; these attributes are what model.summary uses.
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
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
