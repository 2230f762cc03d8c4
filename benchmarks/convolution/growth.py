"""Evaluate a comparison: growth along a field, ratios, and where one algorithm overtakes another."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import median
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.convolution.compare import Comparison, Measured

# The exponents of each field in the cost formulas, for large convolutions.
EXPECTED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "loops": {"batch": "1", "channels": "2", "size": "2", "kernel": "2", "dilation": "0"},
        "correlate2d": {"batch": "1", "channels": "2", "size": "2", "kernel": "2", "dilation": "2"},
        "im2col": {"batch": "1", "channels": "1 to 2", "size": "2", "kernel": "2", "dilation": "0"},
        "im2col-blocked": {"batch": "1", "channels": "1 to 2", "size": "2", "kernel": "2", "dilation": "0"},
        "fft": {"batch": "1", "channels": "1 to 2", "size": "2", "kernel": "0", "dilation": "0"},
    }
)
FIELDS = ("batch", "channels", "size", "kernel", "dilation")


def curve(comparison: Comparison, name: str, contender: str, kind: str = "total") -> tuple[list[int], list[float]]:
    """Return the values of a series and a contender's median seconds, where it was timed."""
    field = comparison.series[name].field
    rows = [(getattr(row.point, field), row.seconds(contender, kind)) for row in comparison.along(name)]
    known = [(value, seconds) for value, seconds in rows if seconds is not None]
    return [value for value, _ in known], [seconds for _, seconds in known]


def exponent(values: list[int], seconds: list[float]) -> float | None:
    """Return the exponent with which seconds grow with the values, the slope of a least-squares line in logarithms.

    It uses the larger half of the points, at least three, because the cost of a call dominates small convolutions. None
    for fewer points.
    """
    if len(values) < 3:
        return None
    count = max(3, math.ceil(len(values) / 2))
    slope, _ = np.polyfit(np.log(values[-count:]), np.log(seconds[-count:]), 1)
    return float(slope)


def exponents(comparison: Comparison) -> dict[str, dict[str, float | None]]:
    """Return the exponents by contender and field."""
    return {
        contender: {field: exponent(*curve(comparison, field, contender)) for field in FIELDS}
        for contender in comparison.contenders
    }


def crossing(comparison: Comparison, name: str, winner: str, loser: str) -> dict[str, Any]:
    """Return where `winner` becomes faster than `loser` until the end of a series.

    Returns:
        ``from``: the first value from which it is always faster, None if it never is; ``before``: the last value at
        which it is not, None if there is none; ``at``: the value between them where the lines through the logarithms
        cross.
    """
    field = comparison.series[name].field
    rows = [
        (getattr(row.point, field), median(ratios))
        for row in comparison.along(name)
        if (ratios := row.ratios(loser, winner))
    ]
    first = len(rows)
    while first > 0 and rows[first - 1][1] > 1:
        first -= 1
    result: dict[str, Any] = {"from": None, "before": None, "at": None}
    if first < len(rows):
        result["from"] = rows[first][0]
    if first > 0:
        result["before"] = rows[first - 1][0]
    if 0 < first < len(rows):
        (low, under), (high, over) = rows[first - 1], rows[first]
        share = math.log(1 / under) / math.log(over / under)
        result["at"] = math.exp(math.log(low) + share * math.log(high / low))
    return result


def number(value: float) -> str:
    """Format a ratio with three digits."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def standard(comparison: Comparison) -> Measured:
    """Return the standard point."""
    return comparison.along("standard")[0]


def ratio(values: list[float]) -> dict[str, float] | None:
    """Return the median, smallest and largest ratio of the rounds."""
    return {"median": median(values), "smallest": min(values), "largest": max(values)} if values else None


def ratios(comparison: Comparison) -> dict[str, dict[str, float] | None]:
    """Return the ratios at the standard point, forward and backward, by ``"slower / faster"``."""
    from benchmarks.convolution.measuring import FRAMEWORK

    row = standard(comparison)
    pairs = [("loops", "im2col-blocked"), ("loops", "im2col"), ("correlate2d", "im2col-blocked")]
    pairs += [("im2col", "im2col-blocked"), ("fft", "im2col-blocked")]
    pairs += [(name, FRAMEWORK) for name in ("im2col-blocked", "im2col", "fft", "correlate2d")]
    return {
        f"{comparison.title(slower)} / {comparison.title(faster)}": ratio(row.ratios(slower, faster))
        for slower, faster in pairs
    }
