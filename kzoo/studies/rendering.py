"""Tables of a study for terminals, in Markdown and as JSON data (no Keras)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from kzoo.studies import metrics
from kzoo.studies.records import BudgetRecords, StudyRecords
from kzoo.studies.study import HOLDS, REFUTED, Study
from kzoo.studies.tables import columns, heading, notes, reasons, rows, shows_budget, verdicts

WIDTH = 10
"""Characters after which the heading of a column wraps."""
LABEL = 48
"""Characters after which the label of a run wraps, so that it leaves room for values."""
APART = "Values that differ from the report by more than two standard errors of the held-out images"


def rich_tables(records: BudgetRecords, width: int) -> list[RichTable]:
    """The table for a terminal, split into several if it is wider than `width` characters.

    Reported values and differences are in rows below ours.
    """
    measure = Console(width=10_000, height=100, markup=False, emoji=False)
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
    table.add_column("run", overflow="fold", max_width=LABEL)
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
    names, *lines = ([_cell(value) for value in row] for row in (list(header), *rows))
    rules = ["---:" if side == "r" else "---" for side in align.ljust(len(names), "l")]
    return "\n".join(f"| {' | '.join(row)} |" for row in (names, rules, *lines)) + "\n"


def _cell(value: object) -> str:
    """Text for one cell: a line break would end the table, a bar the cell."""
    return " ".join(str(value).splitlines()).replace("|", "\\|")


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
