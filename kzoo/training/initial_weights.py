"""Weights that a run starts from: another run's best, a set of weights, or a file."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras
from rich.console import Console

from kzoo.console import say
from kzoo.errors import InputError, first_line
from kzoo.files import names_keras_file
from kzoo.introspection.file_metadata import read_metadata
from kzoo.introspection.graph import inner_layers
from kzoo.introspection.keras_file import load_keras_file
from kzoo.models.registry import create_model
from kzoo.models.trained import load_file
from kzoo.models.weight_sets import DESCRIPTION, WEIGHTS, open_set
from kzoo.models.weight_transfer import Transfer, transfer
from kzoo.recipes.schema import Recipe
from kzoo.training.finding import initial_weights_file, is_set
from kzoo.training.run import Run


def load_initial_weights(
    model: keras.Model, source: str, *, class_names: Sequence[str] | None = None, partial: bool = False
) -> Transfer:
    """Copy weights into a model, see `kzoo.models.weight_transfer`.

    A bare ``.weights.h5`` file must fit as a whole; one in the directory of a run or set stands for that run or set.

    Args:
        model: the model to fill.
        source: a run's directory, a set of weights, or a ``.weights.h5`` or ``.keras`` file.
        class_names: names of the model's classes, by label.
        partial: take the layers that fit.

    Returns:
        What was taken.

    Raises:
        InputError: the file is missing or damaged, its weights belong to another network, or none of them fits.
    """
    label = f"initial_weights {source!r}"
    path = initial_weights_file(source)
    try:
        opened = _opened(source, path)
        if opened is not None:
            trained, names = opened
            return transfer(trained, model, what=label, source_names=names, target_names=class_names, partial=partial)
        if partial:
            raise InputError(
                f"{label}: a .weights.h5 file names no layers, so it cannot be loaded in part: give a .keras file"
            )
        load_file(model, path, source)
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{label} cannot be read into {model.name!r}: {first_line(error)}") from None

    # A file of weights alone describes no network.
    note = "the file holds only shapes: strides, padding, activations and the scaling of pixels are assumed to "
    note += "be the same"
    return Transfer([layer.name for layer in model.layers if layer.weights], notes=[note])


def _opened(source: str, path: Path) -> tuple[keras.Model, Sequence[str] | None] | None:
    """The trained model and its classes' names, if known; None for a file that does not describe its network."""
    folder = path.parent
    if is_set(source) or (path.name == WEIGHTS and (folder / DESCRIPTION).is_file()):
        reference = source if is_set(source) else str(folder / DESCRIPTION)
        description = open_set(reference)[0]
        return create_model(description.model, weights=reference), description.class_names
    if path.name in ("best.weights.h5", "final.weights.h5") and (folder / "recipe.json").is_file():
        run = Run(folder)
        model = run.model
        if path.name != "best.weights.h5":
            load_file(model, path, source)
        return model, run.class_names
    if names_keras_file(path):
        return load_keras_file(path), read_metadata(path).get("class_names")
    return None


def begin_with_weights(
    model: keras.Model, recipe: Recipe, class_names: Sequence[str], console: Console | None = None
) -> None:
    """Give a run's model the weights that its recipe names, and say what was taken.

    Raises:
        InputError: as for `load_initial_weights`, or a frozen layer was not loaded.
    """
    source = str(recipe.initial_weights)
    partial = recipe.initial_weights_partial or bool(recipe.freeze)
    done = load_initial_weights(model, source, class_names=class_names, partial=partial)
    inner = [layer for layer in inner_layers(model) if not isinstance(layer, keras.Model)]  # nested ones included
    frozen = [layer.name for layer in inner if layer.weights and not layer.trainable]
    missing = [name for name in frozen if name in done.initialized]
    if missing:
        raise InputError(
            f"freeze: layer {missing[0]!r} would keep random weights: initial_weights {source!r} has none for it"
        )
    line = done.line(repr(source))
    if console is not None:
        say(console, line)
    elif done.initialized or done.notes:
        warnings.warn(line, stacklevel=3)
