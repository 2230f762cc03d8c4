"""What the tables of a study hold: our values and the reported ones, a table for each budget (no Keras)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kzoo.studies import metrics, selection, short_training
from kzoo.studies.budget import FULL
from kzoo.studies.differences import differences
from kzoo.studies.records import BudgetRecords
from kzoo.studies.study import Claim, Verdict


@dataclass(frozen=True)
class Cell:
    """A metric of one entry.

    Attributes:
        metric: its name.
        values: our values, one for each seed.
        reported: the report's value.
        comparable: whether our value can be compared with the reported one; it cannot on other data.
        runs: the number of completed runs, each of which should have a value.
    """

    metric: str
    values: tuple[float, ...]
    reported: float | None
    comparable: bool = True
    runs: int = 0

    @property
    def mean(self) -> float | None:
        """The mean over seeds."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """The standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Our mean minus the reported value; None if either is missing, or if they are of different data."""
        if self.mean is None or self.reported is None or not self.comparable:
            return None
        return self.mean - self.reported

    def ours(self) -> str:
        """Our mean as text, and how many runs have a value if some have none (they never reached an accuracy)."""
        if self.mean is None:
            return "-"
        some = f" ({len(self.values)} of {self.runs} runs)" if len(self.values) < self.runs else ""
        return f"{metrics.write(self.metric, self.mean, self.sd)}{some}"

    def theirs(self) -> str:
        """The reported value as text; empty if there is none."""
        return "" if self.reported is None else metrics.write(self.metric, self.reported)

    def apart(self) -> str:
        """The difference as text; empty if there is none."""
        return "" if self.difference is None else metrics.write_difference(self.metric, self.difference)

    def both(self) -> str:
        """Our mean, with the reported value and the difference in brackets."""
        extra = ", ".join(text for text in (self.theirs(), self.apart()) if text)
        return f"{self.ours()} ({extra})" if extra else self.ours()

    def to_dict(self) -> dict[str, Any]:
        """The cell as JSON data."""
        return {
            "mean": self.mean,
            "sd": self.sd,
            "values": list(self.values),
            "reported": self.reported,
            "difference": self.difference,
        }


@dataclass(frozen=True)
class Row:
    """An entry's row of a table.

    Attributes:
        label: the entry's label.
        budget: the table's budget, and whether the images are a different selection from the published one.
        seeds: the seeds of its runs.
        failed: the seeds of those that failed.
        cells: one for each metric, without values if all runs failed.
    """

    label: str
    budget: str
    seeds: tuple[int, ...]
    failed: tuple[int, ...]
    cells: tuple[Cell, ...]

    def runs(self) -> str:
        """The number of runs as text."""
        text = str(len(self.seeds))
        return f"{text} ({len(self.failed)} failed)" if self.failed else text


def columns(records: BudgetRecords) -> tuple[str, ...]:
    """The metrics of a table: the study's, those reported, and those that benchmarks measured for its runs."""
    study = records.study
    names = [*study.columns, *(name for entry in study.entries for name in entry.reported), "seconds_per_epoch_ratio"]

    def shown(name: str) -> bool:
        by_run = metrics.metric(name).source == "record"
        return by_run or any(records.values(label, name) for label in study.labels)

    return tuple(filter(shown, dict.fromkeys(names)))


def rows(records: BudgetRecords) -> list[Row]:
    """One row for each entry that has a record."""
    table = []
    for label in records.recorded:
        runs, entry = records.records(label), records.study.entry(label)
        seeds = tuple(run.recipe["seed"] for run in runs)
        failed = tuple(run.recipe["seed"] for run in runs if run.status == "failed")
        budget = f"{records.budget}, {selection.OTHER}" if records.on_other_images(label) else records.budget

        # On other data the number of classes, and so of parameters, differs from the reported one.
        same = records.on_its_data(label)
        reported = {key: value for key, value in entry.reported.items() if same or key != "parameters"}
        cells = []
        for name in columns(records):
            each = 0 if metrics.metric(name).source == "epoch time" else len(runs) - len(failed)  # times are of no run
            cells.append(Cell(name, tuple(records.values(label, name)), reported.get(name), same, each))
        table.append(Row(label, budget, seeds, failed, tuple(cells)))
    return table


def shows_budget(table: Iterable[Row], records: BudgetRecords) -> bool:
    """Whether a table needs a column for the budget: some runs used other images."""
    return any(row.budget != records.budget for row in table)


def heading(records: BudgetRecords) -> str:
    """The heading of a table: the study and the budget."""
    return f"{records.study.name} at {'the full budget' if records.budget == FULL else records.budget}"


def notes(records: BudgetRecords) -> list[str]:
    """Remarks for readers of a table, as sentences."""
    every = (_sizes(records), _other_dataset(records), _unrecorded(records), short_training.remark(records))
    return [note for note in every if note]


def _unrecorded(records: BudgetRecords) -> str:
    """Which entries have no record at this budget."""
    missing = [label for label in records.study.labels if label not in records.recorded]
    if not missing:
        return ""
    if len(missing) > 8:
        return f"{len(missing)} of {len(records.study.labels)} runs have no record at this budget."
    return f"No record at this budget: {', '.join(missing)}."


def _other_dataset(records: BudgetRecords) -> str:
    """A sentence if the reported values are for another dataset, other classes or another image size."""
    entries = [records.study.entry(label) for label in records.recorded if not records.on_its_data(label)]
    theirs = {entry.recipe.dataset for entry in entries if entry.reported}
    ours = {run.recipe["dataset"] for entry in entries for run in records.records(entry.label)}
    if not theirs:
        return ""
    other = "other classes or another image size" if ours <= theirs else ", ".join(sorted(theirs))
    return f"The reported values are for {other}, so no differences are shown."


def _sizes(records: BudgetRecords) -> str:
    """How many images the runs used."""
    seen: dict[str, None] = {}
    for run in (run for label in records.recorded for run in records.records(label)):
        text = f"{run.recipe['dataset']} {selection.write_sizes(selection.sizes(run))}"
        theirs = selection.published_sizes(run.recipe)
        if theirs is not None and selection.on_other_images(run):
            text += f" ({selection.OTHER}: the published dataset has {selection.write_sizes(theirs)})"
        seen[text] = None
    return f"Training / validation / test images: {'; '.join(seen)}."


def reasons(records: BudgetRecords) -> list[str]:
    """Why values differ from the reported ones by more than the images explain; see `kzoo.studies.differences`."""
    return [difference.text for difference in differences(records)]


def verdicts(records: BudgetRecords) -> list[tuple[Claim, Verdict]]:
    """Each claim of the study with the verdict of these records."""
    return [(claim, claim.test(records)) for claim in records.study.claims]
