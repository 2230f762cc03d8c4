"""Weights that a run starts from: another run's best, a set of weights, or a file."""

from __future__ import annotations

from pathlib import Path

import keras

from kzoo.errors import InputError
from kzoo.models.registry import create_model
from kzoo.models.weight_sets import DESCRIPTION, open_set
from kzoo.training.saved_run import Run


def _is_set(source: str) -> bool:
    """Whether this is MODEL:TAG, a URL, or the folder of a set of weights."""
    path = Path(source)
    return (path / DESCRIPTION).is_file() or path.name == DESCRIPTION or (":" in source and not path.exists())


def initial_weights_file(source: str) -> Path:
    """The file that `initial_weights` names: itself, a run directory's best weights, or a set's.

    Raises:
        InputError: there is no such file, or it is of no known kind.
    """
    if _is_set(source):
        return open_set(source)[1]
    path = Path(source)
    if path.is_dir():
        path = path / "best.weights.h5"
    if not path.is_file():
        raise InputError(f"initial_weights {source!r}: there is no file {str(path)!r}")
    if not path.name.endswith((".weights.h5", ".keras")):
        raise InputError(f"initial_weights {source!r}: expected a run's directory, a .weights.h5 or a .keras file")
    return path


def load_initial_weights(model: keras.Model, source: str) -> None:
    """Copy weights into a model.

    From a run, a set or a ``.keras`` file they are copied layer by layer, by name, and the classifier (the last layer
    with weights) keeps its own where the number of classes differs. A ``.weights.h5`` file must fit as a whole.

    Raises:
        InputError: the file is missing or damaged, or its weights belong to another network.
    """
    path = initial_weights_file(source)
    try:
        if _is_set(source):
            _copy(create_model(open_set(source)[0].model, weights=source), model, source)
        elif Path(source).is_dir():
            _copy(Run(source).model, model, source)
        elif path.name.endswith(".keras"):
            _copy(keras.saving.load_model(path, compile=False), model, source)
        else:
            model.load_weights(path)
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"initial_weights {source!r} cannot be read into {model.name!r}: {error}") from None


def _copy(source: keras.Model, target: keras.Model, name: str) -> None:
    given = {layer.name: layer.get_weights() for layer in source.layers}
    layers = [layer for layer in target.layers if layer.weights]
    fits = [[v.shape for v in given.get(layer.name, [])] == [tuple(w.shape) for w in layer.weights] for layer in layers]
    for layer, fit in zip(layers[:-1], fits[:-1], strict=True):
        if not fit:
            raise InputError(
                f"initial_weights {name!r} belong to another network than {target.name!r}: they have none of the "
                f"right shapes for layer {layer.name!r}"
            )
    for layer, fit in zip(layers, fits, strict=True):
        if fit:
            layer.set_weights(given[layer.name])
