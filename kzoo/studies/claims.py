"""Claims as tests on records, and the rule that decides them (no Keras).

`Higher`, `Lower` and the tests built on them compare the means of two runs over their seeds. The difference counts when
it exceeds a margin:

- If either run has two seeds or more: twice the standard error of the difference, from the standard deviations over
  seeds. A run with one seed is assumed to vary as much as the other.
- If both have one seed: for accuracies and other shares, twice the standard error due to the number of images, and at
  least one point; for losses 0.05; for everything else 5% of the smaller value (nothing for parameter counts).
- Never less than the `minimum` that the claim itself states.

A difference beyond the margin in the claimed direction means "holds"; beyond it in the other direction, "does not
hold". Within the margin, the claim "does not hold" if both runs have three seeds or more; otherwise there are "not
enough runs". A failed run (its loss became NaN or infinite) counts as worse than one that completed. A claim that no
number of runs would settle is "inconclusive".

On a shortened budget, a claim on accuracies is "too small a budget" while the network that should be better, or should
learn, is still at chance. At chance means below 1.5 times the accuracy of guessing and, for few classes, below guessing
plus a tenth of the remaining range.

The tests that state their own bounds (`Between`, `Ratio`, `GroupsDiffer`, ...) add no margin.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from kzoo.studies import metrics
from kzoo.studies.budget import FULL
from kzoo.studies.margin import ENOUGH_SEEDS, at_chance, margin, value_text, values_text
from kzoo.studies.study import HOLDS, INCONCLUSIVE, NOT_ENOUGH, REFUTED, TOO_SMALL, Verdict
from kzoo.training.counts import from_json

if TYPE_CHECKING:
    from kzoo.studies.records import BudgetRecords


class ClaimTest:
    """Base class: a function of the records of one budget. Two tests with the same arguments are equal.

    Attributes:
        labels: the runs whose records the test reads.
        metric: the metric that it reads; empty if there is no single one.
    """

    def __init__(self, labels: Sequence[str] = (), metric: str = "") -> None:
        """Read `metric` of the runs `labels`."""
        self.labels = tuple(labels)
        self.metric = metric

    def __call__(self, records: BudgetRecords) -> Verdict:
        """The verdict of these records."""
        return self.missing(records) or self.judge(records)

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """The verdict if records or values are missing, otherwise None."""
        return self.unrecorded(records) or self.unmeasured(records)

    def judge(self, records: BudgetRecords) -> Verdict:
        """The verdict if nothing is missing."""
        raise NotImplementedError

    @property
    def parts(self) -> tuple[Any, ...]:
        """The single tests that this one combines."""
        return (self,)

    def unrecorded(self, records: BudgetRecords) -> Verdict | None:
        """Not enough runs, if a run has no record."""
        absent = [label for label in self.labels if not records.has(label)]
        return Verdict(NOT_ENOUGH, f"not recorded: {', '.join(absent)}") if absent else None

    def unmeasured(self, records: BudgetRecords) -> Verdict | None:
        """Not enough runs, if a run has no value of the metric."""
        absent = [label for label in self.labels if self.metric and not records.values(label, self.metric)]
        if not absent:
            return None
        return Verdict(NOT_ENOUGH, f"{metrics.metric(self.metric).title}: no value for {', '.join(absent)}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.labels, self.metric))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class Higher(ClaimTest):
    """Run `a` has a higher value than run `b`, by at least `minimum` if stated."""

    sign: ClassVar[int] = 1

    def __init__(self, a: str, b: str, *, metric: str = "test_accuracy", minimum: float | None = None) -> None:
        super().__init__((a, b), metric)
        self.a, self.b, self.minimum = a, b, minimum

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """As for every test; a run that failed decides."""
        return self.unrecorded(records) or self.failed(records) or self.unmeasured(records)

    def failed(self, records: BudgetRecords) -> Verdict | None:
        """The verdict if exactly one of the two runs failed: it is the worse one."""
        if records.failed(self.a) == records.failed(self.b):
            return None
        worse = self.a if records.failed(self.a) else self.b
        a_is_worse = self.sign == (1 if metrics.metric(self.metric).lower_is_better else -1)
        status = HOLDS if worse == (self.a if a_is_worse else self.b) else REFUTED
        return Verdict(status, f"{worse} failed: its loss became NaN or infinite")

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the means."""
        text = values_text(records, self.labels, self.metric)
        larger = self.a if self.sign > 0 else self.b
        if at_chance(records, larger, self.metric):
            return Verdict(TOO_SMALL, f"{text}: {larger} has learned nothing yet")

        # Beyond the margin the difference decides; within it, the number of seeds.
        claimed = self.sign * (records.mean(self.a, self.metric) - records.mean(self.b, self.metric))
        needed = margin(records, self.a, self.b, self.metric, self.minimum)
        if claimed > needed:
            return Verdict(HOLDS, text)
        seeds = min(len(records.values(label, self.metric)) for label in self.labels)
        if claimed < -needed or seeds >= ENOUGH_SEEDS or metrics.metric(self.metric).kind == "count":
            return Verdict(REFUTED, text)
        return Verdict(NOT_ENOUGH, f"{text}: within the margin of {metrics.write(self.metric, needed)}")


class Lower(Higher):
    """Run `a` has a lower value than run `b`, by at least `minimum` if stated."""

    sign = -1


class Faster(Lower):
    """Run `a` reaches a validation accuracy of `percent` in fewer epochs than run `b`, which may never reach it."""

    def __init__(self, a: str, b: str, *, percent: int) -> None:
        super().__init__(a, b, metric=f"epochs_to_{percent}")
        self.percent = percent

    def failed(self, records: BudgetRecords) -> Verdict | None:
        """The verdict if exactly one of the runs failed, or exactly one never reached the accuracy."""
        never = [label for label in self.labels if not records.values(label, self.metric)]
        decided = super().failed(records)
        if decided or len(never) != 1:
            return decided
        reached = self.a if never == [self.b] else self.b
        text = f"{never[0]} never reached {self.percent}%; {value_text(records, reached, self.metric)}"
        return Verdict(HOLDS if reached == self.a else REFUTED, text)


class OverfitsMore(Higher):
    """The training accuracy of run `a` exceeds its test accuracy by more than that of run `b`."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(a, b, metric="gap")


class OverfitsSooner(Lower):
    """The validation loss of run `a` is lowest at an earlier epoch than that of run `b`."""

    def __init__(self, a: str, b: str) -> None:
        super().__init__(a, b, metric="lowest_loss_epoch")

    def judge(self, records: BudgetRecords) -> Verdict:
        """Undecided if the loss is lowest at the last epoch of every run: they would have to train for longer."""
        runs = [record for label in self.labels for record in records.records(label)]
        turns = [(metrics.metric(self.metric).read(record), len(record.history.get("val_loss", ()))) for record in runs]
        if all(turn == epochs for turn, epochs in turns):
            text = f"{values_text(records, self.labels, self.metric)}: the last epoch of each, so none overfits yet"
            return Verdict(INCONCLUSIVE if records.budget == FULL else TOO_SMALL, text)
        return super().judge(records)


class NoGain(Higher):
    """Run `a` is not higher than run `b`, or by no more than the margin."""

    def failed(self, records: BudgetRecords) -> Verdict | None:
        """A failed run decides nothing."""
        return None

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the means."""
        difference = records.mean(self.a, self.metric) - records.mean(self.b, self.metric)
        needed = margin(records, self.a, self.b, self.metric, self.minimum)
        return _verdict(difference <= needed, values_text(records, self.labels, self.metric))


class AllOf(ClaimTest):
    """Every one of the tests holds."""

    def __init__(self, *tests: Callable[[BudgetRecords], Verdict]) -> None:
        super().__init__(list(dict.fromkeys(label for test in tests for label in getattr(test, "labels", ()))))
        self.tests = tests

    @property
    def parts(self) -> tuple[Any, ...]:
        """The single tests, without combinations."""
        return tuple(part for test in self.tests for part in getattr(test, "parts", (test,)))

    def __call__(self, records: BudgetRecords) -> Verdict:
        """The first status of this order that any of the tests has, with the evidence of those that have it."""
        verdicts = [test(records) for test in self.tests]
        statuses = {verdict.status for verdict in verdicts}
        status = next(s for s in (TOO_SMALL, REFUTED, INCONCLUSIVE, NOT_ENOUGH, HOLDS) if s in statuses)
        evidence = [verdict.evidence for verdict in verdicts if verdict.status == status]
        return Verdict(status, "; ".join(dict.fromkeys(evidence)))


class Ranking(AllOf):
    """Each run is higher than the next one in the list; lower, with ``by=Lower``."""

    def __init__(self, labels: Sequence[str], *, metric: str = "test_accuracy", by: type[Higher] = Higher) -> None:
        super().__init__(*(by(a, b, metric=metric) for a, b in itertools.pairwise(labels)))


class Best(AllOf):
    """A run is higher than each of the others, which may include itself."""

    def __init__(self, label: str, others: Sequence[str], *, metric: str = "test_accuracy") -> None:
        super().__init__(*(Higher(label, other, metric=metric) for other in others if other != label))


class PeakAt(Best):
    """Along an axis (a rate, a depth), a run is higher than its neighbours."""

    def __init__(self, label: str, along: Sequence[str], *, metric: str = "test_accuracy") -> None:
        index = list(along).index(label)
        super().__init__(label, along[max(index - 1, 0) : index + 2], metric=metric)


class Alike(ClaimTest):
    """No two of the runs differ by more than `within`."""

    def __init__(self, labels: Sequence[str], *, metric: str = "test_accuracy", within: float = 0.02) -> None:
        super().__init__(labels, metric)
        self.within = within

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the largest mean with the smallest."""
        means = [records.mean(label, self.metric) for label in self.labels]
        return _verdict(max(means) - min(means) <= self.within, values_text(records, self.labels, self.metric))


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
        return _verdict(all(a <= records.mean(label, self.metric) <= b for label, (a, b) in bounds.items()), text)


class AtChance(Between):
    """The accuracies are below `times` that of guessing."""

    def __init__(self, *labels: str, metric: str = "val_accuracy", times: float = 1.5) -> None:
        super().__init__(*labels, metric=metric)
        self.times = times

    def bounds(self, records: BudgetRecords, label: str) -> tuple[float, float]:
        """From 0 to `times` the accuracy of guessing."""
        return 0.0, self.times * records.chance(label)


class Learns(Between):
    """The accuracies are at least `times` that of guessing."""

    def __init__(self, *labels: str, metric: str = "val_accuracy", times: float = 3.0) -> None:
        super().__init__(*labels, metric=metric)
        self.times = times

    def bounds(self, records: BudgetRecords, label: str) -> tuple[float, float]:
        """From `times` the accuracy of guessing to 1."""
        return self.times * records.chance(label), 1.0


class Ratio(ClaimTest):
    """The value of run `a` divided by that of run `b` lies between `low` and `high`."""

    def __init__(self, a: str, b: str, *, metric: str, low: float = 0.0, high: float = math.inf) -> None:
        super().__init__((a, b), metric)
        self.a, self.b, self.low, self.high = a, b, low, high

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """Values are enough: benchmarks measure some without a record at this budget."""
        return self.unmeasured(records)

    def judge(self, records: BudgetRecords) -> Verdict:
        """Divide the means."""
        divisor = records.mean(self.b, self.metric)
        if not divisor:
            return Verdict(INCONCLUSIVE, f"{value_text(records, self.b, self.metric)}: cannot divide by 0")
        ratio = records.mean(self.a, self.metric) / divisor
        text = f"{self.a} / {self.b}: {ratio:.2f} times the {metrics.metric(self.metric).title}"
        return _verdict(self.low <= ratio <= self.high, text)


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
        return _verdict(self.low <= means[0] - means[1] <= self.high, text)


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
        return _verdict(all(abs(value - mean) <= 2 * sd for value in self.values), text)


class ConvergedBy(ClaimTest):
    """After `epoch` epochs the best validation accuracy grows by no more than `within`."""

    def __init__(self, *labels: str, epoch: int, within: float = 0.005) -> None:
        super().__init__(labels)
        self.epoch, self.within = epoch, within

    def missing(self, records: BudgetRecords) -> Verdict | None:
        """Not enough runs, if no run of an entry trained for longer than `epoch` epochs."""
        short = [label for label in self.labels if not self._curves(records, label)]
        return Verdict(NOT_ENOUGH, f"no run of {short[0]} with more than {self.epoch} epochs") if short else None

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compare the best accuracy of all epochs with the best one until `epoch`."""
        gains = {}
        for label in self.labels:
            curves = self._curves(records, label)
            gains[label] = statistics.fmean(max(0.0, max(curve) - max(curve[: self.epoch])) for curve in curves)
        text = ", ".join(f"{label} {gain:.4f}" for label, gain in gains.items())
        text = f"best validation accuracy gained after epoch {self.epoch}: {text}"
        return _verdict(max(gains.values()) <= self.within, text)

    def _curves(self, records: BudgetRecords, label: str) -> list[list[float]]:
        curves = [record.history.get("val_accuracy", []) for record in records.records(label)]
        return [curve for curve in curves if len(curve) > self.epoch]


class HardestClasses(ClaimTest):
    """The named classes are among the `among` that a run recognises least often."""

    def __init__(self, label: str, names: Sequence[str], among: int) -> None:
        super().__init__((label,))
        self.names, self.among = tuple(names), among

    def judge(self, records: BudgetRecords) -> Verdict:
        """Rank the classes by their share of correct answers, summed over seeds."""
        (label,) = self.labels
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
        worst = sorted(shares, key=lambda name: shares[name])[: self.among]
        text = f"{label} (n={len(runs)}), lowest: " + ", ".join(f"{name} {shares[name]:.3f}" for name in worst)
        return _verdict(set(self.names) <= set(worst), text)


class NotRecorded(ClaimTest):
    """No record can decide the claim; `why` says what would have to be measured."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why

    def judge(self, records: BudgetRecords) -> Verdict:
        """Inconclusive, whatever the records."""
        return Verdict(INCONCLUSIVE, self.why)


class Computed(ClaimTest):
    """The claim follows from the architectures alone; `compute` returns whether it holds, and the evidence."""

    def __init__(self, compute: Callable[[], tuple[bool, str]]) -> None:
        super().__init__()
        self.compute = compute

    def judge(self, records: BudgetRecords) -> Verdict:
        """Compute; the records are not used."""
        return _verdict(*self.compute())


def _verdict(holds: bool, evidence: str) -> Verdict:
    return Verdict(HOLDS if holds else REFUTED, evidence)
