"""Compare the algorithms with each other and with the active Keras backend: time, memory, growth.

Measurements are plain data (`Comparison.to_dict`). Everything else is computed from them: growth and ratios (`growth`),
verdicts (`claims`) and figures (`figures`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.convolution.points import FULL, QUICK, TITLES, Point, Series
from kzoo.errors import InputError

SCHEMA = 1


@dataclass(frozen=True)
class Measured:
    """The measurements of one point.

    Attributes:
        point: the convolution.
        times: seconds by contender and by ``"forward"`` or ``"total"`` (forward and backward), one value per round.
        pair: seconds of SciPy's function alone, by ``"forward"`` or ``"total"``.
        skipped: by contender that was left out, the reason.
        memory: by algorithm and function, bytes ``predicted``, ``measured`` and of the ``result``.
        framework_memory: bytes of the backend by ``"forward"`` and ``"total"``, including results; None if not
            measured.
    """

    point: Point
    times: Mapping[str, Mapping[str, list[float]]]
    pair: Mapping[str, list[float]]
    skipped: Mapping[str, str]
    memory: Mapping[str, Mapping[str, Mapping[str, int]]]
    framework_memory: Mapping[str, int] | None

    def seconds(self, contender: str, kind: str = "total") -> float | None:
        """Return the median of the rounds; None if the contender was left out."""
        return median(self.times[contender][kind]) if contender in self.times else None

    def ratios(self, slower: str, faster: str, kind: str = "total") -> list[float]:
        """Return the time of `slower` divided by the time of `faster`, by round; empty if either was left out."""
        if slower not in self.times or faster not in self.times:
            return []
        first, second = self.times[slower][kind], self.times[faster][kind]
        count = min(len(first), len(second))
        if count < 3:  # a slow contender has few rounds: compare with the median of the other
            middle = median(second)
            return [value / middle for value in first] if len(first) < len(second) else [median(first) / middle]
        return [a / b for a, b in zip(first, second, strict=False)]


@dataclass(frozen=True)
class Comparison:
    """All measurements of one run of `compare`.

    Attributes:
        backend: the active Keras backend.
        quick: whether it was the short comparison.
        rounds: the number of turns of each contender.
        where: hardware, versions and load.
        series: the series of points, each of which varies one field.
        points: the measurements of every point.
    """

    backend: str
    quick: bool
    rounds: int
    where: Mapping[str, Any]
    series: Mapping[str, Series]
    points: Mapping[Point, Measured]

    def along(self, name: str) -> list[Measured]:
        """Return the measured points of a series."""
        return [self.points[point] for point in self.series[name].points if point in self.points]

    @property
    def contenders(self) -> tuple[str, ...]:
        """Names of all algorithms that were timed at any point."""
        return tuple(dict.fromkeys(name for measured in self.points.values() for name in measured.times))

    def title(self, contender: str) -> str:
        """Return a contender's name for display."""
        from benchmarks.convolution.measuring import FRAMEWORK

        names = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
        return names.get(self.backend, self.backend) if contender == FRAMEWORK else contender

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "schema": SCHEMA,
            "backend": self.backend,
            "quick": self.quick,
            "rounds": self.rounds,
            "where": dict(self.where),
            "series": {
                name: {"field": series.field, "base": series.base.to_dict(), "values": list(series.values)}
                for name, series in self.series.items()
            },
            "points": [
                {
                    "point": measured.point.to_dict(),
                    "times": {
                        name: {kind: [float(f"{second:.4g}") for second in values] for kind, values in kinds.items()}
                        for name, kinds in measured.times.items()
                    },
                    "pair": {kind: [float(f"{second:.4g}") for second in v] for kind, v in measured.pair.items()},
                    "skipped": dict(measured.skipped),
                    "memory": {name: dict(functions) for name, functions in measured.memory.items()},
                    "framework_memory": measured.framework_memory,
                }
                for measured in self.points.values()
            ],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Comparison:
        """Create a comparison from the result of `to_dict`.

        Raises:
            InputError: the content is not a comparison, or has a newer schema.
        """
        try:
            if content["schema"] > SCHEMA:
                raise InputError(f"the comparison has schema {content['schema']}, this kzoo reads up to {SCHEMA}")
            series = {
                name: Series(name, row["field"], Point(**row["base"]), tuple(row["values"]))
                for name, row in content["series"].items()
            }
            _check(series)
            measurements = [Measured(**{**row, "point": Point(**row["point"])}) for row in content["points"]]
            points = {measured.point: measured for measured in measurements}
            fields = {name: content[name] for name in ("backend", "quick", "rounds", "where")}
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a comparison of convolutions: {type(error).__name__} {error}") from None
        return cls(series=series, points=points, **fields)

    @classmethod
    def from_file(cls, path: str | Path) -> Comparison:
        """Read a file that ``python -m benchmarks.convolution --save`` wrote.

        Raises:
            InputError: the file cannot be read, or is not a comparison.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"file {str(path)!r} cannot be read as JSON: {error}") from None
        return cls.from_dict(content)


def _check(series: Mapping[str, Series]) -> None:
    if set(series) != set(TITLES) or not all(row.values for row in series.values()):
        raise InputError(f"a comparison has the series {', '.join(TITLES)}, not {', '.join(series) or 'none'}")


def compare(
    *,
    quick: bool = False,
    framework: bool = True,
    series: Mapping[str, Series] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Comparison:
    """Measure the time and memory of every algorithm, and of the active Keras backend, as convolutions grow.

    Contenders take turns in rounds, and the median counts. All use padding "same", stride 1 and float32, with the
    libraries' default number of threads. Loops are timed on one image, and their time is multiplied by the batch size.

    Args:
        quick: fewer points and rounds, under a minute.
        framework: whether to compare with the active Keras backend.
        series: points to use instead of those in `benchmarks.convolution.points`, under the same names.
        progress: called before each step with its description, its number from 0, and the number of steps.

    Returns:
        All measurements.

    Raises:
        InputError: `series` has other names.
        RunFailed: the process that measures the backend's memory failed.
    """
    from benchmarks.convolution import framework_memory
    from benchmarks.convolution.measuring import FULL_BUDGET, QUICK_BUDGET
    from kzoo.training import records

    series = series or (QUICK if quick else FULL)
    _check(series)
    budget = QUICK_BUDGET if quick else FULL_BUDGET
    where = {
        "hardware": records.hardware(),
        "versions": {
            name: version
            for name, version in records.versions().items()
            if name in ("numpy", "scipy", "keras", "tensorflow", "jax", "torch")
        },
        "git_commit": records.git_commit(),
        "load_at_start": round(os.getloadavg()[0], 2),
    }
    backend = "none"
    if framework:
        import keras

        backend = keras.backend.backend()
    points = list(dict.fromkeys(point for one in series.values() for point in one.points))
    for_memory: list[Point] = []
    if framework:
        first = series["standard" if quick else "batch"]
        for_memory = list(dict.fromkeys(first.points + series["standard"].points))
    measurer = _Measurer(budget, framework, series["standard"].points)
    measured: dict[Point, Measured] = {}
    for i, (kind, point) in enumerate(steps := [("time", p) for p in points] + [("memory", p) for p in for_memory]):
        if progress:
            progress(f"{kind}: {_describe(point)}", i, len(steps))
        if kind == "time":
            measured[point] = measurer(point)
        else:
            extra = framework_memory.measure(point.to_dict())
            measured[point] = Measured(**{**vars(measured[point]), "framework_memory": extra})
    return Comparison(backend, quick, budget.rounds, where, series, measured)


def _describe(point: Point) -> str:
    dilation = f", dilation {point.dilation}" if point.dilation > 1 else ""
    sizes = f"{point.size}x{point.size}, {point.kernel}x{point.kernel}"
    return f"batch {point.batch}, {point.channels} channels, {sizes}{dilation}"


class _Measurer:
    """Measures points one by one, and leaves out algorithms that would take too long, judging by earlier points."""

    def __init__(self, budget: Any, framework: bool, required: tuple[Point, ...]) -> None:
        self.budget, self.framework, self.required = budget, framework, required
        self.rates: dict[str, float] = {}

    def _estimate(self, point: Point, name: str) -> float:
        from benchmarks.convolution import measuring

        return self.rates.get(name, 0.0) * measuring.work(point, name)

    def _reason_to_skip(self, point: Point, name: str) -> str | None:
        from kzoo.convolution.conv import predicted_storage

        if max(predicted_storage(point.geometry, name).values()) > self.budget.memory:
            return "would take too much memory"
        required = point in self.required and name == "loops"
        if name in ("loops", "correlate2d") and not required and self._estimate(point, name) > self.budget.longest:
            return f"would take about {self._estimate(point, name):.0f} s"
        return None

    def __call__(self, point: Point) -> Measured:
        from benchmarks.convolution import measuring
        from kzoo.convolution.conv import ALGORITHMS

        reasons = {name: self._reason_to_skip(point, name) for name in ALGORITHMS}
        contenders: dict[str, Callable[[], Any]] = {}
        for name in (name for name, reason in reasons.items() if reason is None):
            batch = measuring.LOOPS_BATCH if name == "loops" else None
            scale = point.batch / measuring.LOOPS_BATCH if name == "loops" else 1.0
            contenders[name] = _turn(measuring.passes(point, name, batch), self.budget, scale)
        if self.framework:
            contenders[measuring.FRAMEWORK] = _turn(measuring.framework_passes(point), self.budget)
        contenders["pair"] = _turn(measuring.pair_passes(point), self.budget)
        turns = measuring.times(point, contenders, self.budget.rounds)
        for name in ("loops", "correlate2d"):
            if name in turns:
                seconds = median(turns[name].seconds["total"]) / turns[name].scale
                self.rates[name] = seconds / measuring.work(point, name)
        memory = {}
        for name in ALGORITHMS:
            # Counting memory slows Python down, and loops need no extra memory: skip them where they are slow.
            if name in turns and (name != "loops" or point.geometry.multiply_adds < 10**5):
                memory[name] = measuring.memory(point, name)
        pair = turns.pop("pair").seconds
        times = {name: turn.seconds for name, turn in turns.items()}
        return Measured(point, times, pair, {k: v for k, v in reasons.items() if v}, memory, None)


def _turn(calls: Any, budget: Any, scale: float = 1.0) -> Callable[[], Any]:
    from benchmarks.convolution.measuring import Turn

    return lambda: Turn(calls, budget, scale)
