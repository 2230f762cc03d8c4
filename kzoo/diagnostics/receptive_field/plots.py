"""Pictures of effective receptive fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from kzoo.checks import whole
from kzoo.diagnostics.plots import COLORS, SEQUENTIAL, literal, new_figure
from kzoo.diagnostics.receptive_field.effective import EffectiveField
from kzoo.diagnostics.receptive_field.table import FieldRow
from kzoo.errors import InputError

ROOM = 0.03
"""Margin around a field that is larger than the image, as a share of its side."""
_BORDER = "black"


def plot_effective_fields(fields: Sequence[EffectiveField], columns: int = 4, notes: Sequence[str] = ()) -> Figure:
    """Maps side by side, each with its theoretical field (square) and the circle that contains 95% of the mass.

    If the square or the circle is larger than the image, the panel shows all of it, with the image's border inside.

    Args:
        fields: fields to show, one per panel, row by row.
        columns: panels per row.
        notes: a line below each panel's title, or nothing.
    """
    if not fields:
        raise InputError("fields is empty: at least one is needed")

    # One panel without ticks for each field.
    columns = min(columns, len(fields))
    rows = -(-len(fields) // columns)
    figure = new_figure(2.6 * columns, (3.7 if notes else 3.4) * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)

    # Draw each map with its circle and square.
    larger = False
    for number, (axes, field) in enumerate(zip(grid.flat, fields, strict=False)):
        # The square root makes the flanks visible: the middle is up to a thousand times as strong.
        axes.imshow(np.sqrt(field.map), cmap=SEQUENTIAL)
        row, column = field.centre
        axes.add_patch(Circle((column, row), field.radius, fill=False, color="white", linestyle="--"))
        drawn = [(column - field.radius, row - field.radius, 2 * field.radius, 2 * field.radius)]
        size = "whole input"
        if field.theoretical is not None:
            height, width = field.theoretical
            size = f"{height}x{width}"
            (top, bottom), (left, right) = field.reached
            corner = (left + right - width) / 2, (top + bottom - height) / 2
            axes.add_patch(Rectangle(corner, width, height, fill=False, color=COLORS[1], linewidth=1.5))
            drawn.append((*corner, width, height))
        larger |= _show_whole(axes, field.map.shape, drawn)
        axes.set_title(literal(f"{field.model}\n{field.layer}"), fontsize=9)
        text = f"exact {size}, 95% radius {field.radius:.1f}, deviation {field.deviation:.1f}"
        axes.set_xlabel("\n".join([text.replace(", 95", "\n95"), *notes[number : number + 1]]), fontsize=9)

    # One legend for all panels.
    marks = [
        Rectangle((0, 0), 1, 1, fill=False, color=COLORS[1], label="theoretical field"),
        Circle((0, 0), 1, fill=False, color="grey", linestyle="--", label="95% of the gradient"),
    ]
    if larger:
        marks.append(Rectangle((0, 0), 1, 1, fill=False, color=_BORDER, linestyle=":", label="the image's border"))
    figure.legend(handles=marks, loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return figure


def _show_whole(axes: Axes, shape: tuple[int, ...], drawn: Sequence[tuple[float, float, float, float]]) -> bool:
    """Widen a panel's limits to all that is drawn; if that extends beyond the image, draw the image's border.

    Returns:
        Whether something extends beyond the image.
    """
    height, width = shape
    left, top = (min(-0.5, *(box[axis] for box in drawn)) for axis in (0, 1))
    right = max(width - 0.5, *(box[0] + box[2] for box in drawn))
    bottom = max(height - 0.5, *(box[1] + box[3] for box in drawn))
    if (left, top, right, bottom) == (-0.5, -0.5, width - 0.5, height - 0.5):
        return False
    # A small margin keeps lines at the edge whole; on grey, the white circle is visible.
    room = ROOM * max(right - left, bottom - top)
    axes.set(xlim=(left - room, right + room), ylim=(bottom + room, top - room), facecolor="0.8")
    axes.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, color=_BORDER, linestyle=":", linewidth=1.5))
    return True


def plot_field_table(rows: Sequence[FieldRow], at_most: int = 12) -> Figure:
    """The effective fields of a table's layers; if there are more than `at_most`, evenly spaced ones up to the last.

    Raises:
        InputError: no field was measured, or `at_most` is not positive.
    """
    measured = [row.effective for row in rows if row.effective is not None]
    if not measured:
        raise InputError("rows has no effective field: none was measured")
    shown = min(whole("at_most", at_most), len(measured))
    indices = np.unique(np.linspace(0, len(measured) - 1, shown).round().astype(int))
    return plot_effective_fields([measured[index] for index in indices])
