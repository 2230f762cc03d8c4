"""Commands that look into a network: why does it not learn?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from kzoo.cli.common import AsJson, DataDir, Set, app, assignments, import_keras, out


@app.command()
def doctor(
    target: Annotated[
        str,
        typer.Argument(metavar="RUN|FILE|NAME", help="A run's directory, a .keras file, a model's or recipe's name."),
    ],
    dataset: Annotated[str | None, typer.Option(help="What a model is or will be trained on.")] = None,
    recipe: Annotated[str | None, typer.Option(help="How a model is trained; a model's name brings its own.")] = None,
    set_: Set = None,
    seed: Annotated[int, typer.Option(min=0, help="Of initial weights and drawn images.")] = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say why a network does not learn; exit 0 if it is healthy, 3 with findings."""
    from kzoo.recipes import recipe as named_recipe

    changes = assignments(set_)
    row = named_recipe(recipe or target).override(**changes) if recipe or changes else None
    import_keras()
    from kzoo.diagnostics.doctor import doctor as examine

    diagnosis = examine(target, dataset=dataset, recipe=row, data_dir=data_dir, seed=seed)
    if as_json:
        print(json.dumps(diagnosis.to_dict(), indent=1))
    else:
        out.print(str(diagnosis), highlight=False, markup=False, soft_wrap=True)
    raise typer.Exit(0 if diagnosis.healthy else 3)
