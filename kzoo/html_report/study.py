"""The page of a study: its question, tables, verdicts and curves by budget, and the record of each run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kzoo.html_report.curves import study_curves
from kzoo.html_report.document import Table, check_page, write_page
from kzoo.html_report.run import recorded
from kzoo.studies import metrics, tables
from kzoo.studies.budget import FULL
from kzoo.studies.records import BudgetRecords, StudyRecords
from kzoo.studies.study import DECIDED, HOLDS, REFUTED, Study
from kzoo.training.records import RunRecord

MARKS = {HOLDS: ("good", "✓"), REFUTED: ("bad", "✗")}
"""CSS class and sign of the conclusive verdicts; the others have ``open`` and ``?``."""


def results_table(records: BudgetRecords) -> Table:
    """Our values (mean ± standard deviation over seeds), the reported values and the differences."""
    names = tables.columns(records)
    rows = tables.rows(records)
    reported = [any(row.cells[i].reported is not None for row in rows) for i in range(len(names))]
    apart = ["difference"] if any(cell.difference is not None for row in rows for cell in row.cells) else []
    budgets = tables.shows_budget(rows, records)

    # One column for each metric, or a group of two or three
    header, groups = ["run", "n", *["budget"] * budgets], [("", 2 + budgets)]
    for name, also in zip(names, reported, strict=True):
        columns = ["ours", "reported", *apart] if also else ["ours"]
        header += columns
        groups.append((metrics.metric(name).title, len(columns)))

    # One row for each entry
    lines = []
    for row in rows:
        line = [row.label, row.runs(), *[row.budget] * budgets]
        for cell, also in zip(row.cells, reported, strict=True):
            line.append("–" if cell.mean is None else cell.ours())
            line += [cell.theirs(), *[cell.apart()] * len(apart)] if also else []
        lines.append(tuple(line))
    caption = "Mean ± standard deviation over n seeds"
    return Table(caption, tuple(header), tuple(lines), (1, *range(2 + budgets, len(header))), tuple(groups))


def _budget_part(records: BudgetRecords, number: int, links: Mapping[str, str], folded: bool) -> dict[str, Any]:
    """Everything that the page shows for one budget."""
    runs = {label: records.records(label) for label in records.recorded}
    verdicts = tables.verdicts(records)
    return {
        "identity": f"budget{number}",
        "title": "At the full budget" if records.budget == FULL else f"At {records.budget}",
        "folded": folded,
        "table": results_table(records),
        "notes": [*tables.notes(records), *tables.reasons(records)],
        "decided": [pair for pair in verdicts if pair[1].status in DECIDED],
        "undecided": [pair for pair in verdicts if pair[1].status not in DECIDED],
        "curves": study_curves(runs),
        "runs": [
            run_part(f"{label}, seed {record.recipe['seed']}", links.get(record.digest, ""), record)
            for label, seeds in runs.items()
            for record in seeds
        ],
    }


def run_part(title: str, link: str, record: RunRecord) -> dict[str, Any]:
    """Everything that a page of several runs shows for one; `link` is the address of the run's own page, or empty."""
    return {"title": title, "link": link, **recorded(record)}


def _links(records: StudyRecords, directory: Path) -> dict[str, str]:
    """By digest, the address of each run's own page relative to a directory, for runs that have one."""
    files = {file.digest: file.path for group in records.files.values() for file in group if file.in_run}
    pages = {digest: path.with_name("report.html") for digest, path in files.items()}
    return {digest: link_to(page, directory) for digest, page in pages.items() if page.is_file()}


def link_to(page: Path, directory: Path) -> str:
    """The address of a page relative to a directory; empty if there is no such address."""
    try:
        return quote(Path(os.path.relpath(page, directory)).as_posix())
    except ValueError:  # on another drive
        return ""


def _entries_table(study: Study) -> Table:
    """The runs of the study."""
    rows = []
    for entry in study.entries:
        recipe, reported = entry.recipe, metrics.write_all(entry.reported) or "–"
        names = (entry.label, recipe.name, recipe.model, recipe.dataset)
        rows.append((*names, f"{recipe.epochs:,}", reported, entry.note))
    header = ("run", "recipe", "model", "dataset", "epochs", "reported", "note")
    return Table("The study’s runs", header, tuple(rows), (4,))


def study_page(study: Study, records: StudyRecords, path: str | Path) -> Path:
    """Write the page of a study: one HTML file that needs no network.

    Args:
        study: the study.
        records: its records by budget, from `kzoo.studies.records.study_records`. Budgets are never mixed: each has
            its own table, verdicts and curves. If the user has runs at any budget, the budgets with only
            committed records are collapsed below.
        path: the HTML file; an earlier page of kzoo's is replaced.

    Returns:
        The path.

    Raises:
        InputError: another file is there.
        RunFailed: the file cannot be written.
    """
    path = check_page(path)
    links = _links(records, path.parent)
    committed = {name for name in records.budgets if not records.has_runs(name)}
    folded = committed if len(committed) < len(records.budgets) else set()
    return write_page(
        path,
        "study.html",
        name=study.name,
        question=study.question,
        source=f"report {study.report}" if len(study.report) == 1 else study.report,
        budgets=[
            _budget_part(group, number, links, name in folded)
            for number, (name, group) in enumerate(records.budgets.items(), start=1)
        ],
        entries=_entries_table(study),
        notes=study.notes,
        problems=records.problems,
        marks=MARKS,
    )
