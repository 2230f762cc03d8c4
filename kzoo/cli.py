"""The command line: parses, calls the library, prints (nothing else).

Exit status: 0 done, 1 the run failed, 2 bad input, 130 interrupted with a checkpoint written.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kzoo.errors import InputError, KzooError, RunFailed

if TYPE_CHECKING:
    from kzoo.training.evaluation import Evaluation
    from kzoo.training.saved_run import Run

app = typer.Typer(
    help="Small-image model zoo for Keras: exact architectures, resumable runs, results from records.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out, err = Console(), Console(stderr=True)

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Override a recipe field; dotted names reach into it."),
]
DataDir = Annotated[Path | None, typer.Option(help="Folder prepared by tensorflow-datasets [$KZOO_DATA_DIR].")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")]


@app.command("list")
def list_(
    pattern: Annotated[str, typer.Argument(help="Wildcard.")] = "*",
    recipes: Annotated[bool, typer.Option("--recipes", help="List recipes instead of models.")] = False,
    as_json: AsJson = False,
) -> None:
    """List models, or recipes."""
    from kzoo.models.registry import list_models, variant
    from kzoo.recipes import list_recipes, recipe

    table = Table(box=None, pad_edge=False)
    rows: list[dict[str, Any]]
    if recipes:
        rows = [
            {"name": r.name, "model": r.model, "dataset": r.dataset, "epochs": r.epochs}
            for r in map(recipe, list_recipes(pattern))
        ]
    else:
        rows = [
            {"name": v.name, "classes": v.classes, "input": v.input_shape, "recipe": v.recipe}
            for v in map(variant, list_models(pattern))
        ]
    if not rows:
        raise InputError(f"pattern {pattern!r} matches no {'recipe' if recipes else 'model'}")
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        shown = (
            "x".join(map(str, v)) if isinstance(v, tuple) else str(v if v is not None else "-") for v in row.values()
        )
        table.add_row(*shown)
    out.print(table, highlight=False)


@app.command()
def info(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A model's name, or a .keras file.")],
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Give the model's builder an option.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a model layer by layer: shapes, memory, parameters, multiply-adds, receptive field."""
    _import_keras()
    from kzoo.diagnostics.layer_table import layer_table
    from kzoo.models.registry import create_model

    model = _load_keras(Path(name)) if name.endswith(".keras") else create_model(name, **_assignments(set_))
    table = layer_table(model)
    if as_json:
        print(json.dumps(table.to_dict(), indent=1))
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
            f"{field[0]}x{field[1]}" if field else "-",
        )
    out.print(shown, highlight=False)
    out.print(
        f"{table.trainable_parameters:,} trainable of {table.parameters:,} parameters, "
        f"{table.multiply_adds:,} multiply-adds and {table.activation_bytes:,} bytes of activations an image",
        highlight=False,
    )


@app.command()
def data(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the datasets, and say how to get those that are not here."""
    from kzoo.data.loading import available

    rows = available(data_dir)
    if as_json:
        print(json.dumps([{"name": name, "present": here, "detail": text} for name, here, text in rows], indent=1))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("dataset", "here", ""):
        table.add_column(column, overflow="fold")
    for name, here, text in rows:
        table.add_row(name, "yes" if here else "no", text)
    out.print(table, highlight=False)


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's or model's name, or a JSON file.")],
    set_: Set = None,
    dataset: Annotated[str | None, typer.Option(help="--set dataset=...")] = None,
    # Text, not int: the recipe's own message names the field, the value and what is allowed.
    epochs: Annotated[str | None, typer.Option(metavar="INTEGER", help="--set epochs=...")] = None,
    batch_size: Annotated[str | None, typer.Option(metavar="INTEGER", help="--set batch_size=...")] = None,
    seed: Annotated[str | None, typer.Option(metavar="INTEGER", help="--set seed=...")] = None,
    data_dir: DataDir = None,
    directory: Annotated[Path | None, typer.Option(help="Of the run; runs/NAME-DIGEST if not given.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start anew in a new directory.")] = False,
) -> None:
    """Train a recipe; the same command again goes on where it stopped, or prints the result."""
    shorthands = {"dataset": dataset, "epochs": epochs, "batch_size": batch_size, "seed": seed}
    given = [f"{field}={value}" for field, value in shorthands.items() if value is not None]
    changes = _assignments([*(set_ or []), *given])
    from kzoo.recipes import recipe as named_recipe

    row = named_recipe(recipe).override(**changes)
    row.resolved()  # unknown names are told at once, before the seconds that Keras takes to load
    _import_keras()
    from kzoo.training.run import train as run_recipe

    _report(_interruptible(run_recipe, row, data_dir=data_dir, directory=directory, fresh=fresh, progress=out))


@app.command()
def resume(run: RunPath, data_dir: DataDir = None) -> None:
    """Go on with a run that was cut off."""
    _import_keras()
    from kzoo.training.run import resume as go_on

    _report(_interruptible(go_on, run, data_dir=data_dir, progress=out))


@app.command()
def evaluate(
    run: RunPath,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Score a run's best weights on a part of its data."""
    _import_keras()
    from kzoo.training.saved_run import Run

    score: Evaluation = Run(run).evaluate(split, data_dir)
    if as_json:
        print(json.dumps({"split": split, **score.to_dict()}, indent=1))
    else:
        out.print(
            f"{split}: loss {score.loss:.4f}, accuracy {score.accuracy:.4f} ({score.images:,} images)", highlight=False
        )


@app.command()
def predict(
    run: RunPath,
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="Classes to show for each image.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Say which classes images show, with probabilities."""
    _import_keras()
    from kzoo.training.prediction import predict_files
    from kzoo.training.saved_run import Run

    rows = predict_files(Run(run), images, top)
    if as_json:
        print(json.dumps([{"file": str(file), "classes": dict(best)} for file, best in rows], indent=1))
        return
    for file, best in rows:
        text = ", ".join(f"{name} {share:.3f}" for name, share in best)
        out.print(f"{file}: {text}", highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; an error is one line on standard error and an exit status."""
    sys.path.append(os.getcwd())  # for module:function in a file of one's own
    warnings.showwarning = lambda message, *rest, **more: _complain("warning", str(message))
    try:
        app()
    except RunFailed as error:
        _complain("error", str(error))
        sys.exit(1)
    except KzooError as error:
        _complain("error", str(error))
        sys.exit(2)


def _complain(kind: str, message: str) -> None:
    err.print(
        f"{kind}: {message}",
        style="red" if kind == "error" else "yellow",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _assignments(pairs: list[str] | None) -> dict[str, Any]:
    """``["epochs=5"]`` as ``{"epochs": 5}``: values are JSON where they can be, else strings."""
    changes: dict[str, Any] = {}
    for pair in pairs or []:
        field, equals, text = pair.partition("=")
        if not equals or not field:
            raise InputError(f"--set takes FIELD=VALUE, not {pair!r}")
        try:
            changes[field] = json.loads(text)
        except ValueError:
            changes[field] = text
    return changes


def _import_keras() -> None:
    from kzoo.backend import quiet_import

    with quiet_import():
        import keras  # noqa: F401


def _load_keras(path: Path) -> Any:
    import keras

    if not path.is_file():
        raise InputError(f"file {str(path)!r} does not exist")
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"file {str(path)!r} is not a Keras model that can be loaded: {error}") from None


def _interruptible(function: Any, *args: Any, **options: Any) -> Run:
    try:
        return function(*args, **options)
    except KeyboardInterrupt as error:
        _complain("warning", str(error) or "interrupted")
        raise typer.Exit(130) from None


def _report(run: Run) -> None:
    result = run.result
    out.print(
        f"\n{result.name}: {result.parameters:,} parameters, {result.epochs} epochs, seed {result.recipe['seed']}",
        highlight=False,
    )
    for title, score in (
        ("train (last epoch)", result.train),
        (f"validation (best, epoch {result.best_epoch})", result.best),
        ("validation (last epoch)", result.last),
        ("test (best epoch's weights)", result.test),
    ):
        if score is not None:
            out.print(f"  {title:<34} loss {score.loss:.4f}  accuracy {score.accuracy:.4f}", highlight=False)
    out.print(f"  {result.seconds:,.1f} s; record: {run.directory / 'result.json'}", highlight=False, soft_wrap=True)
