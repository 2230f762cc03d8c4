"""Commands for several runs: runs, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.common import AsJson, app, complain, out, print_json, table, wide_console
from kzoo.console import say
from kzoo.errors import InputError


@app.command()
def runs(
    pattern: Annotated[
        str, typer.Argument(metavar="WILDCARD", help="Wildcard on the recipe, model or directory.")
    ] = "*",
    directory: Annotated[Path, typer.Option(metavar="RUNS", help="Directory of the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List runs, finished or not, the newest first."""
    from kzoo.training.listing import COLUMNS
    from kzoo.training.listing import runs as list_runs

    listed = list_runs(pattern, directory)
    for problem in listed.problems:
        complain("warning", problem)
    if as_json:
        print_json([summary.to_dict() for summary in listed])
    elif not listed:
        raise InputError(f"pattern {pattern!r} matches no run in {str(directory)!r}")
    else:
        _show(COLUMNS, [summary.cells() for summary in listed], right=("best", "test"))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Directories of finished runs, or records.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page to this file, .html.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: recipe fields that differ, and results; curves and gradients on a page."""
    from kzoo.studies.run_comparison import compare as compare_runs

    # Refuse a path that cannot be written, before any work.
    if output is not None:
        from kzoo.html_report.document import check_page

        check_page(output)

    # Print differing fields, results and notes.
    comparison = compare_runs(*runs)
    if as_json:
        print_json(comparison.to_dict())
    else:
        differences = comparison.differences()
        if differences:
            _show(("field", *comparison.labels), differences)
            out.print()
        else:
            out.print("The recipes are the same.\n")
        _show(("", *comparison.labels), comparison.results(), right=True)
        for note in comparison.notes():
            say(out, note)

    # Write the page.
    if output is not None:
        from kzoo.html_report import compare_page

        path = compare_page(comparison, output)
        if not as_json:
            say(out, f"page: {path}")


def _show(columns: tuple[str, ...], rows: list[tuple[str, ...]], right: object = ()) -> None:
    wide_console(max(out.width, 200)).print(table(columns, rows, right=right))
