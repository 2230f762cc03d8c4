"""Commands that find out why a network does not learn: doctor, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kzoo.cli.changes import Set, assignments
from kzoo.cli.common import (
    AsJson,
    DataDir,
    Force,
    RunPath,
    app,
    check_figures,
    import_keras,
    out,
    print_json,
    save_figure,
)
from kzoo.console import say
from kzoo.errors import InputError
from kzoo.files import names_keras_file


@app.command()
def doctor(
    target: Annotated[
        str,
        typer.Argument(metavar="RUN|SET|FILE|NAME", help="A run, a weight set, a .keras file, a model or a recipe."),
    ],
    dataset: Annotated[str | None, typer.Option(help="Dataset to train a model on.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Recipe to train a model with; the models of kzoo have a default.")
    ] = None,
    set_: Set = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the initial weights and the images to draw.")] = 0,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Find out why a network does not learn. The exit status is 0 if it is healthy, 3 with findings."""
    from kzoo.models.registry import names_set
    from kzoo.recipes import get_recipe
    from kzoo.training.finding import check_target, named_or_refused

    # Refuse unknown targets before Keras is loaded.
    changes = assignments(set_)
    if (recipe or changes) and (Path(target) / "recipe.json").is_file():
        raise InputError("a run has its own recipe: leave --recipe and --set out")
    chosen_recipe = get_recipe(recipe or target).override(**changes) if recipe or changes else None
    if chosen_recipe is None and not (Path(target) / "recipe.json").is_file():
        if names_keras_file(target) or names_set(target):
            check_target(target)
        elif not Path(target).exists():
            named_or_refused(target)

    # Examine it.
    import_keras()
    from kzoo.diagnostics.doctor import doctor as examine

    diagnosis = examine(target, dataset=dataset, recipe=chosen_recipe, data_dir=data_dir, seed=seed)
    if as_json:
        print_json(diagnosis.to_dict())
    else:
        say(out, str(diagnosis))
    raise typer.Exit(0 if diagnosis.healthy else 3)


@app.command()
def gradients(
    run: RunPath,
    output: Annotated[Path | None, typer.Option(help="Save a figure over depth and epochs, .png or .svg.")] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Show the size of each layer's gradient before training and after each epoch of a run."""
    import_keras()
    from kzoo.diagnostics.gradient_flow.plots import plot_gradient_flow
    from kzoo.training.recorders.flow_history import FlowHistory, recorded_flow
    from kzoo.training.run import Run

    check_figures(output, force=force)
    record = Run(run).result
    flow = recorded_flow(record)
    if flow is None:
        raise InputError(f"run {str(run)!r} has no gradient flow: it was trained without diagnostics, or they failed")
    if as_json:
        print_json(flow)
    else:
        history = FlowHistory.from_dict(flow)
        out.print(f"{record.name}: mean absolute gradient of each layer's kernel")
        say(out, history.table())
    save_figure(output, force, plot_gradient_flow, flow, title=record.name)
