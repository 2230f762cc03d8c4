"""A model layer by layer, as in report c's first table: output, memory, parameters, work, receptive field."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from kzoo import notebook
from kzoo.errors import InputError, shown, some
from kzoo.introspection.graph import Call, calls, input_structure
from kzoo.introspection.layers import WITHOUT_KERNELS, freeze_alike
from kzoo.introspection.receptive_field import receptive_fields

# Work that cannot be read from a kernel: it is reported as not counted, never as zero.
_PRODUCTS = (
    "AdditiveAttention Attention CDist Corrcoef Correlate Dot DotProductAttention Einsum Inner Kron Matmul Outer "
    "Tensordot Vdot"
)
_CONVOLUTIONS = "Conv ConvTranspose DepthwiseConv GaussianBlur SeparableConv SobelEdges"
_TRANSFORMS = "FFT FFT2 IFFT2 ISTFT IRFFT MelSpectrogram RFFT STFT"
_LINEAR_ALGEBRA = (
    "Cholesky CholeskyInverse Det Eig Eigh Inv Logdet Lstsq LuFactor MatrixRank Pinv Qr SVD Slogdet Solve "
    "SolveTriangular"
)
_WITH_FUNCTIONS = "AssociativeScan Cond ForiLoop JVP Map Scan Switch VectorizedMap WhileLoop"
_UNCOUNTED = frozenset(" ".join((_PRODUCTS, _CONVOLUTIONS, _TRANSFORMS, _LINEAR_ALGEBRA, _WITH_FUNCTIONS)).split())


@dataclass(frozen=True)
class LayerRow:
    """One use of one layer.

    Attributes:
        name: the layer's name, preceded by the names of the models it is nested in.
        type: its class.
        output_shape: of one image's output (the first one, if there are several).
        activation_bytes: size of the output, per image.
        parameters: number of parameters, trainable or not; 0 if a shared layer is used again.
        trainable_parameters: number of trainable parameters.
        multiply_adds: per image, in convolutions and dense layers; padded zeros are counted, but bias additions,
            normalization, pooling and activations are not.
        receptive_field: rows and columns of the input that one output pixel can depend on, not cut off at the
            image's border; None if it is the whole input (after flattening or global pooling) or unknown.
    """

    name: str
    type: str
    output_shape: tuple[int, ...]
    activation_bytes: int
    parameters: int
    trainable_parameters: int
    multiply_adds: int
    receptive_field: tuple[int, ...] | None


@dataclass(frozen=True)
class LayerTable:
    """A model's rows, in the order of computation, and their totals.

    Attributes:
        name: the model's name.
        rows: the layers.
        uncounted: names of layers whose multiply-adds cannot be counted.
    """

    name: str
    rows: tuple[LayerRow, ...]
    uncounted: tuple[str, ...] = ()

    @property
    def activation_bytes(self) -> int:
        """Bytes of all outputs for one image, the input included, as training without recomputation keeps them."""
        return sum(row.activation_bytes for row in self.rows)

    @property
    def parameters(self) -> int:
        """All parameters, the moving averages of BatchNorm included."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable_parameters(self) -> int:
        """Trainable parameters."""
        return sum(row.trainable_parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per image, without those of the `uncounted` layers."""
        return sum(row.multiply_adds for row in self.rows)

    def __repr__(self) -> str:
        without = f" without those of {some(self.uncounted, 3)}" if self.uncounted else ""
        return (
            f"LayerTable({self.name!r}: {len(self.rows)} layers, {self.trainable_parameters:,} trainable of "
            f"{self.parameters:,} parameters, {self.multiply_adds:,} multiply-adds an image{without})"
        )

    def _repr_html_(self) -> str:
        rows = [
            (
                row.name,
                row.type,
                "x".join(map(str, row.output_shape)),
                f"{row.activation_bytes:,} B",
                f"{row.parameters:,}",
                f"{row.multiply_adds:,}",
                "x".join(map(str, row.receptive_field)) if row.receptive_field else None,
            )
            for row in self.rows
        ]
        header = ("layer", "type", "output", "memory/image", "parameters", "multiply-adds", "receptive field")
        return notebook.heading(repr(self)) + notebook.table(header, rows, left=(0, 1))

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON: name, totals, uncounted, layers."""
        totals = ("activation_bytes", "parameters", "trainable_parameters", "multiply_adds")
        return {
            "name": self.name,
            **{total: getattr(self, total) for total in totals},
            "uncounted": list(self.uncounted),
            "layers": [
                {
                    key: list(value) if isinstance(value, tuple) else value
                    for key, value in dataclasses.asdict(row).items()
                }
                for row in self.rows
            ],
        }


def layer_table(model: keras.Model, input_shape: Sequence[int] | None = None) -> LayerTable:
    """Describe any Functional or built Sequential Keras model.

    Args:
        model: one of kzoo's or any other; nested models are unfolded.
        input_shape: (height, width, channels) to describe the model for; needed if it leaves a size open.

    Raises:
        InputError: the model has no fixed graph, some size is open, or `input_shape` does not fit the model.

    Example:
        >>> kzoo.layer_table(kzoo.VGG08(classes=100)).trainable_parameters
        59716
    """
    steps = calls(model if input_shape is None else _of_shape(model, input_shape))
    for call in steps:
        if any(size is None for shape in call.output_shapes for size in shape):
            sizes = "x".join("?" if size is None else str(size) for size in call.output_shapes[0])
            raise InputError(f"layer {call.name!r} has output {sizes}: give an input_shape that fixes all sizes")
    work = [_multiply_adds(call) for call in steps]
    rows = (_row(*step) for step in zip(steps, work, receptive_fields(steps), strict=True))
    uncounted = tuple(call.name for call, count in zip(steps, work, strict=True) if count is None)
    return LayerTable(model.name, tuple(rows), uncounted)


def _of_shape(model: keras.Model, input_shape: Sequence[int]) -> keras.Model:
    """A copy of a model for images of another size; refused if its weights would have other shapes."""
    inputs = [call.name for call in calls(model) if not call.inputs]
    problem = f"input_shape={shown(input_shape)}: model {model.name!r}"
    if len(inputs) != 1:
        raise InputError(f"{problem} has {len(inputs)} inputs")
    try:
        image = keras.Input(tuple(input_shape), name=inputs[0])
        nested = keras.tree.pack_sequence_as(input_structure(model), [image])  # e.g. of keras.Model([x], y)
        copy = keras.models.clone_model(model, input_tensors=nested)
    except (TypeError, ValueError) as error:
        raise InputError(f"{problem} does not take it: {str(error).strip().partition(chr(10))[0]}") from None
    if any(one.shape != other.shape for one, other in zip(copy.weights, model.weights, strict=True)):
        raise InputError(f"{problem} takes {tuple(model.input_shape[1:])}; for that shape it would have other weights")
    freeze_alike(copy, model)
    return copy


def _row(call: Call, work: int | None, field: tuple[int, ...] | None) -> LayerRow:
    weights, trainable = (
        getattr(call.layer, kind, []) if call.first else [] for kind in ("weights", "trainable_weights")
    )
    return LayerRow(
        name=call.name,
        type=type(call.layer).__name__,
        output_shape=tuple(size or 0 for size in call.output_shapes[0]),
        activation_bytes=sum(
            _count(shape) * _bytes(dtype) for shape, dtype in zip(call.output_shapes, call.output_dtypes, strict=True)
        ),
        parameters=sum(math.prod(weight.shape) for weight in weights),
        trainable_parameters=sum(math.prod(weight.shape) for weight in trainable),
        multiply_adds=work or 0,
        receptive_field=field,
    )


def _count(shape: tuple[int | None, ...]) -> int:
    return math.prod(size or 0 for size in shape)


def _bytes(dtype: str) -> int:
    bits = "".join(c for c in dtype.partition("_")[0] if c.isdigit())
    return max(int(bits) // 8, 1) if bits else 1


def _multiply_adds(call: Call) -> int | None:
    """Multiply-adds of one call; None if they cannot be counted."""
    layer, layers = call.layer, keras.layers
    before, after = _count(call.input_shapes[0]) if call.inputs else 0, _count(call.output_shapes[0])
    if isinstance(layer, layers.EinsumDense):
        kernel, output = layer.equation.split(",")[1].split("->")
        summed = (size for letter, size in zip(kernel, layer.kernel.shape, strict=True) if letter not in output)
        return after * math.prod(summed)
    if isinstance(layer, layers.Dense):
        return after * layer.kernel.shape[0]

    # Convolutions.
    if isinstance(layer, (layers.SeparableConv1D, layers.SeparableConv2D)):
        depthwise, pointwise = layer.depthwise_kernel.shape, layer.pointwise_kernel.shape
        return after // layer.filters * (math.prod(depthwise) + math.prod(pointwise))
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return after * math.prod(layer.kernel_size)
    if isinstance(layer, (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)):
        return before * math.prod(layer.kernel_size) * layer.filters
    if isinstance(layer, (layers.Conv1D, layers.Conv2D, layers.Conv3D)):
        return after // layer.filters * math.prod(layer.kernel.shape)
    if isinstance(layer, (layers.Embedding, layers.Normalization, *WITHOUT_KERNELS)):
        return 0
    # Scales and shifts are not counted; other weights with several axes mean work of an unknown kind.
    tables = any(len(weight.shape) > 1 for weight in getattr(layer, "weights", []))
    return None if tables or type(layer).__name__ in _UNCOUNTED else 0
