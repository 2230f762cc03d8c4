"""Commands for weight sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kzoo.cli.common import AsJson, RunPath, app, import_keras, out, print_json, print_table, table
from kzoo.cli.parsing import App
from kzoo.console import say
from kzoo.errors import InputError

weights = App(no_args_is_help=True, help="Weight sets: trained weights by name.")
app.add_typer(weights, name="weights")


@weights.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Wildcard on MODEL:TAG, or on models.")] = "*", as_json: AsJson = False
) -> None:
    """List the weight sets that come with kzoo."""
    from kzoo.models.weight_sets import PACKAGED, describe, list_weights

    # The sets that match.
    sets = [describe(PACKAGED.joinpath(*name.split(":")), name) for name in list_weights(pattern)]
    if not sets:
        raise InputError(f"pattern {pattern!r} matches no weight set")
    rows: list[dict[str, Any]] = [
        {
            "weights": item.name,
            "classes": len(item.class_names),
            "input": "x".join(map(str, item.input_shape)),
            "parameters": item.parameters,
            "test accuracy": round(item.metrics["test_accuracy"], 4),
            "epochs": item.epochs,
            "training images": item.images,
        }
        for item in sets
    ]

    # Print them as JSON or as a table.
    if as_json:
        print_json(rows)
        return
    shown = table(rows[0], right=[column for column in rows[0] if column not in ("weights", "input")])
    shown.columns[0].no_wrap = True
    for row in rows:
        shown.add_row(
            *(f"{v:,}" if isinstance(v, int) else f"{v:.4f}" if isinstance(v, float) else v for v in row.values())
        )
    print_table(shown)


@weights.command()
def save(
    run: RunPath,
    tag: Annotated[str | None, typer.Option(help="Tag of the weight set (default: the dataset's name).")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="Directory of the weight set (default: weights/MODEL/TAG).")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store float16 numbers, unless that costs test accuracy.")
    ] = False,
) -> None:
    """Create a weight set, with a model card, from a finished run."""
    import_keras()
    from kzoo.training.publishing import save_weights_set

    say(out, str(save_weights_set(run, output, tag=tag, half=half)))
