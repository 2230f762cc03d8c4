"""Claims in words as tests on records, and the rule by which one holds (no Keras).

A comparison of two runs takes the mean over seeds of each. Their difference counts when it is larger than a margin:

- where either run has two seeds or more: twice the standard error of the difference, from the seeds' standard
  deviations (a run with one seed is taken to spread as the other does);
- where both have one seed: for accuracies, twice the standard error that the number of images alone leaves, and at
  least one point; for losses 0.05; for all else 5% of the smaller figure (nothing for parameter counts);
- never less than the `minimum` that the claim itself states.

A difference beyond the margin in the claimed direction means "holds", one beyond it in the other "does not hold". One
within the margin means "does not hold" where both runs have three seeds or more, else "not enough runs". A run that
failed (its loss was no number any more) counts as worse than one that did not.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from kzoo.studies import metrics
from kzoo.studies.study import Status, Verdict

if TYPE_CHECKING:
    from kzoo.studies.results import Results

ENOUGH_SEEDS = 3
Direction = Literal["higher", "lower"]


def _missing(results: Results, labels: Sequence[str]) -> Verdict | None:
    absent = [label for label in labels if not results.has(label)]
    if not absent:
        return None
    return Verdict("not enough runs", f"not recorded: {', '.join(absent)}")


def _unmeasured(results: Results, labels: Sequence[str], metric: str) -> Verdict | None:
    absent = [label for label in labels if not results.values(label, metric)]
    if not absent:
        return None
    return Verdict("not enough runs", f"{metrics.metric(metric).title}: no figure for {', '.join(absent)}")


def figure(results: Results, label: str, metric: str) -> str:
    """One run's figure with the number of runs, e.g. ``BN 0.4942 ± 0.0100 (n=3)``."""
    values = results.values(label, metric)
    sd = results.sd(label, metric)
    return f"{label} {metrics.write(metric, statistics.fmean(values), sd)} (n={len(values)})"


def margin(results: Results, a: str, b: str, metric: str, minimum: float | None = None) -> float:
    """The difference of two runs' means that counts, by the rule of this module."""
    least = minimum or 0.0
    first, second = results.values(a, metric), results.values(b, metric)
    spreads = [statistics.stdev(values) if len(values) > 1 else None for values in (first, second)]
    known = [spread for spread in spreads if spread is not None]
    if known:
        sd_a, sd_b = (spread if spread is not None else known[0] for spread in spreads)
        return max(least, 2 * math.sqrt(sd_a**2 / len(first) + sd_b**2 / len(second)))
    if minimum is not None:
        return minimum
    kind = metrics.metric(metric).kind
    if kind == "share":
        return max(0.01, 2 * math.sqrt(_image_error(results, a, metric) + _image_error(results, b, metric)))
    if kind == "loss":
        return 0.05
    return 0.0 if kind == "count" else 0.05 * min(abs(first[0]), abs(second[0]))


def _image_error(results: Results, label: str, metric: str) -> float:
    """Variance of an accuracy that the number of images leaves (binomial)."""
    images = results.images(label, "validation" if "val" in metric else "test")
    share = min(max(results.mean(label, metric), 0.0), 1.0)
    return share * (1 - share) / images if images else 0.0


@dataclass(frozen=True)
class Compare:
    """`a` is higher (or lower) than `b`; see `higher` and `lower`."""

    a: str
    b: str
    metric: str
    direction: Direction
    minimum: float | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The two runs."""
        return (self.a, self.b)

    def __call__(self, results: Results) -> Verdict:
        """Compare the means."""
        missing = _missing(results, self.labels)
        if missing:
            return missing
        if results.failed(self.a) != results.failed(self.b):
            worse = self.a if results.failed(self.a) else self.b
            better_is = "lower" if metrics.metric(self.metric).kind in ("loss", "epochs") else "higher"
            claimed_worse = self.b if self.direction == better_is else self.a
            status: Status = "holds" if worse == claimed_worse else "does not hold"
            return Verdict(status, f"{worse} failed: its loss became no finite number")
        absent = [label for label in self.labels if not results.values(label, self.metric)]
        if len(absent) == 1 and metrics.EPOCHS_TO.fullmatch(self.metric):
            (never,) = absent  # the other one got there
            reached = self.b if never == self.a else self.a
            late = self.a if self.direction == "higher" else self.b
            percent = self.metric.rpartition("_")[2]
            text = f"{never} never reached {percent}%; {figure(results, reached, self.metric)}"
            return Verdict("holds" if never == late else "does not hold", text)
        unmeasured = _unmeasured(results, self.labels, self.metric)
        if unmeasured:
            return unmeasured
        difference = results.mean(self.a, self.metric) - results.mean(self.b, self.metric)
        claimed = difference if self.direction == "higher" else -difference
        needed = margin(results, self.a, self.b, self.metric, self.minimum)
        text = f"{figure(results, self.a, self.metric)}, {figure(results, self.b, self.metric)}"
        if claimed > needed:
            return Verdict("holds", text)
        counts = [len(results.values(label, self.metric)) for label in self.labels]
        if claimed < -needed or min(counts) >= ENOUGH_SEEDS or metrics.metric(self.metric).kind == "count":
            return Verdict("does not hold", text)
        return Verdict("not enough runs", f"{text}: within the margin of {metrics.write(self.metric, needed)}")


@dataclass(frozen=True)
class Combined:
    """All tests at once; see `all_of`."""

    tests: tuple[Callable[[Results], Verdict], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """All that the tests look at."""
        found = [label for test in self.tests for label in getattr(test, "labels", ())]
        return tuple(dict.fromkeys(found))

    def __call__(self, results: Results) -> Verdict:
        """Holds where all do; does not where one does not; else there are not enough runs."""
        verdicts = [test(results) for test in self.tests]
        kinds = {verdict.status for verdict in verdicts}
        status: Status = "holds"
        if "does not hold" in kinds:
            status = "does not hold"
        elif "not enough runs" in kinds:
            status = "not enough runs"
        shown = [verdict for verdict in verdicts if verdict.status == status]
        return Verdict(status, "; ".join(dict.fromkeys(verdict.evidence for verdict in shown)))


@dataclass(frozen=True)
class Bounded:
    """A figure of each run lies within bounds; see `at_chance`, `learns`, `between`."""

    labels: tuple[str, ...]
    metric: str
    bounds: Callable[[Results, str], tuple[float, float]]

    def __call__(self, results: Results) -> Verdict:
        """Look at each mean."""
        verdict = _missing(results, self.labels) or _unmeasured(results, self.labels, self.metric)
        if verdict:
            return verdict
        inside, texts = [], []
        for label in self.labels:
            low, high = self.bounds(results, label)
            inside.append(low <= results.mean(label, self.metric) <= high)
            texts.append(figure(results, label, self.metric))
        return Verdict("holds" if all(inside) else "does not hold", ", ".join(texts))


@dataclass(frozen=True)
class Alike:
    """Runs that do not differ by more than `within`; see `alike`."""

    labels: tuple[str, ...]
    metric: str
    within: float

    def __call__(self, results: Results) -> Verdict:
        """Compare the largest with the smallest mean."""
        verdict = _missing(results, self.labels) or _unmeasured(results, self.labels, self.metric)
        if verdict:
            return verdict
        means = [results.mean(label, self.metric) for label in self.labels]
        text = ", ".join(figure(results, label, self.metric) for label in self.labels)
        return Verdict("holds" if max(means) - min(means) <= self.within else "does not hold", text)


@dataclass(frozen=True)
class NotAbove:
    """`a` is not above `b` by more than the margin; see `no_gain`."""

    a: str
    b: str
    metric: str
    minimum: float | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The two runs."""
        return (self.a, self.b)

    def __call__(self, results: Results) -> Verdict:
        """Compare the means."""
        verdict = _missing(results, self.labels) or _unmeasured(results, self.labels, self.metric)
        if verdict:
            return verdict
        difference = results.mean(self.a, self.metric) - results.mean(self.b, self.metric)
        text = f"{figure(results, self.a, self.metric)}, {figure(results, self.b, self.metric)}"
        needed = margin(results, self.a, self.b, self.metric, self.minimum)
        return Verdict("does not hold" if difference > needed else "holds", text)


@dataclass(frozen=True)
class HardestClasses:
    """Classes that a run's confusion matrix has among its worst; see `hardest_classes`."""

    label: str
    names: tuple[str, ...]
    among: int

    @property
    def labels(self) -> tuple[str, ...]:
        """The run."""
        return (self.label,)

    def __call__(self, results: Results) -> Verdict:
        """Rank the classes by their share of correct answers, summed over seeds."""
        verdict = _missing(results, self.labels)
        if verdict:
            return verdict
        right: dict[str, int] = {}
        count: dict[str, int] = {}
        records = [record for record in results.records(self.label) if record.confusion]
        for record in records:
            for i, name in enumerate(record.data["class_names"]):
                right[name] = right.get(name, 0) + record.confusion[i][i]
                count[name] = count.get(name, 0) + sum(record.confusion[i])
        unknown = [name for name in self.names if not count.get(name)]
        if unknown:
            return Verdict("not enough runs", f"{self.label}: no test image of class {', '.join(unknown)}")
        shares = {name: right[name] / count[name] for name in count if count[name]}
        worst = sorted(shares, key=lambda name: shares[name])[: self.among]
        text = f"{self.label} (n={len(records)}), lowest: " + ", ".join(f"{name} {shares[name]:.3f}" for name in worst)
        return Verdict("holds" if set(self.names) <= set(worst) else "does not hold", text)


@dataclass(frozen=True)
class NotRecorded:
    """A claim that no record can decide; see `not_recorded`."""

    why: str
    labels: tuple[str, ...] = ()

    def __call__(self, results: Results) -> Verdict:
        """Say why."""
        return Verdict("not enough runs", self.why)


def higher(a: str, b: str, *, metric: str = "test_accuracy", minimum: float | None = None) -> Compare:
    """`a`'s figure is higher than `b`'s, by at least `minimum` if given."""
    return Compare(a, b, metric, "higher", minimum)


def lower(a: str, b: str, *, metric: str, minimum: float | None = None) -> Compare:
    """`a`'s figure is lower than `b`'s, by at least `minimum` if given."""
    return Compare(a, b, metric, "lower", minimum)


def faster(a: str, b: str, *, percent: int) -> Compare:
    """`a` reaches a validation accuracy of `percent` in fewer epochs than `b`, which may never do so."""
    return Compare(a, b, f"epochs_to_{percent}", "lower")


def all_of(*tests: Callable[[Results], Verdict]) -> Combined:
    """Every one of the tests holds."""
    return Combined(tests)


def ranking(labels: Sequence[str], *, metric: str = "test_accuracy", direction: Direction = "higher") -> Combined:
    """Each run is higher (or lower) than the next one of the list."""
    pairs = itertools.pairwise(labels)
    return Combined(tuple(Compare(a, b, metric, direction) for a, b in pairs))


def best(label: str, others: Sequence[str], *, metric: str = "test_accuracy") -> Combined:
    """A run is higher than each of the others (which may include itself)."""
    return Combined(tuple(Compare(label, other, metric, "higher") for other in others if other != label))


def peak_at(label: str, along: Sequence[str], *, metric: str = "test_accuracy") -> Combined:
    """Along an axis (a rate, a depth), a run is higher than its neighbours, so than all if there is one peak."""
    place = list(along).index(label)
    around = [*along[max(place - 1, 0) : place], *along[place + 1 : place + 2]]
    return Combined(tuple(Compare(label, other, metric, "higher") for other in around))


def overfits_more(a: str, b: str) -> Compare:
    """`a`'s training accuracy is further above its test accuracy than `b`'s."""
    return Compare(a, b, "gap", "higher")


def overfits_sooner(a: str, b: str) -> Compare:
    """`a`'s validation loss is lowest at an earlier epoch than `b`'s."""
    return Compare(a, b, "lowest_loss_epoch", "lower")


def alike(labels: Sequence[str], *, metric: str = "test_accuracy", within: float = 0.02) -> Alike:
    """No two of the runs differ by more than `within`."""
    return Alike(tuple(labels), metric, within)


def no_gain(a: str, b: str, *, metric: str = "test_accuracy", minimum: float | None = None) -> NotAbove:
    """`a` is not higher than `b`, or by no more than the margin."""
    return NotAbove(a, b, metric, minimum)


def at_chance(*labels: str, metric: str = "val_accuracy", times: float = 1.5) -> Bounded:
    """The accuracies are below `times` that of a guess."""
    return Bounded(labels, metric, lambda results, label: (0.0, times * results.chance(label)))


def learns(*labels: str, metric: str = "val_accuracy", times: float = 3.0) -> Bounded:
    """The accuracies are at least `times` that of a guess."""
    return Bounded(labels, metric, lambda results, label: (times * results.chance(label), 1.0))


def between(*labels: str, metric: str, low: float = -math.inf, high: float = math.inf) -> Bounded:
    """The figures lie between `low` and `high`."""
    return Bounded(labels, metric, lambda results, label: (low, high))


def hardest_classes(label: str, names: Sequence[str], among: int) -> HardestClasses:
    """The named classes are among the `among` that are recognised least often."""
    return HardestClasses(label, tuple(names), among)


def not_recorded(why: str) -> NotRecorded:
    """No record can decide the claim; `why` says what would have to be measured."""
    return NotRecorded(why)
