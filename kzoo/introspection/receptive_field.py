"""Theoretical receptive fields: the extent of the input pixels that an output can depend on.

Every layer maps an interval of output rows to the interval of input rows that they are computed from. These intervals
are followed from one output row back to the model's input; where branches meet, their hull counts. Strides, dilation,
uneven padding, cropping and upsampling are therefore exact, and nothing is cut off at the image's border.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from kzoo.introspection.graph import Call

# Positions tried where a field depends on the position (upsampling, adaptive pooling).
_POSITIONS = 64

_POINTWISE = re.compile(
    "Activation|ActivityRegularization|Add|AlphaDropout|Average|BatchNormalization|Dense|Divide|Dropout|ELU|Elu|GELU|Gelu"
    "|GaussianDropout|GaussianNoise|HardSigmoid|HardSilu|Identity|LayerScale|LeakyReLU|LeakyRelu|Maximum|Minimum|Multiply"
    "|Normalization|PReLU|ReLU|Relu|Relu6|Rescaling|Sigmoid|Silu|Softplus|SpatialDropout[123]D|StochasticDepth|Subtract"
    "|Tanh|TrueDivide"
)
_SLIDING = re.compile(r"((Depthwise|Separable)?Conv|(Average|Max)Pooling)[123]D")
_REARRANGING = ("Flatten", "Permute", "Reshape")


@dataclass(frozen=True)
class _Axis:
    """How one spatial axis of a layer's output depends on its input.

    Attributes:
        back: maps first and last output row to first and last input row.
        even: whether the map is the same at every position, except for a shift.
    """

    back: Callable[[int, int], tuple[int, int]]
    even: bool = True


@dataclass(frozen=True)
class _Source:
    """An input of a call, and the way back to it along each axis."""

    tensor: int
    axes: tuple[_Axis, ...]


def receptive_fields(calls: Sequence[Call]) -> list[tuple[int, ...] | None]:
    """The receptive field of each call's (first) output.

    Args:
        calls: a model's calls, see `kzoo.introspection.graph.calls`; all shapes must be known.

    Returns:
        Per call, rows and columns (or as many numbers as there are spatial axes); 1 for the input itself. None for
        outputs that depend on the whole input (after flattening, global pooling, attention) or have no spatial axes,
        and for unknown layers.
    """
    first = any(getattr(call.layer, "data_format", None) == "channels_first" for call in calls)
    tracer = _Tracer(channels_first=first)
    return [tracer.add(call) for call in calls]


class _Tracer:
    def __init__(self, channels_first: bool) -> None:
        self.channels_first = channels_first
        self.sources: dict[int, list[_Source]] = {}  # by tensor, in order; an input of the model has none
        self.uneven: set[int] = set()
        self.rearranged: dict[int, tuple[int, tuple[int, ...], np.ndarray]] = {}

    def add(self, call: Call) -> tuple[int, ...] | None:
        tensor, sizes = call.outputs[0], self.sizes(call.output_shapes[0])
        sources = self.trace(call, sizes)
        if sources is None:
            return None
        self.sources[tensor] = sources
        if any(s.tensor in self.uneven or not all(axis.even for axis in s.axes) for s in sources):
            self.uneven.add(tensor)
        return tuple(self.field(tensor, axis, size) for axis, size in enumerate(sizes))

    def sizes(self, shape: tuple[int | None, ...]) -> tuple[int, ...]:
        """The spatial part of a shape."""
        known = tuple(size or 0 for size in shape)
        return known[1:] if self.channels_first else known[:-1]

    def trace(self, call: Call, sizes: tuple[int, ...]) -> list[_Source] | None:
        """The sources of a call's output; None if they are unknown."""
        if not call.inputs:
            return [] if sizes else None
        kind = _kind(call.layer)
        if kind in _REARRANGING:
            return self.rearrange(call)
        if not sizes or any(tensor not in self.sources for tensor in call.inputs) or len(call.outputs) != 1:
            return None
        sources = []
        for tensor, shape in zip(call.inputs, call.input_shapes, strict=True):
            before = self.sizes(shape)
            axes = _axes(call.layer, kind, before, sizes, self.channels_first) if len(before) == len(sizes) else None
            if axes is None:
                return None
            sources.append(_Source(tensor, axes))
        return sources

    def rearrange(self, call: Call) -> list[_Source] | None:
        """Trace reshaping and transposing element by element; several in a row can be a space-to-depth."""
        # Where each element of the tensor comes from.
        tensor, shape = call.inputs[0], call.input_shapes[0]
        if tensor in self.sources:
            origin, start = tensor, tuple(size or 0 for size in shape)
            elements = np.arange(np.prod(start, dtype=int)).reshape(start)
        elif tensor in self.rearranged:
            origin, start, elements = self.rearranged[tensor]
        else:
            return None

        # Move the elements as the layer does.
        if _kind(call.layer) == "Permute":
            elements = elements.transpose([axis - 1 for axis in call.layer.dims])
        elif not (_kind(call.layer) == "Flatten" and self.channels_first):
            elements = elements.reshape([size or 0 for size in call.output_shapes[0]])
        else:
            return None

        # The way back, if each output position depends on a window.
        self.rearranged[call.outputs[0]] = origin, start, elements
        if elements.ndim != len(start):
            return None
        spatial = range(1, elements.ndim) if self.channels_first else range(elements.ndim - 1)
        axes = [_affine(np.unravel_index(elements, start)[axis], axis, start[axis]) for axis in spatial]
        known = [axis for axis in axes if axis is not None]
        return [_Source(origin, tuple(known))] if known and len(known) == len(axes) else None

    def field(self, tensor: int, axis: int, size: int) -> int:
        positions = range(min(size or _POSITIONS, _POSITIONS)) if tensor in self.uneven else range(1)
        return max(self.extent(tensor, axis, position) for position in positions)

    def extent(self, tensor: int, axis: int, position: int) -> int:
        """Distance between the first and the last input row that one output row depends on, both included."""
        reached = {tensor: (position, position)}
        low, high = None, None
        for number in reversed(self.sources):
            interval = reached.get(number)
            if interval is None:
                continue
            if not self.sources[number]:
                low = interval[0] if low is None else min(low, interval[0])
                high = interval[1] if high is None else max(high, interval[1])
            for source in self.sources[number]:
                start, stop = source.axes[axis].back(*interval)
                if start <= stop:  # otherwise empty: a gap of a transposed convolution
                    known = reached.get(source.tensor, (start, stop))
                    reached[source.tensor] = min(start, known[0]), max(stop, known[1])
        return 0 if low is None or high is None else high - low + 1


def _kind(layer: Any) -> str:
    """Name of the Keras class of a layer, or that its class is derived from."""
    return next((c.__name__ for c in type(layer).__mro__ if c.__module__.partition(".")[0] == "keras"), "")


def _affine(rows: np.ndarray, axis: int, size: int) -> _Axis | None:
    """The map back, from the input row of every output element; None if output positions do not depend on windows."""
    others = tuple(i for i in range(rows.ndim) if i != axis)
    low, high = rows.min(axis=others), rows.max(axis=others)
    step = int(low[1] - low[0]) if len(low) > 1 else size
    expected = step * np.arange(len(low))
    if np.any(low - low[0] != expected) or np.any(high - high[0] != expected) or step < 1:
        return None
    return _window(step, int(low[0]), int(high[0]))


def _window(stride: int, first: int, last: int) -> _Axis:
    return _Axis(lambda low, high: (low * stride + first, high * stride + last))


def _axes(
    layer: Any, kind: str, before: tuple[int, ...], after: tuple[int, ...], channels_first: bool
) -> tuple[_Axis, ...] | None:
    """The way back along each axis of one layer; None if the layer is not known."""
    # Layers that work pixel by pixel, with broadcasting.
    rank = len(after)
    if _POINTWISE.fullmatch(kind) or _only_channels(layer, kind, rank, channels_first):
        if kind == "Dense" and channels_first:
            return None
        broadcast = _Axis(lambda low, high: (0, 0), even=False)
        return tuple(_window(1, 0, 0) if a == b else broadcast for a, b in zip(before, after, strict=True))

    # Padding, cropping, resizing.
    if kind.startswith(("ZeroPadding", "Cropping")):
        sign, amounts = (-1, layer.padding) if kind.startswith("Zero") else (1, layer.cropping)
        starts = [amounts[0]] if rank == 1 else [pair[0] for pair in amounts]
        return tuple(_window(1, sign * start, sign * start) for start in starts)
    if kind.startswith("UpSampling"):
        interpolation = getattr(layer, "interpolation", "nearest")
        return tuple(_upsampled(n, interpolation) for n in _per_axis(layer.size, rank))
    if kind.startswith("Adaptive"):
        return tuple(_adaptive(a, b) for a, b in zip(before, after, strict=True))

    # Sliding windows.
    if kind.endswith(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")):
        pairs = zip(*_windows(layer, layer.kernel_size, rank), strict=True)
        return tuple(_transposed(*pair, layer.padding) for pair in pairs)
    if not _SLIDING.fullmatch(kind):
        return None
    reach = _windows(layer, layer.kernel_size if "Conv" in kind else layer.pool_size, rank)
    pairs = zip(*reach, strict=True)
    return tuple(_sliding(n, *pair, layer.padding) for n, pair in zip(before, pairs, strict=True))


def _only_channels(layer: Any, kind: str, rank: int, channels_first: bool) -> bool:
    """Whether a layer that works along some axis does so along the channels only."""
    if kind not in ("Concatenate", "LayerNormalization", "Softmax", "UnitNormalization"):
        return False
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return [axis % (rank + 2) for axis in axes] == [1 if channels_first else rank + 1]


def _per_axis(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _windows(layer: Any, size: Any, rank: int) -> tuple[list[int], tuple[int, ...]]:
    """Per axis, how many rows a window reaches beyond its first one, and the stride."""
    dilation = _per_axis(getattr(layer, "dilation_rate", 1), rank)
    spans = [d * (k - 1) for k, d in zip(_per_axis(size, rank), dilation, strict=True)]
    return spans, _per_axis(layer.strides, rank)


def _sliding(size: int, span: int, stride: int, padding: str) -> _Axis:
    """Convolution or pooling; Keras's "same" puts the smaller half of the padding first."""
    before = 0
    if padding == "same":
        before = max((-(-size // stride) - 1) * stride + span + 1 - size, 0) // 2
    elif padding == "causal":
        before = span
    return _window(stride, -before, span - before)


def _transposed(span: int, stride: int, padding: str) -> _Axis:
    before = max(span + 1 - stride, 0) // 2 if padding == "same" else 0
    return _Axis(lambda low, high: (-(-(low + before - span) // stride), (high + before) // stride), even=False)


def _upsampled(size: int, interpolation: str) -> _Axis:
    # A pixel's centre is at (i + 1/2) / size - 1/2 in the input: between two pixels, or on one.
    if interpolation == "nearest":
        return _Axis(lambda low, high: (low // size, high // size), even=False)
    reach = {"bilinear": 0, "bicubic": 1, "lanczos3": 2, "lanczos5": 4}[interpolation]
    return _Axis(
        lambda low, high: ((2 * low + 1 - size) // (2 * size) - reach, -((size - 2 * high - 1) // (2 * size)) + reach),
        even=False,
    )


def _adaptive(before: int, after: int) -> _Axis:
    return _Axis(lambda low, high: (low * before // after, -(-(high + 1) * before // after) - 1), even=False)
