"""Convolution, pooling and BatchNorm, and their gradients, equal the active Keras backend's, with its autodiff."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from benchmarks.convolution.framework import Framework
from kzoo.convolution import (
    ALGORITHMS,
    average_pool2d,
    average_pool2d_gradient,
    batch_norm,
    batch_norm_gradients,
    conv2d,
    conv2d_bias_gradient,
    conv2d_input_gradient,
    conv2d_kernel_gradient,
    max_pool2d,
    max_pool2d_gradient,
)
from kzoo.convolution.geometry import of_convolution
from kzoo.introspection.backends import differentiate
from tests.convolution.strategies import close, convolutions, sides

pytestmark = pytest.mark.backend

BACKEND = keras.backend.backend()
DTYPES = ("float32",) if BACKEND == "jax" else ("float32", "float64")  # JAX has no float64 unless set up for it
FASTER = [name for name in ALGORITHMS if name != "loops"]


def array(tensor):
    return ops.convert_to_numpy(tensor)


def by_pytorch(x, kernel, bias, gradient, options):
    """Output and gradients by PyTorch, for stride and dilation together, which Keras refuses."""
    torch = pytest.importorskip("torch", reason="Keras refuses strides with dilations; PyTorch is not installed")
    geometry = of_convolution(x.shape, kernel.shape, *options.values())
    zeros = [side for axis in (geometry.width, geometry.height) for side in (axis.before, axis.after)]
    arguments = (x.transpose(0, 3, 1, 2), kernel.transpose(3, 2, 0, 1), bias)
    leaves = [torch.tensor(np.ascontiguousarray(one), requires_grad=True) for one in arguments]
    padded = torch.nn.functional.pad(leaves[0], zeros)
    y = torch.nn.functional.conv2d(padded, *leaves[1:], stride=options["stride"], dilation=options["dilation"])
    came = torch.tensor(np.ascontiguousarray(gradient.transpose(0, 3, 1, 2)))
    results = [y.detach(), *torch.autograd.grad(y, leaves, came)]
    orders = ((0, 2, 3, 1), (0, 2, 3, 1), (2, 3, 1, 0), (0,))
    return [one.numpy().transpose(order) for one, order in zip(results, orders, strict=True)]


def by_keras(x, kernel, bias, gradient, options):
    """Output and gradients by the active backend, or None if it refuses."""
    if max(options["stride"]) > 1 and max(options["dilation"]) > 1:
        return None
    framework = Framework(**options, compile=False)
    try:
        results = [array(tensor) for tensor in framework.gradients(*framework.tensors(x, kernel, bias, gradient))]
    except RuntimeError as error:
        if "must be contiguous" in str(error):  # PyTorch, for 1x1 images with the kernel's axes in Keras's order
            return None
        raise
    close(array(framework.forward(*framework.tensors(x, kernel, bias))), results[0])
    return results


@given(drawn=convolutions(DTYPES, equal_steps=True))
def test_convolutions_and_their_gradients(drawn):
    x, kernel, bias, gradient, options = drawn
    expected = by_keras(*drawn) or by_pytorch(*drawn)
    for algorithm in FASTER:
        more = {**options, "algorithm": algorithm}
        results = (
            conv2d(x, kernel, bias, **more),
            conv2d_input_gradient(gradient, kernel, x.shape, **more),
            conv2d_kernel_gradient(x, gradient, kernel.shape, **more),
            conv2d_bias_gradient(gradient),
        )
        for one, wanted in zip(results, expected, strict=True):
            assert wanted.dtype == x.dtype
            close(one, wanted)


@given(drawn=convolutions(("float32",)))
def test_steps_that_differ_by_direction(drawn):
    for actual, wanted in zip(
        (conv2d(*drawn[:3], **drawn[4]), conv2d_input_gradient(drawn[3], drawn[1], drawn[0].shape, **drawn[4])),
        by_pytorch(*drawn)[:2],
        strict=True,
    ):
        close(actual, wanted)


def test_compiling_changes_no_result():
    random = np.random.default_rng(0)
    arrays = [random.standard_normal(s).astype("float32") for s in ((2, 6, 6, 3), (3, 3, 3, 4), (4,), (2, 6, 6, 4))]
    quick, slow = (Framework(padding=1, compile=compile) for compile in (True, False))
    for one, two in zip(quick.gradients(*quick.tensors(*arrays)), slow.gradients(*slow.tensors(*arrays)), strict=True):
        close(array(one), array(two))


@given(
    shape=st.tuples(st.integers(1, 2), st.integers(4, 9), st.integers(4, 9), st.integers(1, 3)),
    size=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["same", "valid"]),
    dtype=st.sampled_from(DTYPES),
)
def test_pools_and_their_gradients(shape, size, stride, padding, dtype):
    random = np.random.default_rng(0)
    x = random.permutation(int(np.prod(shape))).reshape(shape).astype(dtype)
    options = {"size": size, "stride": stride, "padding": padding}
    y, argmax = max_pool2d(x, **options)
    gradient = random.standard_normal(y.shape).astype(dtype)
    results = {
        "max": (y, max_pool2d_gradient(gradient, argmax, shape, **options)),
        "average": (average_pool2d(x, **options), average_pool2d_gradient(gradient, shape, **options)),
    }
    for name, pool in (("max", ops.max_pool), ("average", ops.average_pool)):
        if name == "average" and padding == "same" and BACKEND == "torch":
            continue  # here, Keras repeats the border instead of leaving the padding out

        def weighed(tensors, pool=pool):
            pooled = pool(tensors[0], size, stride, padding, data_format="channels_last")
            return ops.sum(pooled * ops.convert_to_tensor(gradient)), [pooled]

        _, (pooled,), (back,) = differentiate(weighed, [ops.convert_to_tensor(x)])
        close(results[name][0], array(pooled))
        close(results[name][1], array(back))


@given(size=sides(4), padding=sides(2), count=st.booleans())
def test_zeros_that_count_in_an_average(size, padding, count):
    torch = pytest.importorskip("torch", reason="Keras has no explicit padding for pools")
    if any(2 * zeros > side for zeros, side in zip(padding, size, strict=True)):
        return
    x = np.random.default_rng(0).standard_normal((2, 7, 8, 3))
    wanted = torch.nn.functional.avg_pool2d(
        torch.tensor(np.ascontiguousarray(x.transpose(0, 3, 1, 2))), size, 1, padding, count_include_pad=count
    )
    pooled = average_pool2d(x, size, stride=1, padding=padding, count_padding=count)
    close(pooled, wanted.numpy().transpose(0, 2, 3, 1))


@pytest.mark.parametrize("shape", [(8, 5), (3, 4, 5, 2)])
def test_batch_norm_and_its_gradients(shape):
    random = np.random.default_rng(2)
    x, gradient = random.standard_normal((2, *shape)).astype("float32")
    gamma, beta = random.uniform(0.5, 2, (2, shape[-1])).astype("float32")
    layer = keras.layers.BatchNormalization(epsilon=1e-5)
    layer.build(shape)

    def weighed(tensors):
        y, _ = layer.stateless_call(
            tensors[1:], [v.value for v in layer.non_trainable_variables], tensors[0], training=True
        )
        return ops.sum(y * ops.convert_to_tensor(gradient)), [y]

    _, (y,), back = differentiate(weighed, [ops.convert_to_tensor(one) for one in (x, gamma, beta)])
    normalized = batch_norm(x, gamma, beta)
    close(normalized.y, array(y))
    for one, wanted in zip(batch_norm_gradients(gradient, normalized, gamma), back, strict=True):
        close(one, array(wanted))
