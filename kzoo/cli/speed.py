"""The command that measures the speed of training in each precision."""

from __future__ import annotations

from typing import Annotated

import typer

from kzoo.cli.changes import BuilderOptions, assignments
from kzoo.cli.common import AsJson, app, import_keras, out, print_json, table


@app.command()
def speed(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model's name.")] = "resnet24",
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 128,
    steps: Annotated[int, typer.Option(help="Steps per round.")] = 3,
    rounds: Annotated[int, typer.Option(help="Number of rounds; the result is their median.")] = 3,
    set_: BuilderOptions = None,
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
    rates = measured.images_per_second
    rows = [(name, f"{rate:,.0f}", f"{rate / rates['float32']:.2f}") for name, rate in rates.items()]
    out.print(f"{measured.model}, batch {measured.batch_size}, {rounds} rounds of {steps} steps in turns")
    out.print(table(("precision", "images a second", "relative to float32"), rows))
    out.print(measured.advice())
