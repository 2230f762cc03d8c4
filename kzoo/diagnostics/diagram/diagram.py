"""Architecture diagrams as SVG, drawn without the graphviz program (which keras.utils.plot_model needs)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import keras
import numpy as np

from kzoo.diagnostics.diagram.boxes import build_graph
from kzoo.diagnostics.diagram.layout import lay_out
from kzoo.diagnostics.diagram.svg import HEADING, draw
from kzoo.diagnostics.diagram.text import box_lines, box_size, shortened
from kzoo.diagnostics.plots import check_output, write_output
from kzoo.errors import InputError
from kzoo.notebook import Svg

Detail = Literal["blocks", "layers"]


def architecture_diagram(
    model: keras.Model, *, detail: Detail = "blocks", expand_nested: bool = False, collapse: bool | None = None
) -> str:
    """A model as a diagram: boxes from top to bottom, with shortcuts at the side.

    A box shows the first layer's name, what its layers do, its output's shape without the batch, and its trainable
    parameters. Pointing at it shows the names of all its layers.

    Args:
        model: any Functional or Sequential Keras model, built.
        detail: ``"blocks"`` puts normalization, activation and dropout into the box of the layer that they follow,
            and padding into the box of the layer that it precedes; ``"layers"`` gives every layer a box.
        expand_nested: show the layers of nested models; otherwise each is one box.
        collapse: show consecutive boxes that are equal except for their names once, in a frame that says how often they
            repeat. By default only for ``"blocks"``.

    Returns:
        An SVG document, as text; a notebook shows it as a picture.

    Raises:
        InputError: the model has no fixed graph (not built, or a subclass with a custom `call`).

    Example:
        >>> kzoo.architecture_diagram(model)[:4]
        '<svg'
    """
    if detail not in ("blocks", "layers"):
        raise InputError(f"detail must be 'blocks' or 'layers', not {detail!r}")
    fuse = detail == "blocks"
    graph = build_graph(model, fuse=fuse, expand_nested=expand_nested, collapse=fuse if collapse is None else collapse)
    lines = [box_lines(box) for box in graph.boxes]
    trainable = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    drawing = draw(
        shortened(model.name, HEADING, bold=True, widest=800),
        f"{trainable:,} trainable of {model.count_params():,} parameters",
        graph,
        lines,
        lay_out(graph, [box_size(text) for text in lines]),
    )
    return Svg(drawing)


def save_diagram(
    model: keras.Model,
    path: str | Path,
    overwrite: bool = False,
    *,
    detail: Detail = "blocks",
    expand_nested: bool = False,
    collapse: bool | None = None,
) -> Path:
    """Save `architecture_diagram` to a file whose name ends in ``.svg``.

    Raises:
        InputError: the suffix is not ``.svg``, the folder does not exist, the file exists, or the model has no fixed
            graph.

    Example:
        >>> kzoo.save_diagram(model, "network.svg").name
        'network.svg'
    """
    path = check_output(path, overwrite=overwrite, suffixes=(".svg",))
    text = architecture_diagram(model, detail=detail, expand_nested=expand_nested, collapse=collapse)
    return write_output(path, text.encode())
