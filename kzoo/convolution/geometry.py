"""Shapes of a convolution or pooling: padding in pixels, and one clear error if nothing can be computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kzoo.checks import is_whole
from kzoo.errors import InputError

Pair = int | Sequence[int]
Padding = str | int | Sequence[int] | Sequence[Sequence[int]]
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Axis:
    """One direction, height or width, of a window that slides over a map.

    Attributes:
        size: size of the map without padding, in pixels.
        window: size of the kernel or pool, in taps.
        stride: pixels from one position of the window to the next.
        dilation: pixels from one tap to the next.
        before: zeros before the first pixel.
        after: zeros after the last pixel.
    """

    size: int
    window: int
    stride: int
    dilation: int
    before: int
    after: int

    @property
    def extent(self) -> int:
        """Pixels from the window's first tap to its last, including both."""
        return (self.window - 1) * self.dilation + 1

    @property
    def padded(self) -> int:
        """The map's size with padding."""
        return self.size + self.before + self.after

    @property
    def positions(self) -> int:
        """Number of positions of the window, which is the size of the result."""
        return (self.padded - self.extent) // self.stride + 1

    @property
    def used(self) -> int:
        """Pixels of the padded map that the window reaches; a stride can leave some at the end."""
        return (self.positions - 1) * self.stride + self.extent

    def taps(self, tap: int) -> slice:
        """The pixels of the padded map that one tap meets, one for each position of the window."""
        start = tap * self.dilation
        return slice(start, start + (self.positions - 1) * self.stride + 1, self.stride)

    def inside(self, tap: int) -> tuple[slice, slice]:
        """The window's positions where a tap meets the map, not its padding, and the pixels that the tap meets."""
        shift = tap * self.dilation - self.before
        first = max(0, -(shift // self.stride))
        last = min(self.positions - 1, (self.size - 1 - shift) // self.stride)
        count = max(last - first + 1, 0)
        start = shift + first * self.stride
        return slice(first, first + count), slice(start, start + max((count - 1) * self.stride + 1, 0), self.stride)


@dataclass(frozen=True)
class Geometry:
    """Batch and channels, and the two axes of a sliding window.

    Attributes:
        batch: number of images.
        channels: channels of the input.
        filters: channels of the output.
        height: the vertical axis.
        width: the horizontal axis.
    """

    batch: int
    channels: int
    filters: int
    height: Axis
    width: Axis

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(batch, height, width, channels)."""
        return (self.batch, self.height.size, self.width.size, self.channels)

    @property
    def padded_shape(self) -> tuple[int, int, int, int]:
        """The shape of the padded input."""
        return (self.batch, self.height.padded, self.width.padded, self.channels)

    @property
    def kernel_shape(self) -> tuple[int, int, int, int]:
        """(kernel height, kernel width, channels, filters)."""
        return (self.height.window, self.width.window, self.channels, self.filters)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """(batch, rows, columns, filters)."""
        return (self.batch, self.height.positions, self.width.positions, self.filters)

    @property
    def is_padded(self) -> bool:
        """Whether any side is padded."""
        return any((self.height.before, self.height.after, self.width.before, self.width.after))

    @property
    def multiply_adds(self) -> int:
        """Number of products that the definition sums, including products with zeros of the padding."""
        return int(np.prod(self.output_shape[:3])) * int(np.prod(self.kernel_shape))

    @property
    def inner(self) -> tuple[slice, slice]:
        """Rows and columns of the map within its padded copy."""
        return tuple(slice(axis.before, axis.before + axis.size) for axis in (self.height, self.width))  # type: ignore[return-value]

    def offsets(self) -> Iterator[tuple[int, int]]:
        """Rows and columns of the window's taps, row by row."""
        return ((i, j) for i in range(self.height.window) for j in range(self.width.window))

    def images(self, count: int) -> Geometry:
        """The same geometry for another number of images."""
        return Geometry(count, self.channels, self.filters, self.height, self.width)


def pad(x: np.ndarray, geometry: Geometry, value: float = 0.0) -> np.ndarray:
    """The input, padded with zeros or another value; the input itself if there is no padding."""
    if not geometry.is_padded:
        return x
    padded = np.full(geometry.padded_shape, value, x.dtype) if value else np.zeros(geometry.padded_shape, x.dtype)
    rows, columns = geometry.inner
    padded[:, rows, columns] = x
    return padded


def pair(name: str, value: Any) -> tuple[int, int]:
    """One or two positive integers as a pair.

    Raises:
        InputError: the value is something else.
    """
    two = (value, value) if isinstance(value, int | np.integer) else value
    good = isinstance(two, Sequence) and not isinstance(two, str) and len(two) == 2
    if not good or not all(map(is_whole, two)):
        raise InputError(f"{name} must be a positive integer or two of them, not {value!r}")
    return int(two[0]), int(two[1])


def _explicit(padding: Any) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Explicit padding as ((top, bottom), (left, right)); None for any other value."""
    if isinstance(padding, int | np.integer):
        padding = (padding, padding)
    if isinstance(padding, str) or not isinstance(padding, Sequence) or len(padding) != 2:
        return None
    sides = [(side, side) if isinstance(side, int | np.integer) else side for side in padding]
    for side in sides:
        if isinstance(side, str) or not isinstance(side, Sequence) or len(side) != 2:
            return None
        if not all(is_whole(n, 0) for n in side):
            return None
    return tuple((int(first), int(last)) for first, last in sides)  # type: ignore[return-value]


def axes(
    shape: Sequence[int], window: Pair, stride: Pair, padding: Padding, dilation: Pair = 1, *, what: str = "kernel"
) -> tuple[Axis, Axis]:
    """Both axes of a window over a map.

    Args:
        shape: the map's height and width.
        window: the window's height and width in taps, or one number for both.
        stride: pixels between positions, vertically and horizontally.
        padding: ``"valid"`` (none), ``"same"`` (the result has the map's size divided by the stride, rounded up; an odd
            zero goes to the end, as in Keras), a number of zeros for every side, two numbers for height and width, or
            ((top, bottom), (left, right)).
        dilation: pixels between taps.
        what: the window's name in messages.

    Raises:
        InputError: a value is of another kind, or the window is larger than the padded map.
    """
    # Check the arguments.
    windows, strides, dilations = pair(what, window), pair("stride", stride), pair("dilation", dilation)
    explicit = _explicit(padding)
    if explicit is None and not (isinstance(padding, str) and padding in ("same", "valid")):
        raise InputError(
            f"padding must be 'same', 'valid', a number of zeros that is not negative, two of them, or "
            f"((top, bottom), (left, right)), not {padding!r}"
        )

    # Compute the padding of each axis, and check that the window fits.
    both_axes = []
    for i, name in enumerate(("height", "width")):
        before, after = explicit[i] if explicit else (0, 0)
        if padding == "same":
            needed = (-(-shape[i] // strides[i]) - 1) * strides[i] + (windows[i] - 1) * dilations[i] + 1
            total = max(needed - shape[i], 0)
            before, after = total // 2, total - total // 2
        axis = Axis(shape[i], windows[i], strides[i], dilations[i], before, after)
        if axis.extent > axis.padded:
            spread = (
                f" with dilation {axis.dilation} reaches over {axis.extent} pixels and" if axis.dilation > 1 else ""
            )
            raise InputError(
                f"{what} of {name} {axis.window}{spread} does not fit into a map of {name} {axis.size}"
                f" with {before} + {after} zeros of padding"
            )
        both_axes.append(axis)
    return both_axes[0], both_axes[1]


def check_array(name: str, value: Any, dimensions: int, meaning: str, dtype: Any = None) -> np.ndarray:
    """Check that an array has the right dtype and number of dimensions, and return it.

    Raises:
        InputError: it is not a NumPy array of float32 or float64 (or `dtype`), has other dimensions, or is empty.
    """
    # The text of a dtype in another byte order is not its name.
    if not isinstance(value, np.ndarray) or str(value.dtype) not in DTYPES:
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise InputError(f"{name} must be a NumPy array of {' or '.join(DTYPES)}, not {kind}")
    if value.ndim != dimensions or 0 in value.shape:
        raise InputError(f"{name} must have the shape {meaning}, none of them 0, not {value.shape}")
    if dtype is not None and value.dtype != dtype:
        raise InputError(f"{name} must be {np.dtype(dtype).name} like the other arrays, not {value.dtype.name}")
    return value


def check_shape(name: str, value: np.ndarray, shape: tuple[int, ...]) -> None:
    """Check that an array has the shape that the other arrays require.

    Raises:
        InputError: it has another shape.
    """
    if value.shape != shape:
        raise InputError(f"{name} must have the shape {shape} here, not {value.shape}")


def check_sizes(name: str, shape: Any, meaning: str) -> None:
    """Check that the shape of an array that is not given is four positive integers.

    Raises:
        InputError: it is something else.
    """
    good = isinstance(shape, Sequence) and not isinstance(shape, str) and len(shape) == 4
    if not good or not all(map(is_whole, shape)):
        raise InputError(f"{name} must be four positive integers, {meaning}, not {shape!r}")


IMAGES = "(batch, height, width, channels)"
KERNEL = "(height, width, channels, filters)"


def of_convolution(input_shape: Any, kernel_shape: Any, stride: Pair, padding: Padding, dilation: Pair) -> Geometry:
    """The geometry of a convolution.

    Raises:
        InputError: the shapes do not fit together, see `axes`.
    """
    check_sizes("input_shape", input_shape, IMAGES)
    check_sizes("kernel_shape", kernel_shape, KERNEL)
    if kernel_shape[2] != input_shape[3]:
        raise InputError(
            f"kernel of shape {tuple(kernel_shape)} takes {kernel_shape[2]} channels, "
            f"but the input of shape {tuple(input_shape)} has {input_shape[3]}"
        )
    height, width = axes(input_shape[1:3], tuple(kernel_shape[:2]), stride, padding, dilation)
    return Geometry(input_shape[0], input_shape[3], kernel_shape[3], height, width)
