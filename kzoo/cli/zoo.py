"""Commands on models and recipes: list, info."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from kzoo.cli.common import AsJson, app, assignments, checked_target, import_keras, out, print_json
from kzoo.errors import InputError


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
    table = Table(box=None, pad_edge=False)
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
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        shown = (
            "x".join(map(str, v)) if isinstance(v, tuple) else str(v if v is not None else "-") for v in row.values()
        )
        table.add_row(*shown)
    out.print(table)


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
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Set an option of the model's builder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model layer by layer: shapes, memory, parameters, multiply-adds, receptive field."""
    import_keras()
    from kzoo.introspection.keras_file import load_keras_file
    from kzoo.introspection.layer_table import layer_table
    from kzoo.models.registry import create_model, names_set

    # The model: a file's, a set's, or one built by name.
    if name.endswith(".keras"):
        model = load_keras_file(name)
    elif names_set(name):
        from kzoo.models.weight_sets import describe, find_set

        model = create_model(describe(find_set(name), name).model, weights=name, **assignments(set_))
    else:
        model = create_model(name, **assignments(set_))

    # One line for each layer, then the sums.
    table = layer_table(model)
    if as_json:
        print_json(table.to_dict())
        return
    shown = Table(title=model.name, box=None, pad_edge=False)
    shown.add_column("layer", overflow="fold")
    for column in ("type", "output", "memory/image", "parameters", "multiply-adds", "receptive field"):
        shown.add_column(column, justify="left" if column == "type" else "right")
    for row in table.rows:
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
    out.print(shown)
    out.print(
        f"{table.trainable_parameters:,} trainable of {table.parameters:,} parameters, "
        f"{table.multiply_adds:,} multiply-adds and {table.activation_bytes:,} bytes of activations per image",
        highlight=False,
    )
    if table.uncounted:
        out.print(f"multiply-adds of these layers are not counted: {', '.join(table.uncounted)}")
