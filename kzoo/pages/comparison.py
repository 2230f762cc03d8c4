"""The page of several runs side by side: recipes, results, curves and gradients on one axis, then run by run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kzoo.pages.charts import Chart
from kzoo.pages.curves import study_curves
from kzoo.pages.document import Absent, Table, check_place, write_page
from kzoo.pages.flow import flow_of_runs
from kzoo.pages.study import RunPart, link_to, run_part
from kzoo.studies.run_comparison import RunComparison


@dataclass(frozen=True)
class ComparisonView:
    """All that the page shows."""

    title: str
    differences: Table
    results: Table
    notes: list[str]
    curves: list[Chart] | Absent
    gradients: Chart | Absent
    runs: list[RunPart]


def compare_page(comparison: RunComparison, path: str | Path) -> Path:
    """Write the page of a comparison: one HTML file that needs no network.

    Args:
        comparison: of `kzoo.compare`.
        path: of the file; an earlier page of kzoo's is replaced, nothing else.

    Returns:
        The path.

    Raises:
        InputError: no such folder, or another file is there.
        RunFailed: the file cannot be written.
    """
    path = check_place(path)
    labels, records = comparison.labels, dict(zip(comparison.labels, comparison.records, strict=True))
    differences, results = comparison.differences(), comparison.results()
    caption = "Fields in which the recipes differ" if differences else "The recipes are the same."
    pages = [place / "report.html" if place.is_dir() else place.with_suffix(".html") for place in comparison.paths]
    links = [link_to(page, path.parent) if page.is_file() else "" for page in pages]
    view = ComparisonView(
        title=" and ".join(labels) if len(labels) < 4 else f"{labels[0]} and {len(labels) - 1} others",
        differences=Table(caption, ("field", *labels), tuple(differences)),
        results=Table("What came of the runs", ("", *labels), tuple(results), tuple(range(1, len(labels) + 1))),
        notes=comparison.notes(),
        curves=study_curves({label: [record] for label, record in records.items()}),
        gradients=flow_of_runs(records),
        runs=[run_part(label, link, records[label]) for label, link in zip(labels, links, strict=True)],
    )
    return write_page(path, "comparison.html", view=view)
