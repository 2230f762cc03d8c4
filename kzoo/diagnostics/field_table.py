"""Receptive fields layer by layer: exact, by report d's account, and effective; and report d's LeNets side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kzoo.diagnostics.effective_field import EffectiveField, effective_field, mean_field, plot_effective_fields
from kzoo.diagnostics.graph import Call, calls
from kzoo.diagnostics.receptive_field import receptive_fields, report_d_side
from kzoo.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_WINDOWS = ("Conv", "Pooling")
LENET_SIZE = 64
"""Side of the images that `lenet_fields` measures on: none of the fields is cut off."""


@dataclass(frozen=True)
class FieldRow:
    """One layer with a known field.

    Attributes:
        name: the layer's path.
        type: its class.
        output_shape: of one image's output.
        exact: rows and columns of the theoretical field.
        report_d: what report d says they are: its formula at a dilated convolution, the field before it at a pooling
            ("does not change"); None elsewhere.
        effective: measured; None where it was not.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    exact: tuple[int, ...]
    report_d: tuple[float, ...] | None
    effective: EffectiveField | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; the effective field by its figures, in pixels."""
        found = self.effective
        return {
            "name": self.name,
            "type": self.type,
            "output_shape": list(self.output_shape),
            "exact": list(self.exact),
            "report_d": None if self.report_d is None else list(self.report_d),
            "effective": found and {key: getattr(found, key) for key in ("radius", "deviation", "size")},
        }


def field_table(
    model: keras.Model,
    *,
    effective: bool = True,
    count: int = 8,
    image_size: int | None = None,
    seed: int = 0,
    progress: Callable[[str], object] = lambda name: None,
) -> list[FieldRow]:
    """The fields of all layers that have a known one.

    Args:
        model: Functional or built Sequential; nested models are unfolded.
        effective: whether to measure those of convolutions and poolings as well, which takes a pass through the model
            for each.
        count: see `kzoo.diagnostics.effective_field.effective_field`, as for the two following.
        image_size: side of the random images.
        seed: of the random images.
        progress: called with each layer's name before it is measured.

    Raises:
        InputError: the model has no fixed graph, or see `effective_field`.
    """
    steps = calls(model)
    fields = receptive_fields(steps)
    exact = {step.outputs[0]: field for step, field in zip(steps, fields, strict=True)}
    rows = []
    for step, field in zip(steps, fields, strict=True):
        kind = type(step.layer).__name__
        if field is None or not step.inputs:
            continue
        measured = None
        if effective and len(field) == 2 and any(word in kind for word in _WINDOWS):
            progress(step.name)
            measured = effective_field(model, step.name, count=count, image_size=image_size, seed=seed)
        before = exact.get(step.inputs[0])
        rows.append(FieldRow(step.name, kind, step.output_shapes[0], field, _report_d(step, kind, before), measured))
    return rows


def _report_d(step: Call, kind: str, before: tuple[int, ...] | None) -> tuple[float, ...] | None:
    if "Pooling" in kind:
        return before
    rates = getattr(step.layer, "dilation_rate", 1)
    rates = (rates,) * len(step.output_shapes[0][:-1]) if isinstance(rates, int) else tuple(rates)
    return tuple(map(report_d_side, rates)) if max(rates) > 1 else None


def plot_field_table(rows: Sequence[FieldRow], at_most: int = 12) -> Figure:
    """The effective fields of a table's layers, evenly chosen where there are more than `at_most`, the last included.

    Raises:
        InputError: none was measured.
    """
    measured = [row.effective for row in rows if row.effective is not None]
    if not measured:
        raise InputError("rows has no effective field: none was measured")
    places = np.unique(np.linspace(0, len(measured) - 1, min(at_most, len(measured))).round().astype(int))
    return plot_effective_fields([measured[place] for place in places])


def lenet_fields(
    reductions: Sequence[str] = ("average", "dilated"),
    layers: Sequence[int] = (1, 2, 3, 4),
    *,
    draws: int = 5,
    count: int = 8,
    seed: int = 0,
) -> dict[str, list[EffectiveField]]:
    """Effective fields of report d's LeNets before their classifier, by reduction, one for each number of layers.

    Args:
        reductions: see `kzoo.LeNet`.
        layers: numbers of blocks.
        draws: of initial weights, over which the mean is taken.
        count: random images for each of them.
        seed: of the first draw and its images.
    """
    from kzoo.models.lenet import LeNet

    def field(reduction: str, blocks: int, draw: int) -> EffectiveField:
        keras.utils.set_random_seed(draw)
        model = LeNet(
            layers=blocks,
            reduction=reduction,
            include_top=False,
            input_shape=(LENET_SIZE, LENET_SIZE, 1),
            name=f"lenet{blocks}-{reduction}",
        )
        return effective_field(model, model.layers[-1].name, count=count, seed=draw)

    return {
        reduction: [
            mean_field([field(reduction, blocks, draw) for draw in range(seed, seed + draws)]) for blocks in layers
        ]
        for reduction in reductions
    }


def plot_lenet_fields(fields: dict[str, list[EffectiveField]], layers: Sequence[int] = (1, 2, 3, 4)) -> Figure:
    """What `lenet_fields` gives, a row for each reduction, with report d's figures beside the exact ones.

    The report holds that pooling does not change the field, which leaves that of the convolutions, and that dilation
    makes it ``(2 ** (rate / 2 + 2) - 1) ** 2`` pixels.
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
