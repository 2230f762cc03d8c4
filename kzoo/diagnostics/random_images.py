"""Images for a network before there is any data: of the size and on the scale that it takes."""

from __future__ import annotations

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.introspection.layers import check_built, find_layers
from kzoo.seeds import generator


def random_images(model: keras.Model, count: int, seed: int = 0) -> np.ndarray:
    """Random pictures with coarse and fine structure, half of the variance each, as photographs have both.

    Args:
        model: gives their size (64 where it is open) and scale: 0-255 if it rescales or normalises them itself,
            else mean 0 and variance 1.
        count: how many.
        seed: of the drawing.

    Returns:
        float32 (count, height, width, channels), or whatever other shape the model takes.

    Raises:
        InputError: the model is not built, has several inputs, or does not tell the shape of its input.
    """
    shape = [size or 64 for size in input_shape(model)]
    rng = generator(seed, "random images")
    values = rng.normal(size=(count, *shape))
    if len(shape) == 3:
        coarse = rng.normal(size=(count, 4, 4, shape[2]))
        rows, columns = (np.arange(size) * 4 // size for size in shape[:2])
        values = np.sqrt(0.5) * (values + coarse[:, rows][:, :, columns])
    if has_input_scaling(model):
        values = np.clip(np.round(127.5 + 64 * values), 0, 255)
    return values.astype(np.float32)


def input_shape(model: keras.Model) -> tuple[int | None, ...]:
    """Shape of one image as a model takes it, None for open sizes.

    Raises:
        InputError: the model is not built, has several inputs, or does not tell (a subclass may not).
    """
    check_built(model)
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        raise InputError(f"model {model.name!r} has several inputs ({names}): only models with one can be diagnosed")
    if not inputs:
        raise InputError(f"model {model.name!r} does not tell the shape of its input: give images")
    return tuple(inputs[0].shape[1:])


def has_input_scaling(model: keras.Model) -> bool:
    """Whether the model itself rescales or normalises its images, before its first layer with weights to learn."""
    for _, layer in find_layers(model):
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            return True
        if layer.trainable_weights:
            return False
    return False
