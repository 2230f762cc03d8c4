"""BatchNorm: it normalizes, its gradients equal finite differences, and it has the properties that the reports name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzoo.convolution import (
    batch_norm,
    batch_norm_gradients,
    batch_norm_inference,
    conv2d,
    fold,
    fold_into_convolution,
    population,
    scaled_weights,
)
from kzoo.errors import InputError
from tests.convolution.strategies import close

SHAPES = st.sampled_from([(6, 3), (2, 4, 5, 3), (3, 2, 2, 1), (8, 1)])


def drawn(shape, seed=0, dtype=np.float64):
    random = np.random.default_rng(seed)
    x = 3 + 2 * random.standard_normal(shape)
    gamma, beta = random.uniform(0.5, 2, shape[-1]), random.standard_normal(shape[-1])
    return x.astype(dtype), gamma.astype(dtype), beta.astype(dtype)


@given(shape=SHAPES, seed=st.integers(0, 1000), dtype=st.sampled_from([np.float32, np.float64]))
def test_training_normalizes(shape, seed, dtype):
    x, gamma, beta = drawn(shape, seed, dtype)
    normalized = batch_norm(x, gamma, beta, epsilon=0)
    over = tuple(range(x.ndim - 1))
    close(normalized.y.mean(over), beta)
    close(normalized.y.std(over), gamma)
    close(normalized.mean, x.mean(over))
    close(normalized.variance, x.var(over))
    assert normalized.y.dtype == dtype


@given(shape=SHAPES, seed=st.integers(0, 1000))
def test_gradients_equal_finite_differences(shape, seed):
    arrays = drawn(shape, seed)
    random = np.random.default_rng(seed)
    gradient = random.standard_normal(shape)
    gradients = batch_norm_gradients(gradient, batch_norm(*arrays), arrays[1])
    step = 1e-6
    for i in range(3):
        way = random.standard_normal(arrays[i].shape)
        there, away = (
            (gradient * batch_norm(*(a + sign * step * way if j == i else a for j, a in enumerate(arrays))).y).sum()
            for sign in (1, -1)
        )
        assert (there - away) / (2 * step) == pytest.approx((gradients[i] * way).sum(), rel=1e-5, abs=1e-6)


def test_inference_uses_the_unbiased_variance_of_the_population():
    """Over many small batches, m / (m - 1) E[variance] approaches the data's variance; E[variance] does not."""
    random, m = np.random.default_rng(0), 4
    data = 5 + 3 * random.standard_normal((4000, m, 2))
    normalized = [batch_norm(batch, np.ones(2), np.zeros(2)) for batch in data]
    mean, variance = population([one.mean for one in normalized], [one.variance for one in normalized], m)
    np.testing.assert_allclose(mean, 5, atol=0.1)
    np.testing.assert_allclose(variance, 9, rtol=0.05)
    biased = np.mean([one.variance for one in normalized], axis=0)
    np.testing.assert_allclose(biased, 9 * (m - 1) / m, rtol=0.05)
    np.testing.assert_allclose(variance, biased * m / (m - 1))


@given(shape=SHAPES, seed=st.integers(0, 1000))
def test_inference_is_one_product_and_one_sum(shape, seed):
    x, gamma, beta = drawn(shape, seed)
    mean, variance = x.mean() + gamma, gamma**2
    plain = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    close(batch_norm_inference(x, gamma, beta, mean, variance, epsilon=1e-3), plain)
    scale, shift = fold(gamma, beta, mean, variance, epsilon=1e-3)
    close(scale * x + shift, plain)


def test_folded_into_a_convolution():
    random = np.random.default_rng(1)
    x, kernel, bias = (random.standard_normal(shape) for shape in ((2, 6, 5, 3), (3, 3, 3, 4), (4,)))
    mean, beta, gamma = random.standard_normal((3, 4))
    variance = random.uniform(0.5, 2, 4)
    for given_bias in (bias, None):
        wanted = batch_norm_inference(conv2d(x, kernel, given_bias), gamma, beta, mean, variance)
        folded = fold_into_convolution(kernel, given_bias, fold(gamma, beta, mean, variance))
        close(conv2d(x, *folded), wanted)


@given(factor=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_scaled_weights_change_only_their_gradient(factor, seed):
    """Report b, section 3: BN((a W) u) = BN(W u), also in the gradient by u; the gradient by a W is 1 / a of W's."""
    random = np.random.default_rng(seed)
    inputs, weights, gradient = (random.standard_normal(shape) for shape in ((16, 5), (5, 3), (16, 3)))
    results = scaled_weights(inputs, weights, gradient, factor)
    for name in ("output", "input_gradient"):
        np.testing.assert_allclose(results[name][1], results[name][0], rtol=1e-7, atol=1e-9)
    plain, scaled = results["weight_gradient"]
    np.testing.assert_allclose(scaled, plain / factor, rtol=1e-6, atol=1e-9 / factor)


def test_what_does_not_fit_is_refused():
    x, gamma, beta = drawn((4, 3))
    with pytest.raises(InputError, match=r"gamma must have the shape \(3,\) here, not \(2,\)"):
        batch_norm(x, gamma[:2], beta)
    with pytest.raises(InputError, match="x must be an array"):
        batch_norm(x.astype(int), gamma, beta)
    with pytest.raises(InputError, match=r"gradient must have the shape \(4, 3\)"):
        batch_norm_gradients(np.zeros((5, 3)), batch_norm(x, gamma, beta), gamma)
    with pytest.raises(InputError, match="m must be at least 2"):
        population([gamma], [gamma], 1)
    with pytest.raises(InputError, match="of the same batches"):
        population([gamma], [], 4)
    with pytest.raises(InputError, match="factor must be positive"):
        scaled_weights(x, gamma[:, None], x[:, :1], 0.0)
