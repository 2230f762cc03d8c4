"""Convolutions drawn by hypothesis: shapes, strides, paddings and dilations that fit each other."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from kzoo.convolution.geometry import of_convolution
from kzoo.errors import InputError

PADDINGS = st.one_of(
    st.sampled_from(["same", "valid"]),
    st.integers(0, 4),
    st.tuples(*2 * [st.tuples(st.integers(0, 3), st.integers(0, 3))]),
)


def sides(largest):
    return st.tuples(st.integers(1, largest), st.integers(1, largest))


@st.composite
def convolutions(draw, dtypes=("float32", "float64"), equal_steps=False):
    """Arrays x, kernel, bias and output gradient, and the options of `conv2d`."""
    batch, channels, filters = (draw(st.integers(1, 3)) for _ in range(3))
    step = st.integers(1, 3).map(lambda n: (n, n)) if equal_steps else sides(3)
    options = {"stride": draw(step), "padding": draw(PADDINGS), "dilation": draw(step)}
    shapes = ((batch, *draw(sides(10)), channels), (*draw(sides(4)), channels, filters))
    try:
        geometry = of_convolution(*shapes, *options.values())
    except InputError:
        assume(False)
    random, dtype = np.random.default_rng(draw(st.integers(0, 10**6))), draw(st.sampled_from(dtypes))
    arrays = [random.standard_normal(shape).astype(dtype) for shape in (*shapes, (filters,), geometry.output_shape)]
    return (*arrays, options)


def close(actual, expected):
    """Agreement to 1e-5 for float32 and 1e-10 for float64, relative to the largest value, or 1."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = 1e-5 if expected.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))
