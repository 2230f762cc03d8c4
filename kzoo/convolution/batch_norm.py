"""BatchNorm: training, inference, folded, and backward (report b, algorithms 1 to 3, after Ioffe and Szegedy 2015).

Statistics are taken over all axes but the last: over the batch for (batch, features), over batch, rows and columns for
maps (batch, height, width, channels). m is the number of values that each mean is taken over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kzoo.convolution.geometry import DTYPES, check_shape
from kzoo.errors import InputError

EPSILON = 1e-5


class Normalized(NamedTuple):
    """The output of the forward pass in training, and the values that the backward pass needs.

    Attributes:
        y: the output, of the input's shape.
        normalized: the input with mean 0 and variance 1, of the same shape.
        mean: mean of the batch, (channels,).
        variance: biased variance of the batch (divided by m), (channels,).
        inverse_deviation: 1 / sqrt(variance + epsilon), (channels,).
    """

    y: np.ndarray
    normalized: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    inverse_deviation: np.ndarray


class Folded(NamedTuple):
    """BatchNorm at inference as one product and one sum: ``scale x + shift``, both (channels,)."""

    scale: np.ndarray
    shift: np.ndarray


def _check(name: str, x: np.ndarray, vectors: dict[str, np.ndarray]) -> tuple[int, ...]:
    """The axes that statistics are taken over; raises an InputError if arrays do not fit."""
    if not isinstance(x, np.ndarray) or x.dtype.name not in DTYPES or x.ndim < 2 or 0 in x.shape:
        kind = f"{x.dtype.name} {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise InputError(f"{name} must be an array (batch, ..., channels) of {' or '.join(DTYPES)}, not {kind}")
    for other, vector in vectors.items():
        check_shape(other, np.asarray(vector), (x.shape[-1],))
    return tuple(range(x.ndim - 1))


def batch_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray, *, epsilon: float = EPSILON) -> Normalized:
    """BatchNorm in training (report b, algorithm 1): ``gamma (x - mean) / sqrt(variance + epsilon) + beta``.

    Args:
        x: (batch, ..., channels), float32 or float64.
        gamma: scale, (channels,).
        beta: shift, (channels,).
        epsilon: added to the variance.

    Returns:
        The output and the values that `batch_norm_gradients` needs. Operations: a few per value; extra storage:
        `normalized`.

    Raises:
        InputError: shapes do not fit.
    """
    over = _check("x", x, {"gamma": gamma, "beta": beta})
    mean = x.mean(over)
    normalized = x - mean
    variance = np.square(normalized).mean(over)
    inverse = 1 / np.sqrt(variance + x.dtype.type(epsilon))
    normalized *= inverse
    return Normalized(normalized * gamma + beta, normalized, mean, variance, inverse)


def batch_norm_gradients(
    gradient: np.ndarray, forward: Normalized, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients with respect to the input, gamma and beta; mean and variance are treated as functions of the input.

    Args:
        gradient: with respect to the output, (batch, ..., channels).
        forward: the result of `batch_norm`.
        gamma: as in the forward pass.

    Returns:
        Arrays of the input's shape, (channels,) and (channels,). With g the gradient and n the normalized input, the
        first is
        ``gamma / sqrt(variance + epsilon) (g - mean(g) - n mean(g n))``.

    Raises:
        InputError: shapes do not fit.
    """
    over = _check("gradient", gradient, {"gamma": gamma})
    check_shape("gradient", gradient, forward.normalized.shape)
    m = gradient.size // gradient.shape[-1]
    by_beta = gradient.sum(over)
    by_gamma = (gradient * forward.normalized).sum(over)
    by_x = gradient - by_beta / m
    by_x -= forward.normalized * (by_gamma / m)
    by_x *= gamma * forward.inverse_deviation
    return by_x, by_gamma, by_beta


def population(means: list[np.ndarray], variances: list[np.ndarray], m: int) -> tuple[np.ndarray, np.ndarray]:
    """Statistics for inference from those of batches (report b, algorithm 2): E[x] and m / (m - 1) E[variance].

    Args:
        means: the mean of each batch, (channels,).
        variances: the biased variance of each batch (divided by m), (channels,).
        m: number of values behind each mean: batch size x rows x columns.

    Raises:
        InputError: there are no batches, `means` and `variances` differ in length, or m is less than 2.
    """
    if not means or len(means) != len(variances):
        raise InputError(f"means and variances must be of the same batches, not {len(means)} and {len(variances)}")
    if m < 2:
        raise InputError(f"m must be at least 2 for an unbiased variance, not {m}")
    return np.mean(means, axis=0), m / (m - 1) * np.mean(variances, axis=0)


def batch_norm_inference(
    x: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float = EPSILON,
) -> np.ndarray:
    """BatchNorm at inference (report b, algorithm 3), with the statistics of `population` or a moving average.

    Args:
        x: (batch, ..., channels).
        gamma: scale, (channels,).
        beta: shift, (channels,).
        mean: (channels,).
        variance: (channels,).
        epsilon: as in training.

    Raises:
        InputError: shapes do not fit.
    """
    _check("x", x, {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance})
    scale, shift = fold(gamma, beta, mean, variance, epsilon=epsilon)
    return x * scale + shift


def fold(
    gamma: np.ndarray, beta: np.ndarray, mean: np.ndarray, variance: np.ndarray, *, epsilon: float = EPSILON
) -> Folded:
    """BatchNorm at inference as scale and shift: ``gamma / sqrt(variance + epsilon)``, ``beta - scale mean``."""
    scale = gamma / np.sqrt(variance + np.asarray(variance).dtype.type(epsilon))
    return Folded(scale, beta - scale * mean)


def fold_into_convolution(kernel: np.ndarray, bias: np.ndarray | None, folded: Folded) -> tuple[np.ndarray, np.ndarray]:
    """A convolution followed by BatchNorm as one convolution.

    Args:
        kernel: (height, width, channels, filters).
        bias: (filters,), or None.
        folded: the BatchNorm after the convolution.

    Returns:
        Kernel and bias of a convolution with the same output.

    Raises:
        InputError: the BatchNorm's number of channels is not the kernel's number of filters.
    """
    check_shape("scale", folded.scale, (kernel.shape[-1],))
    shift = folded.shift if bias is None else folded.shift + bias * folded.scale
    return kernel * folded.scale, shift


def scaled_weights(
    inputs: np.ndarray, weights: np.ndarray, gradient: np.ndarray, factor: float, *, epsilon: float = 0.0
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The two properties of report b, section 3: BatchNorm of ``inputs @ weights`` with scaled weights.

    ``BN((a W) u) = BN(W u)``, so a does not affect earlier layers. The gradient with respect to the weights is
    multiplied by 1 / a, so that large weights move less. Both are exact for epsilon 0.

    Args:
        inputs: u, (batch, features).
        weights: W, (features, channels).
        gradient: with respect to BatchNorm's output, (batch, channels).
        factor: a, above 0.
        epsilon: of BatchNorm.

    Returns:
        For ``"output"``, ``"input_gradient"`` and ``"weight_gradient"`` a pair: with W, and with a W.

    Raises:
        InputError: the factor is not positive.
    """
    if factor <= 0:
        raise InputError(f"factor must be positive, not {factor!r}")
    one, zero = np.ones(weights.shape[1], weights.dtype), np.zeros(weights.shape[1], weights.dtype)
    results: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for used in (weights, weights.dtype.type(factor) * weights):
        forward = batch_norm(inputs @ used, one, zero, epsilon=epsilon)
        back, _, _ = batch_norm_gradients(gradient, forward, one)
        results.append((forward.y, back @ used.T, inputs.T @ back))
    return dict(zip(("output", "input_gradient", "weight_gradient"), zip(*results, strict=True), strict=True))
