"""The tables of docs/claims.md: every claim of the five reports with its verdict, and the number of each verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kzoo.studies.standing import NO_RUN, standings
from tables.recorded import indices, shown
from tables.text import markdown

REPORTS = "abcde"
COLUMNS = ("hold", "do not hold", "hold at a small budget", "do not hold at a small budget", "undecided")


def _standings(results: Path) -> Iterable[tuple[Any, Any, Any]]:
    """Yield the study, the study's records and the standing of every claim of the reports' studies."""
    for study, records in indices(results):
        if study.report in REPORTS:
            for standing in standings(study, records):
                yield study, records, standing


def _column(standing: Any) -> str:
    """Return which of `COLUMNS` a claim belongs to."""
    if not standing.decided:
        return "undecided"
    status = "hold" if standing.verdict.status == "holds" else "do not hold"
    return f"{status}{' at a small budget' if standing.small else ''}"


def counts(results: Path) -> str:
    """Return a table of how many claims of each report hold, do not hold, and are undecided."""
    by_report: dict[str, list[str]] = {letter: [] for letter in REPORTS}
    for study, _, standing in _standings(results):
        by_report[study.report].append(_column(standing))
    by_report["all"] = [column for columns in by_report.values() for column in columns]
    rows = [(name, len(them), *(them.count(column) for column in COLUMNS)) for name, them in by_report.items()]
    return markdown(" | ".join(["report", "claims", *COLUMNS]), rows, "l" + "r" * (1 + len(COLUMNS)))


def claims(results: Path) -> str:
    """Return a table for each report with one row per claim."""
    rows: dict[str, list[tuple[str, ...]]] = {letter: [] for letter in REPORTS}
    for study, records, standing in _standings(results):
        claim = standing.claim
        budget = "" if standing.verdict.status == "not enough runs" else standing.budget
        row = (claim.text, claim.source, _verdict(standing), budget, _link(study, records, standing))
        rows[study.report].append(row)
    header = "claim | where | verdict | budget | table"
    parts = [f"\n## Report {letter}\n{markdown(header, them)}" for letter, them in rows.items() if them]
    return "".join(parts)


def _verdict(standing: Any) -> str:
    if not standing.decided:
        return standing.verdict.status
    return f"{standing.verdict.status} at a small budget" if standing.small else f"**{standing.verdict.status}**"


def _link(study: Any, records: Any, standing: Any) -> str:
    """Return a link to the table above the verdict; to the list of studies if there is none."""
    from kzoo.studies import tables

    group = next((group for group in records.budgets.values() if standing.group in (group.budget, NO_RUN)), None)
    has_table = group is not None and shown(study, records, group)
    return f"[{study.name}](studies.md#{_anchor(tables.heading(group)) if has_table else 'all-studies'})"


def _anchor(heading: str) -> str:
    """Return the name of a heading in links of Sphinx and GitHub."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
