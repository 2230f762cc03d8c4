"""How a value per layer changes with depth (no Keras)."""

from __future__ import annotations

from typing import Any

from kzoo.lazy import np


def first_last_ratio(mean_abs: Any) -> float:
    """First divided by last; infinite if only the last is 0, nan if both are."""
    first, last = float(mean_abs[0]), float(mean_abs[-1])
    if last == 0:
        return float("nan") if first == 0 else float("inf")
    return first / last


def layer_factor(mean_abs: Any) -> float:
    """The factor by which the gradient changes on its way back through one layer.

    It is 10 to the power of minus the slope of a straight line, fitted by least squares to log10 of the layers' mean
    absolute gradients over their positions. Below 1, gradients shrink towards the first layer; above 1, they grow.
    Layers whose gradient is 0 or not finite are left out; if fewer than two remain, the factor is nan.
    """
    values = np.asarray(mean_abs, np.float64)
    positions = np.flatnonzero((values > 0) & np.isfinite(values))
    if len(positions) < 2:
        return float("nan")
    return factor_per_step(-positions, values[positions])


def factor_per_step(positions: np.ndarray, values: np.ndarray) -> float:
    """The factor from one position to the next: a least-squares fit to the logarithms of two or more values > 0."""
    return float(np.exp(np.polyfit(positions, np.log(values), 1)[0]))
