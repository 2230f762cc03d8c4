"""Pooling equals examples by hand, a search of every window, and finite differences."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kzoo.convolution import average_pool2d, average_pool2d_gradient, max_pool2d, max_pool2d_gradient
from kzoo.convolution.geometry import axes
from kzoo.errors import InputError
from tests.convolution.strategies import close, sides


@st.composite
def pools(draw):
    """An input with distinct values, and the options of a pool."""
    shape = (draw(st.integers(1, 3)), *draw(sides(9)), draw(st.integers(1, 3)))
    options = {"size": draw(sides(4)), "stride": draw(st.none() | sides(3))}
    options["padding"] = draw(st.sampled_from(["same", "valid", 1]) | st.tuples(*2 * [sides(2)]))
    try:
        max_pool2d(np.zeros(shape), **options)
    except InputError:
        assume(False)
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    values = random.permutation(int(np.prod(shape))).reshape(shape) - 20.0
    return values.astype(draw(st.sampled_from(["float32", "float64"]))), options


def windows(x, options):
    """Every window's pixels with their positions, without the padding: (b, p, q, c) -> {(r, s): value}."""
    stride = options["stride"] or options["size"]
    height, width = axes(x.shape[1:3], options["size"], stride, options["padding"])
    for b, c in np.ndindex(x.shape[0], x.shape[3]):
        for p, q in np.ndindex(height.positions, width.positions):
            rows = range(p * height.stride - height.before, p * height.stride - height.before + height.window)
            columns = range(q * width.stride - width.before, q * width.stride - width.before + width.window)
            inside = [(r, s) for r in rows for s in columns if 0 <= r < x.shape[1] and 0 <= s < x.shape[2]]
            yield (b, p, q, c), {(r, s): x[b, r, s, c] for r, s in inside}


@given(drawn=pools())
def test_pools_equal_a_search_of_every_window(drawn):
    x, options = drawn
    largest, argmax = max_pool2d(x, **options)
    means = {count: average_pool2d(x, **options, count_padding=count) for count in (False, True)}
    gradient = np.random.default_rng(0).standard_normal(largest.shape).astype(x.dtype)
    back = {name: np.zeros_like(x) for name in ("max", False, True)}
    area = options["size"][0] * options["size"][1]
    for (b, p, q, c), pixels in windows(x, options):
        assert largest[b, p, q, c] == max(pixels.values())
        mean, whole = np.mean(list(pixels.values())), sum(pixels.values()) / area
        assert means[False][b, p, q, c] == pytest.approx(mean, rel=1e-5, abs=1e-5)
        assert means[True][b, p, q, c] == pytest.approx(whole, rel=1e-5, abs=1e-5)
        row, column = max(pixels, key=pixels.__getitem__)
        back["max"][b, row, column, c] += gradient[b, p, q, c]
        for r, s in pixels:
            back[False][b, r, s, c] += gradient[b, p, q, c] / len(pixels)
            back[True][b, r, s, c] += gradient[b, p, q, c] / area
    close(max_pool2d_gradient(gradient, argmax, x.shape, **options), back["max"])
    for count in (False, True):
        close(average_pool2d_gradient(gradient, x.shape, **options, count_padding=count), back[count])
    assert largest.dtype == means[True].dtype == x.dtype


def test_report_d_example():
    """4x4, pool 2, stride 2 (report d, figures 2 to 4): the argmax remembers where the gradient goes."""
    x = np.array([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]], float).reshape(1, 4, 4, 1)
    y, argmax = max_pool2d(x)
    assert y.squeeze().tolist() == [[6, 8], [3, 4]]
    assert argmax.squeeze().tolist() == [[3, 3], [0, 3]]
    back = max_pool2d_gradient(np.arange(1.0, 5).reshape(1, 2, 2, 1), argmax, x.shape).squeeze()
    assert back.tolist() == [[0, 0, 0, 0], [0, 1, 0, 2], [3, 0, 0, 0], [0, 0, 0, 4]]
    assert average_pool2d(x).squeeze().tolist() == [[3.25, 5.25], [2, 2]]


def test_the_first_of_equal_values_gets_the_gradient():
    _, argmax = max_pool2d(np.ones((1, 4, 4, 1)), 2)
    back = max_pool2d_gradient(np.ones((1, 2, 2, 1)), argmax, (1, 4, 4, 1))
    assert back.squeeze().tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_of_windows_without_a_finite_pixel_the_first_pixel_gets_the_gradient_not_the_padding():
    x = np.full((1, 3, 3, 1), -np.inf)
    y, argmax = max_pool2d(x, 2, stride=2, padding=1)
    assert np.isneginf(y).all()
    assert argmax.squeeze().tolist() == [[3, 2], [1, 0]]
    back = max_pool2d_gradient(np.ones((1, 2, 2, 1)), argmax, x.shape, 2, stride=2, padding=1)
    assert back.squeeze().tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("tap", range(4))
def test_nan_is_the_largest_wherever_it_stands(tap):
    x = np.arange(4.0)
    x[tap] = np.nan
    y, argmax = max_pool2d(x.reshape(1, 2, 2, 1))
    assert np.isnan(y.item())
    assert argmax.item() == tap


def test_large_pools_remember_positions_beyond_255():
    x = np.zeros((1, 20, 20, 1))
    x[0, 19, 18] = 1
    _, argmax = max_pool2d(x, 20)
    assert argmax.item() == 19 * 20 + 18
    assert max_pool2d_gradient(np.ones((1, 1, 1, 1)), argmax, x.shape, 20)[0, 19, 18, 0] == 1


@pytest.mark.parametrize("pool", [max_pool2d, average_pool2d])
def test_what_does_not_fit_is_refused(pool):
    x = np.zeros((1, 4, 4, 1))
    with pytest.raises(InputError, match="pool of height 5 does not fit into a map of height 4"):
        pool(x, 5)
    with pytest.raises(InputError, match="some pools would hold no pixel"):
        pool(x, 2, padding=2)
    with pytest.raises(InputError, match="pool must be a positive integer"):
        pool(x, 0)
    with pytest.raises(InputError, match="x must have the shape"):
        pool(x[0], 2)
    y, argmax = max_pool2d(x)
    with pytest.raises(InputError, match=r"gradient must have the shape \(1, 2, 2, 1\)"):
        max_pool2d_gradient(np.zeros((1, 3, 3, 1)), argmax, x.shape)
    with pytest.raises(InputError, match="argmax must have the shape"):
        max_pool2d_gradient(y, argmax[:, :1], x.shape)


@pytest.mark.parametrize("shape", [(4, 4, 1), (1, 4.0, 4, 1), 4, "1441", (1, 4, 0, 1), None])
def test_a_shape_that_is_not_of_images_is_refused(shape):
    gradient, argmax = np.zeros((1, 2, 2, 1)), np.zeros((1, 2, 2, 1), np.uint8)
    for call in (
        lambda: max_pool2d_gradient(gradient, argmax, shape),
        lambda: average_pool2d_gradient(gradient, shape),
    ):
        with pytest.raises(InputError, match="input_shape must be four positive integers"):
            call()
