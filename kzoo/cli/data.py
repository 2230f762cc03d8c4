"""Commands for datasets: list them, get one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.common import AsJson, DataDir, app, interruptible, out, print_json, print_table, table
from kzoo.cli.guide import say_next
from kzoo.cli.parsing import App
from kzoo.console import complain, say
from kzoo.errors import RunFailed

data = App(
    invoke_without_command=True, help="List the datasets, or get one. --data-dir is remembered for all commands."
)
app.add_typer(data, name="data")


@data.callback()
def list_(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the datasets and how to get those that are missing. --data-dir is remembered for all commands."""
    if context.invoked_subcommand is not None:
        return
    from kzoo.data.loading import available

    if data_dir is not None:
        _remember(data_dir)
    rows = available(data_dir)
    if as_json:
        print_json([{"name": name, "present": here, "detail": text} for name, here, text in rows])
        return
    print_table(
        table(("dataset", "available", ""), [(name, "yes" if here else "no", text) for name, here, text in rows])
    )
    say_next(context)


@data.command()
def get(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A dataset's name in recipes, or NAME or NAME/CONFIG in tensorflow-datasets."
        ),
    ],
    data_dir: DataDir = None,
) -> None:
    """Download a dataset and prepare it with tensorflow-datasets."""
    from kzoo.data.tfds.getting import get as get_it
    from kzoo.data.tfds.getting import summary

    outer = context.parent.params.get("data_dir") if context.parent else None
    data_dir = data_dir or outer
    prepared = interruptible(get_it, name, data_dir)
    for item in prepared:
        state = "prepared in" if item.fresh else "already in"
        say(out, f"{item.dataset.name}: {state} {item.directory}")
    say(out, summary(prepared[-1].dataset, data_dir))
    if data_dir is not None:
        _remember(data_dir)


def _remember(data_dir: Path) -> None:
    """Save the directory and report it; warn if it cannot be saved."""
    from kzoo.data.tfds.getting import remember

    try:
        file = remember(data_dir)
    except (OSError, RunFailed) as error:
        complain("warning", f"--data-dir is not saved for other commands: {getattr(error, 'strerror', None) or error}")
        return
    precedence = "; KZOO_DATA_DIR takes precedence while it is set" if os.environ.get("KZOO_DATA_DIR") else ""
    complain("note", f"other commands look in {data_dir} too (saved in {file}){precedence}")
