"""Commands on many runs: runs, compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kzoo.cli.common import AsJson, app, complain, out, print_json
from kzoo.console import plain_console, say
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
    from kzoo.training.listing import runs as found_runs

    listed = found_runs(pattern, directory)
    for problem in listed.problems:
        complain("warning", problem)
    if as_json:
        print_json([summary.to_dict() for summary in listed])
    elif not listed:
        raise InputError(f"pattern {pattern!r} matches no run in {str(directory)!r}")
    else:
        numbers = ("best", "test")
        _show(COLUMNS, [summary.cells() for summary in listed], right=[COLUMNS.index(name) for name in numbers])


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Directories of finished runs, or records.")],
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page to this file, .html.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: recipe fields that differ, and results; curves and gradients on a page."""
    from kzoo.studies.run_comparison import compare as compare_runs

    # Refuse a path that cannot be written before any work.
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
        _show(("", *comparison.labels), comparison.results(), right=range(1, len(comparison.labels) + 1))
        for note in comparison.notes():
            say(out, note)

    # Write the page.
    if output is not None:
        from kzoo.html_report import compare_page

        path = compare_page(comparison, output)
        if not as_json:
            say(out, f"page: {path}")


def _show(header: tuple[str, ...], rows: list[tuple[str, ...]], right: object = ()) -> None:
    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")  # type: ignore[operator]
    for row in rows:
        table.add_row(*row)
    # Piped, lines may be longer than those of a terminal.
    console = out if out.is_terminal else plain_console(width=max(out.width, 200))
    console.print(table, highlight=False, markup=False)
