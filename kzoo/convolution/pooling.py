"""Max and average pooling, forward and backward (report d, section 2.3).

Both loop over the window's taps instead of its positions. Each tap is one strided view of the whole batch, so a k x k
pool takes k^2 passes over the output and does not copy the windows.
"""

from __future__ import annotations

import numpy as np

from kzoo.convolution.geometry import IMAGES, Geometry, Padding, Pair, axes, check_array, check_shape, check_sizes, pad
from kzoo.errors import InputError


def _geometry(shape: tuple[int, ...], size: Pair, stride: Pair | None, padding: Padding) -> Geometry:
    check_sizes("input_shape", shape, IMAGES)
    height, width = axes(shape[1:3], size, size if stride is None else stride, padding, what="pool")
    for name, axis in (("height", height), ("width", width)):
        if max(axis.before, axis.after) >= axis.window:
            raise InputError(
                f"padding of {axis.before} + {axis.after} is too much for a pool of {name} {axis.window}: "
                "some pools would hold no pixel"
            )
    return Geometry(shape[0], shape[3], shape[3], height, width)


def max_pool2d(
    x: np.ndarray, size: Pair = 2, *, stride: Pair | None = None, padding: Padding = "valid"
) -> tuple[np.ndarray, np.ndarray]:
    """The largest pixel of each window, and its position.

    Args:
        x: (batch, height, width, channels), float32 or float64.
        size: size of the window, one number or height and width.
        stride: `size` by default.
        padding: as in `conv2d`, but with minus infinity instead of zeros.

    Returns:
        The output (batch, rows, columns, channels), and the argmax of the same shape, uint8 (uint32 for windows of more
        than 256 pixels): the index of the tap with the largest pixel, counted row by row, the first of equal ones; NaN
        counts as the largest.
        Operations: size^2 comparisons per output. Extra storage: the padded input, one comparison of each output.

    Raises:
        InputError: shapes do not fit, or a window could lie entirely in the padding.
    """
    check_array("x", x, 4, IMAGES)
    geometry = _geometry(x.shape, size, stride, padding)
    padded = pad(x, geometry, -np.inf)
    taps = list(geometry.offsets())
    best = padded[:, geometry.height.taps(0), geometry.width.taps(0)].copy()
    argmax = np.empty(best.shape, np.uint8 if len(taps) <= 256 else np.uint32)
    first = [
        np.maximum(axis.before - axis.stride * np.arange(axis.positions), 0)
        for axis in (geometry.height, geometry.width)
    ]
    argmax[:] = (first[0][:, None] * geometry.width.window + first[1])[..., None]  # the first pixel, not the padding
    for number, (i, j) in enumerate(taps[1:], start=1):
        pixels = padded[:, geometry.height.taps(i), geometry.width.taps(j)]
        larger = ~(pixels <= best) & ~np.isnan(best)  # NaN counts as larger than anything, as in PyTorch
        np.copyto(best, pixels, where=larger)
        argmax[larger] = number
    return best, argmax


def max_pool2d_gradient(
    gradient: np.ndarray,
    argmax: np.ndarray,
    input_shape: tuple[int, int, int, int],
    size: Pair = 2,
    *,
    stride: Pair | None = None,
    padding: Padding = "valid",
) -> np.ndarray:
    """The gradient with respect to the input: each window's gradient goes only to its largest pixel.

    Args:
        gradient: with respect to the output, (batch, rows, columns, channels).
        argmax: the argmax that `max_pool2d` returned, of the same shape.
        input_shape: shape of `max_pool2d`'s input.
        size, stride, padding: as for `max_pool2d`.

    Returns:
        An array of the input's shape and the gradient's dtype. Operations: size^2 products per output.

    Raises:
        InputError: shapes do not fit.
    """
    check_array("gradient", gradient, 4, IMAGES)
    geometry = _geometry(input_shape, size, stride, padding)
    check_shape("gradient", gradient, geometry.output_shape)
    check_shape("argmax", argmax, geometry.output_shape)
    padded = np.zeros(geometry.padded_shape, gradient.dtype)
    for number, (i, j) in enumerate(geometry.offsets()):
        padded[:, geometry.height.taps(i), geometry.width.taps(j)] += gradient * (argmax == number)
    return padded[:, *geometry.inner]


def _pixels(geometry: Geometry, dtype: np.dtype, count_padding: bool) -> np.ndarray | int:
    """The divisor of each window: (rows, columns, 1), or one number."""
    whole = geometry.height.window * geometry.width.window
    if count_padding or not geometry.is_padded:
        return whole
    counts = []
    for axis in (geometry.height, geometry.width):
        inside = np.zeros(axis.padded, dtype)
        inside[axis.before : axis.before + axis.size] = 1
        counts.append(np.sum([inside[axis.taps(tap)] for tap in range(axis.window)], axis=0))
    counted: np.ndarray = (counts[0][:, None] * counts[1])[..., None]
    return counted


def average_pool2d(
    x: np.ndarray,
    size: Pair = 2,
    *,
    stride: Pair | None = None,
    padding: Padding = "valid",
    count_padding: bool = False,
) -> np.ndarray:
    """The mean of each window.

    Args:
        x: (batch, height, width, channels), float32 or float64.
        size: size of the window, one number or height and width.
        stride: `size` by default.
        padding: as in `conv2d`.
        count_padding: whether the padding's zeros count as pixels (report d, PyTorch) or not (Keras).

    Returns:
        (batch, rows, columns, channels). Operations: size^2 additions per output. Extra storage: the padded input.

    Raises:
        InputError: shapes do not fit, or a window could lie entirely in the padding.
    """
    check_array("x", x, 4, IMAGES)
    geometry = _geometry(x.shape, size, stride, padding)
    padded = pad(x, geometry)
    total = np.zeros(geometry.output_shape, x.dtype)
    for i, j in geometry.offsets():
        total += padded[:, geometry.height.taps(i), geometry.width.taps(j)]
    total /= _pixels(geometry, x.dtype, count_padding)
    return total


def average_pool2d_gradient(
    gradient: np.ndarray,
    input_shape: tuple[int, int, int, int],
    size: Pair = 2,
    *,
    stride: Pair | None = None,
    padding: Padding = "valid",
    count_padding: bool = False,
) -> np.ndarray:
    """The gradient with respect to the input: each window's gradient is divided equally among its pixels.

    Args:
        gradient: with respect to the output, (batch, rows, columns, channels).
        input_shape: shape of `average_pool2d`'s input.
        size, stride, padding, count_padding: as for `average_pool2d`.

    Returns:
        An array of the input's shape and the gradient's dtype. Operations: size^2 additions per output.

    Raises:
        InputError: shapes do not fit.
    """
    check_array("gradient", gradient, 4, IMAGES)
    geometry = _geometry(input_shape, size, stride, padding)
    check_shape("gradient", gradient, geometry.output_shape)
    share = gradient / _pixels(geometry, gradient.dtype, count_padding)
    padded = np.zeros(geometry.padded_shape, gradient.dtype)
    for i, j in geometry.offsets():
        padded[:, geometry.height.taps(i), geometry.width.taps(j)] += share
    return padded[:, *geometry.inner]
