"""Checks that a command's input exists, at once, before the seconds that Keras takes to load (no Keras)."""

from __future__ import annotations

import difflib
from pathlib import Path

from kzoo.errors import ALIKE, InputError
from kzoo.models.registry import get_variant, list_models, names_set
from kzoo.models.weight_sets import describe, find_set, list_weights
from kzoo.recipes import Recipe, get_recipe, list_recipes

RUNS = Path("runs")
EXPORTED = (".onnx", ".tflite")


def check_run(directory: str | Path) -> Path:
    """The path of a run's directory.

    Raises:
        InputError: there is none, or it holds no run; the message suggests the nearest run.
    """
    path = Path(directory)
    if (path / "recipe.json").is_file():
        return path
    why = (
        "it has no recipe.json" if path.is_dir() else "it is a file" if path.exists() else "there is no such directory"
    )
    raise InputError(f"{str(directory)!r} is not a run: {why}{_meant(path, str(directory))}")


def _meant(path: Path, name: str) -> str:
    """A hint at what the user may have meant instead of this run."""
    near = _nearest_run(path)
    if near:
        return f"; did you mean {near!r}?"
    if path.exists():
        return ""
    kind = "model" if name in list_models() else "recipe" if name in list_recipes() else None
    return f"; it is the name of a {kind}, and kzoo train {name} makes a run" if kind else ""


def _nearest_run(path: Path) -> str | None:
    runs = {file.parent.name: str(file.parent) for file in sorted(RUNS.glob("*/recipe.json"))}
    begun = [name for name in runs if path.name and name.startswith(path.name)]
    near = begun[:1] or difflib.get_close_matches(path.name, runs, n=1, cutoff=ALIKE)
    return runs[near[0]] if near else None


def check_target(target: str | Path, *, names: bool = False, exported: bool = False) -> None:
    """Refuse what is neither a run's directory nor a set of weights nor a readable file.

    Args:
        target: what a command is given.
        names: whether it may be a model's name, too.
        exported: whether it may be an exported file or a SavedModel's folder, too.

    Raises:
        InputError: it is none of these.
    """
    path = Path(target)
    if not (path / "recipe.json").is_file() and names_set(str(target)):
        if "://" not in str(target):
            describe(find_set(str(target)), str(target))
    elif path.suffix.lower() in (".keras", *(EXPORTED if exported else ())):
        if not path.is_file():
            raise InputError(f"file {str(target)!r} does not exist")
    elif exported and (path / "saved_model.pb").is_file():
        return
    elif names and not path.is_dir():
        get_variant(str(target))
    elif ":" in str(target) and not path.exists():
        near = difflib.get_close_matches(str(target), list_weights(), n=1, cutoff=ALIKE)
        hint = f"did you mean {near[0]!r}?" if near else "kzoo weights list shows the sets"
        raise InputError(f"{str(target)!r} is not a run and not a set of weights: {hint}")
    else:
        check_run(path)


def named_or_refused(name: str) -> Recipe:
    """The recipe of a name, where a run's directory or a file is allowed as well.

    Raises:
        InputError: it is none of them.
    """
    try:
        return get_recipe(name)
    except InputError as error:
        if not str(error).startswith("unknown recipe"):
            raise
        near = str(error).partition(": ")[2]
        message = f"{name!r} is no run's directory, no .keras file, and the name of no model or recipe"
        raise InputError(f"{message}: {near}" if near else message) from None
