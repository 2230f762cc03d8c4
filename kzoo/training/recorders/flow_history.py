"""Gradient flow over the epochs of a run, as a record keeps it (no Keras)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kzoo.errors import InputError
from kzoo.introspection.depth import first_last_ratio, layer_factor
from kzoo.lazy import np


@dataclass(frozen=True)
class FlowHistory:
    """Gradient flow over epochs; epoch 0 is before training.

    Attributes:
        layers: paths of the layers with a kernel, first layer first.
        epochs: the epochs after which it was measured.
        gradients: mean absolute gradient, float64 (epochs, layers).
        update_ratio: mean absolute change of the kernel by the last step of the epoch, divided by the kernel's mean
            absolute value before that step, float64 (epochs, layers); NaN at epoch 0.
    """

    layers: tuple[str, ...]
    epochs: tuple[int, ...]
    gradients: np.ndarray
    update_ratio: np.ndarray

    def of(self, layers: Sequence[str]) -> FlowHistory:
        """The part of the given layers; earlier versions measured more, such as the slopes of PReLU."""
        kept = [i for i, layer in enumerate(self.layers) if layer in layers]
        names = tuple(self.layers[i] for i in kept)
        return FlowHistory(names, self.epochs, self.gradients[:, kept], self.update_ratio[:, kept])

    def with_epoch(self, epoch: int, gradients: np.ndarray, update_ratio: np.ndarray) -> FlowHistory:
        """A copy with one more epoch."""
        return FlowHistory(
            self.layers,
            (*self.epochs, epoch),
            np.vstack([self.gradients, gradients]),
            np.vstack([self.update_ratio, update_ratio]),
        )

    def table(self) -> str:
        """The first and the last epoch as text: a line for each layer, then a summary."""
        ends = [0, len(self.epochs) - 1] if len(self.epochs) > 1 else [0]
        width = max(map(len, ("first / last layer", *self.layers)))
        heads = ["before training" if self.epochs[i] == 0 else f"epoch {self.epochs[i]}" for i in ends]
        lines = [f"{'layer':<{width}}" + "".join(f"{head:>17}" for head in heads) + f"{'update ratio':>15}"]
        for j, layer in enumerate(self.layers):
            values = "".join(f"{self.gradients[i, j]:>17.2e}" for i in ends)
            lines.append(f"{layer:<{width}}{values}{self.update_ratio[-1, j]:>15.2e}")
        for name, summary in (("first / last layer", first_last_ratio), ("factor a layer", layer_factor)):
            values = "".join(f"{summary(self.gradients[i]):>17.3g}" for i in ends)
            lines.append(f"{name:<{width}}{values}")
        return "\n".join(lines)

    def to_dict(self, digits: int = 4) -> dict[str, Any]:
        """As JSON data, rounded to `digits` significant digits; values that are not finite become None."""
        return {
            "layers": list(self.layers),
            "epochs": list(self.epochs),
            "gradients": [[rounded(value, digits) for value in epoch] for epoch in self.gradients],
            "update_ratio": [[rounded(value, digits) for value in epoch] for epoch in self.update_ratio],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FlowHistory:
        """The history that `to_dict` wrote.

        Raises:
            InputError: fields are missing or their sizes do not agree.
        """
        try:
            layers, epochs = tuple(data["layers"]), tuple(data["epochs"])
            tables = [np.array(data[key], np.float64) for key in ("gradients", "update_ratio")]
        except (KeyError, TypeError, ValueError):
            raise InputError("gradient_flow must have layers, epochs, gradients and update_ratio") from None
        shape = (len(epochs), len(layers))
        tables = [table.reshape(shape) if table.size == 0 else table for table in tables]
        if any(table.shape != shape for table in tables):
            raise InputError(f"gradient_flow must have tables of {shape[0]} epochs by {shape[1]} layers")
        return cls(layers, epochs, *tables)


def recorded_flow(record: Any) -> Mapping[str, Any] | None:
    """The gradient flow of a record; None if it has none, or holds no measurement (early records of a failed probe)."""
    flow: Mapping[str, Any] | None = getattr(record, "gradient_flow", None)
    return flow if flow and flow.get("layers") and flow.get("epochs") else None


def rounded(value: float, digits: int) -> float | None:
    """A number with this many significant digits, as records hold it; None if it is not finite."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None
