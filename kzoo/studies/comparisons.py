"""Further tests of claims: ratios of runs, groups of runs, the course of training, plain arithmetic (no Keras).

Unlike those of `kzoo.studies.claims` they state their own bounds, so no margin is added.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kzoo.studies import metrics
from kzoo.studies.study import Verdict
from kzoo.studies.verdicts import ENOUGH_SEEDS, figure

if TYPE_CHECKING:
    from kzoo.studies.results import Results


def _lacking(results: Results, labels: Sequence[str], metric: str) -> Verdict | None:
    absent = [label for label in labels if not results.values(label, metric)]
    if not absent:
        return None
    return Verdict("not enough runs", f"no {metrics.metric(metric).title} of {', '.join(absent)}")


@dataclass(frozen=True)
class Ratio:
    """One figure divided by another lies within bounds; see `ratio`."""

    a: str
    b: str
    metric: str
    low: float
    high: float

    @property
    def labels(self) -> tuple[str, ...]:
        """The two runs."""
        return (self.a, self.b)

    def __call__(self, results: Results) -> Verdict:
        """Divide the means."""
        verdict = _lacking(results, self.labels, self.metric)
        if verdict:
            return verdict
        below = results.mean(self.b, self.metric)
        if not below:
            return Verdict("not enough runs", f"{figure(results, self.b, self.metric)}: nothing to divide by")
        times = results.mean(self.a, self.metric) / below
        text = f"{self.a} / {self.b}: {times:.2f} times the {metrics.metric(self.metric).title}"
        return Verdict("holds" if self.low <= times <= self.high else "does not hold", text)


@dataclass(frozen=True)
class GroupDifference:
    """The mean of one group of runs less that of another lies within bounds; see `groups_differ`."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    metric: str
    low: float
    high: float

    @property
    def labels(self) -> tuple[str, ...]:
        """All runs of both groups."""
        return self.a + self.b

    def __call__(self, results: Results) -> Verdict:
        """Compare the groups' means over runs, each the mean over its seeds."""
        verdict = _lacking(results, self.labels, self.metric)
        if verdict:
            return verdict
        first, second = (
            statistics.fmean(results.mean(label, self.metric) for label in group) for group in (self.a, self.b)
        )
        title = metrics.metric(self.metric).title
        text = (
            f"{title}: {metrics.write(self.metric, first)} over {', '.join(self.a)}; "
            f"{metrics.write(self.metric, second)} over {', '.join(self.b)}"
        )
        return Verdict("holds" if self.low <= first - second <= self.high else "does not hold", text)


@dataclass(frozen=True)
class ConvergedBy:
    """After some epoch a run's validation accuracy gains little; see `converged_by`."""

    labels: tuple[str, ...]
    epoch: int
    within: float

    def __call__(self, results: Results) -> Verdict:
        """Compare the best accuracy after that epoch with the best one until then."""
        gains: dict[str, float] = {}
        for label in self.labels:
            curves = [record.history.get("val_accuracy", []) for record in results.records(label)]
            curves = [curve for curve in curves if len(curve) > self.epoch]
            if not curves:
                return Verdict("not enough runs", f"no run of {label} with more than {self.epoch} epochs")
            gains[label] = statistics.fmean(max(0.0, max(curve) - max(curve[: self.epoch])) for curve in curves)
        text = f"best validation accuracy gained after epoch {self.epoch}: " + ", ".join(
            f"{label} {gain:.4f}" for label, gain in gains.items()
        )
        return Verdict("holds" if max(gains.values()) <= self.within else "does not hold", text)


@dataclass(frozen=True)
class WithinSpread:
    """Given figures lie within the spread of runs that differ by their seeds only; see `within_spread`."""

    labels: tuple[str, ...]
    values: tuple[float, ...]
    metric: str

    def __call__(self, results: Results) -> Verdict:
        """Compare with the mean and standard deviation over all runs."""
        verdict = _lacking(results, self.labels, self.metric)
        if verdict:
            return verdict
        found = [value for label in self.labels for value in results.values(label, self.metric)]
        if len(found) < ENOUGH_SEEDS:
            return Verdict("not enough runs", f"{len(found)} runs; {ENOUGH_SEEDS} are needed")
        mean, sd = statistics.fmean(found), statistics.stdev(found)
        text = f"{metrics.metric(self.metric).title} {metrics.write(self.metric, mean, sd)} (n={len(found)})"
        inside = all(abs(value - mean) <= 2 * sd for value in self.values)
        return Verdict("holds" if inside else "does not hold", text)


@dataclass(frozen=True)
class Arithmetic:
    """A claim about architectures, which follows without any run; see `arithmetic`."""

    compute: Callable[[], tuple[bool, str]]
    labels: tuple[str, ...] = ()

    def __call__(self, results: Results) -> Verdict:
        """Compute; the records play no part."""
        holds, evidence = self.compute()
        return Verdict("holds" if holds else "does not hold", evidence)


def ratio(a: str, b: str, *, metric: str, low: float = 0.0, high: float = math.inf) -> Ratio:
    """`a`'s figure divided by `b`'s lies between `low` and `high`."""
    return Ratio(a, b, metric, low, high)


def groups_differ(
    a: Sequence[str], b: Sequence[str], *, metric: str, low: float = -math.inf, high: float = math.inf
) -> GroupDifference:
    """The mean over the runs `a` exceeds that over the runs `b` by `low` to `high`."""
    return GroupDifference(tuple(a), tuple(b), metric, low, high)


def within_spread(labels: Sequence[str], values: Sequence[float], *, metric: str) -> WithinSpread:
    """Each of `values` is at most two standard deviations from the mean over all the runs."""
    return WithinSpread(tuple(labels), tuple(values), metric)


def converged_by(*labels: str, epoch: int, within: float = 0.005) -> ConvergedBy:
    """After `epoch` epochs the best validation accuracy grows by no more than `within`."""
    return ConvergedBy(labels, epoch, within)


def arithmetic(compute: Callable[[], tuple[bool, str]]) -> Arithmetic:
    """The claim follows from the architectures; `compute` gives whether it holds, and the figures."""
    return Arithmetic(compute)
