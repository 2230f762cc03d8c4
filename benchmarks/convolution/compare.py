"""Compare the algorithms with each other and with the active Keras backend: time, memory, growth.

What is measured is kept as plain data (`Comparison.to_dict`), from which everything that is told follows: growth and
ratios (`growth`), verdicts (`claims`) and figures (`figures`).
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
    """One point.

    Attributes:
        point: what was convolved.
        times: seconds by contender and by ``"forward"`` or ``"total"`` (forward and backward), one of each round.
        pair: seconds of SciPy's function alone, likewise.
        skipped: why a contender was left out.
        memory: by algorithm and function, bytes ``predicted``, ``measured`` and of the ``result``.
        framework_memory: the backend's, by ``"forward"`` and ``"total"``, results included; None if not measured.
    """

    point: Point
    times: Mapping[str, Mapping[str, list[float]]]
    pair: Mapping[str, list[float]]
    skipped: Mapping[str, str]
    memory: Mapping[str, Mapping[str, Mapping[str, int]]]
    framework_memory: Mapping[str, int] | None

    def seconds(self, contender: str, kind: str = "total") -> float | None:
        """The median of the rounds; None if it was left out."""
        return median(self.times[contender][kind]) if contender in self.times else None

    def ratios(self, slower: str, faster: str, kind: str = "total") -> list[float]:
        """How many times as long the first took as the second, round by round; empty if either was left out."""
        if slower not in self.times or faster not in self.times:
            return []
        first, second = self.times[slower][kind], self.times[faster][kind]
        count = min(len(first), len(second))
        if count < 3:  # a slow one has few rounds: compare with the other's median
            middle = median(second)
            return [value / middle for value in first] if len(first) < len(second) else [median(first) / middle]
        return [a / b for a, b in zip(first, second, strict=False)]


@dataclass(frozen=True)
class Comparison:
    """All that one run of `compare` measured.

    Attributes:
        backend: the active Keras backend.
        quick: whether it was the short form.
        rounds: how often the contenders took turns.
        where: hardware, versions and load.
        series: which points grow along which field.
        points: every point, measured once.
    """

    backend: str
    quick: bool
    rounds: int
    where: Mapping[str, Any]
    series: Mapping[str, Series]
    points: Mapping[Point, Measured]

    def along(self, name: str) -> list[Measured]:
        """The points of a series."""
        return [self.points[point] for point in self.series[name].points if point in self.points]

    @property
    def contenders(self) -> tuple[str, ...]:
        """Names of all that were timed anywhere."""
        return tuple(dict.fromkeys(name for measured in self.points.values() for name in measured.times))

    def title(self, contender: str) -> str:
        """A contender's name for readers."""
        from benchmarks.convolution.measuring import FRAMEWORK

        names = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
        return names.get(self.backend, self.backend) if contender == FRAMEWORK else contender

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {
            "schema": SCHEMA,
            "backend": self.backend,
            "quick": self.quick,
            "rounds": self.rounds,
            "where": dict(self.where),
            "series": {
                name: {"field": row.field, "base": row.base.to_dict(), "values": list(row.values)}
                for name, row in self.series.items()
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
        """From `to_dict`.

        Raises:
            InputError: it is no such content, or of a newer schema.
        """
        try:
            if content["schema"] > SCHEMA:
                raise InputError(f"the comparison has schema {content['schema']}, this kzoo reads up to {SCHEMA}")
            series = {
                name: Series(name, row["field"], Point(**row["base"]), tuple(row["values"]))
                for name, row in content["series"].items()
            }
            _check(series)
            rows = [Measured(**{**row, "point": Point(**row["point"])}) for row in content["points"]]
            points = {row.point: row for row in rows}
            fields = {name: content[name] for name in ("backend", "quick", "rounds", "where")}
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"not a comparison of convolutions: {type(error).__name__} {error}") from None
        return cls(series=series, points=points, **fields)

    @classmethod
    def from_file(cls, path: str | Path) -> Comparison:
        """From a file that ``python -m benchmarks.convolution --save`` wrote.

        Raises:
            InputError: it cannot be read, or is no such file.
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

    Contenders take turns in rounds; what counts is the median. All pad by "same", at stride 1, in float32, with as many
    threads as the libraries take. Loops are timed on one image, and their time multiplied by the batch.

    Args:
        quick: fewer points and rounds, under a minute.
        framework: whether to compare with the active Keras backend.
        series: other points than those of `benchmarks.convolution.points`, under the same names.
        progress: called before each step with what it is, its number from 0, and how many there are.

    Returns:
        All that was measured.

    Raises:
        InputError: the series have other names.
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
    points = list(dict.fromkeys(point for row in series.values() for point in row.points))
    weighed = list(dict.fromkeys((series["standard"] if quick else series["batch"]).points + series["standard"].points))
    weighed = weighed if framework else []
    measurer = _Measurer(budget, framework, series["standard"].points)
    done: dict[Point, Measured] = {}
    for i, (what, point) in enumerate(steps := [("time", p) for p in points] + [("memory", p) for p in weighed]):
        if progress:
            progress(f"{what}: {_words(point)}", i, len(steps))
        if what == "time":
            done[point] = measurer(point)
        else:
            found = framework_memory.measure(point.to_dict())
            done[point] = Measured(**{**vars(done[point]), "framework_memory": found})
    return Comparison(backend, quick, budget.rounds, where, series, done)


def _words(point: Point) -> str:
    holes = f", dilation {point.dilation}" if point.dilation > 1 else ""
    sizes = f"{point.size}x{point.size}, {point.kernel}x{point.kernel}"
    return f"batch {point.batch}, {point.channels} channels, {sizes}{holes}"


class _Measurer:
    """Measures points one by one, and leaves out what would take too long by what took how long before."""

    def __init__(self, budget: Any, framework: bool, wanted: tuple[Point, ...]) -> None:
        self.budget, self.framework, self.wanted = budget, framework, wanted
        self.rates: dict[str, float] = {}

    def _estimate(self, point: Point, name: str) -> float:
        from benchmarks.convolution import measuring

        return self.rates.get(name, 0.0) * measuring.work(point, name)

    def _left_out(self, point: Point, name: str) -> str | None:
        from kzoo.convolution.conv import predicted_storage

        if max(predicted_storage(point.geometry, name).values()) > self.budget.memory:
            return "would take too much memory"
        wanted = point in self.wanted and name == "loops"
        if name in ("loops", "correlate2d") and not wanted and self._estimate(point, name) > self.budget.longest:
            return f"would take about {self._estimate(point, name):.0f} s"
        return None

    def __call__(self, point: Point) -> Measured:
        from benchmarks.convolution import measuring
        from kzoo.convolution.conv import ALGORITHMS

        reasons = {name: self._left_out(point, name) for name in ALGORITHMS}
        contenders: dict[str, Callable[[], Any]] = {}
        for name in (name for name, reason in reasons.items() if reason is None):
            batch = measuring.LOOPS_BATCH if name == "loops" else None
            scale = point.batch / measuring.LOOPS_BATCH if name == "loops" else 1.0
            contenders[name] = _maker(measuring.passes(point, name, batch), self.budget, scale)
        if self.framework:
            contenders[measuring.FRAMEWORK] = _maker(measuring.framework_passes(point), self.budget)
        contenders["pair"] = _maker(measuring.pair_passes(point), self.budget)
        turns = measuring.times(point, contenders, self.budget.rounds)
        for name in ("loops", "correlate2d"):
            if name in turns:
                spent = median(turns[name].seconds["total"]) / turns[name].scale
                self.rates[name] = spent / measuring.work(point, name)
        memory = {}
        for name in ALGORITHMS:
            # Counting memory slows Python down, and the loops' storage is none wherever they are.
            if name in turns and (name != "loops" or point.geometry.multiply_adds < 10**5):
                memory[name] = measuring.memory(point, name)
        pair = turns.pop("pair").seconds
        taken = {name: turn.seconds for name, turn in turns.items()}
        return Measured(point, taken, pair, {k: v for k, v in reasons.items() if v}, memory, None)


def _maker(calls: Any, budget: Any, scale: float = 1.0) -> Callable[[], Any]:
    from benchmarks.convolution.measuring import Turn

    return lambda: Turn(calls, budget, scale)
