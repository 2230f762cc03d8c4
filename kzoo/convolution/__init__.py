"""Convolution, pooling and BatchNorm from scratch in NumPy, forward and backward, for teaching and testing.

Four ways to convolve, with the same signature: explicit loops, SciPy's 2-D correlation pair by pair, im2col with a
matrix product (for the whole batch, or in blocks that stay in cache), and Fourier transforms. No Keras, no backend.
"""

from kzoo.convolution.batch_norm import (
    batch_norm,
    batch_norm_gradients,
    batch_norm_inference,
    fold,
    fold_into_convolution,
    population,
    scaled_weights,
)
from kzoo.convolution.conv import (
    ALGORITHMS,
    conv2d,
    conv2d_bias_gradient,
    conv2d_input_gradient,
    conv2d_kernel_gradient,
    geometry_of,
    predicted_storage,
)
from kzoo.convolution.pooling import average_pool2d, average_pool2d_gradient, max_pool2d, max_pool2d_gradient

__all__ = [
    "ALGORITHMS",
    "average_pool2d",
    "average_pool2d_gradient",
    "batch_norm",
    "batch_norm_gradients",
    "batch_norm_inference",
    "conv2d",
    "conv2d_bias_gradient",
    "conv2d_input_gradient",
    "conv2d_kernel_gradient",
    "fold",
    "fold_into_convolution",
    "geometry_of",
    "max_pool2d",
    "max_pool2d_gradient",
    "population",
    "predicted_storage",
    "scaled_weights",
]
