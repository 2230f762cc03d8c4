"""Tables of a study's results: our values beside the reported ones, one table for each budget (no Keras)."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from kzoo.studies import metrics, selection, short_training
from kzoo.studies.budget import FULL
from kzoo.studies.differences import differences
from kzoo.studies.records import BudgetRecords, StudyRecords
from kzoo.studies.study import HOLDS, REFUTED, Claim, Study, Verdict

WIDTH = 10
"""Characters after which the heading of a column wraps."""
APART = "Values that differ from the report by more than two standard errors of the held-out images"


@dataclass(frozen=True)
class Cell:
    """A metric of one entry.

    Attributes:
        metric: its name.
        values: our values, one for each seed.
        reported: the report's value.
        comparable: whether our value minus the reported one means anything; it does not on another dataset.
    """

    metric: str
    values: tuple[float, ...]
    reported: float | None
    comparable: bool = True

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
        """Our mean minus the reported value; None if there is none, or if they are of different datasets."""
        if self.mean is None or self.reported is None or not self.comparable:
            return None
        return self.mean - self.reported

    def ours(self) -> str:
        """Our mean as text."""
        return "-" if self.mean is None else metrics.write(self.metric, self.mean, self.sd)

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
        budget: the table's budget, and whether the images are another selection than the published one.
        seeds: the seeds of its runs.
        failed: the seeds of those that failed.
        cells: one for each metric; empty of values if all runs failed.
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

        # On another dataset the number of classes, and so of parameters, differs from the reported one.
        same = all(run.recipe["dataset"] == entry.recipe.dataset for run in runs)
        reported = {key: value for key, value in entry.reported.items() if same or key != "parameters"}
        cells = [Cell(name, tuple(records.values(label, name)), reported.get(name), same) for name in columns(records)]
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
    """That the reported values are of another dataset, if they are."""
    entries = [records.study.entry(label) for label in records.recorded]
    theirs = {entry.recipe.dataset for entry in entries}
    ours = {run.recipe["dataset"] for entry in entries for run in records.records(entry.label)}
    if ours <= theirs or not any(entry.reported for entry in entries):
        return ""
    return f"The reported values are of {', '.join(sorted(theirs))}, so no differences are shown."


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


def rich_tables(records: BudgetRecords, width: int) -> list[RichTable]:
    """The table for a terminal, split into several if it is wider than `width` characters.

    Reported values and differences are in rows below ours.
    """
    measure = Console(width=10_000, height=100)
    left, parts = list(columns(records)), []
    while left:
        count = len(left)
        while count > 1 and measure.measure(_rich_table(records, left[:count])).maximum > width:
            count -= 1
        parts.append(_rich_table(records, left[:count]))
        left = left[count:]
    if parts:
        parts[0].title = heading(records)
    return parts


def _rich_table(records: BudgetRecords, names: Sequence[str]) -> RichTable:
    # Columns
    table = RichTable(box=None, pad_edge=False, title_justify="left", padding=(0, 1))
    table.add_column("run", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    entries = rows(records)
    budgeted = shows_budget(entries, records)
    if budgeted:
        table.add_column("budget")
    for name in names:
        table.add_column(textwrap.fill(metrics.metric(name).heading, WIDTH), justify="right", no_wrap=True)

    # Rows
    for row in entries:
        cells = [cell for cell in row.cells if cell.metric in names]
        table.add_row(row.label, row.runs(), *([row.budget] * budgeted), *(cell.ours() for cell in cells))
        if any(cell.reported is not None for cell in cells):
            table.add_row("  reported", "", *([""] * budgeted), *(cell.theirs() for cell in cells), style="dim")
        if any(cell.difference is not None for cell in cells):
            table.add_row("  difference", "", *([""] * budgeted), *(cell.apart() for cell in cells), style="dim")
    return table


def rich_verdicts(records: BudgetRecords) -> RichTable | None:
    """The verdicts for a terminal; None if the study claims nothing."""
    if not records.study.claims:
        return None
    styles = {HOLDS: "green", REFUTED: "red"}
    table = RichTable(box=None, pad_edge=False, padding=(0, 1))
    for column in ("claim", "verdict", "evidence"):
        table.add_column(column, overflow="fold")
    for claim, verdict in verdicts(records):
        table.add_row(claim.text, Text(verdict.status, styles.get(verdict.status, "dim")), verdict.evidence)
    return table


def markdown_table(header: Iterable[str], rows: Iterable[Iterable[object]], align: str = "") -> str:
    """A Markdown table; `align` has an l or r for each column."""
    names = list(header)
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(names), "l")]
    cells = [names, rules, *([str(cell).replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


def markdown(records: BudgetRecords) -> str:
    """The table, the notes and the verdicts in Markdown, without a heading."""
    # The table
    names, entries = columns(records), rows(records)
    extra = ["budget"] * shows_budget(entries, records)
    lines = [
        (row.label, row.runs(), *([row.budget] * len(extra)), *(cell.both() for cell in row.cells)) for row in entries
    ]
    header = ["run", "n", *extra, *(metrics.metric(name).heading for name in names)]
    text = markdown_table(header, lines, "lr" + "l" * len(extra) + "r" * len(names))

    # Notes, reasons and verdicts
    text += "\n" + " ".join(notes(records)) + "\n"
    apart = reasons(records)
    if apart:
        text += f"\n{APART}:\n\n" + "".join(f"- {reason}\n" for reason in apart)
    claims = [(claim.text, claim.source, verdict.status, verdict.evidence) for claim, verdict in verdicts(records)]
    if claims:
        text += "\n" + markdown_table(["claim", "source", "verdict", "evidence"], claims)
    return text


def to_dict(study: Study, records: StudyRecords) -> dict[str, Any]:
    """All tables of a study as JSON data."""
    return {
        "study": study.name,
        "report": study.report,
        "question": study.question,
        "budgets": [_budget_dict(study, group) for group in records.budgets.values()],
    }


def _budget_dict(study: Study, records: BudgetRecords) -> dict[str, Any]:
    return {
        "budget": records.budget,
        "rows": [
            {
                "label": row.label,
                "budget": row.budget,
                "recipe": study.entry(row.label).recipe.name,
                "seeds": list(row.seeds),
                "failed": list(row.failed),
                "figures": {cell.metric: cell.to_dict() for cell in row.cells},
            }
            for row in rows(records)
        ],
        "reasons": reasons(records),
        "claims": [
            {"text": claim.text, "source": claim.source, "status": verdict.status, "evidence": verdict.evidence}
            for claim, verdict in verdicts(records)
        ],
    }
