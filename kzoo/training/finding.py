"""Checks that a command's input exists before Keras loads, which takes seconds (no Keras)."""

from __future__ import annotations

import difflib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from kzoo.errors import ALIKE, InputError, unknown
from kzoo.files import names_keras_file, user_path
from kzoo.models.registry import check_builder, check_options, list_models, names_set
from kzoo.models.weight_sets import describe, find_set, list_weights, open_set
from kzoo.training.records import folder_name

if TYPE_CHECKING:
    from kzoo.recipes import Recipe

RUNS = Path("runs")
EXPORTED = (".onnx", ".tflite")
PARTS = ("train", "validation", "test")
TTA = ("flip", "flip-shift")
"""Kinds of test-time augmentation."""


def check_run(directory: str | Path) -> Path:
    """The path of a run's directory.

    Raises:
        InputError: the directory does not exist or holds no run; the message suggests the nearest run.
    """
    path = user_path(directory)
    if (path / "recipe.json").is_file():
        return path
    absent = "there is no such file" if path.suffix == ".json" else "there is no such directory"
    why = "it has no recipe.json" if path.is_dir() else "it is a file" if path.exists() else absent
    raise InputError(f"{str(directory)!r} is not a run: {why}{_as_keras(path)}{_meant(path, str(directory))}")


def _as_keras(path: Path) -> str:
    """A hint on how to convert a model in an HDF5 file."""
    if path.suffix.lower() not in (".h5", ".hdf5") or path.name.endswith(".weights.h5"):
        return ""
    return "; a model in an HDF5 file: load it with keras.saving.load_model, and save it to a .keras file"


def _meant(path: Path, name: str) -> str:
    """A hint on what the user may have meant instead of this run."""
    near = _nearest_run(path)
    if near:
        return f"; did you mean {near!r}?"
    if path.exists():
        return ""
    kind = "model" if name in list_models() else "recipe" if "/" in name and _is_recipe(name) else None
    return f"; it is the name of a {kind}, and kzoo train {name} makes a run" if kind else ""


def _is_recipe(name: str) -> bool:
    from kzoo.recipes import list_recipes

    return name in list_recipes()


def _nearest_run(path: Path) -> str | None:
    runs = {file.parent.name: str(file.parent) for file in sorted(RUNS.glob("*/recipe.json"))}
    begun = [name for name in runs if path.name and name.startswith(path.name)]
    near = begun[:1] or difflib.get_close_matches(path.name, runs, n=1, cutoff=ALIKE)
    return runs[near[0]] if near else None


def check_target(target: str | Path, *, names: bool = False, exported: bool = False) -> None:
    """Refuse all but runs, sets of weights and .keras files (and, if allowed, names of models and exported files).

    Raises:
        InputError: the target is something else.
    """
    path = Path(target)
    if names_set(str(target)):
        if "://" not in str(target):
            describe(find_set(str(target)), str(target))
    elif path.suffix.lower() in (".keras", *(EXPORTED if exported else ())):
        if not path.is_file():
            raise InputError(f"file {str(target)!r} does not exist")
    elif exported and (path / "saved_model.pb").is_file():
        return
    elif names and not path.is_dir():
        check_builder(str(target))
    elif ":" in str(target) and not path.exists():
        near = difflib.get_close_matches(str(target), list_weights(), n=1, cutoff=ALIKE)
        hint = f"did you mean {near[0]!r}?" if near else "kzoo weights list shows the sets"
        raise InputError(f"{str(target)!r} is not a run and not a set of weights: {hint}")
    else:
        check_run(path)


def named_or_refused(name: str) -> Recipe:
    """The recipe of a name, for commands that also take a run's directory or a file.

    Raises:
        InputError: the name is not that of a model or recipe.
    """
    from kzoo.recipes import get_recipe

    try:
        recipe = get_recipe(name)
    except InputError as error:
        if not str(error).startswith("unknown recipe"):
            raise
        near = str(error).partition(": ")[2]
        message = f"{name!r} is not a run's directory, a .keras file, or the name of a model or recipe"
        raise InputError(f"{message}: {near}" if near else message) from None
    check_builder(recipe.model)
    return recipe


def is_set(source: str) -> bool:
    """Whether this names a set of weights, even of an unknown model, for which the error lists the sets."""
    return names_set(source) or (":" in source and not Path(source).exists())


def initial_weights_file(source: str) -> Path:
    """The file that `initial_weights` names: the file itself, or the weights of a run (the best) or of a set.

    Raises:
        InputError: the file does not exist, or its kind is unknown.
    """
    if is_set(source):
        return open_set(source)[1]
    path = user_path(source)
    if path.is_dir():
        path = path / "best.weights.h5"
    if not path.is_file():
        near = [name for name in list_weights() if source in (name.partition(":")[0], name.partition(":")[2])]
        hint = f"; did you mean the set {' or '.join(map(repr, near))}?" if near else ""
        hint = "; null means none" if source.lower() in ("none", "nil") else hint
        raise InputError(f"initial_weights {source!r}: there is no file {str(path)!r}{hint}")
    if not (path.name.endswith(".weights.h5") or names_keras_file(path)):
        expected = f"expected a run's directory, a .weights.h5 or a .keras file{_as_keras(path)}"
        raise InputError(f"initial_weights {source!r}: {expected}")
    return path


def initial_weights_digest(source: str) -> str:
    """The SHA-256 of the file that `initial_weights` names, which is part of the digest of a run.

    Raises:
        InputError: see `initial_weights_file`.
    """
    return hashlib.sha256(initial_weights_file(source).read_bytes()).hexdigest()


def check_part(part: str) -> None:
    """Refuse an unknown part of a run's data."""
    if part not in PARTS:
        raise InputError(f"part must be 'train', 'validation' or 'test', not {part!r}")


def check_tta(kind: str | None) -> None:
    """Refuse an unknown kind of test-time augmentation; None means no augmentation."""
    if kind is not None and kind not in TTA:
        raise unknown("tta", kind, TTA)


def check_new(recipe: Recipe, data_dir: str | Path | None = None, fresh: bool = False) -> None:
    """Refuse a resolved recipe whose model, data or initial weights are missing.

    A recipe that may have a run is not checked, because a finished run needs none of them.

    Raises:
        InputError: something is missing, or settings contradict each other.
    """
    if not fresh and any(RUNS.glob(folder_name(recipe.name, "*"))):
        return
    from kzoo.recipes.contradictions import check_contradictions

    check_contradictions(recipe)
    if not recipe.model.startswith("keras:"):
        check_builder(recipe.model)
        check_options(recipe.model, recipe.model_options)
    if recipe.initial_weights is not None:
        initial_weights_file(recipe.initial_weights)
    from kzoo.data.loading import check_present  # loads NumPy, which takes as long as all checks above

    check_present(recipe.dataset, data_dir, recipe.image_size)
