"""The command line: measure, print, save."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from kzoo.cli.common import AsJson, Force, complain, import_keras, interruptible, out
from kzoo.console import err
from kzoo.errors import InputError, KzooError

if TYPE_CHECKING:
    from benchmarks.convolution.compare import Comparison


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def compare_convolution(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer points and rounds: under a minute.")] = False,
    framework: Annotated[
        bool, typer.Option("--framework/--numpy-only", help="Compare with the Keras backend's own convolution.")
    ] = True,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Show a file that --save wrote, without measuring.")
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Save the measurement as .json.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save plots, and pictures that explain the algorithms.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare convolution algorithms: time, memory and their growth, with verdicts on the reports' claims."""
    from benchmarks.convolution.compare import Comparison, compare
    from benchmarks.convolution.derived import derived
    from benchmarks.convolution.figures_saved import check_figures, save_figures
    from kzoo.diagnostics.plots import check_output, write_output

    if source is not None and (quick or save is not None):
        raise InputError("--from shows an earlier measurement: use it with neither --quick nor --save")
    if save is not None:
        check_output(save, overwrite=force, suffixes=(".json",))
    if figures is not None:
        check_figures(figures, overwrite=force)
    if source is not None:
        comparison = Comparison.from_file(source)
    else:
        if framework:
            import_keras()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task("comparing", total=None)
            comparison = interruptible(
                compare,
                quick=quick,
                framework=framework,
                progress=lambda step, i, total: bar.update(task, description=step, completed=i, total=total),
            )
    if save is not None:
        write_output(save, (json.dumps(comparison.to_dict(), indent=1) + "\n").encode())
    if as_json:
        print(json.dumps({**comparison.to_dict(), **derived(comparison)}, indent=1))
    else:
        _show(comparison)
    for path in save_figures(comparison, figures, overwrite=force) if figures is not None else ():
        out.print(f"figure: {path}", highlight=False, soft_wrap=True) if not as_json else None


def main() -> None:
    """Run the command; for an error, print one line to standard error and exit with status 2."""
    try:
        app(prog_name="python -m benchmarks.convolution")
    except KzooError as error:
        complain("error", str(error))
        sys.exit(2)


def _show(comparison: Comparison) -> None:
    from benchmarks.convolution import tables

    hardware = comparison.where["hardware"]
    out.print(
        f"{hardware['processor']}, {hardware['cores']} cores, load {comparison.where['load_at_start']} at the start; "
        "float32, forward and backward, medians",
        highlight=False,
    )
    for title, header, rows in tables.all_tables(comparison):
        table = Table(*header, title=title, title_justify="left", box=None, pad_edge=False)
        for column in table.columns[1:] if title != tables.CLAIMS else ():
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        out.print(table, highlight=False, markup=False)
        out.print()
