"""Tables of a study's results: ours beside the reported figures, one budget a table (no Keras)."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from kzoo.studies import metrics, selection
from kzoo.studies.differences import differences
from kzoo.studies.results import Index, Results
from kzoo.studies.study import Claim, Study, Verdict

WIDTH = 10
"""Characters after which a column's heading goes on in the next line."""
APART = "Further from the report than two standard errors of the held-out images"


@dataclass(frozen=True)
class Cell:
    """A metric of one entry.

    Attributes:
        values: ours, one a seed.
        reported: the report's figure.
        comparable: whether ours less the reported figure means anything: it does not on another dataset.
    """

    metric: str
    values: tuple[float, ...]
    reported: float | None
    comparable: bool = True

    @property
    def mean(self) -> float | None:
        """Ours, over seeds."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Ours less the reported figure; None where there is none, or where they are of different datasets."""
        if self.mean is None or self.reported is None or not self.comparable:
            return None
        return self.mean - self.reported

    def ours(self) -> str:
        """Our figure as text."""
        return "-" if self.mean is None else metrics.write(self.metric, self.mean, self.sd)

    def theirs(self) -> str:
        """The reported figure as text; empty where there is none."""
        return "" if self.reported is None else metrics.write(self.metric, self.reported)

    def apart(self) -> str:
        """Ours less the reported figure as text; empty where there is none."""
        return "" if self.difference is None else metrics.write_difference(self.metric, self.difference)

    def both(self) -> str:
        """Ours with the reported figure and the difference in brackets."""
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
    """An entry's line of a table; a run that failed has `failed` and no figures.

    Attributes:
        budget: the table's, and whether the images are others than the published dataset's.
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


def columns(results: Results) -> tuple[str, ...]:
    """The metrics that a study's table shows: its own, those reported, and what benchmarks measured of its runs."""
    study = results.study
    names = [*study.columns, *(name for entry in study.entries for name in entry.reported), "seconds_per_epoch_ratio"]

    def shown(name: str) -> bool:
        return not metrics.measured_apart(name) or any(results.values(label, name) for label in study.labels)

    return tuple(filter(shown, dict.fromkeys(names)))


def rows(results: Results) -> list[Row]:
    """One row for each entry that has a record."""
    names = columns(results)
    found = []
    for label in results.recorded:
        records = results.records(label)
        entry = results.study.entry(label)
        reported, same = entry.reported, all(record.recipe["dataset"] == entry.recipe.dataset for record in records)
        if not same:
            reported = {key: value for key, value in reported.items() if key != "parameters"}  # of other classes
        cells = tuple(Cell(name, tuple(results.values(label, name)), reported.get(name), same) for name in names)
        seeds = tuple(record.recipe["seed"] for record in records)
        failed = tuple(record.recipe["seed"] for record in records if record.status == "failed")
        budget = f"{results.budget}, {selection.OTHER}" if results.on_other_images(label) else results.budget
        found.append(Row(label, budget, seeds, failed, cells))
    return found


def shows_budget(lines: Iterable[Row], results: Results) -> bool:
    """Whether a table's lines have a budget of their own beside its heading's: some runs are on other images."""
    return any(row.budget != results.budget for row in lines)


def heading(results: Results) -> str:
    """What heads a table: the study and the budget."""
    budget = "the full budget" if results.budget == "full" else results.budget
    return f"{results.study.name} at {budget}"


def unrecorded(results: Results) -> str:
    """Which entries have no record at this budget, as a sentence; empty where all have."""
    missing = [label for label in results.study.labels if label not in results.recorded]
    if not missing:
        return ""
    if len(missing) > 8:
        return f"{len(missing)} of {len(results.study.labels)} runs have no record at this budget."
    return f"No record at this budget: {', '.join(missing)}."


def other_dataset(results: Results) -> str:
    """That the reported figures are of another dataset, as a sentence; empty where they are not."""
    theirs = {results.study.entry(label).recipe.dataset for label in results.recorded}
    ours = {record.recipe["dataset"] for label in results.recorded for record in results.records(label)}
    if ours <= theirs or not any(results.study.entry(label).reported for label in results.recorded):
        return ""
    return f"The reported figures are of {', '.join(sorted(theirs))}: no difference to them is formed."


def notes(results: Results) -> list[str]:
    """What a reader of a table should know, as sentences."""
    return [note for note in (sizes(results), other_dataset(results), unrecorded(results)) if note]


def reasons(results: Results) -> list[str]:
    """Why each figure is further from the reported one than the images explain, see `kzoo.studies.differences`."""
    return [difference.text for difference in differences(results)]


def sizes(results: Results) -> str:
    """How many images the runs saw, as a sentence."""
    seen: dict[str, None] = {}
    for label in results.recorded:
        for record in results.records(label):
            text = f"{record.recipe['dataset']} {selection.write_sizes(selection.sizes(record))}"
            theirs = selection.published_sizes(record.recipe)
            if theirs is not None and selection.on_other_images(record):
                text += f" ({selection.OTHER}: the published dataset has {selection.write_sizes(theirs)})"
            seen[text] = None
    return f"Training / validation / test images: {'; '.join(seen)}."


def rich_tables(results: Results, width: int) -> list[RichTable]:
    """The table for a terminal, as several below each other where it is wider than `width` characters.

    Where figures are reported, they and the differences stand in lines below ours.
    """
    measure = Console(width=10_000, height=100)
    left, parts = list(columns(results)), []
    while left:
        count = len(left)
        while count > 1 and measure.measure(_rich_table(results, left[:count])).maximum > width:
            count -= 1
        parts.append(_rich_table(results, left[:count]))
        left = left[count:]
    if parts:
        parts[0].title = heading(results)
    return parts


def _rich_table(results: Results, names: Sequence[str]) -> RichTable:
    table = RichTable(box=None, pad_edge=False, title_justify="left", padding=(0, 1))
    table.add_column("run", no_wrap=True)
    table.add_column("n", justify="right", no_wrap=True)
    lines = rows(results)
    budgeted = shows_budget(lines, results)
    if budgeted:
        table.add_column("budget")
    for name in names:
        table.add_column(textwrap.fill(metrics.heading(name), WIDTH), justify="right", no_wrap=True)
    for row in lines:
        cells = [cell for cell in row.cells if cell.metric in names]
        table.add_row(row.label, row.runs(), *([row.budget] * budgeted), *(cell.ours() for cell in cells))
        if any(cell.reported is not None for cell in cells):
            table.add_row("  reported", "", *([""] * budgeted), *(cell.theirs() for cell in cells), style="dim")
        if any(cell.difference is not None for cell in cells):
            table.add_row("  difference", "", *([""] * budgeted), *(cell.apart() for cell in cells), style="dim")
    return table


def markdown_table(header: Iterable[str], lines: Iterable[Iterable[object]], align: str = "") -> str:
    """A Markdown table; `align` is l or r per column."""
    names = list(header)
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(names), "l")]
    cells = [names, rules, *([str(cell).replace("|", "\\|") for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def markdown(results: Results) -> str:
    """The table, what it leaves out, and the verdicts, in Markdown without a heading."""
    names, found = columns(results), rows(results)
    extra = ["budget"] * shows_budget(found, results)
    lines = []
    for row in found:
        lines.append((row.label, row.runs(), *([row.budget] * len(extra)), *(cell.both() for cell in row.cells)))
    header = ["run", "n", *extra, *(metrics.heading(name) for name in names)]
    text = markdown_table(header, lines, "lr" + "l" * len(extra) + "r" * len(names))
    text += "\n" + " ".join(notes(results)) + "\n"
    apart = reasons(results)
    if apart:
        text += f"\n{APART}:\n\n" + "".join(f"- {reason}\n" for reason in apart)
    claims = [(claim.text, claim.source, verdict.status, verdict.evidence) for claim, verdict in verdicts(results)]
    if claims:
        text += "\n" + markdown_table(["claim", "source", "verdict", "evidence"], claims)
    return text


def verdicts(results: Results) -> list[tuple[Claim, Verdict]]:
    """Each claim of the study with what the records say of it."""
    return [(claim, claim.test(results)) for claim in results.study.claims]


def rich_verdicts(results: Results) -> RichTable | None:
    """The verdicts for a terminal; None where the study claims nothing."""
    if not results.study.claims:
        return None
    styles = {"holds": "green", "does not hold": "red", "not enough runs": "dim", "too small a budget": "dim"}
    table = RichTable(box=None, pad_edge=False, padding=(0, 1))
    for column in ("claim", "verdict", "evidence"):
        table.add_column(column, overflow="fold")
    for claim, verdict in verdicts(results):
        table.add_row(claim.text, Text(verdict.status, styles.get(verdict.status, "dim")), verdict.evidence)
    return table


def to_dict(study: Study, index: Index) -> dict[str, Any]:
    """All tables of a study as JSON data."""
    budgets = []
    for results in index.groups.values():
        budgets.append(
            {
                "budget": results.budget,
                "rows": [
                    {
                        "label": row.label,
                        "budget": row.budget,
                        "recipe": study.entry(row.label).recipe.name,
                        "seeds": list(row.seeds),
                        "failed": list(row.failed),
                        "figures": {cell.metric: cell.to_dict() for cell in row.cells},
                    }
                    for row in rows(results)
                ],
                "reasons": reasons(results),
                "claims": [
                    {"text": claim.text, "source": claim.source, "status": verdict.status, "evidence": verdict.evidence}
                    for claim, verdict in verdicts(results)
                ],
            }
        )
    return {"study": study.name, "report": study.report, "question": study.question, "budgets": budgets}
