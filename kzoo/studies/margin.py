"""Margins, chance, runs that means leave out, and values as text, for the tests of `kzoo.studies.claims` (no Keras)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kzoo.studies import metrics
from kzoo.studies.budget import FULL

if TYPE_CHECKING:
    from kzoo.studies.records import BudgetRecords

ENOUGH_SEEDS = 3
CHANCE = 1.5
"""A network has learned nothing below this many times the accuracy of guessing."""


def value_text(records: BudgetRecords, label: str, metric: str) -> str:
    """The mean of one run with the number of seeds, e.g. ``BN 0.4942 ± 0.0100 (n=3)``."""
    text = metrics.write(metric, records.mean(label, metric), records.sd(label, metric))
    return f"{label} {text} (n={len(records.values(label, metric))})"


def values_text(records: BudgetRecords, labels: Sequence[str], metric: str) -> str:
    """The means of several runs after the metric, e.g. ``test accuracy: BN 0.46 (n=1), VGG-08 0.50 (n=1)``."""
    return f"{metrics.metric(metric).title}: {', '.join(value_text(records, label, metric) for label in labels)}"


def margin(records: BudgetRecords, a: str, b: str, metric: str, minimum: float | None = None) -> float:
    """The margin that the difference of two runs' means must exceed, by the rule of `kzoo.studies.claims`."""
    # From the spread over seeds, if either run has any.
    first, second = records.values(a, metric), records.values(b, metric)
    errors = two_errors(first, second)
    if errors is not None:
        return max(minimum or 0.0, errors)
    if minimum is not None:
        return minimum

    # From the kind of metric, if both have one seed.
    kind = metrics.metric(metric).kind
    if kind in ("accuracy", "share"):
        return max(0.01, 2 * math.sqrt(_image_error(records, a, metric) + _image_error(records, b, metric)))
    if kind == "loss":
        return 0.05
    return 0.0 if kind == "count" else 0.05 * min(abs(first[0]), abs(second[0]))


def exceeds(value: float, limit: float) -> bool:
    """Whether a value is larger than a limit, by more than rounding: 0.55 - 0.5 does not exceed 0.05.

    Accuracies of epochs are measured in float32, so the rounding of their differences is up to 1e-7.
    """
    return value > limit and not math.isclose(value, limit, rel_tol=1e-9, abs_tol=metrics.ROUNDING)


def two_errors(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Twice the standard error of the difference of two means over seeds; None if both have one seed.

    A run with one seed is assumed to vary as much as the other.
    """
    spreads = [statistics.variance(values) for values in (first, second) if len(values) > 1]
    return 2 * math.sqrt(spreads[0] / len(first) + spreads[-1] / len(second)) if spreads else None


def at_chance(records: BudgetRecords, label: str, metric: str) -> bool:
    """Whether a run with a shortened budget has an accuracy near that of guessing."""
    accuracy = metrics.metric(metric).kind == "accuracy"
    if records.budget == FULL or not accuracy or not records.values(label, metric):
        return False
    return records.mean(label, metric) < above_chance(CHANCE, records.chance(label))


def above_chance(times: float, guess: float) -> float:
    """A number of times the accuracy of guessing; with fewer than six classes, a share of the way from it to 1.

    With two classes, three times the accuracy of guessing would be 1.5, which no network reaches.
    """
    return min(times * guess, guess + (times - 1) / 5 * (1 - guess))


def left_out(records: BudgetRecords, label: str, metric: str) -> str:
    """Which runs of an entry have no value because they did badly; empty if there are none.

    These runs failed or, for epochs to an accuracy, never reached it. Empty for a metric without a better direction.
    """
    definition = metrics.metric(metric)
    runs = len(records.records(label))
    if definition.kind == "epochs":
        never = runs - len(records.values(label, metric))
        return f"{never} of {runs} runs of {label} never reached {metric.rpartition('_')[2]}%" if never else ""
    failed = runs - len(records.completed(label))
    return f"{failed} of {runs} runs of {label} failed" if failed and definition.better else ""


def possible_means(records: BudgetRecords, label: str, metric: str) -> tuple[float, float]:
    """The lowest and highest mean that an entry could have if `left_out` runs counted; they are worse than the others.

    Both are the mean itself if no run is left out.
    """
    mean = records.mean(label, metric)
    if not left_out(records, label, metric):
        return mean, mean
    return (0.0, mean) if metrics.metric(metric).better > 0 else (mean, math.inf)


def _image_error(records: BudgetRecords, label: str, metric: str) -> float:
    """Variance of a share due to the number of images it is measured on (binomial)."""
    definition = metrics.metric(metric)
    images = records.images(label, definition.part)
    share = records.mean(label, definition.limited_by or metric)
    return share * (1 - share) / images if images else 0.0
