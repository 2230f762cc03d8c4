"""Tests of values, of one run or of many, against bounds that the claim states; they add no margin (no Keras).

A mean that leaves out failed runs decides only what these runs, whatever their values, could not change.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kzoo.studies import metrics
from kzoo.studies.budget import FULL
from kzoo.studies.claims.base import ClaimTest, verdict
from kzoo.studies.margin import (
    ENOUGH_SEEDS,
    above_chance,
    at_chance,
    exceeds,
    left_out,
    possible_means,
    value_text,
    values_text,
)
from kzoo.studies.study import INCONCLUSIVE, NOT_ENOUGH, TOO_SMALL, Verdict
from kzoo.training.counts import from_json

if TYPE_CHECKING:
    from kzoo.studies.records import BudgetRecords


class Alike(ClaimTest):
    """No two of the runs differ by more than `within`."""

    def __init__(self, labels: Sequence[str], *, metric: str = "test_accuracy", within: float = 0.02) -> None:
        super().__init__(labels, metric)
        self.within = within

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the largest mean with the smallest."""
        lows, highs = zip(*(possible_means(records, label, self.metric) for label in self.labels), strict=True)
        text = values_text(records, self.labels, self.metric)
        alike = _between(max(lows) - min(highs), max(highs) - min(lows), -math.inf, self.within)
        return self.untrained(records) or self.decide(records, [alike], text)


class Between(ClaimTest):
    """The value of each run lies between `low` and `high`."""

    def __init__(self, *labels: str, metric: str, low: float = -math.inf, high: float = math.inf) -> None:
        super().__init__(labels, metric)
        self.low, self.high = low, high

    def bounds(self, records: BudgetRecords, label: str) -> tuple[float, float]:
        """The bounds for one run."""
        return self.low, self.high

    def judge(self, records: BudgetRecords) -> Verdict:
        """Check each mean."""
        text = values_text(records, self.labels, self.metric)
        bounds = {label: self.bounds(records, label) for label in self.labels}
        for label, (low, _) in bounds.items():
            if low > 0 and at_chance(records, label, self.metric):
                return Verdict(TOO_SMALL, f"{text}: {label} has learned nothing yet")
        parts = [_between(*possible_means(records, label, self.metric), *pair) for label, pair in bounds.items()]
        return self.decide(records, parts, text)


class AtChance(Between):
    """The accuracies are at most `times` the accuracy of guessing; see `kzoo.studies.margin.above_chance`."""

    def __init__(self, *labels: str, metric: str = "val_accuracy", times: float = 1.5) -> None:
        super().__init__(*labels, metric=metric)
        self.times = times

    def bounds(self, records: BudgetRecords, label: str) -> tuple[float, float]:
        """From 0 to `times` the accuracy of guessing."""
        return 0.0, above_chance(self.times, records.chance(label))


class Learns(Between):
    """The accuracies are at least `times` the accuracy of guessing; see `kzoo.studies.margin.above_chance`."""

    def __init__(self, *labels: str, metric: str = "val_accuracy", times: float = 3.0) -> None:
        super().__init__(*labels, metric=metric)
        self.times = times

    def bounds(self, records: BudgetRecords, label: str) -> tuple[float, float]:
        """From `times` the accuracy of guessing to 1."""
        return above_chance(self.times, records.chance(label)), 1.0


class Ratio(ClaimTest):
    """The value of run `a` divided by that of run `b` lies between `low` and `high`."""

    def __init__(self, a: str, b: str, *, metric: str, low: float = 0.0, high: float = math.inf) -> None:
        super().__init__((a, b), metric)
        self.a, self.b, self.low, self.high = a, b, low, high

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """Only values are needed: benchmarks measure some without a record at this budget."""
        return self.unmeasured(records)

    def judge(self, records: BudgetRecords) -> Verdict:
        """Divide the means."""
        divisor = records.mean(self.b, self.metric)
        if not divisor:
            return Verdict(INCONCLUSIVE, f"{value_text(records, self.b, self.metric)}: cannot divide by 0")
        ratio = records.mean(self.a, self.metric) / divisor
        text = f"{self.a} / {self.b}: {ratio:.2f} times the {metrics.metric(self.metric).title}"
        (low, high), (least, most) = (possible_means(records, label, self.metric) for label in self.labels)
        within = _between(low / most, high / least if least else math.inf, self.low, self.high)
        return self.decide(records, [within], text)


class GroupsDiffer(ClaimTest):
    """The mean over the runs `a` exceeds that over the runs `b` by `low` to `high`."""

    def __init__(
        self, a: Sequence[str], b: Sequence[str], *, metric: str, low: float = -math.inf, high: float = math.inf
    ) -> None:
        super().__init__((*a, *b), metric)
        self.a, self.b, self.low, self.high = tuple(a), tuple(b), low, high

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the means of the groups; each run counts with its mean over seeds."""
        groups = (self.a, self.b)
        means = [statistics.fmean(records.mean(label, self.metric) for label in group) for group in groups]
        parts = [f"{metrics.write(self.metric, m)} over {', '.join(g)}" for m, g in zip(means, groups, strict=True)]
        text = f"{metrics.metric(self.metric).title}: {'; '.join(parts)}"
        larger = self.a if self.low >= 0 else self.b if self.high <= 0 else ()
        untrained = [label for label in larger if at_chance(records, label, self.metric)]
        if untrained:
            return Verdict(TOO_SMALL, f"{text}: {', '.join(untrained)} learned nothing yet")
        ends = (zip(*(possible_means(records, label, self.metric) for label in group), strict=True) for group in groups)
        (low, high), (least, most) = (map(statistics.fmean, pair) for pair in ends)
        return self.decide(records, [_between(low - most, high - least, self.low, self.high)], text)


class WithinSpread(ClaimTest):
    """Each of `values` is at most two standard deviations from the mean over all the runs."""

    def __init__(self, labels: Sequence[str], values: Sequence[float], *, metric: str) -> None:
        super().__init__(labels, metric)
        self.values = tuple(values)

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare with the mean and standard deviation over all runs and seeds."""
        ours = [value for label in self.labels for value in records.values(label, self.metric)]
        if len(ours) < ENOUGH_SEEDS:
            return Verdict(NOT_ENOUGH, f"{len(ours)} runs; {ENOUGH_SEEDS} are needed")
        mean, sd = statistics.fmean(ours), statistics.stdev(ours)
        text = f"{metrics.metric(self.metric).title} {metrics.write(self.metric, mean, sd)} (n={len(ours)})"
        close = all(not exceeds(abs(value - mean), 2 * sd) for value in self.values)
        known = not any(left_out(records, label, self.metric) for label in self.labels)
        return self.decide(records, [close if known else None], text)


class ConvergedBy(ClaimTest):
    """After `epoch` epochs the best validation accuracy grows by no more than `within`."""

    def __init__(self, *labels: str, epoch: int, within: float = 0.005) -> None:
        super().__init__(labels)
        self.epoch, self.within = epoch, within

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """Not enough runs, or too small a budget, if no run of an entry trained for longer than `epoch` epochs."""
        short = [label for label in self.labels if not self._curves(records, label)]
        if not short:
            return None
        shortened = records.budget != FULL and all(map(records.completed, short))
        return Verdict(
            TOO_SMALL if shortened else NOT_ENOUGH, f"no run of {short[0]} with more than {self.epoch} epochs"
        )

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the best accuracy of all epochs with the best one until `epoch`."""
        gains = {}
        for label in self.labels:
            curves = self._curves(records, label)
            gains[label] = statistics.fmean(max(0.0, max(curve) - max(curve[: self.epoch])) for curve in curves)
        text = ", ".join(f"{label} {gain:.4f}" for label, gain in gains.items())
        text = f"best validation accuracy gained after epoch {self.epoch}: {text}"
        failed = list(filter(None, (left_out(records, label, "val_accuracy") for label in self.labels)))
        converged = not exceeds(max(gains.values()), self.within)
        if failed and converged:
            return Verdict(NOT_ENOUGH, "; ".join([text, *failed]))
        return verdict(converged, text)

    def _curves(self, records: BudgetRecords, label: str) -> list[list[float]]:
        curves = [record.history.get("val_accuracy", []) for record in records.completed(label)]
        return [curve for curve in curves if len(curve) > self.epoch]


class HardestClasses(ClaimTest):
    """The named classes are among the `among` that a run recognises least often, or tie with the last of these."""

    def __init__(self, label: str, names: Sequence[str], among: int) -> None:
        super().__init__((label,))
        self.names, self.among = tuple(names), among

    def judge(self, records: BudgetRecords) -> Verdict:
        """Rank the classes by their share of correct answers, summed over seeds."""
        (label,) = self.labels
        if at_chance(records, label, "test_accuracy"):
            return Verdict(TOO_SMALL, f"{value_text(records, label, 'test_accuracy')} has learned nothing yet")
        correct: dict[str, int] = {}
        images: dict[str, int] = {}
        runs = [(record, record.confusion) for record in records.records(label) if record.confusion]
        for record, confusion in runs:
            matrix = from_json(confusion)
            for i, name in enumerate(record.data["class_names"]):
                correct[name] = correct.get(name, 0) + int(matrix[i, i])
                images[name] = images.get(name, 0) + int(matrix[i].sum())

        # A class that has no test image cannot be ranked, however many runs there are.
        unknown = [name for name in self.names if not images.get(name)]
        if unknown:
            status = INCONCLUSIVE if runs else NOT_ENOUGH
            return Verdict(status, f"{label}: no test image of class {', '.join(unknown)}")
        shares = {name: correct[name] / count for name, count in images.items() if count}
        ranked = sorted(shares.values())
        worst = sorted((name for name in shares if ranked.index(shares[name]) < self.among), key=lambda n: shares[n])
        text = f"{label} (n={len(runs)}), lowest: " + ", ".join(f"{name} {shares[name]:.3f}" for name in worst)
        return verdict(set(self.names) <= set(worst), text)


def _between(lowest: float, highest: float, low: float, high: float) -> bool | None:
    """Whether a value lies from `low` to `high`; None if that depends on where it lies from `lowest` to `highest`."""
    if not exceeds(low, lowest) and not exceeds(highest, high):
        return True
    return False if exceeds(low, highest) or exceeds(lowest, high) else None
