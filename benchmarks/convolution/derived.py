"""The results of a comparison as plain data: growth, ratios, crossings and verdicts."""

from __future__ import annotations

from typing import Any

from benchmarks.convolution.claims import verdicts
from benchmarks.convolution.compare import Comparison
from benchmarks.convolution.growth import crossing, exponents, ratios


def derived(comparison: Comparison) -> dict[str, Any]:
    """Return everything that is computed from the measurement, as plain data."""
    names = ("kernel", "dilation", "size", "channels")
    return {
        "exponents": exponents(comparison),
        "ratios": ratios(comparison),
        "fft_overtakes": {
            other: {name: crossing(comparison, name, "fft", other) for name in names}
            for other in ("im2col", "im2col-blocked")
        },
        "claims": [finding.to_dict() for finding in verdicts(comparison)],
    }
