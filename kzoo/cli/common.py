"""Shared by all commands: the app, its console, common options, and checks of input."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from kzoo.backend import quiet_import
from kzoo.cli.guide import InOrder, print_version
from kzoo.cli.parsing import App
from kzoo.console import complain, plain_console
from kzoo.data.background import WHITE
from kzoo.errors import InputError
from kzoo.files import finite, names_keras_file
from kzoo.seeds import seed_keras

app = App(
    help="Model zoo for small images in Keras: exact architectures, resumable runs, results from records.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
)
out = plain_console()
UNLIMITED = 10_000
"""Width of a line in characters, more than any table needs."""


def print_json(content: Any, *, indent: int | None = 1) -> None:
    """Print a command's results as JSON, on one line if `indent` is None; numbers that are not finite are null."""
    print(json.dumps(finite(content), indent=indent, allow_nan=False))


@app.callback()
def _of_the_whole(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
) -> None: ...


DataDir = Annotated[Path | None, typer.Option(help="Directory prepared by tensorflow-datasets [$KZOO_DATA_DIR].")]
On = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Ray cluster: auto, local, HOST:PORT or ray://HOST:PORT.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]
Figure = Annotated[Path | None, typer.Option(metavar="FILE", help="Save a figure, .png or .svg.")]

Images = Annotated[list[Path] | None, typer.Argument(metavar="[IMAGES]", help="Image files, or folders of images.")]
Split = Annotated[
    str | None,
    typer.Option(metavar="PART", help="Instead of images: a part of the run's data, train, validation or test."),
]
Ground = Annotated[
    str | None,
    typer.Option(
        "--background",
        metavar="COLOUR",
        help="Background of transparent files: 0-255, RED,GREEN,BLUE or none (default: as in training).",
    ),
]
First = Annotated[int | None, typer.Option(metavar="N", min=1, help="With --split: only the first N images.")]


def _check_run(run: Path | None) -> Path | None:
    from kzoo.training.finding import check_run

    return run and check_run(run)


def _check_runs(runs: list[Path]) -> list[Path]:
    for run in runs:
        _check_run(run)
    return runs


def checked_target(**kinds: bool) -> Any:
    """A callback that checks an argument for a run's directory or another target; see `check_target` for `kinds`."""

    def check(target: Any) -> Any:
        from kzoo.training.finding import check_target

        check_target(target, **kinds)
        return target

    return check


def check_builder_options(target: str, options: dict[str, Any], *, sets: bool = False) -> None:
    """Refuse options that a named model's builder does not take, and any options for a network that is already built.

    Args:
        target: a model's name, a run's directory, a weight set or a .keras file.
        options: options of the builder.
        sets: whether the model of a weight set is built again, so that it can have options.
    """
    from kzoo.models.registry import check_options, names_set

    if not options or (sets and names_set(target)):
        return
    if names_keras_file(target) or Path(target).is_dir() or names_set(target):
        raise InputError(f"--set takes options of a named model: leave it out, because {target!r} is already built")
    check_options(target, options)


RunOrSet = Annotated[
    str,
    typer.Argument(
        metavar="RUN|SET",
        help="A run's directory, or a weight set: MODEL:TAG or its directory.",
        callback=checked_target(),
    ),
]
RunPaths = Annotated[list[Path], typer.Argument(metavar="RUN", help="Directories of runs.", callback=_check_runs)]
RunSetOrFile = Annotated[
    str,
    typer.Argument(
        metavar="RUN|SET|FILE", help="A run's directory, a weight set, or a .keras file.", callback=checked_target()
    ),
]
RunFileOrName = Annotated[
    str,
    typer.Argument(
        metavar="RUN|SET|FILE|NAME",
        help="A run's directory, a weight set, a .keras file, or a model's name.",
        callback=checked_target(names=True),
    ),
]
Usable = Annotated[
    str,
    typer.Argument(
        metavar="RUN|SET|FILE",
        help="A run, a weight set, a SavedModel, or a .keras, .onnx or .tflite file.",
        callback=checked_target(exported=True),
    ),
]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.", callback=_check_run)]


def table(
    columns: Iterable[str], rows: Iterable[Iterable[str]] = (), *, right: object = (), title: str | None = None
) -> Table:
    """A table without borders; `right` names the right-aligned columns; True means all but the first."""
    made = Table(box=None, pad_edge=False, title=title)
    for index, name in enumerate(columns):
        at_right = index > 0 if right is True else name in right  # type: ignore[operator]
        made.add_column(name, justify="right" if at_right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def print_table(shown: Table) -> None:
    """Print a table; unless a terminal limits its width, every row is one line, for tools such as grep."""
    wide_console(UNLIMITED).print(shown)


def wide_console(width: int = 160) -> Console:
    """The console for tables, `width` characters wide if the output is piped."""
    return out if out.is_terminal else plain_console(width=width)


def check_figures(*paths: Path | None, force: bool) -> None:
    """Refuse figures that cannot be written, before any work is done."""
    from kzoo.diagnostics.plots import check_output

    for path in paths:
        if path is not None:
            check_output(path, overwrite=force)


def save_figure(path: Path | None, force: bool, plot: Callable[..., Any], *args: Any, **options: Any) -> None:
    """Draw and save a figure, if there is a path; its title is a name."""
    from kzoo.diagnostics.plots import literal
    from kzoo.diagnostics.plots import save_figure as save

    if path is not None:
        options |= {"title": literal(options["title"])} if "title" in options else {}
        save(plot(*args, **options), path, force)


def loads_keras(target: str) -> None:
    """Load Keras unless the target is a file that another runtime reads."""
    if Path(target).suffix.lower() not in (".onnx", ".tflite"):
        import_keras()


def numbers(option: str, text: str) -> list[int]:
    """``"0,1,2"`` as a list."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} takes integers separated by commas, not {text!r}") from None


def import_keras() -> None:
    """Load Keras, and hide what the backend prints."""
    with quiet_import():
        import keras  # noqa: F401


def opened(target: str, seed: int | None = None, **options: Any) -> tuple[Any, Sequence[str] | None]:
    """A model and its class names, from a run, weight set, file, or (with a seed for the weights) a model's name."""
    if names_keras_file(target):
        from kzoo.introspection.file_metadata import read_metadata
        from kzoo.introspection.keras_file import load_keras_file

        return load_keras_file(target), read_metadata(Path(target)).get("class_names")
    from kzoo.models.registry import create_model, names_set

    if seed is None or Path(target).is_dir() or names_set(target):
        from kzoo.training.saved_set import open_run

        run = open_run(target)
        return run.model, run.class_names
    seed_keras(seed)
    return create_model(target, **options), None


def check_images(
    images: list[Path] | None, split: str | None, first: int | None, background: str | None = None
) -> None:
    """Refuse contradictory options, an unknown part, and a list of files of which none exists."""
    if bool(images) == (split is not None):
        raise InputError("give image files or folders, or --split with a part of the run's data")
    if first is not None and split is None:
        raise InputError("--first limits the images of --split: leave it out, or give --split")
    if background is not None:
        colour(background)
        if split is not None:
            raise InputError(
                "--background applies to image files only: leave it out with --split, whose images are as in training"
            )
    if split is not None:
        from kzoo.training.finding import check_part

        check_part(split)
    if images and not any(path.exists() for path in images):
        from kzoo.data.images import UnreadableImage, all_broken

        raise all_broken([UnreadableImage(path, "there is no such file") for path in images], len(images))


def part_images(target: str, split: str, first: int | None, data_dir: Path | None) -> list[tuple[Path, Any]]:
    """Images of a part of the data of a run or weight set, named by index and true class: ``test/0-cat``.

    The name is one file's: a slash in a class name becomes a hyphen.
    """
    from kzoo.training.saved_set import open_run

    run = open_run(target)
    part, names = run.part(split, data_dir), [re.sub(r"[/\\]", "-", name) for name in run.class_names]
    chosen = zip(part.images[:first], part.labels[:first], strict=True)
    return [(Path(split, f"{index}-{names[label]}"), image) for index, (image, label) in enumerate(chosen)]


def colour(text: str) -> tuple[int, int, int] | None:
    """The value of ``--background``: red, green and blue, or None to drop the transparency."""
    if text.lower() in ("none", "null"):
        return None
    parts = text.strip("[]() ").split(",")
    values = [int(part) for part in parts if part.strip().isdecimal()]
    if len(values) != len(parts) or len(values) not in (1, 3) or max(values) > 255:
        raise InputError(f"--background takes 0-255 for grey, RED,GREEN,BLUE, or none, not {text!r}")
    red, green, blue = values if len(values) == 3 else values * 3
    return red, green, blue


def background_of(target: str) -> tuple[int, int, int] | None:
    """The background of transparent images, from a run, a weight set, or a .keras file exported from either."""
    from kzoo.introspection.file_metadata import read_metadata
    from kzoo.recipes.schema import Recipe
    from kzoo.training.saved_set import open_run

    if not names_keras_file(target):
        return open_run(target).recipe.prediction_background
    fields = read_metadata(Path(target)).get("recipe")
    return Recipe(**fields).prediction_background if fields else WHITE


def interruptible(function: Any, *args: Any, **options: Any) -> Any:
    """Call a function; exit with 130 when interrupted."""
    try:
        return function(*args, **options)
    except KeyboardInterrupt as error:
        complain("warning", str(error) or "interrupted")
        raise typer.Exit(130) from None
