"""Values that differ from the reported ones by more than the held-out images explain, and why (no Keras).

The standard error of a share measured on n images is sqrt(p (1 - p) / n). More seeds do not reduce it, because all runs
of a study are measured on the same images. A difference of more than two standard errors needs a reason. The study's
entry states it (`Entry.why`); if it does not, a sentence says what the records rule out and what has not been tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kzoo.studies import metrics, selection
from kzoo.studies.budget import FULL
from kzoo.studies.records import BudgetRecords
from kzoo.studies.study import Entry
from kzoo.training.records import RunRecord

LIMIT = 2.0
"""Standard errors beyond which a difference needs a reason."""
METRICS = ("test_accuracy", "val_accuracy", "best_val_accuracy")


@dataclass(frozen=True)
class Difference:
    """A value that differs from the reported one by more than the images explain.

    Attributes:
        label: the entry's label.
        metric: one of `METRICS`.
        ours, reported: shares; ours is the mean over seeds.
        errors: the difference, in standard errors of ours.
        images: the number of images that ours was measured on.
        why: the reason, one or more sentences.
    """

    label: str
    metric: str
    ours: float
    reported: float
    errors: float
    images: int
    why: str

    @property
    def text(self) -> str:
        """The difference and the reason, as sentences."""
        apart = metrics.write_difference(self.metric, self.ours - self.reported)
        return (
            f"{self.label}: {metrics.metric(self.metric).title} {metrics.write(self.metric, self.ours)}, reported "
            f"{metrics.write(self.metric, self.reported)}; {apart} is {self.errors:.1f} standard errors of "
            f"{self.images:,} images. {self.why}"
        )


def differences(records: BudgetRecords) -> list[Difference]:
    """The differences of one budget, in the study's order; none at a shortened budget or on another dataset."""
    if records.budget != FULL:
        return []
    large = []
    for label in records.recorded:
        entry, runs = records.study.entry(label), records.completed(label)
        if not records.on_its_data(label):
            continue
        for metric in (name for name in entry.reported if name in METRICS):
            images = records.images(label, metrics.metric(metric).part)
            if not images or not records.values(label, metric):
                continue

            # At an accuracy of 0 or 1 the standard error is 0, so one image is the minimum.
            ours, reported = records.mean(label, metric), entry.reported[metric]
            errors = abs(ours - reported) / max(math.sqrt(ours * (1 - ours) / images), 1 / images)
            if errors > LIMIT:
                large.append(Difference(label, metric, ours, reported, errors, images, _why(entry, runs, metric)))
    return large


def _why(entry: Entry, runs: list[RunRecord], metric: str) -> str:
    """The entry's reason or, without one, what is known."""
    sentences = []
    theirs = selection.published_sizes(runs[0].recipe)
    if theirs is not None and selection.on_other_images(runs[0]):
        sentences.append(
            f"Our images are a different selection of {runs[0].recipe['dataset']}: "
            f"{selection.write_sizes(selection.sizes(runs[0]))} for training, validation and testing instead of "
            f"{selection.write_sizes(theirs)}."
        )
    return " ".join([*sentences, entry.why or _tried(runs, metric, partly_known=bool(sentences))])


def _tried(runs: list[RunRecord], metric: str, partly_known: bool) -> str:
    """For an unknown reason: what the records rule out, and what has not been tried."""
    untried = ["other initial weights", "the constants of BatchNorm, if there is any"]
    tried = []
    if len(runs) > 1:
        values = [value for run in runs if (value := metrics.metric(metric).read(run)) is not None]
        tried.append(
            f"{len(runs)} seeds ({metrics.write(metric, min(values))} to {metrics.write(metric, max(values))})"
        )
    else:
        untried.insert(0, "other seeds")
    gaps = [run.best.accuracy - run.last.accuracy for run in runs if run.best and run.last]
    if gaps:
        tried.append(f"the last epoch instead of the best ({max(gaps):.4f} apart in validation accuracy)")
    start = "It is not known whether this is the whole reason" if partly_known else "The reason is not known"
    return f"{start}. Tried: {', '.join(tried) or 'nothing'}. Not tried yet: {', '.join(untried)}."
