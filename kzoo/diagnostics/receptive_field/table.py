"""Receptive fields layer by layer: exact, according to report d, and effective."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from kzoo.diagnostics.receptive_field.effective import EffectiveField, effective_field
from kzoo.diagnostics.receptive_field.report_d import report_d_side
from kzoo.introspection.graph import Call, calls
from kzoo.introspection.receptive_field import receptive_fields

_WINDOWS = ("Conv", "Pooling")


@dataclass(frozen=True)
class FieldRow:
    """One layer with a known field.

    Attributes:
        name: the layer's path.
        type: its class.
        output_shape: shape of one image's output.
        exact: rows and columns of the theoretical field.
        report_d: the field according to report d: its formula for a dilated convolution, the previous field for pooling
            ("does not change"); None for other layers.
        effective: the measured field; None if it was not measured.
    """

    name: str
    type: str
    output_shape: tuple[int | None, ...]
    exact: tuple[int, ...]
    report_d: tuple[float, ...] | None
    effective: EffectiveField | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; the effective field as numbers, in pixels."""
        effective = self.effective
        return {
            "name": self.name,
            "type": self.type,
            "output_shape": list(self.output_shape),
            "exact": list(self.exact),
            "report_d": None if self.report_d is None else list(self.report_d),
            "effective": effective and {key: getattr(effective, key) for key in ("radius", "deviation", "size")},
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
    """The fields of all layers whose field is known.

    Args:
        model: Functional or built Sequential; nested models are unfolded.
        effective: whether to measure the effective fields of convolutions and pooling layers too, with one pass through
            the model for each.
        count: number of random images; see `kzoo.diagnostics.receptive_field.effective.effective_field`.
        image_size: side of the random images.
        seed: seed of the random images.
        progress: called with each layer's name before it is measured.

    Raises:
        InputError: the model has no fixed graph, or as for `effective_field`.
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
