"""Convolution as one matrix product: im2col ("serialisation", report a, section 2; report d, section 2.4).

The pixels that each position of the kernel meets form one row of a matrix, the "columns": (batch rows columns)
x (taps channels), taps being the kernel's area. It is a strided view of the padded map, copied once, by which each
pixel is repeated once for every tap that meets it. The kernel, (taps channels) x filters, is a view.

Operations: `Geometry.multiply_adds` for each of the three functions, in one matrix product each. Extra storage: the
columns, batch x rows x columns x taps x channels numbers, and the padded map while they are made. `blocked` does the
same for a few images at a time, and is the one to use.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kzoo.convolution.geometry import Geometry, pad


def patches(padded: np.ndarray, geometry: Geometry, first: int = 0, rows: int | None = None) -> np.ndarray:
    """The pixels that each position of the kernel meets, as a read-only view of the padded map.

    Args:
        padded: (images, padded height, padded width, channels).
        geometry: of the convolution; its batch is ignored.
        first: the first row of positions.
        rows: how many rows of positions; all by default.

    Returns:
        (images, rows, columns, kernel height, kernel width, channels).
    """
    height, width = geometry.height, geometry.width
    images, down, right, next_channel = padded.strides
    rows = height.positions if rows is None else rows
    shape = (len(padded), rows, width.positions, height.window, width.window, padded.shape[3])
    steps = (height.stride * down, width.stride * right, height.dilation * down, width.dilation * right)
    return as_strided(padded[:, first * height.stride :], shape, (images, *steps, next_channel), writeable=False)


def is_plain(geometry: Geometry) -> bool:
    """Whether the padded map already is the matrix of columns: a 1x1 kernel at stride 1."""
    return (geometry.height.window, geometry.width.window, geometry.height.stride, geometry.width.stride) == (1,) * 4


def columns(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The matrix of columns: (batch rows columns, taps channels)."""
    height, width = geometry.height, geometry.width
    # The view is copied here, once, and not at all where a reshape suffices.
    return patches(pad(x, geometry), geometry).reshape(-1, height.window * width.window * geometry.channels)


def forward(x: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The output: columns times kernel."""
    matrix = columns(x, geometry)
    return (matrix @ kernel.reshape(-1, geometry.filters)).reshape(geometry.output_shape)


def input_gradient(gradient: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient by the input: the columns' gradient, added up where columns share a pixel (col2im)."""
    by_columns = gradient.reshape(-1, geometry.filters) @ kernel.reshape(-1, geometry.filters).T
    by_columns = by_columns.reshape(*geometry.output_shape[:3], *geometry.kernel_shape[:3])
    x_gradient = np.zeros(geometry.input_shape, gradient.dtype)
    for i, j in geometry.offsets():
        # No two positions meet the same pixel with the same tap, so that one strided sum a tap adds all of them.
        (rows, pixel_rows), (across, pixel_columns) = geometry.height.inside(i), geometry.width.inside(j)
        x_gradient[:, pixel_rows, pixel_columns] += by_columns[:, rows, across, i, j]
    return x_gradient


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient by the kernel: columns, transposed, times the output's gradient."""
    matrix = columns(x, geometry)
    return (matrix.T @ gradient.reshape(-1, geometry.filters)).reshape(geometry.kernel_shape)


def sum_buffers(rows: int, geometry: Geometry) -> int:
    """Numbers that NumPy itself buffers as it adds one strided array of this many rows of positions to another."""
    if is_plain(geometry) and not geometry.is_padded:
        return 0  # nothing is strided
    return 3 * min(np.getbufsize(), rows * geometry.width.positions * geometry.channels)


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Bytes at the peak beyond arguments and result, of each function."""
    padded = int(np.prod(geometry.padded_shape)) * geometry.is_padded
    matrix = int(np.prod(geometry.output_shape[:3])) * int(np.prod(geometry.kernel_shape[:3]))
    output, kernel = int(np.prod(geometry.output_shape)), int(np.prod(geometry.kernel_shape))
    back = matrix + sum_buffers(geometry.batch * geometry.height.positions, geometry)
    if is_plain(geometry):
        numbers_of = {"forward": padded, "input_gradient": back, "kernel_gradient": padded}
    else:
        # The padded map is gone when the result is made.
        numbers_of = {
            "forward": max(padded + matrix - output, matrix),
            "input_gradient": back,
            "kernel_gradient": max(padded + matrix - kernel, matrix),
        }
    return {name: itemsize * numbers for name, numbers in numbers_of.items()}
