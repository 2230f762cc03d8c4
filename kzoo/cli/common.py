"""What all commands share: the app, its consoles, common options, and the way bad input is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from kzoo.errors import InputError

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
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
Figure = Annotated[Path | None, typer.Option(metavar="FILE", help="Save a figure, .png or .svg.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.")]


def complain(kind: str, message: str) -> None:
    """Print an error or warning on standard error."""
    err.print(
        f"{kind}: {message}",
        style="red" if kind == "error" else "yellow",
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=True,
    )


def assignments(pairs: list[str] | None) -> dict[str, Any]:
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


def numbers(option: str, text: str) -> list[int]:
    """``"0,1,2"`` as a list."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} takes integers with commas between them, not {text!r}") from None


def import_keras() -> None:
    """Load Keras without the lines that a backend prints."""
    from kzoo.backend import quiet_import

    with quiet_import():
        import keras  # noqa: F401


def load_keras(path: Path) -> Any:
    """A Keras model from a .keras file."""
    import keras

    if not path.is_file():
        raise InputError(f"file {str(path)!r} does not exist")
    try:
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"file {str(path)!r} is not a Keras model that can be loaded: {error}") from None


def opened(target: str, seed: int | None = None, **options: Any) -> tuple[Any, tuple[str, ...] | None]:
    """A model and the names of its classes, of a run, a file, or (with a seed for its weights) a name."""
    if target.endswith(".keras"):
        return load_keras(Path(target)), None
    if seed is None or Path(target).is_dir():
        from kzoo.training.saved_run import Run

        run = Run(target)
        return run.model, run.class_names
    import keras

    from kzoo.models.registry import create_model

    keras.utils.set_random_seed(seed)
    return create_model(target, **options), None


def interruptible(function: Any, *args: Any, **options: Any) -> Any:
    """Call, and exit with 130 when interrupted."""
    try:
        return function(*args, **options)
    except KeyboardInterrupt as error:
        complain("warning", str(error) or "interrupted")
        raise typer.Exit(130) from None
