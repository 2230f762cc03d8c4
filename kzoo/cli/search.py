"""Commands for searches: search, trials."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from kzoo.cli.changes import with_changes
from kzoo.cli.common import (
    AsJson,
    DataDir,
    Figure,
    Force,
    On,
    app,
    complain,
    import_keras,
    interruptible,
    numbers,
    out,
    print_json,
    save_figure,
    table,
    wide_console,
)
from kzoo.console import say
from kzoo.errors import InputError

if TYPE_CHECKING:
    from kzoo.diagnostics.option_importance import Importance


@app.command()
@with_changes()
def search(
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A Python file with `search = kzoo.Search(...)`.")],
    tuner: Annotated[str | None, typer.Option(help="Tuner: random, grid, bayesian or hyperband.")] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Total number of trials, without rejected ones.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(metavar="N", help="Minutes after which no trial starts.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Number of trials at a time, in child processes.")
    ] = None,
    on: On = None,
    own_process: Annotated[bool, typer.Option("--own-process", help="Train each trial in a separate process.")] = False,
    memory: Annotated[
        float | None, typer.Option(metavar="GIB", help="Memory limit of a trial's process; needs --own-process.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Option(help="Directory of the search (default: searches/NAME-DIGEST).")
    ] = None,
    changes: dict[str, Any],
    data_dir: DataDir = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again in a new directory.")] = False,
) -> None:
    """Search a space of recipes. The same command resumes a search. Fields set by an option are not varied."""
    from kzoo.search.search import load_search

    # The search as its file defines it, with the changes of the command line.
    plan = load_search(file)
    options: dict[str, Any] = {"tuner": tuner, "trials": trials, "minutes": minutes, "memory": memory}
    options |= {"own_process": own_process or None}
    plan = plan.override(**changes).replace(**{key: value for key, value in options.items() if value is not None})
    import_keras()
    from kzoo.pool.resources import default_workers
    from kzoo.search.running import run_search

    # Run it.
    if workers is None and on is None:
        workers = default_workers()
    options = {"data_dir": data_dir, "workers": workers, "on": on, "progress": out, "fresh": fresh}
    _show(interruptible(run_search, plan, directory, **options))


def _show(result: Any) -> None:
    """Print a search's table, the importance of its fields, and the paths of its files."""
    from kzoo.search import tables
    from kzoo.search.confirming import verdict
    from kzoo.search.results import BEST, PICTURE, TABLE
    from kzoo.search.summary import importances

    # Print the tables; lines can be longer than a terminal's if the output is piped.
    console = wide_console()
    console.print()
    console.print(tables.rich_table(result))
    console.print()
    try:
        rows, fit = importances(result)
    except InputError:
        pass  # too few trials
    else:
        _show_importances(rows, fit, console)

    # Summary, verdict, and the files.
    say(out, tables.summary(result))
    if result.record.confirmed:
        say(out, verdict(result))
    for name in (BEST, TABLE, PICTURE):
        if (result.directory / name).exists():
            say(out, f"  {result.directory / name}")


def _show_importances(rows: Sequence[Importance], fit: float, console: Console) -> None:
    """Print how much each field matters, and how reliable the estimate is."""
    shown = [(item.field, f"{item.importance:.3f} ± {item.deviation:.3f}") for item in rows]
    console.print(table(("field", "importance"), shown, right=True))
    text = f"loss of R² when a field is shuffled; the forest's R² on unseen trials is {fit:.2f}"
    if fit <= 0.2:
        text += ": too few trials, or too similar ones, to draw conclusions"
    say(console, text)
    console.print()


@app.command()
def trials(
    directory: Annotated[Path, typer.Argument(metavar="SEARCH", help="Directory of a search, or its record.")],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: AsJson = False,
    figure: Figure = None,
    best: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the recipe of the best trial, for kzoo train.")
    ] = None,
    confirm: Annotated[
        str | None,
        typer.Option(
            metavar="SEEDS", help="Train the best values and the recipe's values with other seeds, e.g. 1,2,3."
        ),
    ] = None,
    data_dir: DataDir = None,
    force: Force = False,
) -> None:
    """Show the results of a search, finished or not."""
    from kzoo.search import tables
    from kzoo.search.results import read_search

    # The record; --confirm trains again first.
    result = read_search(directory)
    if confirm is not None:
        seeds = numbers("--confirm", confirm)
        import_keras()
        from kzoo.search.confirming import confirm as train_again

        result = interruptible(train_again, directory, seeds, data_dir=data_dir, progress=out)

    # Write what was asked for, then print.
    if figure is not None:
        from kzoo.search.summary import plot_search

        save_figure(figure, force, plot_search, result)
    if best is not None:
        from kzoo.diagnostics.plots import check_output, write_output

        write_output(check_output(best, overwrite=force, suffixes=(".json",)), result.recipe().to_json().encode())
    if as_json:
        print_json(result.record.model_dump(mode="json"))
    elif as_markdown:
        print(tables.markdown(result), end="")
    else:
        _show(result)
        if result.status == "running":
            complain("warning", "this search is still running or was interrupted: kzoo search FILE resumes it")
