"""The command: measure, print, save."""

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
        Path | None, typer.Option("--from", metavar="FILE", help="Show what --save wrote; measure nothing.")
    ] = None,
    save: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep the measurement, .json.")] = None,
    figures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Save the plots, and pictures that explain the algorithms.")
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Compare ways to convolve: time, memory and their growth, with verdicts on the reports' claims."""
    from benchmarks.convolution.compare import Comparison, compare
    from benchmarks.convolution.derived import derived
    from benchmarks.convolution.figures_saved import check_figures, save_figures
    from kzoo.diagnostics.plots import check_output, write_output

    if source is not None and (quick or save is not None):
        raise InputError("--from shows an earlier measurement: it goes with neither --quick nor --save")
    if save is not None:
        check_output(save, overwrite=force, suffixes=(".json",))
    if figures is not None:
        check_figures(figures, overwrite=force)
    if source is not None:
        found = Comparison.from_file(source)
    else:
        if framework:
            import_keras()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task("comparing", total=None)
            found = interruptible(
                compare,
                quick=quick,
                framework=framework,
                progress=lambda what, i, total: bar.update(task, description=what, completed=i, total=total),
            )
    if save is not None:
        write_output(save, (json.dumps(found.to_dict(), indent=1) + "\n").encode())
    if as_json:
        print(json.dumps({**found.to_dict(), **derived(found)}, indent=1))
    else:
        _show(found)
    for path in save_figures(found, figures, overwrite=force) if figures is not None else ():
        out.print(f"figure: {path}", highlight=False, soft_wrap=True) if not as_json else None


def main() -> None:
    """Run the command; an error is one line on standard error and exit status 2."""
    try:
        app(prog_name="python -m benchmarks.convolution")
    except KzooError as error:
        complain("error", str(error))
        sys.exit(2)


def _show(found: Comparison) -> None:
    from benchmarks.convolution import tables

    hardware = found.where["hardware"]
    out.print(
        f"{hardware['processor']}, {hardware['cores']} cores, load {found.where['load_at_start']} at the start; "
        "float32, forward and backward, medians",
        highlight=False,
    )
    for title, header, rows in tables.all_tables(found):
        table = Table(*header, title=title, title_justify="left", box=None, pad_edge=False)
        for column in table.columns[1:] if title != tables.CLAIMS else ():
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        out.print(table, highlight=False, markup=False)
        out.print()
