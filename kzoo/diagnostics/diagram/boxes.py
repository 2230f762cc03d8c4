"""The content of an architecture diagram: boxes, arrows between them, and boxes that repeat."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kzoo.diagnostics.diagram.layer_words import kind_of, shape_words, words_for
from kzoo.introspection.graph import Call, calls

FOLLOWERS = {"normalization", "activation", "regularization"}
PADDED = {"convolution", "pooling"}  # padding before one of these joins its box
LONGEST_PERIOD = 8


@dataclass
class Box:
    """One box.

    Attributes:
        kind: kind of its first layer, see `layer_words`.
        title: its first layer's name.
        words: what its layers do, in order.
        shape: shape of its output.
        parameters: number of trainable parameters; 0 for a layer that is used a second time.
        frozen: number of parameters of layers that are not trained.
        layers: names of all its layers.
    """

    kind: str
    title: str
    words: list[str]
    shape: str
    parameters: int
    frozen: int
    layers: list[str] = field(default_factory=list)

    def signature(self) -> tuple[Any, ...]:
        """Equal for two boxes that look the same except for their names."""
        return (self.kind, tuple(self.words), self.shape, self.parameters, self.frozen)


@dataclass
class Graph:
    """Boxes in topological order, arrows as pairs of their indices, repeated groups as (first, last, times)."""

    boxes: list[Box]
    edges: list[tuple[int, int]]
    groups: list[tuple[int, int, int]] = field(default_factory=list)


def build_graph(model: keras.Model, *, fuse: bool, expand_nested: bool, collapse: bool) -> Graph:
    """The boxes and arrows of a model.

    Args:
        model: Functional or Sequential, built; nested models included.
        fuse: put normalizations, activations and dropout into the box of the layer that they follow, and padding into
            the box of the convolution or pooling layer that it precedes.
        expand_nested: show the layers of nested models instead of one box.
        collapse: show repeated boxes once.

    Raises:
        InputError: the model has no fixed graph.
    """
    graph = _boxes(calls(model), model, expand_nested)
    if fuse:
        graph = _fused(graph)
    return _collapsed(graph) if collapse else graph


def _boxes(steps: list[Call], model: keras.Model, expand_nested: bool) -> Graph:
    boxes: list[Box] = []
    edges: list[tuple[int, int]] = []
    made_by: dict[int, int] = {}
    open_box, inside = "", set[int]()  # the nested model that the last box shows, and its layers so far
    nested: Any = None

    # Each call gets a new box, and so does each use of a nested model that is not expanded.
    for call in steps:
        outer, _, inner = call.name.partition("/")
        if inner and not expand_nested:
            if outer != open_box or id(call.layer) in inside:
                open_box, inside = outer, set()
                nested = model.get_layer(outer)
                boxes.append(Box("model", outer, [type(nested).__name__], "", 0, 0))
            inside.add(id(call.layer))
            box = boxes[-1]
            box.layers.append(call.name)
        else:
            open_box = ""
            boxes.append(Box(kind_of(call.layer), call.name, [_words(call)], "", 0, 0, [call.name]))
            box = boxes[-1]
        shapes: list[Any] = list(call.output_shapes)
        if box.kind == "model" and len(nested.outputs) > 1:
            shapes = [tensor.shape[1:] for tensor in nested.outputs]
        box.shape = ", ".join(map(shape_words, shapes))
        if call.first:
            trainable, frozen = _parameters(call.layer)
            box.parameters += trainable
            box.frozen += frozen

        # Arrows come from the boxes that compute its inputs.
        index = len(boxes) - 1
        for tensor in call.inputs:
            edge = (made_by[tensor], index)
            if edge[0] != index and edge not in edges:
                edges.append(edge)
        made_by.update(dict.fromkeys(call.outputs, index))
    return Graph(boxes, edges)


def _words(call: Call) -> str:
    return words_for(call.layer) if call.first else f"{words_for(call.layer)} (shared)"


def _parameters(layer: Any) -> tuple[int, int]:
    """Numbers of trainable parameters, and of parameters of a frozen layer; operations have none."""
    if not isinstance(layer, keras.Layer):
        return 0, 0
    if not layer.trainable:
        return 0, int(layer.count_params())
    return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables), 0


def _fused(graph: Graph) -> Graph:
    inputs, outputs = neighbours(graph)
    home = list(range(len(graph.boxes)))
    for index, box in enumerate(graph.boxes):
        if len(inputs[index]) != 1 or len(outputs[inputs[index][0]]) != 1:
            continue

        # Merge the words of a follower, or of a layer after its padding, into the box before.
        before = home[inputs[index][0]]
        first = graph.boxes[before]
        if box.kind in FOLLOWERS and first.kind not in ("input", "model"):
            first.words += box.words
        elif box.kind in PADDED and first.words[0].startswith("ZeroPadding"):
            first.kind, first.title = box.kind, box.title
            first.words = [f"{box.words[0]}, padded"]
        else:
            continue

        # The merged box takes over layers, shape and parameters.
        home[index] = before
        first.layers += box.layers
        first.shape = box.shape
        first.parameters += box.parameters
        first.frozen += box.frozen
    return _kept(graph, home)


def _kept(graph: Graph, home: list[int], groups: list[tuple[int, int, int]] | None = None) -> Graph:
    """The graph without the boxes that others replace; `home` gives, for each box, the one that shows it."""
    kept = [index for index, other in enumerate(home) if other == index]
    new = {index: number for number, index in enumerate(kept)}
    edges = {(new[home[a]], new[home[b]]): None for a, b in graph.edges if home[a] < home[b]}
    return Graph(
        [graph.boxes[index] for index in kept],
        list(edges),
        [(new[first], new[last], times) for first, last, times in groups or []],
    )


def neighbours(graph: Graph) -> tuple[list[list[int]], list[list[int]]]:
    """For each box, the boxes with an arrow to it, and the boxes that it has an arrow to."""
    inputs: list[list[int]] = [[] for _ in graph.boxes]
    outputs: list[list[int]] = [[] for _ in graph.boxes]
    for before, after in graph.edges:
        inputs[after].append(before)
        outputs[before].append(after)
    return inputs, outputs


def _collapsed(graph: Graph) -> Graph:
    """Segments lie between boxes that all paths pass through; consecutive equal segments are shown once."""
    segments = _segments(graph)
    signatures = [_signature(graph, *segment) for segment in segments]
    home = list(range(len(graph.boxes)))
    groups = []
    i = 0
    while i < len(segments):
        period, times = _best_repeat(signatures, segments, i)
        if times > 1:
            first, last = segments[i][0], segments[i + period - 1][1]
            end = segments[i + period * times - 1][1]
            size = last - first + 1
            for index in range(last + 1, end + 1):
                home[index] = first + (index - first) % size
                graph.boxes[home[index]].layers += graph.boxes[index].layers
            groups.append((first, last, times))
        i += period * times
    # An arrow from one copy to the next now leads backwards, or exists already: `_kept` leaves both out.
    return _kept(graph, home, groups)


def _segments(graph: Graph) -> list[tuple[int, int]]:
    inputs, outputs = neighbours(graph)
    late = max(index for index, before in enumerate(inputs) if not before)  # the last of the inputs
    reach = 0  # the farthest box that an arrow from an earlier box leads to
    cuts = []
    for index in range(len(graph.boxes)):
        if reach <= index and index >= late:
            cuts.append(index)
        reach = max([reach, *outputs[index]])
    segments, first = [], 0
    for cut in cuts:
        segments.append((first, cut))
        first = cut + 1
    if first < len(graph.boxes):
        segments.append((first, len(graph.boxes) - 1))
    return segments


def _signature(graph: Graph, first: int, last: int) -> tuple[Any, ...]:
    arrows = sorted((a - first, b - first) for a, b in graph.edges if first <= b <= last)
    return (tuple(box.signature() for box in graph.boxes[first : last + 1]), tuple(arrows))


def _best_repeat(signatures: list[Any], segments: list[tuple[int, int]], start: int) -> tuple[int, int]:
    best, saved = (1, 1), 0
    for period in range(1, LONGEST_PERIOD + 1):
        pattern = signatures[start : start + period]
        times = 1
        while signatures[start + period * times : start + period * (times + 1)] == pattern:
            times += 1
        boxes = segments[min(start + period, len(segments)) - 1][1] - segments[start][0] + 1
        if (times - 1) * boxes > saved:
            best, saved = (period, times), (times - 1) * boxes
    return best
