"""Random images of the size and scale that a network takes, for use without data."""

from __future__ import annotations

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.introspection.graph import calls
from kzoo.introspection.layers import check_built, find_layers, kernels
from kzoo.seeds import generator


def random_images(model: keras.Model, count: int, seed: int = 0) -> np.ndarray:
    """Random images with coarse and fine structure, like photographs; each structure has half of the variance.

    Args:
        model: determines their size (64 if it is not fixed) and scale: 0-255 if it rescales or normalises them itself,
            otherwise mean 0 and variance 1.
        count: number of images.
        seed: seed of the draw.

    Returns:
        float32 (count, height, width, channels), or the other shape that the model takes.

    Raises:
        InputError: the model is not built, has several inputs, or does not define the shape of its input.
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


def input_shape(model: keras.Model, advice: str = "make it with keras.Input") -> tuple[int | None, ...]:
    """Shape of one image as a model takes it; None for sizes that are not fixed.

    Args:
        model: any model.
        advice: what to do about a model without a shape.

    Raises:
        InputError: the model is not built, has several inputs, or does not define the shape (some subclasses do not).
    """
    check_built(model)
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        raise InputError(f"model {model.name!r} has several inputs ({names}): only models with one can be diagnosed")
    if not inputs:
        raise InputError(f"model {model.name!r} does not define the shape of its input: {advice}")
    return tuple(inputs[0].shape[1:])


def has_input_scaling(model: keras.Model) -> bool:
    """Whether the model itself rescales or normalises its images, before its first layer with weights to train.

    A layer with a kernel ends the search even if it is frozen, as in the base of a fine-tuned network.

    A division such as ``image / 255`` counts if the model has a graph that shows it.
    """
    try:
        layers = [call.layer for call in calls(model)]
    except InputError:
        layers = [layer for _, layer in find_layers(model)]
    for layer in layers:
        if isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization):
            return True
        if type(layer).__name__ in ("Divide", "TrueDivide"):
            return True
        if getattr(layer, "trainable_weights", ()) or (isinstance(layer, keras.Layer) and kernels(layer, frozen=True)):
            return False
    return False
