"""The tables of docs/claims.md: every claim of the five reports with its verdict, and how many there are of each."""

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


def _standings(place: Path) -> Iterable[tuple[Any, Any, Any]]:
    """Every claim of the reports' studies: the study, its index, and how the claim stands."""
    for study, found in indices(place):
        if study.report in REPORTS:
            for row in standings(study, found):
                yield study, found, row


def _column(row: Any) -> str:
    """Under which of `COLUMNS` a claim counts."""
    if not row.decided:
        return "undecided"
    return f"{'hold' if row.verdict.status == 'holds' else 'do not hold'}{' at a small budget' if row.small else ''}"


def counts(place: Path) -> str:
    """How many claims of each report hold, do not hold, and are undecided."""
    found: dict[str, list[str]] = {letter: [] for letter in REPORTS}
    for study, _, row in _standings(place):
        found[study.report].append(_column(row))
    found["all"] = [column for columns in found.values() for column in columns]
    rows = [(name, len(those), *(those.count(column) for column in COLUMNS)) for name, those in found.items()]
    return markdown(" | ".join(["report", "claims", *COLUMNS]), rows, "l" + "r" * (1 + len(COLUMNS)))


def claims(place: Path) -> str:
    """One row a claim, report by report."""
    rows: dict[str, list[tuple[str, ...]]] = {letter: [] for letter in REPORTS}
    for study, found, row in _standings(place):
        budget = "" if row.verdict.status == "not enough runs" else row.budget
        line = (row.claim.text, row.claim.source, _verdict(row), budget, _link(study, found, row))
        rows[study.report].append(line)
    header = "claim | where | verdict | budget | table"
    parts = [f"\n## Report {letter}\n{markdown(header, those)}" for letter, those in rows.items() if those]
    return "".join(parts)


def _verdict(row: Any) -> str:
    if not row.decided:
        return row.verdict.status
    return f"{row.verdict.status} at a small budget" if row.small else f"**{row.verdict.status}**"


def _link(study: Any, found: Any, row: Any) -> str:
    """To the table that the verdict stands below; to the list of studies where there is none."""
    from kzoo.studies import tables

    group = next((group for group in found.budgets.values() if row.group in (group.budget, NO_RUN)), None)
    there = group is not None and shown(study, found, group)
    return f"[{study.name}](studies.md#{_anchor(tables.heading(group)) if there else 'all-studies'})"


def _anchor(heading: str) -> str:
    """What Sphinx and GitHub call a heading in links."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
