"""Convolution map by map: three loops around SciPy's 2-D functions (report a, section 2; report d, section 2.3).

Each image, channel and filter takes one call of a SciPy function: with T the time of a call, the total is
``batch x filters x channels x T``. The function sees one map and one kernel and knows neither stride nor dilation, so
it computes every position and every pixel between the taps: about s^2 times the needed work for a stride s, and d^2
times for a dilation d. Operations of the forward pass: ``batch filters channels`` times (positions at stride 1) x
(kernel with its holes). Extra storage: one padded map and one result of SciPy's function at a time.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import convolve2d, correlate2d

from kzoo.convolution.geometry import Geometry


def spread(maps: np.ndarray, steps: tuple[int, int]) -> np.ndarray:
    """A map (height, width) with zeros between its pixels, which are then `steps` apart."""
    if steps == (1, 1):
        return maps
    shape = [(size - 1) * step + 1 for size, step in zip(maps.shape, steps, strict=True)]
    wide = np.zeros(shape, maps.dtype)
    wide[:: steps[0], :: steps[1]] = maps
    return wide


def _dilation(geometry: Geometry) -> tuple[int, int]:
    return geometry.height.dilation, geometry.width.dilation


def _stride(geometry: Geometry) -> tuple[int, int]:
    return geometry.height.stride, geometry.width.stride


def padded_map(image: np.ndarray, geometry: Geometry) -> np.ndarray:
    """One map with its padding, without the pixels at the end that a stride leaves unused."""
    height, width = geometry.height, geometry.width
    if not geometry.is_padded:
        return image[: height.used, : width.used]
    padded = np.zeros((height.padded, width.padded), image.dtype)
    padded[geometry.inner] = image
    return padded[: height.used, : width.used]


def forward(x: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The output: for each image and filter, the sum of cross-correlations over the channels."""
    y = np.zeros(geometry.output_shape, x.dtype)
    every = tuple(slice(None, None, step) for step in _stride(geometry))
    for b in range(geometry.batch):
        for c in range(geometry.channels):
            image = padded_map(x[b, :, :, c], geometry)
            for o in range(geometry.filters):
                weights = spread(kernel[:, :, c, o], _dilation(geometry))
                y[b, :, :, o] += correlate2d(image, weights, mode="valid")[every]
    return y


def input_gradient(gradient: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient with respect to the input: full convolutions of the output's gradient with the flipped kernel."""
    x_gradient = np.zeros(geometry.input_shape, gradient.dtype)
    # The part of the map that the windows reach, without the padding.
    height, width = geometry.height, geometry.width
    rows, columns = (
        slice(axis.before, max(axis.before, min(axis.before + axis.size, axis.used))) for axis in (height, width)
    )
    reached = (slice(0, rows.stop - rows.start), slice(0, columns.stop - columns.start))
    for b in range(geometry.batch):
        for o in range(geometry.filters):
            by_output = spread(gradient[b, :, :, o], _stride(geometry))
            for c in range(geometry.channels):
                weights = spread(kernel[:, :, c, o], _dilation(geometry))
                x_gradient[b, *reached, c] += convolve2d(by_output, weights, mode="full")[rows, columns]
    return x_gradient


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The kernel's gradient: each input map correlated with each output map's gradient, summed over images."""
    kernel_gradient = np.zeros(geometry.kernel_shape, x.dtype)
    every = tuple(slice(None, None, step) for step in _dilation(geometry))
    for b in range(geometry.batch):
        for c in range(geometry.channels):
            image = padded_map(x[b, :, :, c], geometry)
            for o in range(geometry.filters):
                by_output = spread(gradient[b, :, :, o], _stride(geometry))
                kernel_gradient[:, :, c, o] += correlate2d(image, by_output, mode="valid")[every]
    return kernel_gradient


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Peak bytes of each function beyond arguments and result: a map or two of one image and channel."""
    height, width = geometry.height, geometry.width
    padded = height.padded * width.padded * geometry.is_padded
    image = height.used * width.used
    kernel = height.extent * width.extent
    strided = ((height.positions - 1) * height.stride + 1) * ((width.positions - 1) * width.stride + 1)
    spread_kernel = kernel * (_dilation(geometry) != (1, 1))
    spread_gradient = strided * (_stride(geometry) != (1, 1))
    return {
        "forward": itemsize * (padded + spread_kernel + strided),
        "input_gradient": itemsize * (spread_gradient + spread_kernel + image),
        "kernel_gradient": itemsize * (padded + spread_gradient + kernel),
    }
