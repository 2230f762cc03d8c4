"""Convolution as one matrix product: im2col ("serialisation", report a, section 2; report d, section 2.4).

The pixels that each position of the kernel meets form one row of a matrix, the "columns": (batch rows columns)
x (taps channels), where taps is the area of the kernel. The matrix is a copy of a strided view of the padded map, in
which each pixel appears once for every tap that meets it. The kernel, (taps channels) x filters, is a view.

Operations: `Geometry.multiply_adds` for each of the three functions, in one matrix product each. Extra storage: the
columns, batch x rows x columns x taps x channels numbers, and the padded map until they are copied. `blocked` does the
same for a few images at a time, and is the default.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from kzoo.convolution.geometry import Geometry, pad


def patches(padded: np.ndarray, geometry: Geometry, first: int = 0, rows: int | None = None) -> np.ndarray:
    """The pixels that each position of the kernel meets, as a read-only view of the padded map.

    Args:
        padded: (images, padded height, padded width, channels).
        geometry: the geometry of the convolution; its batch is ignored.
        first: the first row of positions.
        rows: number of rows of positions; all by default.

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
    """Whether the padded map is already the matrix of columns, as for a 1x1 kernel at stride 1."""
    return (geometry.height.window, geometry.width.window, geometry.height.stride, geometry.width.stride) == (1,) * 4


def columns(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The matrix of columns: (batch rows columns, taps channels)."""
    height, width = geometry.height, geometry.width
    # `reshape` copies the view once, or not at all if that is unnecessary.
    return patches(pad(x, geometry), geometry).reshape(-1, height.window * width.window * geometry.channels)


def forward(x: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The output: columns times kernel."""
    matrix = columns(x, geometry)
    return (matrix @ kernel.reshape(-1, geometry.filters)).reshape(geometry.output_shape)


def input_gradient(gradient: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient with respect to the input: the columns' gradient, summed where columns share a pixel (col2im)."""
    by_columns = gradient.reshape(-1, geometry.filters) @ kernel.reshape(-1, geometry.filters).T
    by_columns = by_columns.reshape(*geometry.output_shape[:3], *geometry.kernel_shape[:3])
    x_gradient = np.zeros(geometry.input_shape, gradient.dtype)
    for i, j in geometry.offsets():
        # No two positions meet the same pixel with the same tap, so one strided sum per tap adds all of them.
        (rows, pixel_rows), (across, pixel_columns) = geometry.height.inside(i), geometry.width.inside(j)
        x_gradient[:, pixel_rows, pixel_columns] += by_columns[:, rows, across, i, j]
    return x_gradient


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient with respect to the kernel: the transposed columns times the output's gradient."""
    matrix = columns(x, geometry)
    return (matrix.T @ gradient.reshape(-1, geometry.filters)).reshape(geometry.kernel_shape)


def sum_buffers(rows: int, geometry: Geometry) -> int:
    """Numbers that NumPy buffers to add two strided arrays with this number of rows of positions."""
    if is_plain(geometry) and not geometry.is_padded:
        return 0  # nothing is strided
    return 3 * min(np.getbufsize(), rows * geometry.width.positions * geometry.channels)


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Peak bytes of each function beyond arguments and result."""
    padded = int(np.prod(geometry.padded_shape)) * geometry.is_padded
    matrix = int(np.prod(geometry.output_shape[:3])) * int(np.prod(geometry.kernel_shape[:3]))
    output, kernel = int(np.prod(geometry.output_shape)), int(np.prod(geometry.kernel_shape))
    back = matrix + sum_buffers(geometry.batch * geometry.height.positions, geometry)
    if is_plain(geometry):
        numbers_of = {"forward": padded, "input_gradient": back, "kernel_gradient": padded}
    else:
        # The padded map is freed before the result is allocated.
        numbers_of = {
            "forward": max(padded + matrix - output, matrix),
            "input_gradient": back,
            "kernel_gradient": max(padded + matrix - kernel, matrix),
        }
    return {name: itemsize * numbers for name, numbers in numbers_of.items()}
