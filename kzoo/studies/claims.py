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

Claims on accuracies know a shortened budget: where the network that is claimed to be better, or to learn, is itself at
chance, the verdict is "too small a budget", whatever the difference. At chance is an accuracy below 1.5 times a guess's
and, where the classes are few, below the guess and a tenth of what is left above it. A claim of several tests is
undecided in this way as soon as one of them is.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kzoo.studies.study import Verdict
from kzoo.studies.verdicts import (
    LOWEST_LOSS,
    Alike,
    Bounded,
    Combined,
    Compare,
    Direction,
    HardestClasses,
    NotAbove,
    NotRecorded,
)

if TYPE_CHECKING:
    from kzoo.studies.results import Results


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
    """`a`'s validation loss is lowest at an earlier epoch than `b`'s.

    Where it is lowest at the last epoch of every run there are not enough: none has been trained for long enough.
    """
    return Compare(a, b, LOWEST_LOSS, "lower")


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
