"""Convolution by Fourier transforms: sums over taps become products of frequencies (report d, section 2.4).

Maps and kernels are filled up with zeros to one size, F_h x F_w: the padded map's, rounded up to a product of small
primes, so that nothing wraps around and the transforms are fast. At each of the F = F_h (F_w / 2 + 1) frequencies that
a real signal has, what is left of the convolution is a matrix product over the channels.

Operations: ``F_h F_w log(F_h F_w)`` for each of ``batch channels + batch filters + channels filters`` transforms, and
``F batch channels filters`` complex products, whatever the kernel's size and dilation. A stride saves nothing: all
positions are computed, then some are taken.
Extra storage: the transforms of both operands and of the result, that of the kernel (channels filters F complex
numbers) among them: a kernel of few taps takes as much as one of many. See `storage`.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from kzoo.backend import usable_cores
from kzoo.convolution.geometry import Geometry

Sizes = tuple[int, int]


def transform_sizes(geometry: Geometry) -> Sizes:
    """F_h and F_w: the least fast sizes that hold the padded map."""
    return tuple(fft.next_fast_len(axis.padded, real=True) for axis in (geometry.height, geometry.width))


def _workers() -> int:
    return len(usable_cores())


def _forth(values: np.ndarray, sizes: Sizes, rows: slice, columns: slice, first: int) -> np.ndarray:
    """Put values into zeros of the size of the transform, with axes `first` and the next, and transform."""
    shape = (*values.shape[:first], *sizes, *values.shape[first + 2 :])
    filled = np.zeros(shape, values.dtype)
    filled[(slice(None),) * first + (rows, columns)] = values
    return fft.rfft2(filled, axes=(first, first + 1), workers=_workers())


def _back(spectrum: np.ndarray, sizes: Sizes, rows: slice, columns: slice, first: int) -> np.ndarray:
    """Transform back and keep some rows and columns; overwrites the spectrum."""
    # One axis after the other: only the rows to keep are transformed along the second.
    spectrum = fft.ifft(spectrum, axis=first, overwrite_x=True, workers=_workers())
    spectrum = spectrum[(slice(None),) * first + (rows,)]
    real = fft.irfft(spectrum, n=sizes[1], axis=first + 1, workers=_workers())
    return np.ascontiguousarray(real[(slice(None),) * (first + 1) + (columns,)])


def _by_frequency(spectrum: np.ndarray) -> np.ndarray:
    """(batch, rows, columns, channels) as (rows, columns, batch, channels), a view."""
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
    """The gradient by the input: a convolution, so the kernel's transform as it is."""
    sizes = transform_sizes(geometry)
    of_kernel = _forth(kernel, sizes, *_taps(geometry), 0)
    of_gradient = _forth(gradient, sizes, *_every(geometry), 1)
    product = np.empty((*of_gradient.shape[:3], geometry.channels), of_gradient.dtype)
    np.matmul(_by_frequency(of_gradient), of_kernel.swapaxes(2, 3), out=_by_frequency(product))
    del of_gradient, of_kernel
    return _back(product, sizes, *geometry.inner, 1)


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient by the kernel: input and output gradient correlated, summed over the batch by the matrix product."""
    sizes = transform_sizes(geometry)
    of_gradient = _forth(gradient, sizes, *_every(geometry), 1)
    np.conjugate(of_gradient, out=of_gradient)
    of_x = _forth(x, sizes, *geometry.inner, 1)
    product = np.matmul(_by_frequency(of_x).swapaxes(2, 3), _by_frequency(of_gradient))
    del of_x, of_gradient
    return _back(product, sizes, *_taps(geometry), 0)


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Bytes at the peak beyond arguments and result, of each function.

    The peak is one of: an operand, filled up, next to its transform, for the second one also next to the first one's;
    the three transforms; the last transform next to the result at all positions of the rows to keep, and next to the
    result itself.
    """
    height, width = transform_sizes(geometry)
    half = 2 * height * (width // 2 + 1)  # reals that a map's transform takes
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
