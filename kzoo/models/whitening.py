"""A first convolution that whitens patches: its kernel is computed from the training images, not trained.

Jordan (2024, arXiv 2404.00498, section 3.2), after Page (2018) and Balsam (2023). In a model it is an ordinary
convolution of stock Keras, called `LAYER`, with a kernel that is not trained and a bias that is.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.introspection.graph import node_within

LAYER = "whitening"
"""Name of the layer that `adapt` looks for."""
IMAGES = 5000
EPSILON = 5e-4
"""Added to the eigenvalues, so that directions without variance get no huge filters. The values of `IMAGES` and
`EPSILON` are those of the paper's code."""


def whitening(x: Any, size: int = 2) -> Any:
    """The convolution, not yet adapted: twice as many filters as a patch has values, no padding."""
    filters = 2 * size**2 * x.shape[-1]
    layer = keras.layers.Conv2D(filters, size, padding="valid", kernel_initializer="orthogonal", name=LAYER)
    outputs = layer(x)
    layer.kernel.trainable = False
    return outputs


def freeze(model: keras.Model) -> None:
    """Freeze the kernel of a loaded model's whitening layer, if any: Keras's files store this only for whole layers."""
    layer = _whitening_layer(model)
    if layer is not None:
        layer.kernel.trainable = False


def adapt(model: keras.Model, images: np.ndarray) -> bool:
    """Compute the whitening kernel from training images, as `adapt` of Keras's preprocessing layers does.

    The filters are the eigenvectors of the patches' second moments, each divided by the root of its eigenvalue, and
    their negatives. A model without a layer named `LAYER` is left as it is.

    Args:
        model: with its normalization in front of the layer, if any.
        images: (n, height, width, channels), 0 to 255; the first `IMAGES` are used.

    Returns:
        Whether there was such a layer.

    Raises:
        InputError: the layer has a different number of filters than the patches give.
    """
    layer = _whitening_layer(model)
    if layer is None:
        return False
    before = keras.Model(model.inputs[0], node_within(model, layer).input_tensors[0])
    seen = np.asarray(before.predict(np.asarray(images[:IMAGES]), batch_size=500, verbose=0), np.float32)
    kernel = whitening_kernel(seen, layer.kernel_size)
    if kernel.shape != tuple(layer.kernel.shape):
        raise InputError(f"layer {LAYER!r} has a kernel of shape {tuple(layer.kernel.shape)}, not {kernel.shape}")
    layer.kernel.assign(kernel)
    return True


def has_whitening(model: keras.Model) -> bool:
    """Whether a model has a layer that `adapt` would adapt."""
    return _whitening_layer(model) is not None


def is_adapted(model: keras.Model) -> bool:
    """Whether the whitening kernel, if any, was computed from images: half of its filters are the others' negatives."""
    layer = _whitening_layer(model)
    if layer is None or layer.kernel.trainable:
        return True
    first, second = np.split(keras.ops.convert_to_numpy(layer.kernel), [layer.filters // 2], axis=-1)
    return first.shape == second.shape and bool((first == -second).all())


def _whitening_layer(model: keras.Model) -> Any:
    return next((x for x in model.layers if x.name == LAYER and isinstance(x, keras.layers.Conv2D)), None)


def whitening_kernel(images: np.ndarray, size: tuple[int, int], epsilon: float = EPSILON) -> np.ndarray:
    """The kernel (height, width, channels, 2 * height * width * channels), float32.

    Args:
        images: float (n, H, W, C), as the convolution sees them.
        size: (height, width) of the patches.
        epsilon: added to each eigenvalue.
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, size, axis=(1, 2))  # n, rows, columns, C, h, w
    values = size[0] * size[1] * images.shape[-1]
    moments = np.zeros((values, values))
    for chunk in np.array_split(windows, max(1, len(windows) // 500)):
        patches = np.ascontiguousarray(chunk.transpose(0, 1, 2, 4, 5, 3)).reshape(-1, values).astype(np.float64)
        moments += patches.T @ patches
    moments /= windows.shape[0] * windows.shape[1] * windows.shape[2]
    eigenvalues, eigenvectors = np.linalg.eigh(moments)
    # Solvers differ in the signs of eigenvectors: make the largest entry of each positive.
    largest = np.abs(eigenvectors).argmax(axis=0)
    eigenvectors = eigenvectors * np.sign(eigenvectors[largest, np.arange(values)])
    filters = eigenvectors / np.sqrt(np.maximum(eigenvalues, 0) + epsilon)
    kernel = np.concatenate([filters, -filters], axis=1)
    return kernel.reshape(*size, images.shape[-1], 2 * values).astype(np.float32)
