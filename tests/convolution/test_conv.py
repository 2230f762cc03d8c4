"""All algorithms agree, gradients equal finite differences, and arguments that do not fit raise one clear error."""

import itertools

import numpy as np
import pytest
from hypothesis import given

from kzoo.convolution import (
    ALGORITHMS,
    blocked,
    conv2d,
    conv2d_bias_gradient,
    conv2d_input_gradient,
    conv2d_kernel_gradient,
)
from kzoo.convolution.geometry import Axis, of_convolution
from kzoo.errors import InputError
from tests.convolution.strategies import close, convolutions

FASTER = [name for name in ALGORITHMS if name != "loops"]


def results(x, kernel, bias, gradient, options, algorithm):
    return (
        conv2d(x, kernel, bias, algorithm=algorithm, **options),
        conv2d_input_gradient(gradient, kernel, x.shape, algorithm=algorithm, **options),
        conv2d_kernel_gradient(x, gradient, kernel.shape, algorithm=algorithm, **options),
    )


@given(drawn=convolutions())
def test_algorithms_agree_with_the_definition(drawn):
    x, kernel, bias, gradient, _ = drawn
    before = [array.copy() for array in (x, kernel, bias, gradient)]
    expected = results(*drawn, "loops")
    for algorithm in FASTER:
        for actual, wanted in zip(results(*drawn, algorithm), expected, strict=True):
            assert actual.dtype == x.dtype
            assert actual.flags.c_contiguous
            close(actual, wanted)
    for array, copy in zip((x, kernel, bias, gradient), before, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(drawn=convolutions())
def test_blocks_of_any_size_give_the_same_result(drawn):
    expected = results(*drawn, "im2col")
    whole = blocked.BLOCK_BYTES
    try:
        for blocked.BLOCK_BYTES in (1, 300, 3000):  # a row, some rows, some images at a time
            for actual, wanted in zip(results(*drawn, "im2col-blocked"), expected, strict=True):
                close(actual, wanted)
    finally:
        blocked.BLOCK_BYTES = whole


def test_by_hand():
    x = np.arange(1.0, 10).reshape(1, 3, 3, 1)
    kernel = np.array([[1.0, 0], [0, -1]]).reshape(2, 2, 1, 1)
    for algorithm in ALGORITHMS:
        y = conv2d(x, kernel, np.array([10.0]), algorithm=algorithm)
        np.testing.assert_allclose(y.squeeze(), [[6, 6], [6, 6]])
        same = conv2d(x, kernel, padding="same", algorithm=algorithm)  # the odd zero at the end, as in Keras
        np.testing.assert_allclose(same.squeeze(), [[-4, -4, 3], [-4, -4, 6], [7, 8, 9]], atol=1e-12)
        back = conv2d_input_gradient(np.ones((1, 2, 2, 1)), kernel, x.shape, algorithm=algorithm)
        np.testing.assert_allclose(back.squeeze(), [[1, 1, 0], [1, 0, -1], [0, -1, -1]], atol=1e-12)
        weights = conv2d_kernel_gradient(x, np.ones((1, 2, 2, 1)), kernel.shape, algorithm=algorithm)
        np.testing.assert_allclose(weights.squeeze(), [[12, 16], [24, 28]])
    assert conv2d_bias_gradient(np.ones((2, 3, 4, 5))).tolist() == [24.0] * 5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_gradients_equal_finite_differences(algorithm):
    random = np.random.default_rng(3)
    # In height, zeros precede the map, and the stride leaves out the last row of the map itself.
    options = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "algorithm": algorithm}
    x, kernel, bias = (random.standard_normal(shape) for shape in ((2, 7, 6, 3), (3, 2, 3, 4), (4,)))
    gradient = random.standard_normal(conv2d(x, kernel, bias, **options).shape)

    def loss(x, kernel, bias):  # nonlinear, so that gradients at a wrong point are noticed
        return (gradient * np.sin(conv2d(x, kernel, bias, **options))).sum()

    back = gradient * np.cos(conv2d(x, kernel, bias, **options))
    gradients = (
        conv2d_input_gradient(back, kernel, x.shape, **options),
        conv2d_kernel_gradient(x, back, kernel.shape, **options),
        conv2d_bias_gradient(back),
    )
    arrays, step = (x, kernel, bias), 1e-6
    for i in range(3):
        for _ in range(4):
            way = random.standard_normal(arrays[i].shape)
            there, away = (
                loss(*(array + sign * step * way if j == i else array for j, array in enumerate(arrays)))
                for sign in (1, -1)
            )
            assert (there - away) / (2 * step) == pytest.approx((gradients[i] * way).sum(), rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_arrays_need_not_be_contiguous(algorithm):
    random = np.random.default_rng(0)
    x, kernel = random.standard_normal((2, 3, 7, 6)).transpose(0, 2, 3, 1), random.standard_normal((4, 3, 3, 3)).T
    wanted = conv2d(np.ascontiguousarray(x), np.ascontiguousarray(kernel), algorithm="loops")
    close(conv2d(x, kernel, algorithm=algorithm), wanted)
    gradient = np.broadcast_to(1.0, wanted.shape)
    close(
        conv2d_input_gradient(gradient, kernel, x.shape, algorithm=algorithm),
        conv2d_input_gradient(np.ones(wanted.shape), np.ascontiguousarray(kernel), x.shape, algorithm="loops"),
    )


def test_taps_inside_the_map():
    """Slices in closed form select the taps that a count finds."""
    axes = itertools.product(range(1, 6), range(1, 4), range(1, 4), range(1, 4), range(4), range(4))
    for size, window, stride, dilation, before, after in axes:
        axis = Axis(size, window, stride, dilation, before, after)
        if axis.extent > axis.padded:
            continue
        for tap in range(window):
            met = [(p, p * stride + tap * dilation - before) for p in range(axis.positions)]
            met = [(position, pixel) for position, pixel in met if 0 <= pixel < size]
            positions, pixels = axis.inside(tap)
            computed = zip(range(axis.positions)[positions], range(size)[pixels], strict=True)
            assert list(computed) == met, (axis, tap)


def test_a_block_fills_its_bytes_and_no_more(monkeypatch):
    geometry = of_convolution((9, 6, 5, 3), (3, 2, 3, 4), 1, "valid", 1)
    row, rows = 4 * (3 * 2 * 3) * 4, 4  # bytes of a row's columns, and rows of an image
    for size, expected in (
        (1, (1, 1)), (row, (1, 1)), (2 * row, (1, 2)), (3 * row - 1, (1, 2)), (rows * row - 1, (1, 3)),
        (rows * row, (1, 4)), (2 * rows * row - 1, (1, 4)), (3 * rows * row, (3, 4)), (99 * rows * row, (9, 4)),
    ):  # fmt: skip
        monkeypatch.setattr(blocked, "BLOCK_BYTES", size)
        assert blocked.sizes(geometry, 4) == expected, size


def test_storage_of_correlate2d_by_hand():
    """It stores a padded map, a kernel with holes and a gradient with gaps, if there are any, and a result."""

    def stored(*options):
        return tuple(
            ALGORITHMS["correlate2d"].storage(of_convolution((2, 6, 5, 3), (3, 2, 3, 4), *options), 4).values()
        )

    assert stored(1, "valid", 1) == (4 * 16, 4 * 30, 4 * 6)
    padded, image, kernel, gradient = 8 * 6, 7 * 6, 3 * 3, 5 * 4
    expected = (padded + kernel + gradient, gradient + kernel + image, padded + gradient + kernel)
    assert stored((2, 1), ((1, 1), (1, 0)), (1, 2)) == tuple(4 * numbers for numbers in expected)


X, KERNEL = np.zeros((2, 5, 4, 3), np.float32), np.zeros((3, 3, 3, 6), np.float32)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("takes 2 channels, but the input of shape", lambda: conv2d(X, KERNEL[:, :, :2])),
        (r"kernel of width 5 does not fit into a map of width 4", lambda: conv2d(X, np.zeros((3, 5, 3, 6), "f"))),
        ("height 3 with dilation 3 reaches over 7 pixels", lambda: conv2d(X, KERNEL, dilation=3)),
        (
            "x must be a NumPy array of float32 or float64, not int64",
            lambda: conv2d(np.zeros((1, 2, 2, 1), int), KERNEL),
        ),
        ("x must be a NumPy array of float32 or float64, not >f4", lambda: conv2d(X.astype(">f4"), KERNEL)),
        ("x must be a NumPy array of float32 or float64, not list", lambda: conv2d([[1.0]], KERNEL)),
        ("kernel must be float32 like the other arrays", lambda: conv2d(X, KERNEL.astype(float))),
        (r"x must have the shape \(batch, height, width, channels\)", lambda: conv2d(X[0], KERNEL)),
        ("none of them 0", lambda: conv2d(X[:0], KERNEL)),
        (r"bias must have the shape \(6,\) here, not \(5,\)", lambda: conv2d(X, KERNEL, np.zeros(5, "f"))),
        ("stride must be a positive integer or two of them, not 0", lambda: conv2d(X, KERNEL, stride=0)),
        ("dilation must be a positive integer", lambda: conv2d(X, KERNEL, dilation=(1, 2, 3))),
        ("stride must be", lambda: conv2d(X, KERNEL, stride=True)),
        ("padding must be 'same', 'valid'", lambda: conv2d(X, KERNEL, padding="full")),
        ("padding must be 'same', 'valid'", lambda: conv2d(X, KERNEL, padding=-1)),
        ("padding must be 'same', 'valid'", lambda: conv2d(X, KERNEL, padding=((1, 2), (3,)))),
        ("padding must be 'same', 'valid'", lambda: conv2d(X, KERNEL, padding=np.array([1, 1]))),
        ("did you mean 'im2col'", lambda: conv2d(X, KERNEL, algorithm="im2cols")),
        (
            r"gradient must have the shape \(2, 3, 2, 6\) here, not \(2, 3, 3, 6\)",
            lambda: conv2d_input_gradient(np.zeros((2, 3, 3, 6), "f"), KERNEL, X.shape),
        ),
        (
            "input_shape must be four positive integers",
            lambda: conv2d_input_gradient(np.zeros((2, 3, 2, 6), "f"), KERNEL, (5, 4, 3)),
        ),
        (
            "kernel_shape must be four positive integers",
            lambda: conv2d_kernel_gradient(X, np.zeros((2, 3, 2, 6), "f"), (3, 3, 3, 0)),
        ),
        ("gradient must be float32", lambda: conv2d_kernel_gradient(X, np.zeros((2, 3, 2, 6)), KERNEL.shape)),
    ],
)
def test_what_does_not_fit_is_refused(message, call):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
