"""Two-dimensional convolution and its gradients in NumPy, with a choice of algorithms.

As usual in networks, "convolution" means cross-correlation: the kernel is not flipped. Maps are (batch, height, width,
channels) and kernels (height, width, channels, filters). All arrays of a call are float32, or all are float64.
"""

from __future__ import annotations

from types import MappingProxyType, ModuleType

import numpy as np

from kzoo.convolution import blocked, correlate, fft, im2col, loops
from kzoo.convolution.geometry import IMAGES, KERNEL, Geometry, Padding, Pair, check_array, check_shape, of_convolution
from kzoo.errors import unknown

ALGORITHMS: MappingProxyType[str, ModuleType] = MappingProxyType(
    {"loops": loops, "correlate2d": correlate, "im2col": im2col, "im2col-blocked": blocked, "fft": fft}
)
DEFAULT = "im2col-blocked"


def _algorithm(name: str) -> ModuleType:
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]


def conv2d(
    x: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    algorithm: str = DEFAULT,
) -> np.ndarray:
    """Convolve a batch of images.

    With B images of H x W pixels and C channels, a kernel of k x k taps, F filters and an output of P x Q positions,
    the algorithms take:

    - ``"loops"``: B P Q k² C F products, one at a time in Python; no extra storage.
    - ``"correlate2d"``: B C F calls of SciPy's function for single maps; extra storage of a map or two.
    - ``"im2col"``: B P Q k² C F products in one matrix product; extra storage of B P Q k² C numbers.
    - ``"im2col-blocked"``: the same in blocks; extra storage of at most 4 MiB of columns (or one row of positions,
      if that is larger) and the padded images of a block.
    - ``"fft"``: transforms of H W log(H W) operations for B C + B F + C F maps, and H W / 2 complex B C F products;
      extra storage of about H W (B C + B F + C F) numbers, independent of k.

    Args:
        x: (B, H, W, C), float32 or float64.
        kernel: (k, k, C, F), not necessarily square, of the same dtype.
        bias: (F,), of the same dtype, or None.
        stride: pixels between positions; one number, or one for height and one for width.
        padding: ``"valid"``, ``"same"``, a number of zeros for every side, two for height and width, or
            ((top, bottom), (left, right)).
        dilation: pixels between taps, in the same form as `stride`.
        algorithm: see above.

    Returns:
        (B, P, Q, F), of the same dtype, with ``P = (H + zeros - (k - 1) dilation - 1) // stride + 1``.

    Raises:
        InputError: the algorithm is unknown, or the arrays do not fit together.
    """
    chosen = _algorithm(algorithm)
    geometry = geometry_of(x, kernel, stride=stride, padding=padding, dilation=dilation)
    if bias is not None:
        check_shape("bias", check_array("bias", bias, 1, "(filters,)", x.dtype), (geometry.filters,))
    y: np.ndarray = chosen.forward(np.ascontiguousarray(x), np.ascontiguousarray(kernel), geometry)
    if bias is not None:
        y += bias
    return y


def conv2d_input_gradient(
    gradient: np.ndarray,
    kernel: np.ndarray,
    input_shape: tuple[int, int, int, int],
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    algorithm: str = DEFAULT,
) -> np.ndarray:
    """Gradient of a loss with respect to the input; operations and storage are about the same as for `conv2d`.

    Args:
        gradient: with respect to the output, (B, P, Q, F), float32 or float64.
        kernel: (k, k, C, F), of the same dtype.
        input_shape: (B, H, W, C), which `gradient` does not determine if there are strides.
        stride, padding, dilation, algorithm: as for `conv2d`.

    Returns:
        (B, H, W, C), of the same dtype.

    Raises:
        InputError: as for `conv2d`.
    """
    chosen = _algorithm(algorithm)
    check_array("gradient", gradient, 4, "(batch, rows, columns, filters)")
    check_array("kernel", kernel, 4, KERNEL, gradient.dtype)
    geometry = of_convolution(input_shape, kernel.shape, stride, padding, dilation)
    check_shape("gradient", gradient, geometry.output_shape)
    by_input: np.ndarray = chosen.input_gradient(np.ascontiguousarray(gradient), np.ascontiguousarray(kernel), geometry)
    return by_input


def conv2d_kernel_gradient(
    x: np.ndarray,
    gradient: np.ndarray,
    kernel_shape: tuple[int, int, int, int],
    *,
    stride: Pair = 1,
    padding: Padding = "valid",
    dilation: Pair = 1,
    algorithm: str = DEFAULT,
) -> np.ndarray:
    """Gradient of a loss with respect to the kernel; operations and storage are about the same as for `conv2d`.

    Args:
        x: the input, (B, H, W, C), float32 or float64.
        gradient: with respect to the output, (B, P, Q, F), of the same dtype.
        kernel_shape: (k, k, C, F), which `gradient` does not determine if there are strides.
        stride, padding, dilation, algorithm: as for `conv2d`.

    Returns:
        (k, k, C, F), of the same dtype.

    Raises:
        InputError: as for `conv2d`.
    """
    chosen = _algorithm(algorithm)
    check_array("x", x, 4, IMAGES)
    check_array("gradient", gradient, 4, "(batch, rows, columns, filters)", x.dtype)
    geometry = of_convolution(x.shape, kernel_shape, stride, padding, dilation)
    check_shape("gradient", gradient, geometry.output_shape)
    by_kernel: np.ndarray = chosen.kernel_gradient(np.ascontiguousarray(x), np.ascontiguousarray(gradient), geometry)
    return by_kernel


def conv2d_bias_gradient(gradient: np.ndarray) -> np.ndarray:
    """Gradient of a loss with respect to the bias, for all algorithms: the sum over images and positions.

    Args:
        gradient: with respect to the output, (B, P, Q, F).

    Returns:
        (F,). Operations: B P Q F additions; extra storage of B F numbers.

    Raises:
        InputError: the gradient has another number of dimensions.
    """
    check_array("gradient", gradient, 4, "(batch, rows, columns, filters)")
    # Sum in two steps: sums of fewer float32 numbers lose less precision.
    summed: np.ndarray = gradient.sum((1, 2)).sum(0)
    return summed


def geometry_of(
    x: np.ndarray, kernel: np.ndarray, *, stride: Pair = 1, padding: Padding = "valid", dilation: Pair = 1
) -> Geometry:
    """The geometry of the convolution of two arrays; see `conv2d` for arguments and errors."""
    check_array("x", x, 4, IMAGES)
    check_array("kernel", kernel, 4, KERNEL, x.dtype)
    return of_convolution(x.shape, kernel.shape, stride, padding, dilation)


def predicted_storage(geometry: Geometry, algorithm: str, itemsize: int = 4) -> dict[str, int]:
    """Peak bytes that an algorithm needs beyond arguments and result.

    Args:
        geometry: the geometry of the convolution.
        algorithm: see `conv2d`.
        itemsize: bytes of a number, 4 for float32.

    Returns:
        The bytes, by ``"forward"``, ``"input_gradient"`` and ``"kernel_gradient"``.

    Raises:
        InputError: the algorithm is unknown.
    """
    sizes: dict[str, int] = _algorithm(algorithm).storage(geometry, itemsize)
    return sizes
