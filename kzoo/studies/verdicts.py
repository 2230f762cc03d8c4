"""The tests behind claims: plain data that is called with the records of one budget (no Keras).

Made by the functions of `kzoo.studies.claims`, where the rule by which a claim holds is written down.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from kzoo.studies import metrics
from kzoo.studies.budget import FULL
from kzoo.studies.study import Status, Verdict
from kzoo.training.counts import from_json

if TYPE_CHECKING:
    from kzoo.studies.results import Results

ENOUGH_SEEDS = 3
CHANCE = 1.5
"""Times the accuracy of a guess, below which nothing was learned."""
SMALL: Status = "too small a budget"
LOWEST_LOSS = "lowest_loss_epoch"
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


def figures(results: Results, labels: Sequence[str], metric: str) -> str:
    """Several runs' figures after what they are, e.g. ``test accuracy: BN 0.46 (n=1), VGG-08 0.50 (n=1)``."""
    return f"{metrics.metric(metric).title}: {', '.join(figure(results, label, metric) for label in labels)}"


def margin(results: Results, a: str, b: str, metric: str, minimum: float | None = None) -> float:
    """The difference of two runs' means that counts, by the rule of `kzoo.studies.claims`."""
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


def _at_chance(results: Results, label: str, metric: str) -> bool:
    """Whether a run of a shortened budget has an accuracy near that of a guess; claims are on full ones."""
    kind = metrics.metric(metric).kind
    if results.budget == FULL or kind != "share" or "accuracy" not in metric or not results.values(label, metric):
        return False
    guess = results.chance(label)
    return results.mean(label, metric) < min(CHANCE * guess, guess + 0.1 * (1 - guess))  # the latter of few classes


def _image_error(results: Results, label: str, metric: str) -> float:
    """Variance of an accuracy that the number of images leaves (binomial)."""
    images = results.images(label, "validation" if "val" in metric else "test")
    share = min(max(results.mean(label, metric), 0.0), 1.0)
    return share * (1 - share) / images if images else 0.0


def _still_falls(record: Any) -> bool:
    """Whether a run's validation loss is lowest at its last epoch, so that it has not begun to overfit."""
    turn = metrics.metric(LOWEST_LOSS).read(record)
    return turn is not None and turn == len(record.history["val_loss"])


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
        text = figures(results, self.labels, self.metric)
        if self.metric == LOWEST_LOSS and all(_still_falls(r) for label in self.labels for r in results.records(label)):
            return Verdict("not enough runs", f"{text}: their last epochs, none has begun to overfit")
        better = self.a if self.direction == "higher" else self.b
        if _at_chance(results, better, self.metric):
            return Verdict(SMALL, f"{text}: {better} has learned nothing yet")
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
        """Undecided where the budget is too small; holds where all do; does not where one does not; else few runs."""
        verdicts = [test(results) for test in self.tests]
        kinds = {verdict.status for verdict in verdicts}
        status: Status = "holds"
        if SMALL in kinds:
            status = SMALL
        elif "does not hold" in kinds:
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
        inside = []
        text = figures(results, self.labels, self.metric)
        for label in self.labels:
            low, high = self.bounds(results, label)
            if low > 0 and _at_chance(results, label, self.metric):
                return Verdict(SMALL, f"{text}: {label} has learned nothing yet")
            inside.append(low <= results.mean(label, self.metric) <= high)
        return Verdict("holds" if all(inside) else "does not hold", text)


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
        text = figures(results, self.labels, self.metric)
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
        text = figures(results, self.labels, self.metric)
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
        tables = [(r.confusion, r.data["class_names"]) for r in results.records(self.label) if r.confusion]
        for confusion, class_names in tables:
            matrix = from_json(confusion)
            for name, hits, images in zip(class_names, matrix.diagonal(), matrix.sum(axis=1), strict=True):
                right[name] = right.get(name, 0) + int(hits)
                count[name] = count.get(name, 0) + int(images)
        unknown = [name for name in self.names if not count.get(name)]
        if unknown:
            return Verdict("not enough runs", f"{self.label}: no test image of class {', '.join(unknown)}")
        shares = {name: right[name] / count[name] for name in count if count[name]}
        worst = sorted(shares, key=lambda name: shares[name])[: self.among]
        text = f"{self.label} (n={len(tables)}), lowest: " + ", ".join(f"{name} {shares[name]:.3f}" for name in worst)
        return Verdict("holds" if set(self.names) <= set(worst) else "does not hold", text)


@dataclass(frozen=True)
class NotRecorded:
    """A claim that no record can decide; see `not_recorded`."""

    why: str
    labels: tuple[str, ...] = ()

    def __call__(self, results: Results) -> Verdict:
        """Say why."""
        return Verdict("not enough runs", self.why)
