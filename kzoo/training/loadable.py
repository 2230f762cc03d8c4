"""Checks that a custom network can be saved and loaded again, before it is trained."""

from __future__ import annotations

import tempfile
from pathlib import Path

import keras
import numpy as np

from kzoo.errors import InputError, NotWritten, first_line
from kzoo.files import NO_ROOM
from kzoo.introspection.output_trials import input_shape


def check_loadable(model: keras.Model) -> None:
    """Save a model, load it again, and compare.

    Raises:
        InputError: it cannot be saved or loaded, or the loaded model computes something else.
    """
    problem = f"model {model.name!r} cannot be saved and loaded again, so a run of it would be lost"
    with tempfile.TemporaryDirectory(prefix="kzoo-model-") as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
            loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # whatever custom layers raise
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise NotWritten(f"cannot write {str(path)!r}: {error.strerror}") from None
            raise InputError(
                f"{problem}: {first_line(error)}. Give classes of your own a get_config, decorate them with "
                "@keras.saving.register_keras_serializable(), and use no Lambda layers"
            ) from None

    before, after = ([tuple(weight.shape) for weight in each.weights] for each in (model, loaded))
    if before != after:
        raise InputError(f"{problem}: its {len(before)} weights become {len(after)}, or change shape, when loaded")
    check_same_outputs(model, loaded, problem, "when it is loaded")


def check_same_outputs(model: keras.Model, other: keras.Model, problem: str, when: str) -> None:
    """Compare the outputs of two models for two random images; models that do not say what they take are not.

    Raises:
        InputError: the outputs differ; the message contains `problem` and `when`.
    """
    try:
        shape = [size or 32 for size in input_shape(model)[1:]]
    except InputError:
        return
    images = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype("float32")
    # For two images, making the graph of `predict` would take too long.
    outputs = (keras.tree.flatten(each(images, training=False)) for each in (model, other))
    for expected, obtained in zip(*outputs, strict=True):
        expected, obtained = (
            np.asarray(keras.ops.convert_to_numpy(value), np.float64) for value in (expected, obtained)
        )
        if not np.allclose(expected, obtained, rtol=1e-2, atol=1e-3, equal_nan=True):
            apart = np.abs(expected - obtained).max()
            raise InputError(f"{problem}: it gives other outputs {when}, by up to {apart:.3g}")
