"""Folds BatchNorm into adjacent layers, and leaves out layers that do nothing after training.

A trained BatchNorm is a scale and a shift of each channel: report b's inference algorithm (algorithm 3) has
``y = gamma / sqrt(Var[x] + eps) * x + (beta - gamma * E[x] / sqrt(Var[x] + eps))`` with the averages of training.
Both are folded into the kernel and bias of the convolution before the BatchNorm, or of an unpadded one after it.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any, NamedTuple

import keras
import numpy as np

from kzoo.exporting.replay import Change, Graph, copy_model
from kzoo.introspection.backends import sync
from kzoo.introspection.graph import has_graph

_layers = keras.layers
CONVOLUTIONS = (_layers.Conv1D, _layers.Conv2D, _layers.Conv3D)
DEPTHWISE = (_layers.DepthwiseConv1D, _layers.DepthwiseConv2D)
SEPARABLE = (_layers.SeparableConv1D, _layers.SeparableConv2D)
TRANSPOSED = (_layers.Conv1DTranspose, _layers.Conv2DTranspose, _layers.Conv3DTranspose)
FOLDED_INTO = (_layers.Dense, *CONVOLUTIONS, *DEPTHWISE, *SEPARABLE, *TRANSPOSED)
IDLE = (
    _layers.Identity, _layers.Dropout, _layers.SpatialDropout1D, _layers.SpatialDropout2D, _layers.SpatialDropout3D,
    _layers.AlphaDropout, _layers.GaussianDropout, _layers.GaussianNoise, _layers.ActivityRegularization,
    _layers.RandomFlip, _layers.RandomRotation, _layers.RandomTranslation, _layers.RandomZoom,
    _layers.RandomContrast, _layers.RandomBrightness,
)  # fmt: skip
"""Layers that return their input unchanged outside training."""


class Affine(NamedTuple):
    """``scale * x + shift`` by channel, float64 (channels,)."""

    scale: np.ndarray
    shift: np.ndarray


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A copy of a model that computes the same function with fewer operations, for inference only.

    A BatchNorm after a convolution or dense layer without activation is folded into that layer (which gets a bias) if
    nothing else uses the layer's output. A BatchNorm before a dense layer or an unpadded convolution is folded into
    that layer if nothing else uses the BatchNorm's output. Others, for example after an addition or a shared layer, are
    kept. Dropout, noise and identity layers are left out, and `RandomFlip`, `RandomRotation`, `RandomTranslation`,
    `RandomZoom`, `RandomContrast` and `RandomBrightness`. Models within models are folded too.

    Args:
        model: any model. It is not changed; the copy has separate weights.

    Returns:
        A copy, or the model itself if it has no fixed graph or cannot be copied. Its outputs differ from
        ``model(images, training=False)`` only by rounding.

    Example:
        >>> network = kzoo.VGG08(batch_norm=True, classes=10)
        >>> len(kzoo.fold_batch_norm(network).layers) < len(network.layers)
        True
    """
    if not has_graph(model, subclasses=True):
        return model
    sync(model)
    try:
        return copy_model(planned(model), fold_batch_norm)
    except (TypeError, ValueError, NotImplementedError):  # a custom layer without a configuration
        return model


def planned(model: keras.Model, dtype: str | None = None, *, rescaling: bool = False) -> Graph:
    """A model's graph, with a plan of what to fold and what to leave out.

    Args:
        model: a model for which `has_graph` is true.
        dtype: type that the copy computes in; by default the layers' types. Only float32 layers are folded.
        rescaling: whether to fold `Rescaling` layers as well, which changes the scale of the trained kernels.
    """
    graph = Graph(model, dtype)
    graph.plan.passed.update(node for node in graph.nodes if _is_idle(node))

    # First fold each BatchNorm into the layer before it, in order.
    after: dict[Any, list[Affine]] = {}
    before: dict[Any, list[Affine]] = {}
    for node in graph.nodes:
        affine = _as_affine(node, graph, rescaling)
        if affine is None:
            continue
        maker = graph.maker(node.input_tensors[0])
        if _takes_after(maker, node, graph):
            after.setdefault(maker.operation, []).append(affine)
            graph.plan.passed.add(node)

    # Then fold the remaining ones into the layers after them, in reverse order.
    for node in reversed(graph.nodes):
        affine = _as_affine(node, graph, rescaling)
        if affine is None or node in graph.plan.passed:
            continue
        users = graph.users(node.outputs[0])
        if len(users) == 1 and _takes_before(users[0], node, affine.shift, graph):
            before.setdefault(users[0].operation, []).insert(0, affine)
            graph.plan.passed.add(node)

    # Replace calls that TensorFlow would fuse incorrectly, and compute the new weights.
    for node in graph.nodes:
        slope = _slope(node.operation)
        if slope and _follows_addition(node, graph):
            graph.plan.replaced[node] = functools.partial(_leaky_relu, slope=slope)
    for layer in {**after, **before}:
        graph.plan.changes[layer] = _folded(layer, before.get(layer, []), after.get(layer, []))
    return graph


def _slope(operation: Any) -> float:
    """The slope of a leaky ReLU below 0, be it a layer or an operation; 0 for anything else."""
    if type(operation) is _layers.Activation and operation.activation is keras.activations.leaky_relu:
        return float(inspect.signature(keras.activations.leaky_relu).parameters["negative_slope"].default)
    plain_relu = type(operation) is _layers.ReLU and operation.max_value is None and not operation.threshold
    leaky = type(operation) is _layers.LeakyReLU or type(operation).__name__ == "LeakyRelu"
    return float(operation.negative_slope) if plain_relu or leaky else 0.0


def _follows_addition(node: Any, graph: Graph) -> bool:
    """Whether an addition, by a layer or an operation, makes a call's input.

    If a convolution with bias precedes it, as folding produces, TensorFlow 2.21 on the CPU fuses the addition with a
    leaky ReLU and loses the slope.
    """
    maker = graph.maker(node.input_tensors[0])
    return maker is not None and type(maker.operation).__name__ == "Add"


def _leaky_relu(x: Any, slope: float) -> Any:
    larger = keras.ops.minimum if slope > 1 else keras.ops.maximum
    return larger(x, keras.ops.multiply(x, slope))


def _single(node: Any) -> bool:
    """Whether a call takes one tensor and returns one."""
    return len(node.input_tensors) == 1 and len(node.outputs) == 1


def _is_idle(node: Any) -> bool:
    layer = node.operation
    linear = type(layer) is _layers.Activation and layer.activation is keras.activations.linear
    if not _single(node) or not (linear or type(layer) in IDLE):
        return False
    source, result = node.input_tensors[0], node.outputs[0]
    return source.shape == result.shape and source.dtype == result.dtype


def _as_affine(node: Any, graph: Graph, rescaling: bool) -> Affine | None:
    """The scale and shift of a BatchNorm or rescaling call; None for a call that cannot be folded."""
    layer = node.operation
    if rescaling and type(layer) is _layers.Rescaling:
        return _rescaling(node, graph)
    if type(layer) is not _layers.BatchNormalization or not _single(node) or graph.computes_in(layer) != "float32":
        return None
    mean, variance = (_array(weight) for weight in (layer.moving_mean, layer.moving_variance))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 1 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale = scale * _array(layer.gamma)
    shift = -mean * np.where(np.isfinite(scale), scale, 0)
    if layer.center:
        shift = shift + _array(layer.beta)
    return Affine(scale, shift) if np.isfinite(scale).all() and np.isfinite(shift).all() else None


def _rescaling(node: Any, graph: Graph) -> Affine | None:
    layer, source = node.operation, node.input_tensors[0]
    floats = source.dtype == node.outputs[0].dtype and graph.computes_in(layer) == "float32"
    if not floats or len(source.shape) < 2 or keras.config.image_data_format() != "channels_last":
        return None
    channels = source.shape[-1]
    values = [np.asarray(value, np.float64) for value in (layer.scale, layer.offset)]
    if channels is None or any(value.shape not in ((), (1,), (channels,)) for value in values):
        return None
    return Affine(*(np.broadcast_to(value, channels) for value in values))


def _array(weight: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(weight), np.float64)


def _can_change(node: Any, graph: Graph) -> bool:
    if node is None or not _single(node):
        return False
    layer = node.operation
    plain = not getattr(layer, "lora_enabled", False) and getattr(layer, "quantization_mode", None) is None
    return type(layer) in FOLDED_INTO and graph.calls[layer] == 1 and graph.computes_in(layer) == "float32" and plain


def _same_axis(layer: Any, norm: Any, dimensions: int) -> bool:
    """Whether the BatchNorm normalizes the layer's channel axis."""
    first = getattr(layer, "data_format", "channels_last") == "channels_first"
    return getattr(norm, "axis", -1) % dimensions == (1 if first else dimensions - 1)


def _takes_after(node: Any, norm: Any, graph: Graph) -> bool:
    if not _can_change(node, graph) or node.operation.activation is not keras.activations.linear:
        return False
    tensor = node.outputs[0]
    return _same_axis(node.operation, norm.operation, len(tensor.shape)) and graph.users(tensor) == [norm]


def _takes_before(node: Any, norm: Any, shift: np.ndarray, graph: Graph) -> bool:
    """Whether a BatchNorm can be folded into the layer after it.

    With zero padding, a shift would give other values at the border; a transposed convolution has partial sums there.
    """
    if not _can_change(node, graph) or type(node.operation) in TRANSPOSED:
        return False
    layer = node.operation
    unpadded = type(layer) is _layers.Dense or layer.padding == "valid" or not shift.any()
    return unpadded and _same_axis(layer, norm.operation, len(node.input_tensors[0].shape))


def _folded(layer: Any, before: list[Affine], after: list[Affine]) -> Change:
    """The change that folds scales and shifts into a layer, computed in float64."""
    *kernels, bias = [np.asarray(value, np.float64) for value in layer.get_weights()] + (
        [] if layer.use_bias else [np.zeros(1)]
    )
    filters = _filters(layer, kernels)
    bias = np.broadcast_to(bias, filters)
    for affine in reversed(before):
        bias = bias + _response(layer, kernels, affine.shift)
        kernels = [_scaled_inside(layer, kernels[0], affine.scale), *kernels[1:]]
    for affine in after:
        bias = bias * affine.scale + affine.shift
        kernels = [*kernels[:-1], _scaled_outside(layer, kernels[-1], affine.scale)]
    if not layer.use_bias and not bias.any():
        return Change({}, [np.asarray(kernel, np.float32) for kernel in kernels])
    return Change({"use_bias": True}, [np.asarray(value, np.float32) for value in (*kernels, bias)])


def _filters(layer: Any, kernels: list[np.ndarray]) -> int:
    if type(layer) in DEPTHWISE:
        return int(np.prod(kernels[0].shape[-2:]))
    return int(kernels[-1].shape[-2 if type(layer) in TRANSPOSED else -1])


def _by_group(layer: Any, kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values by input channel, repeated to match the kernel's last two axes: (inputs of a group, filters)."""
    groups = getattr(layer, "groups", 1)
    return np.repeat(values.reshape(groups, -1).T, kernel.shape[-1] // groups, axis=1)


def _scaled_inside(layer: Any, kernel: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if type(layer) in (*DEPTHWISE, *SEPARABLE):
        return kernel * scale[:, None]
    return kernel * _by_group(layer, kernel, scale)


def _scaled_outside(layer: Any, kernel: np.ndarray, scale: np.ndarray) -> np.ndarray:
    if type(layer) in DEPTHWISE:
        return kernel * scale.reshape(kernel.shape[-2:])
    return kernel * (scale[:, None] if type(layer) in TRANSPOSED else scale)


def _response(layer: Any, kernels: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """Outputs (filters,) of a layer without its bias, for a map that is constant in each channel."""
    space = tuple(range(kernels[0].ndim - 2))
    if type(layer) in DEPTHWISE:
        return (kernels[0].sum(space) * values[:, None]).reshape(-1)
    if type(layer) in SEPARABLE:
        inner = (kernels[0].sum(space) * values[:, None]).reshape(-1)
        return inner @ kernels[1].reshape(kernels[1].shape[-2:])
    return (kernels[0].sum(space) * _by_group(layer, kernels[0], values)).sum(0)
