"""The command that measures the speed of training in each precision."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from kzoo.cli.common import AsJson, app, assignments, import_keras, out, print_json


@app.command()
def speed(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")] = "resnet24",
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 128,
    steps: Annotated[int, typer.Option(help="Steps per round.")] = 3,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the result is their median.")] = 3,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Set an option of the model's builder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure training speed in float32 and bfloat16 on this machine, and recommend one."""
    from kzoo.models.registry import check_builder

    check_builder(model)
    import_keras()
    from kzoo.training.speed import measure

    options = assignments(set_)
    measured = measure(model, batch_size=batch_size, steps=steps, rounds=rounds, **options)
    if as_json:
        print_json(measured.to_dict())
        return
    table = Table("precision", "images a second", "relative to float32", box=None, pad_edge=False)
    for name, value in measured.images_per_second.items():
        table.add_row(name, f"{value:,.0f}", f"{value / measured.images_per_second['float32']:.2f}")
    out.print(f"{measured.model}, batch {measured.batch_size}, {rounds} rounds of {steps} steps in turns")
    out.print(table)
    out.print(measured.advice(), highlight=False, markup=False)
