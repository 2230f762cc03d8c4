"""The page of several runs side by side: recipes, results, curves and gradients on one axis, then each run."""

from __future__ import annotations

from pathlib import Path

from kzoo.html_report.curves import study_curves
from kzoo.html_report.document import Table, check_page, write_page
from kzoo.html_report.figures import gradients_of_runs
from kzoo.html_report.study import link_to, run_part
from kzoo.studies.run_comparison import RunComparison


def compare_page(comparison: RunComparison, path: str | Path) -> Path:
    """Write the page of a comparison: one HTML file that needs no network.

    Args:
        comparison: the result of `kzoo.compare`.
        path: the HTML file; only an earlier page of kzoo is replaced.

    Returns:
        The path.

    Raises:
        InputError: the directory does not exist, or another file is there.
        RunFailed: the file cannot be written.

    Example:
        >>> longer = kzoo.train("lenet1-max", dataset="digits", epochs=2, progress=False)
        >>> page = kzoo.compare_page(kzoo.compare(run, longer), "compared.html")
    """
    path = check_page(path)
    labels, records = comparison.labels, dict(zip(comparison.labels, comparison.records, strict=True))
    differences, results = comparison.differences(), comparison.results()
    caption = "Fields in which the recipes differ" if differences else "The recipes are the same."

    # Links to the runs' own pages
    pages = [source / "report.html" if source.is_dir() else source.with_suffix(".html") for source in comparison.paths]
    links = {label: link_to(page, path.parent) for label, page in zip(labels, pages, strict=True) if page.is_file()}
    return write_page(
        path,
        "comparison.html",
        title=" and ".join(labels) if len(labels) < 4 else f"{labels[0]} and {len(labels) - 1} others",
        differences=Table(caption, ("field", *labels), tuple(differences)),
        results=Table("Results of the runs", ("", *labels), tuple(results), tuple(range(1, len(labels) + 1))),
        notes=comparison.notes(),
        curves=study_curves({label: [record] for label, record in records.items()}),
        gradients=gradients_of_runs(records),
        runs=[run_part(label, links.get(label, ""), record) for label, record in records.items()],
    )
