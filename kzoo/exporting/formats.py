"""The table of export formats, which are written with Keras's `export` and `save`."""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.backend import quiet_import
from kzoo.errors import InputError, RunFailed, first_line, unknown
from kzoo.introspection.file_metadata import as_properties, write_inside, write_to_folder
from kzoo.introspection.graph import inner_layers


@dataclass(frozen=True)
class Conversion:
    """Settings of a format's converter; each field applies to one format only.

    Attributes:
        calibration: images (n, height, width, channels) to calibrate int8; None for float32 (LiteRT).
        integers: whether input and output are int8 as well (LiteRT with `calibration`).
        opset: version of ONNX's operators; None for the converter's default.
    """

    calibration: np.ndarray | None = None
    integers: bool = False
    opset: int | None = None


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        name: its name in ``format=``.
        suffix: suffix of its files; "" for a folder.
        write: function that writes a model: ``write(model, path, metadata, conversion)``.
        tensorflow: whether TensorFlow makes it.
    """

    name: str
    suffix: str
    write: Callable[[keras.Model, Path, Mapping[str, Any], Conversion], None]
    tensorflow: bool = True


def _signature(model: keras.Model) -> list[keras.InputSpec]:
    """The input signature. Without it, Keras exports only models that have been called."""
    return [keras.InputSpec(shape=x.shape, dtype=x.dtype, name=x.name) for x in model.inputs]


def _saved_model(model: keras.Model, path: Path, metadata: Mapping[str, Any], conversion: Conversion) -> None:
    model.export(path, format="tf_saved_model", verbose=False, input_signature=_signature(model))
    write_to_folder(path, metadata)


def _onnx(model: keras.Model, path: Path, metadata: Mapping[str, Any], conversion: Conversion) -> None:
    import onnx

    for layer in inner_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            raise InputError(
                f"format 'onnx': Keras cannot write layer {layer.name!r}, a Normalization: replace it by Rescaling, "
                "which has the same formula"
            )
    options = {} if conversion.opset is None else {"opset_version": conversion.opset}
    with quiet_import():
        from kzoo.exporting import onnx_operators  # noqa: F401  adds operators that tf2onnx lacks

    with warnings.catch_warnings(), _groups_uncompiled(model):
        warnings.simplefilter("ignore", FutureWarning)  # Keras uses a name that NumPy deprecates
        model.export(path, format="onnx", verbose=False, input_signature=_signature(model), **options)
    made = onnx.load(path)
    for value in (*made.graph.input, *made.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"  # tf2onnx names it unk__48 or similar
    onnx.helper.set_model_props(made, as_properties(metadata))
    onnx.checker.check_model(made)
    onnx.save(made, path)


@contextlib.contextmanager
def _groups_uncompiled(model: keras.Model) -> Iterator[None]:
    """Let convolutions in groups be plain operations: Keras compiles them with XLA, which tf2onnx cannot read."""
    import tensorflow as tf

    convolutions = (layer for layer in inner_layers(model) if isinstance(layer, keras.layers.Conv2D))
    layers = [layer for layer in convolutions if layer.groups > 1 and layer.data_format == "channels_last"]
    for layer in layers:
        layer.convolution_op = functools.partial(
            tf.nn.convolution,
            strides=list(layer.strides),
            padding=layer.padding.upper(),
            data_format="NHWC",
            dilations=list(layer.dilation_rate),
        )
    try:
        yield
    finally:
        for layer in layers:
            del layer.convolution_op


def _litert(model: keras.Model, path: Path, metadata: Mapping[str, Any], conversion: Conversion) -> None:
    options: dict[str, Any] = {}
    calibration = conversion.calibration
    if calibration is not None:
        import tensorflow as tf

        # Use enumeration members: TensorFlow silently accepts strings but ignores them.
        options = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: ([calibration[i : i + 1]] for i in range(len(calibration))),
            "target_spec": {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]},
        }
        if conversion.integers:
            options |= {"inference_input_type": tf.int8, "inference_output_type": tf.int8}
    model.export(path, format="litert", verbose=False, input_signature=_signature(model), **options)
    write_inside(path, metadata)


def _keras(model: keras.Model, path: Path, metadata: Mapping[str, Any], conversion: Conversion) -> None:
    model.save(path)
    write_inside(path, metadata)


FORMATS = {
    file_format.name: file_format
    for file_format in (
        Format("savedmodel", "", _saved_model),
        Format("onnx", ".onnx", _onnx),
        Format("litert", ".tflite", _litert),
        Format("keras", ".keras", _keras, tensorflow=False),
    )
}


def chosen_format(path: Path, name: str | None) -> Format:
    """The format with the given name, otherwise the format of the path's suffix (no suffix: a SavedModel folder).

    Raises:
        InputError: the format is unknown, or the path has the wrong suffix.
    """
    if name is not None and name not in FORMATS:
        raise unknown("format", name, FORMATS)
    by_suffix = {file_format.suffix: file_format for file_format in FORMATS.values()}
    suffix = path.suffix.lower()
    if name is None:
        if suffix not in by_suffix:
            raise InputError(f"path {str(path)!r} ends in {suffix!r}, which is not a format: name one of {_names()}")
        name = by_suffix[suffix].name
    file_format = FORMATS[name]
    if file_format.suffix == ".keras":
        suffix = path.suffix  # Keras neither writes nor reads capitals
    wrong = suffix != file_format.suffix if file_format.suffix else suffix in by_suffix and suffix != ""
    if wrong:
        ending = (
            f"end in {file_format.suffix}"
            if file_format.suffix
            else "be a folder's, without the suffix of another format"
        )
        raise InputError(f"path {str(path)!r}: for format {name!r} it must {ending}")
    return file_format


def _names() -> str:
    return ", ".join(FORMATS)


def write(
    model: keras.Model,
    path: Path,
    file_format: Format,
    metadata: Mapping[str, Any],
    conversion: Conversion | None = None,
) -> None:
    """Write a model in a format, and hide the output of the converters.

    Raises:
        InputError: a package that the format needs is not installed, or the format cannot hold a layer.
        RunFailed: the format's converter cannot convert the model.
    """
    try:
        with quiet_import():
            file_format.write(model, path, metadata, conversion or Conversion())
    except ImportError as error:
        extra = {"onnx": "onnx", "litert": "litert"}.get(file_format.name)
        package = f"'kzoo[{extra}]'" if extra else "tensorflow"
        raise InputError(f"format {file_format.name!r} needs {error.name or error}: pip install {package}") from None
    except InputError:
        raise
    except Exception as error:  # each converter raises different errors for an unknown layer
        raise RunFailed(
            f"model {model.name!r} cannot be converted to {file_format.name}: {first_line(error)}"
        ) from error
