"""A picture of the effective fields of report d's LeNets, with the report's values next to the exact ones."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from kzoo.diagnostics.receptive_field.effective import EffectiveField
from kzoo.diagnostics.receptive_field.plots import plot_effective_fields
from kzoo.diagnostics.receptive_field.report_d import report_d_side


def plot_lenet_fields(fields: dict[str, list[EffectiveField]], layers: Sequence[int] = (1, 2, 3, 4)) -> Figure:
    """The result of `lenet_fields`, a row for each reduction, with report d's values next to the exact ones.

    The report says that pooling does not change the field of the convolutions, and that dilation makes it ``(2 ** (rate
    / 2 + 2) - 1) ** 2`` pixels.
    """
    notes = []
    for reduction in fields:
        for blocks in layers:
            if reduction == "dilated":
                side = report_d_side(blocks + 1)
                notes.append(f"report d: {side:.1f}x{side:.1f} at rate {blocks + 1}")
            else:
                side = 1 + 2 * blocks
                notes.append(f"report d: {side}x{side}, unchanged" if reduction != "strided" else "")
    return plot_effective_fields([field for row in fields.values() for field in row], len(layers), notes)
