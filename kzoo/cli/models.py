"""Commands for models and recipes: list, info, speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kzoo.cli.changes import BuilderOptions, assignments
from kzoo.cli.common import (
    AsJson,
    app,
    check_builder_options,
    checked_target,
    import_keras,
    out,
    print_json,
    print_table,
    table,
)
from kzoo.errors import InputError
from kzoo.files import names_keras_file


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Wildcard.")] = "*",
    recipes: Annotated[bool, typer.Option("--recipes", help="List recipes instead of models.")] = False,
    pretrained: Annotated[bool, typer.Option("--pretrained", help="Only models with trained weights.")] = False,
    as_json: AsJson = False,
) -> None:
    """List models or recipes."""
    from kzoo.models.registry import get_variant, list_models
    from kzoo.recipes import get_recipe, list_recipes

    # The entries of recipes or models.
    rows: list[dict[str, Any]]
    if recipes:
        rows = [
            {"name": r.name, "model": r.model, "dataset": r.dataset, "epochs": r.epochs}
            for r in map(get_recipe, list_recipes(pattern))
        ]
    else:
        rows = [
            {"name": v.name, "classes": v.classes, "input": v.input_shape, "recipe": v.recipe}
            for v in map(get_variant, list_models(pattern, pretrained=pretrained))
        ]
    if not rows:
        kind = "recipe" if recipes else "model with trained weights" if pretrained else "model"
        raise InputError(f"pattern {pattern!r} matches no {kind}")

    # Print them as JSON or as a table.
    if as_json:
        print_json(rows)
        return
    shown = (["x".join(map(str, v)) if isinstance(v, tuple) else str(v or "-") for v in row.values()] for row in rows)
    print_table(table(rows[0], shown))


@app.command()
def info(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|SET|FILE",
            help="A model's name, a weight set, or a .keras file.",
            callback=checked_target(names=True),
        ),
    ],
    set_: BuilderOptions = None,
    as_json: AsJson = False,
) -> None:
    """Show a model layer by layer: shapes, memory, parameters, multiply-adds, receptive field."""
    options = assignments(set_)
    check_builder_options(name, options, sets=True)
    import_keras()
    from kzoo.introspection.layer_table import layer_table

    # One line for each layer, then the sums.
    model = _model(name, options)
    layers = layer_table(model)
    if as_json:
        print_json(layers.to_dict())
        return
    numbers = ("output", "memory/image", "parameters", "multiply-adds", "receptive field")
    shown = table(("layer", "type", *numbers), right=numbers, title=model.name)
    for row in layers.rows:
        field = row.receptive_field
        shown.add_row(
            row.name,
            row.type,
            "x".join(str(size) for size in row.output_shape),
            f"{row.activation_bytes:,} B",
            f"{row.parameters:,}",
            f"{row.multiply_adds:,}",
            "x".join(map(str, field)) if field else "-",
        )
    print_table(shown)
    out.print(
        f"{layers.trainable_parameters:,} trainable of {layers.parameters:,} parameters, "
        f"{layers.multiply_adds:,} multiply-adds and {layers.activation_bytes:,} bytes of activations per image"
    )
    if layers.uncounted:
        out.print(f"multiply-adds of these layers are not counted: {', '.join(layers.uncounted)}")


def _model(name: str, options: dict[str, Any]) -> Any:
    """The model of a file, of a weight set, or of a name."""
    from kzoo.introspection.keras_file import load_keras_file
    from kzoo.models.registry import create_model, names_set

    if Path(name).is_dir() and not names_set(name):
        from kzoo.training.run import Run

        raise InputError(f"{name!r} is a run, whose model is {Run(name).recipe.model!r}: give that name")
    if names_keras_file(name):
        return load_keras_file(name)
    if names_set(name):
        from kzoo.models.weight_sets import describe, find_set

        return create_model(describe(find_set(name), name).model, weights=name, **options)
    return create_model(name, **options)


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
    out.print(f"{measured.model}, batch {measured.batch_size}, {rounds} alternating rounds of {steps} steps")
    print_table(table(("precision", "images a second", "relative to float32"), rows))
    out.print(measured.advice())
