"""The command that writes a run's page: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.common import DataDir, app, import_keras, out
from kzoo.console import say


@app.command("report")
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory, or a record (a JSON file).")],
    output: Annotated[
        Path | None, typer.Option(help="Path of the page (default: report.html in the run's directory).")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the page of a run: one HTML file with metrics, curves, mistakes and internals."""
    from kzoo.html_report.document import check_page
    from kzoo.training.finding import check_run
    from kzoo.training.records import RunRecord, read_result

    source: RunRecord | None = None
    if run.is_file():
        source = read_result(run)
        output = output or run.with_suffix(".html")
    elif not (run / "recipe.json").is_file():
        check_run(run)
    check_page(output or run / "report.html")
    import_keras()
    from kzoo.html_report import run_page
    from kzoo.training.run import Run

    path = run_page(source or Run(run), output, data_dir=data_dir)
    say(out, f"page: {path}")
