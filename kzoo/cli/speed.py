"""The command that measures which precision to train in."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from kzoo.cli.common import AsJson, app, assignments, import_keras, out, print_json


@app.command()
def speed(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")] = "resnet24",
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 128,
    steps: Annotated[int, typer.Option(help="Steps a round.")] = 3,
    rounds: Annotated[int, typer.Option(help="Rounds; the median counts.")] = 3,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Give the model's builder an option.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure training in float32 and in bfloat16 on this machine, and say which to use."""
    import_keras()
    from kzoo.training.speed import measure, with_onednn

    options = assignments(set_)
    found = measure(model, batch_size=batch_size, steps=steps, rounds=rounds, **options)
    found = with_onednn(found, steps=steps, rounds=rounds, options=options)
    if as_json:
        print_json(found.to_dict())
        return
    table = Table("precision", "images a second", "relative to float32", box=None, pad_edge=False)
    for name, value in found.images_per_second.items():
        table.add_row(name, f"{value:,.0f}", f"{value / found.images_per_second['float32']:.2f}")
    out.print(f"{found.model}, batch {found.batch_size}, {rounds} rounds of {steps} steps in turns")
    out.print(table)
    out.print(found.advice(), highlight=False, markup=False)
