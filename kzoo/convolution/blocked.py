"""im2col for a few images at a time: the same matrix product in blocks whose columns stay in the processor's cache.

The columns of a whole batch are many times larger than the batch; writing them to main memory and reading them back
takes longer than the product. Here, one buffer is refilled with the columns of a few images (or of some rows of one
image, if a whole image is too large). The operations are those of `im2col`. The extra storage is two buffers, which do
not grow with the batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kzoo.convolution import im2col
from kzoo.convolution.geometry import Geometry

# Bytes of columns in a block: a share of the last-level cache that leaves room for operands and result.
BLOCK_BYTES = 4 * 2**20


class _Block:
    """Buffers for a padded block of images and its columns, and the division of a batch into blocks."""

    def __init__(self, geometry: Geometry, dtype: np.dtype) -> None:
        self.geometry = geometry
        self.images, self.rows = sizes(geometry, dtype.itemsize)
        # `fill` writes only the middle, so that the zeros around it stay.
        shape = (self.images, *geometry.padded_shape[1:])
        self.padded = np.zeros(shape, dtype)
        self._columns = np.empty((self.images, self.rows, geometry.width.positions, *geometry.kernel_shape[:3]), dtype)

    def parts(self) -> Iterator[slice]:
        """The images of each block."""
        for first in range(0, self.geometry.batch, self.images):
            yield slice(first, min(first + self.images, self.geometry.batch))

    def strips(self) -> Iterator[slice]:
        """The rows of positions of each step."""
        for first in range(0, self.geometry.height.positions, self.rows):
            yield slice(first, min(first + self.rows, self.geometry.height.positions))

    def columns(self, images: slice, rows: slice) -> np.ndarray:
        """The part of the buffer for this number of images and rows."""
        return self._columns[: images.stop - images.start, : rows.stop - rows.start]

    def fill(self, x: np.ndarray, images: slice) -> None:
        """Copy images into the middle of the padded buffer."""
        rows, across = self.geometry.inner
        self.padded[: images.stop - images.start, rows, across] = x[images]

    def gather(self, images: slice, rows: slice) -> np.ndarray:
        """The columns of some images and rows of positions: (positions, taps channels)."""
        columns = self.columns(images, rows)
        padded = self.padded[: images.stop - images.start]
        columns[...] = im2col.patches(padded, self.geometry, rows.start, rows.stop - rows.start)
        return matrix(columns)


def matrix(columns: np.ndarray) -> np.ndarray:
    """Columns (images, rows, columns, kernel height, kernel width, channels) as a view (positions, taps channels).

    No copy is needed: `columns` holds either all rows of some images or some rows of one image, so it is contiguous.
    """
    return columns.reshape(-1, int(np.prod(columns.shape[3:])), copy=False)


def sizes(geometry: Geometry, itemsize: int) -> tuple[int, int]:
    """Number of images and of rows of positions in a block; with more than one image, all rows."""
    row = geometry.width.positions * int(np.prod(geometry.kernel_shape[:3])) * itemsize
    rows = geometry.height.positions
    if rows * row > BLOCK_BYTES:
        return 1, max(BLOCK_BYTES // row, 1)
    return min(max(BLOCK_BYTES // (rows * row), 1), geometry.batch), rows


def forward(x: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The output, see `im2col.forward`."""
    y = np.empty(geometry.output_shape, x.dtype)
    block, weights = _Block(geometry, x.dtype), kernel.reshape(-1, geometry.filters)
    for images in block.parts():
        block.fill(x, images)
        for rows in block.strips():
            out = y[images, rows].reshape(-1, geometry.filters, copy=False)
            np.matmul(block.gather(images, rows), weights, out=out)
    return y


def input_gradient(gradient: np.ndarray, kernel: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient with respect to the input, see `im2col.input_gradient`."""
    x_gradient = np.empty(geometry.input_shape, gradient.dtype)
    block, weights = _Block(geometry, gradient.dtype), kernel.reshape(-1, geometry.filters).T
    height, width = geometry.height, geometry.width
    for images in block.parts():
        padded = block.padded[: images.stop - images.start]
        padded[...] = 0
        for rows in block.strips():
            by_columns = block.columns(images, rows)
            by_output = gradient[images, rows].reshape(-1, geometry.filters, copy=False)
            np.matmul(by_output, weights, out=matrix(by_columns))
            first, last = rows.start * height.stride, (rows.stop - 1) * height.stride + 1
            for i, j in geometry.offsets():
                down = i * height.dilation
                padded[:, first + down : last + down : height.stride, width.taps(j)] += by_columns[..., i, j, :]
        x_gradient[images] = padded[:, *geometry.inner]
    return x_gradient


def kernel_gradient(x: np.ndarray, gradient: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The gradient with respect to the kernel, summed over blocks; see `im2col.kernel_gradient`."""
    total = np.zeros((int(np.prod(geometry.kernel_shape[:3])), geometry.filters), x.dtype)
    product = np.empty_like(total)
    block = _Block(geometry, x.dtype)
    for images in block.parts():
        block.fill(x, images)
        for rows in block.strips():
            by_output = gradient[images, rows].reshape(-1, geometry.filters, copy=False)
            np.matmul(block.gather(images, rows).T, by_output, out=product)
            total += product
    return total.reshape(geometry.kernel_shape)


def storage(geometry: Geometry, itemsize: int) -> dict[str, int]:
    """Peak bytes of each function beyond arguments and result: the buffers, and a product to add."""
    images, rows = sizes(geometry, itemsize)
    padded = images * int(np.prod(geometry.padded_shape[1:]))
    block = images * rows * geometry.width.positions * int(np.prod(geometry.kernel_shape[:3]))
    buffers = itemsize * (padded + block)
    product = itemsize * int(np.prod(geometry.kernel_shape))
    back = buffers + itemsize * im2col.sum_buffers(images * rows, geometry)
    return {"forward": buffers, "input_gradient": back, "kernel_gradient": buffers + product}
