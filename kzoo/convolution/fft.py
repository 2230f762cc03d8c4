"""Convolution by Fourier transforms: sums over taps become products of frequencies (report d, section 2.4).

Maps and kernels are filled up with zeros to the same size, F_h x F_w: the size of the padded map, rounded up to a
product of small primes, so that nothing wraps around and the transforms are fast. At each of the F = F_h (F_w / 2 + 1)
frequencies of a real signal, the convolution becomes a matrix product over the channels.

Operations: ``F_h F_w log(F_h F_w)`` for each of ``batch channels + batch filters + channels filters`` transforms, and
``F batch channels filters`` complex products, whatever the kernel's size and dilation. A stride saves nothing: all
positions are computed, and then some are kept.
Extra storage: the transforms of both operands and of the result. The kernel's transform has channels filters F complex
numbers, however few taps the kernel has. See `storage`.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from kzoo.backend import usable_cores
from kzoo.convolution.geometry import Geometry

Sizes = tuple[int, int]


def transform_sizes(geometry: Geometry) -> Sizes:
    """F_h and F_w: the smallest sizes with fast transforms that hold the padded map."""
    return tuple(fft.next_fast_len(axis.padded, real=True) for axis in (geometry.height, geometry.width))


def _workers() -> int:
    return len(usable_cores())


def _forth(values: np.ndarray, sizes: Sizes, rows: slice, columns: slice, first: int) -> np.ndarray:
    """Transform over axis `first` and the next, after placing values among zeros of the transform's size."""
    shape = (*values.shape[:first], *sizes, *values.shape[first + 2 :])
    filled = np.zeros(shape, values.dtype)
    filled[(slice(None),) * first + (rows, columns)] = values
    return fft.rfft2(filled, axes=(first, first + 1), workers=_workers())


def _back(spectrum: np.ndarray, sizes: Sizes, rows: slice, columns: slice, first: int) -> np.ndarray:
    """Transform back and keep some rows and columns; overwrites the spectrum."""
    # Transform one axis, then the other, which only the kept rows need.
    spectrum = fft.ifft(spectrum, axis=first, overwrite_x=True, workers=_workers())
    spectrum = spectrum[(slice(None),) * first + (rows,)]
    real = fft.irfft(spectrum, n=sizes[1], axis=first + 1, workers=_workers())
    return np.ascontiguousarray(real[(slice(None),) * (first + 1) + (columns,)])


def _by_frequency(spectrum: np.ndarray) -> np.ndarray:
    """View (batch, rows, columns, channels) as (rows, columns, batch, channels)."""
    return spectrum.transpose(1, 2, 0, 3)


def _every(geometry: Geometry) -> tuple[slice, slice]:
    """Indices of the outputs among all positions at stride 1."""
    return tuple(  # type: ignore[return-value]
        slice(0, (axis.positions - 1) * axis.stride + 1, axis.stride) for axis in (geometry.height, geometry.width)
    )


def _taps(geometry: Geometry) -> tuple[slice, slice]:
    """Indices of the kernel's taps within the dilated kernel."""
    return tuple(slice(0, axis.extent, axis.dilation) for axis in (geometry.height, geometry.width))  # type: ignore[return-value]


def forward(x: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The output: a correlation in space is a product with the conjugate in frequency."""
    sizes = transform_sizes(geometry)
    of_kernel = _forth(kernel, sizes, *_taps(geometry), 0)
    np.conjugate(of_kernel, out=of_kernel)
    of_x = _forth(x, sizes, *geometry.inner, 1)
    product = np.empty((*of_x.shape[:3], geometry.filters), of_x.dtype)
    np.matmul(_by_frequency(of_x), of_kernel, out=_by_frequency(product))
    del of_x, of_kernel
    return _back(product, sizes, *_every(geometry), 1)


def input_gradient(gradient: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient with respect to the input: a convolution, so the kernel's transform is not conjugated."""
    sizes = transform_sizes(geometry)
    of_kernel = _forth(kernel, sizes, *_taps(geometry), 0)
    of_gradient = _forth(gradient, sizes, *_every(geometry), 1)
    product = np.empty((*of_gradient.shape[:3], geometry.channels), of_gradient.dtype)
    np.matmul(_by_frequency(of_gradient), of_kernel.swapaxes(2, 3), out=_by_frequency(product))
    del of_gradient, of_kernel
    return _back(product, sizes, *geometry.inner, 1)


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The kernel's gradient: input and output's gradient correlated; the matrix product sums over the batch."""
    sizes = transform_sizes(geometry)
    of_gradient = _forth(gradient, sizes, *_every(geometry), 1)
    np.conjugate(of_gradient, out=of_gradient)
    of_x = _forth(x, sizes, *geometry.inner, 1)
    product = np.matmul(_by_frequency(of_x).swapaxes(2, 3), _by_frequency(of_gradient))
    del of_x, of_gradient
    return _back(product, sizes, *_taps(geometry), 0)


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Peak bytes of each function beyond arguments and result.

    The peak is the largest of: the first operand, filled up, and its transform; the same for the second operand, plus
    the first transform; the three transforms; the last transform, the kept rows at all columns, and the result itself.
    """
    height, width = transform_sizes(geometry)
    half = 2 * height * (width // 2 + 1)  # real numbers in a map's transform
    batch, channels, filters = geometry.batch, geometry.channels, geometry.filters
    rows, columns = geometry.height.positions, geometry.width.positions

    # Numbers in each operand, and the operands, result and kept pixels of each function.
    maps = {"kernel": channels * filters, "x": batch * channels, "gradient": batch * filters}
    results = {
        "forward": ("kernel", "x", "gradient", rows, rows * columns),
        "input_gradient": ("kernel", "gradient", "x", geometry.height.size, geometry.height.size * geometry.width.size),
        "kernel_gradient": (
            "gradient",
            "x",
            "kernel",
            geometry.height.window,
            geometry.height.window * geometry.width.window,
        ),
    }

    # The largest of the moments that the docstring lists.
    storage_of = {}
    for name, (first, second, result, kept_rows, kept) in results.items():
        a, b, c = maps[first], maps[second], maps[result]
        peak = max(
            a * (height * width + half),
            a * half + b * (height * width + half),
            (a + b + c) * half,
            c * (half + kept_rows * width + kept),
        )
        storage_of[name] = itemsize * (peak - c * kept)
    return storage_of
