"""The page of a study: its question, tables, verdicts and curves by budget, and what each run's record shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kzoo.pages.charts import Chart
from kzoo.pages.curves import study_curves
from kzoo.pages.document import Absent, Table, check_place, write_page
from kzoo.pages.recipe import changes_table
from kzoo.pages.run import Figure, Recorded, budget, figures, recorded
from kzoo.studies import metrics, tables
from kzoo.studies.budget import FULL
from kzoo.studies.records import BudgetRecords, StudyRecords
from kzoo.studies.standing import DECIDED
from kzoo.studies.study import Claim, Study, Verdict
from kzoo.training.records import Result

KINDS = {"holds": "good", "does not hold": "bad", "not enough runs": "open", "too small a budget": "open"}
SIGNS = {"holds": "✓", "does not hold": "✗", "not enough runs": "?", "too small a budget": "?"}


@dataclass(frozen=True)
class RunPart(Recorded):
    """One run within a study's page."""

    title: str
    link: str
    failed: str
    text: str
    changes: Table
    figures: list[Figure]


@dataclass(frozen=True)
class BudgetPart:
    """All that was found at one budget."""

    identity: str
    title: str
    folded: bool
    table: Table
    notes: list[str]
    decided: list[tuple[Claim, Verdict]]
    undecided: list[tuple[Claim, Verdict]]
    curves: list[Chart] | Absent
    runs: list[RunPart]


@dataclass(frozen=True)
class StudyView:
    """All that the page of a study shows."""

    name: str
    question: str
    source: str
    parts: list[BudgetPart]
    runs: Table
    notes: tuple[str, ...]
    problems: tuple[str, ...]
    kinds: Mapping[str, str]
    signs: Mapping[str, str]


def results_table(results: BudgetRecords) -> Table:
    """Ours (mean ± deviation over seeds), reported and difference, by entry and metric."""
    names = tables.columns(results)
    rows = tables.rows(results)
    reported = [any(row.cells[i].reported is not None for row in rows) for i in range(len(names))]
    apart = ["difference"] if any(cell.difference is not None for row in rows for cell in row.cells) else []
    budgets = tables.shows_budget(rows, results)
    header, groups = ["run", "n", *["budget"] * budgets], [("", 2 + budgets)]
    for name, also in zip(names, reported, strict=True):
        header += ["ours", "reported", *apart] if also else ["ours"]
        groups.append((metrics.metric(name).title, 2 + len(apart) if also else 1))
    lines = []
    for row in rows:
        line = [row.label, row.runs(), *[row.budget] * budgets]
        for cell, also in zip(row.cells, reported, strict=True):
            line.append("–" if cell.mean is None else cell.ours())
            if also:
                line.append(cell.theirs())
                line += [cell.apart()] * len(apart)
        lines.append(tuple(line))
    caption = "Mean ± standard deviation over n seeds"
    return Table(caption, tuple(header), tuple(lines), (1, *range(2 + budgets, len(header))), tuple(groups))


def _budget_part(results: BudgetRecords, number: int, links: Mapping[str, str], folded: bool) -> BudgetPart:
    records = {label: results.records(label) for label in results.recorded}
    verdicts = tables.verdicts(results)
    return BudgetPart(
        identity=f"budget{number}",
        title="At the full budget" if results.budget == FULL else f"At {results.budget}",
        folded=folded,
        table=results_table(results),
        notes=[*tables.notes(results), *tables.reasons(results)],
        decided=[row for row in verdicts if row[1].status in DECIDED],
        undecided=[row for row in verdicts if row[1].status not in DECIDED],
        curves=study_curves(records),
        runs=[
            run_part(f"{label}, seed {record.recipe['seed']}", links.get(record.digest, ""), record)
            for label, rows in records.items()
            for record in rows
        ],
    )


def run_part(title: str, link: str, record: Result) -> RunPart:
    """What a page of several runs shows of one of them; `link` leads to its own page, if it has one."""
    return RunPart(
        title=title,
        link=link,
        failed=(record.reason or "no reason is recorded") if record.status == "failed" else "",
        text=budget(record),
        changes=changes_table(record.recipe),
        figures=figures(record),
        **recorded(record),
    )


def _links(index: StudyRecords, folder: Path) -> dict[str, str]:
    """By digest: where a run's own page is, as seen from a folder, for those that have one."""
    found = {}
    for rows in index.files.values():
        for item in rows:
            page = item.path.with_name("report.html") if item.path.name == "result.json" else item.path
            if page.suffix == ".html" and page.is_file():
                found[item.record.digest] = link_to(page, folder)
    return found


def link_to(page: Path, folder: Path) -> str:
    """Where a file is, as seen from a folder; nothing where that cannot be said."""
    try:
        return Path(os.path.relpath(page, folder)).as_posix()
    except ValueError:  # on another drive
        return ""


def _entries_table(study: Study) -> Table:
    """What the study consists of."""
    rows = tuple(
        (
            entry.label,
            entry.recipe.name,
            entry.recipe.model,
            entry.recipe.dataset,
            f"{entry.recipe.epochs:,}",
            "; ".join(f"{metrics.metric(k).title} {metrics.write(k, v)}" for k, v in entry.reported.items()) or "–",
            entry.note,
        )
        for entry in study.entries
    )
    return Table("The study’s runs", ("run", "recipe", "model", "dataset", "epochs", "reported", "note"), rows, (4,))


def study_page(study: Study, index: StudyRecords, path: str | Path) -> Path:
    """Write the page of a study: one HTML file that needs no network.

    Args:
        study: the study.
        index: its records by budget, of `kzoo.studies.records.index`. Budgets are never mixed: each has its own table,
            verdicts and curves. Where some have runs of one's own, the kept records of others are folded below them.
        path: of the file; an earlier page of kzoo's is replaced.

    Returns:
        The path.

    Raises:
        InputError: another file is there.
        RunFailed: the file cannot be written.
    """
    path = check_place(path)
    links = _links(index, path.parent)
    groups = enumerate(index.budgets.values(), start=1)
    kept = {name for name in index.budgets if not index.has_runs(name)}
    folded = kept if len(kept) < len(index.budgets) else set()
    view = StudyView(
        name=study.name,
        question=study.question,
        source=f"report {study.report}" if len(study.report) == 1 else study.report,
        parts=[_budget_part(results, number, links, results.budget in folded) for number, results in groups],
        runs=_entries_table(study),
        notes=study.notes,
        problems=index.problems,
        kinds=KINDS,
        signs=SIGNS,
    )
    return write_page(path, "study.html", view=view)
