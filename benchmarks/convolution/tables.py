"""A comparison as tables, for the command line and the docs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.convolution.claims import verdicts
from benchmarks.convolution.compare import Comparison
from benchmarks.convolution.growth import EXPECTED, FIELDS, crossing, exponents, number, ratios
from benchmarks.convolution.measuring import FRAMEWORK
from benchmarks.convolution.points import TITLES

TableRows = tuple[str, Sequence[str], list[list[str]]]
RATIOS, GROWTH, CROSSING, CLAIMS = (
    "ratios at batch 32, 32 channels, 32x32, 3x3",
    "growth of the time: measured exponent (exponent of the cost formula)",
    "sizes from which FFT is faster",
    "claims",
)
MEMORY = "extra memory at batch 32, 32 channels, 32x32, 3x3, beyond the result"


def seconds(value: float | None) -> str:
    """Format a time in a suitable unit."""
    if value is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def size(count: int) -> str:
    """Format a number of bytes in a suitable unit."""
    return f"{count / 2**20:.2f} MiB" if count >= 2**20 else f"{count / 2**10:.1f} KiB"


def times(comparison: Comparison, name: str) -> TableRows:
    """Return a table of the median times along a series."""
    field = comparison.series[name].field
    rows = [
        [str(getattr(row.point, field)), *(seconds(row.seconds(contender)) for contender in comparison.contenders)]
        for row in comparison.along(name)
    ]
    return f"time by {TITLES[name]}", [field, *map(comparison.title, comparison.contenders)], rows


def memory(comparison: Comparison) -> TableRows:
    """Return a table of predicted and measured memory at the standard point."""
    rows = []
    (row,) = comparison.along("standard")
    for algorithm, functions in row.memory.items():
        for function, numbers in functions.items():
            share = f"{numbers['measured'] / numbers['predicted']:.3f}" if numbers["predicted"] else "-"
            words = function.replace("_", " ")
            rows.append([algorithm, words, size(numbers["predicted"]), size(numbers["measured"]), share])
    if row.framework_memory:
        for function, number in row.framework_memory.items():
            words = "forward, with result" if function == "forward" else "forward and backward, with results"
            rows.append([comparison.title(FRAMEWORK), words, "-", size(number), "-"])
    return MEMORY, ["algorithm", "pass", "predicted", "measured", "ratio"], rows


def ratio_rows(comparison: Comparison) -> TableRows:
    """Return a table of the ratios at the standard point."""
    rows = [
        [name, number(value["median"]), f"{number(value['smallest'])} to {number(value['largest'])}"]
        for name, value in ratios(comparison).items()
        if value
    ]
    return RATIOS, ["time / time", "median", "rounds"], rows


def growth_rows(comparison: Comparison) -> TableRows:
    """Return a table of measured and expected exponents."""
    rows = []
    for contender, powers in exponents(comparison).items():
        expected = EXPECTED.get(contender, {})
        cells = []
        for field in FIELDS:
            power = powers[field]
            claim = f" ({expected[field]})" if field in expected else ""
            cells.append("-" if power is None else f"{power:.2f}{claim}")
        rows.append([comparison.title(contender), *cells])
    return GROWTH, ["", *FIELDS], rows


def crossing_rows(comparison: Comparison) -> TableRows:
    """Return a table of the sizes at which FFT becomes faster."""
    rows = []
    others = [name for name in ("im2col", "im2col-blocked", FRAMEWORK) if name in comparison.contenders]
    for name in ("kernel", "dilation", "size", "channels"):
        cells = []
        for other in others:
            crossed = crossing(comparison, name, "fft", other)
            if crossed["from"] is None:
                cells.append("never")
            elif crossed["before"] is None:
                cells.append("always")
            else:
                cells.append(f"between {crossed['before']} and {crossed['from']}, about {crossed['at']:.1f}")
        rows.append([TITLES[name], *cells])
    return CROSSING, ["growing size", *(f"than {comparison.title(name)}" for name in others)], rows


def claim_rows(comparison: Comparison) -> TableRows:
    """Return a table of all claims with their verdicts."""
    rows = [[row.claim, row.source, row.status, row.evidence] for row in verdicts(comparison)]
    return CLAIMS, ["claim", "source", "verdict", "evidence"], rows


def all_tables(comparison: Comparison) -> Iterator[TableRows]:
    """Yield all tables."""
    for name in comparison.series:
        yield times(comparison, name)
    yield ratio_rows(comparison)
    yield memory(comparison)
    yield growth_rows(comparison)
    yield crossing_rows(comparison)
    yield claim_rows(comparison)
