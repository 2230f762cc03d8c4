"""Where ours and the reported figure differ by more than the held-out images explain, and why (no Keras).

A share that is measured on n images has a standard error of sqrt(p (1 - p) / n). Seeds do not lessen it: all of a
study's runs are measured on the same images. A difference of more than two of them needs a reason, which the study's
entry gives (`Entry.why`); where it gives none, a sentence says what the records themselves rule out, and what has not
been tried.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kzoo.studies import metrics, selection
from kzoo.studies.budget import FULL
from kzoo.studies.results import Results
from kzoo.studies.study import Entry
from kzoo.training.records import Result

LIMIT = 2.0
"""Standard errors beyond which a difference needs a reason."""
PARTS = {"test_accuracy": "test", "val_accuracy": "validation", "best_val_accuracy": "validation"}


@dataclass(frozen=True)
class Difference:
    """A figure that is further from the reported one than the images explain.

    Attributes:
        label: the entry's.
        metric: of `PARTS`.
        ours, reported: shares; ours is the mean over seeds.
        errors: their distance, in standard errors of ours.
        images: how many it was measured on.
        why: a sentence or more.
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
        name = metrics.metric(self.metric).title
        apart = metrics.write_difference(self.metric, self.ours - self.reported)
        return (
            f"{self.label}: {name} {metrics.write(self.metric, self.ours)}, reported "
            f"{metrics.write(self.metric, self.reported)}; {apart} is {self.errors:.1f} standard errors of "
            f"{self.images:,} images. {self.why}"
        )


def differences(results: Results) -> list[Difference]:
    """Those of one budget's rows, in the study's order; none at a smaller budget, or on another dataset."""
    if results.budget != FULL:
        return []
    found = []
    for label in results.recorded:
        entry, records = results.study.entry(label), results.records(label)
        if any(record.recipe["dataset"] != entry.recipe.dataset for record in records):
            continue
        for metric, reported in entry.reported.items():
            count = results.images(label, PARTS[metric]) if metric in PARTS else 0
            if not count or not results.values(label, metric):
                continue
            ours = results.mean(label, metric)
            errors = abs(ours - reported) / max(math.sqrt(ours * (1 - ours) / count), 1 / count)
            if errors > LIMIT:
                found.append(Difference(label, metric, ours, reported, errors, count, _why(entry, records, metric)))
    return found


def _why(entry: Entry, records: list[Result], metric: str) -> str:
    """The entry's reason, else what can be said without one."""
    said = []
    theirs = selection.published_sizes(records[0].recipe)
    if theirs is not None and selection.on_other_images(records[0]):
        said.append(
            f"The images are another selection of {records[0].recipe['dataset']}: {selection.write_sizes(theirs)} for "
            f"training, validation and testing there, {selection.write_sizes(selection.sizes(records[0]))} here."
        )
    return " ".join([*said, entry.why or _tried(records, metric, bool(said))])


def _tried(records: list[Result], metric: str, a_cause: bool) -> str:
    """That the reason is not known, what the records rule out, and what was not tried."""
    untried = ["other initial weights", "where there is BatchNorm, its constants"]
    tried = []
    if len(records) > 1:
        values = [value for record in records if (value := metrics.metric(metric).read(record)) is not None]
        tried.append(
            f"{len(records)} seeds ({metrics.write(metric, min(values))} to {metrics.write(metric, max(values))})"
        )
    else:
        untried.insert(0, "other seeds")
    gaps = [record.best.accuracy - record.last.accuracy for record in records if record.best and record.last]
    if gaps:
        tried.append(f"the last epoch instead of the best ({max(gaps):.4f} apart in validation accuracy)")
    start = "Whether that is the whole reason is not known" if a_cause else "The reason is not known"
    return f"{start}. Tried: {', '.join(tried) or 'nothing'}. Not tried yet: {', '.join(untried)}."
