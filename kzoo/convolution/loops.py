"""Convolution by explicit loops, one product at a time (report a, section 2: "explicitly loop over the dimensions").

This is the definition, against which every other algorithm is tested. Seven loops: images, filters, rows, columns,
and the kernel's rows, columns and channels. Operations: `Geometry.multiply_adds` for each of the three functions.
Extra storage: none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kzoo.convolution.geometry import Axis, Geometry


def _met(axis: Axis) -> Iterator[tuple[int, int, int]]:
    """All (position, tap, pixel) of one axis where the tap meets a pixel, not a zero of the padding."""
    for position in range(axis.positions):
        for tap in range(axis.window):
            pixel = position * axis.stride + tap * axis.dilation - axis.before
            if 0 <= pixel < axis.size:
                yield position, tap, pixel


def forward(x: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The output: ``y[b, p, q, o] = sum over i, j, c of x[b, p s + i d, q s + j d, c] kernel[i, j, c, o]``."""
    y = np.zeros(geometry.output_shape, x.dtype)
    pixel, weight = x.item, kernel.item
    height, width = geometry.height, geometry.width
    for b in range(geometry.batch):
        for o in range(geometry.filters):
            for p in range(height.positions):
                for q in range(width.positions):
                    total = 0.0
                    for i in range(height.window):
                        row = p * height.stride + i * height.dilation - height.before
                        if not 0 <= row < height.size:
                            continue
                        for j in range(width.window):
                            column = q * width.stride + j * width.dilation - width.before
                            if not 0 <= column < width.size:
                                continue
                            for c in range(geometry.channels):
                                total += pixel(b, row, column, c) * weight(i, j, c, o)
                    y[b, p, q, o] = total
    return y


def input_gradient(gradient: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The input's gradient: each output's gradient, times the weight, goes back to the pixels behind the output."""
    x_gradient = np.zeros(geometry.input_shape, gradient.dtype)
    by_output, weight = gradient.item, kernel.item
    for b in range(geometry.batch):
        for c in range(geometry.channels):
            for p, i, row in _met(geometry.height):
                for q, j, column in _met(geometry.width):
                    total = 0.0
                    for o in range(geometry.filters):
                        total += by_output(b, p, q, o) * weight(i, j, c, o)
                    x_gradient[b, row, column, c] += total
    return x_gradient


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The kernel's gradient: for each weight, the sum of the pixels that it met times those outputs' gradients."""
    kernel_gradient = np.zeros(geometry.kernel_shape, x.dtype)
    pixel, by_output = x.item, gradient.item
    for c in range(geometry.channels):
        for o in range(geometry.filters):
            for p, i, row in _met(geometry.height):
                for q, j, column in _met(geometry.width):
                    total = 0.0
                    for b in range(geometry.batch):
                        total += pixel(b, row, column, c) * by_output(b, p, q, o)
                    kernel_gradient[i, j, c, o] += total
    return kernel_gradient


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Peak bytes of each function beyond arguments and result: none."""
    return {"forward": 0, "input_gradient": 0, "kernel_gradient": 0}
