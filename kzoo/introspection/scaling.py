"""Gradients of models that compute in float16, of a value that is scaled up so that small ones do not become 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from kzoo.introspection.layers import find_layers

T = TypeVar("T")

SCALES = (2.0**15, 2.0**12, 2.0**9, 2.0**6, 2.0**3, 1.0)
"""Factors on the loss or score of a model that computes in float16; the first is Keras's in training."""


def scales_for(model: keras.Model) -> tuple[float, ...]:
    """Factors to try, the largest first: 1 alone unless a layer computes in float16."""
    in_float16 = any(getattr(layer, "compute_dtype", "") == "float16" for _, layer in find_layers(model))
    return SCALES if in_float16 else (1.0,)


def scaled(value: Any, scale: float) -> Any:
    """A value times a factor, in float32, because a sum of scores may be in float16."""
    return value if scale == 1 else ops.cast(value, "float32") * scale


def unscaled(
    scales: tuple[float, ...], measure: Callable[[float], tuple[T, list[np.ndarray]]]
) -> tuple[T, list[np.ndarray], float]:
    """Gradients with the largest factor with which none is infinite or NaN.

    Args:
        scales: factors, the largest first.
        measure: takes a factor and returns any result, and the gradients of a value times the factor.

    Returns:
        The result, the gradients divided by the factor, and the factor.
    """
    for scale in scales:
        result, gradients = measure(scale)
        if all(np.isfinite(gradient).all() for gradient in gradients):
            break
    return result, [gradient / np.float32(scale) for gradient in gradients], scale
