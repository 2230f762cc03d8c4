"""The reports' claims about the algorithms, each with a verdict computed from one comparison.

One of two times counts as longer if the median over rounds of their ratio differs from 1 by more than 5%, and at least
four fifths of the rounds are on the same side of 1; otherwise the verdict is "not enough runs". A claim about several
convolutions must hold for each of them. A formula holds if all values are within the stated margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.convolution.compare import Comparison, Measured
from benchmarks.convolution.growth import crossing, number, standard
from benchmarks.convolution.measuring import FRAMEWORK
from kzoo.convolution.fft import transform_sizes

Status = Literal["holds", "does not hold", "not enough runs"]  # the same words as in kzoo.studies
DIFFERENCE = 1.05
AGREEING = 0.8
COUNTED = 10**6  # bytes: smaller results are left out, because even a single map is large in comparison
LITTLE = 100_000  # bytes: Python's objects take less


@dataclass(frozen=True)
class Finding:
    """One claim and its verdict.

    Attributes:
        claim: the claim in our words.
        source: the report and its section.
        status: ``"holds"``, ``"does not hold"`` or ``"not enough runs"``.
        evidence: the measured values behind the verdict.
    """

    claim: str
    source: str
    status: Status
    evidence: str

    def to_dict(self) -> dict[str, str]:
        """Return plain data for JSON."""
        return {"claim": self.claim, "source": self.source, "status": self.status, "evidence": self.evidence}


Answer = tuple[Status, str]


def longer(ratios: Sequence[float]) -> Status:
    """Return whether the first of two algorithms took longer, from the ratios of the rounds."""
    if not ratios:
        return "not enough runs"
    middle = median(ratios)
    agreeing = sum((ratio > 1) == (middle > 1) for ratio in ratios) / len(ratios)
    if 1 / DIFFERENCE <= middle <= DIFFERENCE or agreeing < AGREEING:
        return "not enough runs"
    return "holds" if middle > 1 else "does not hold"


def every(statuses: Iterable[Status]) -> Status:
    """Return the status of a claim about all of several convolutions."""
    each = list(statuses)
    if "does not hold" in each:
        return "does not hold"
    return "holds" if each and all(status == "holds" for status in each) else "not enough runs"


def some(statuses: Iterable[Status]) -> Status:
    """Return the status of a claim about at least one of several convolutions."""
    each = list(statuses)
    if "holds" in each:
        return "holds"
    return "does not hold" if each and all(status == "does not hold" for status in each) else "not enough runs"


def _within(values: Sequence[float], margin: float) -> Status:
    if not values:
        return "not enough runs"
    return "holds" if all(abs(value - 1) <= margin for value in values) else "does not hold"


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}" if values else "not measured"


def _compared(measured: Measured, slower: str, faster: str) -> str:
    ratios = measured.ratios(slower, faster)
    return f"{slower} / {faster} {number(median(ratios))}" if ratios else f"{slower} or {faster} left out"


def _three_loops(comparison: Comparison) -> Answer:
    ratios = []
    for name in ("batch", "channels"):
        for row in comparison.along(name):
            calls = row.point.batch * row.point.channels**2
            seconds = row.times.get("correlate2d", {}).get("total", [])
            # Round by round, because a processor's speed changes between rounds.
            if calls >= 64 and len(seconds) >= 3:
                pairs = zip(seconds, row.pair["total"], strict=False)
                ratios.append(median(together / (calls * single) for together, single in pairs))
    text = f"measured / (B F_out F_in T), forward and backward, T timed on its own: {_range(ratios)}"
    return _within(
        ratios, 0.25
    ), f"{text} at {len(ratios)} convolutions of 64 calls and 3 rounds or more; within 25% counts"


def _peaks(measured: Measured, algorithm: str, function: str) -> float | None:
    """Return the peak memory divided by the size of the result."""
    sizes = measured.memory.get(algorithm, {}).get(function)
    return None if sizes is None else (sizes["measured"] + sizes["result"]) / sizes["result"]


def _storage(function: str, words: str) -> Callable[[Comparison], Answer]:
    def answer(comparison: Comparison) -> Answer:
        ratios = [
            peak
            for name in ("batch", "channels", "size")
            for row in comparison.along(name)
            if (peak := _peaks(row, "correlate2d", function)) is not None
            and row.memory["correlate2d"][function]["result"] >= COUNTED
        ]
        return _within(
            ratios, 0.1
        ), f"measured peak / {words}: {_range(ratios)}, for results of 1 MB or more; within 10% counts"

    return answer


def _no_extra(comparison: Comparison) -> Answer:
    shares = []
    for row in comparison.points.values():
        for name in ("forward", "input_gradient"):
            sizes = row.memory.get("correlate2d", {}).get(name)
            if sizes and sizes["result"] >= COUNTED:
                shares.append(sizes["measured"] / sizes["result"])
    if not shares:
        return "not enough runs", "not measured"
    text = f"extra {min(shares):.1%} to {max(shares):.1%} of the result, for results of 1 MB or more; up to 10% counts"
    return "holds" if max(shares) <= 0.1 else "does not hold", text


def _repeats(comparison: Comparison) -> Answer:
    ratios = []
    for row in comparison.along("kernel"):
        sizes = row.memory.get("im2col", {}).get("forward")
        if sizes and row.point.kernel > 1:
            copies = sizes["measured"] / (4 * row.point.batch * row.point.size**2 * row.point.channels)
            ratios.append(copies / row.point.kernel**2)
    return _within(ratios, 0.1), f"measured extra / (input x kernel area): {_range(ratios)}; within 10% counts"


def _slower_small(comparison: Comparison) -> Answer:
    rows = comparison.along("small")
    statuses = [longer(row.ratios("im2col", "correlate2d")) for row in rows]
    figures = "; ".join(f"{row.point.channels} channels: {_compared(row, 'im2col', 'correlate2d')}" for row in rows)
    return some(statuses), f"one 8x8 image, {figures}; holds if it is slower at any of them"


def _fastest_large(comparison: Comparison) -> Answer:
    row = standard(comparison)
    best = min(("im2col", "im2col-blocked"), key=lambda name: row.seconds(name) or float("inf"))
    others = [name for name in ("correlate2d", "fft") if name in row.times]
    statuses = [longer(row.ratios(name, best)) for name in others]
    return every(statuses), "batch 32, 32 channels, 3x3: " + ", ".join(_compared(row, name, best) for name in others)


def _plain_against_blocked(comparison: Comparison) -> Answer:
    row = standard(comparison)
    others = [name for name in ("correlate2d", "fft") if name in row.times]
    statuses = [longer(row.ratios(name, "im2col")) for name in others]
    return every(statuses), "whole batch at once: " + ", ".join(_compared(row, name, "im2col") for name in others)


def _correlate_never_fastest(comparison: Comparison) -> Answer:
    statuses, faster = [], []
    for row in comparison.points.values():
        if "correlate2d" not in row.times:
            continue
        status = some(longer(row.ratios("correlate2d", name)) for name in ("im2col", "fft") if name in row.times)
        statuses.append(status)
        if status == "does not hold":
            faster.append(f"{row.point.channels} channels, batch {row.point.batch}, {row.point.size}x{row.point.size}")
    text = f"at {len(statuses)} convolutions; fastest of the three at: {'; '.join(faster) or 'none'}"
    return every(statuses), text


def _large_kernels(comparison: Comparison) -> Answer:
    rows = [row for row in comparison.along("kernel") if row.ratios("im2col", "fft")]
    if not rows:
        return "not enough runs", "not measured"
    small = [row for row in rows if row.point.kernel <= 3]
    statuses = [longer(rows[-1].ratios("im2col", "fft"))] + [longer(row.ratios("fft", "im2col")) for row in small]
    return every(statuses), _by_kernel(rows, "im2col")


def _by_kernel(rows: Sequence[Measured], other: str) -> str:
    return ", ".join(f"{row.point.kernel}x{row.point.kernel}: {_compared(row, 'fft', other)}" for row in rows)


def _against_blocked(comparison: Comparison) -> Answer:
    crossed = crossing(comparison, "kernel", "fft", "im2col-blocked")
    rows = [row for row in comparison.along("kernel") if row.ratios("im2col-blocked", "fft")]
    if not rows:
        return "not enough runs", "not measured"
    status: Status = "holds" if crossed["from"] is not None and crossed["before"] is not None else "does not hold"
    return status, _by_kernel(rows, "im2col-blocked")


def _fft_memory(comparison: Comparison) -> Answer:
    rows = [row for row in comparison.along("kernel") if "fft" in row.memory]
    if len(rows) < 2:
        return "not enough runs", "not measured"
    ends = (rows[0], rows[-1])
    sums = [sum(sizes["measured"] for sizes in row.memory["fft"].values()) for row in ends]
    parts = [
        f"{size / 2**20:.1f} MiB at {row.point.kernel}x{row.point.kernel}" for size, row in zip(sums, ends, strict=True)
    ]
    return "holds" if sums[1] < sums[0] else "does not hold", f"extra of the three passes together: {', '.join(parts)}"


def _fft_pays_padding(comparison: Comparison) -> Answer:
    row = standard(comparison)
    sizes = row.memory.get("fft", {}).get("forward")
    if not sizes:
        return "not enough runs", "not measured"
    geometry = row.point.geometry
    kernel = 4 * geometry.channels * geometry.filters * row.point.kernel**2
    height, width = transform_sizes(geometry)
    spectrum = 8 * geometry.channels * geometry.filters * height * (width // 2 + 1)
    text = (
        f"the kernel's {kernel / 2**10:.0f} KiB become {spectrum / 2**20:.1f} MiB, a factor {spectrum / kernel:.0f}; "
    )
    text += f"extra in all, forward: {sizes['measured'] / 2**20:.1f} MiB"
    return "holds" if sizes["measured"] > spectrum > kernel else "does not hold", text


def _loops_slow(comparison: Comparison) -> Answer:
    row = standard(comparison)
    others = [name for name in ("correlate2d", "im2col") if name in row.times]
    return every(longer(row.ratios("loops", name)) for name in others), ", ".join(
        _compared(row, "loops", name) for name in others
    )


def _loops_storage(comparison: Comparison) -> Answer:
    extra = [
        row.memory["loops"][name]["measured"]
        for row in comparison.points.values()
        for name in row.memory.get("loops", {})
    ]
    if not extra:
        return "not enough runs", "not measured"
    text = f"at most {max(extra) / 2**10:.1f} KiB beyond the result, independent of all sizes"
    return "does not hold" if max(extra) < LITTLE else "holds", text


def _less_storage(comparison: Comparison) -> Answer:
    ratios = [
        row.memory["im2col"][name]["measured"] / max(row.memory["correlate2d"][name]["measured"], 1)
        for row in comparison.points.values()
        if {"im2col", "correlate2d"} <= set(row.memory) and row.point.kernel > 1
        for name in row.memory["im2col"]
    ]
    if not ratios:
        return "not enough runs", "not measured"
    text = f"im2col's extra / correlate2d's: {number(min(ratios))} to {number(max(ratios))}, at kernels above 1x1"
    return "holds" if min(ratios) > 1 else "does not hold", text


def _framework(comparison: Comparison) -> Answer:
    row = standard(comparison)
    others = [name for name in ("loops", "correlate2d") if name in row.times and FRAMEWORK in row.times]
    text = ", ".join(
        f"{name} / {comparison.title(FRAMEWORK)} {number(median(row.ratios(name, FRAMEWORK)))}" for name in others
    )
    return every(longer(row.ratios(name, FRAMEWORK)) for name in others), text or "not measured"


CLAIMS: tuple[tuple[str, str, Callable[[Comparison], Answer]], ...] = (
    ("Three loops around a 2-D function take T = B F_out F_in T_function", "report a, section 2", _three_loops),
    (
        "Forward, they store B F_out H_out W_out numbers",
        "report a, section 2",
        _storage("forward", "(B F_out H_out W_out numbers)"),
    ),
    (
        "Backward, they store B F_in H_in W_in numbers",
        "report a, section 2",
        _storage("input_gradient", "(B F_in H_in W_in numbers)"),
    ),
    ("correlate2d needs no extra memory", "report d, section 2.4", _no_extra),
    ("Explicit loops are inefficient in time", "report a, section 2", _loops_slow),
    ("Explicit loops are inefficient in storage", "report a, section 2", _loops_storage),
    ("im2col repeats each pixel kernel-area times", "report d, section 2.4", _repeats),
    ("Three loops around a 2-D function store less than im2col", "report a, section 2", _less_storage),
    ("im2col is slower than loops around a 2-D function on small tensors", "report a, section 2", _slower_small),
    ("im2col is the fastest on large tensors", "report d, section 2.4", _fastest_large),
    (
        "... also with the whole batch in one product, as in the reports",
        "report d, section 2.4",
        _plain_against_blocked,
    ),
    ("correlate2d has no advantage in speed over im2col and FFT", "report d, section 2.4", _correlate_never_fastest),
    (
        "FFT is slower than im2col at small kernels (up to 3x3) and faster at large ones",
        "report d, section 2.4",
        _large_kernels,
    ),
    ("... and also compared with im2col in blocks", "ours", _against_blocked),
    ("FFT pays for the kernel's padding to the image's size", "report d, section 2.4", _fft_pays_padding),
    ("FFT needs less memory when the kernel is large", "report d, section 2.4", _fft_memory),
    ("A framework's 4-D convolution is much more efficient than loops", "report a, section 2", _framework),
)


def verdicts(comparison: Comparison) -> tuple[Finding, ...]:
    """Return every claim with its verdict."""
    return tuple(Finding(claim, source, *test(comparison)) for claim, source, test in CLAIMS)
