"""Opens exported files in their runtimes (TensorFlow, ONNX Runtime, LiteRT, Keras), which are imported when needed."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.backend import quiet_import
from kzoo.errors import InputError, first_line, some
from kzoo.exporting.parity import OPEN_SIZE
from kzoo.introspection.file_metadata import checked, from_properties, read_metadata
from kzoo.introspection.output_kinds import Kind


class Exported:
    """An exported network, opened in its runtime.

    Attributes:
        path: the file, or a SavedModel's folder.
        format: ``"savedmodel"``, ``"onnx"``, ``"litert"`` or ``"keras"``.
        input_dtype: ``"uint8"`` or ``"float32"``, pixels 0-255 in both; or ``"int8"``, pixels by the file's own scale
            and zero point.
        image_shape: (height, width, channels); None for a size that is not fixed.
        batch: number of images per call; None for any.
        output: ``"probabilities"``, ``"logits"``, or another name of the file's output.
        metadata: the file's metadata; empty for a file that kzoo did not write.
        kind: kind of the outputs, see `kzoo.introspection.output_kinds`; None if the file does not declare it.
        rounding: largest rounding error of an integer output; 0 for floats.
        model: the Keras model in a .keras file; None for others.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        """Open a file in the runtime that its suffix selects.

        Args:
            path: a SavedModel's folder, or a file ending in .onnx, .tflite or .keras.
            threads: number of threads of ONNX Runtime or LiteRT; by default the runtime's choice. TensorFlow sets its
                number for the whole process.

        Raises:
            InputError: the file does not exist, cannot be read or takes no images, or its runtime is not installed.
        """
        self.path = Path(path)
        self.format = format_of(self.path)
        self.metadata: dict[str, Any] = {}
        self.kind: Kind | None = None
        self.rounding = 0.0
        self.model: Any = None
        opener = {"savedmodel": _saved_model, "onnx": _onnx, "litert": _litert, "keras": _keras}[self.format]
        try:
            with quiet_import():
                parts = opener(self, threads)
        except InputError:
            raise
        except Exception as error:  # each runtime raises different errors for a damaged file
            raise InputError(f"{str(path)!r} cannot be opened as {self.format}: {first_line(error)}") from None

        # The kind of the outputs comes from the metadata or from their name.
        self._run, shape, self.input_dtype, self.output, columns = parts
        kinds: dict[str, Kind] = {"probabilities": "softmax", "logits": "logits"}
        by_name = kinds.get(self.output) if columns != 1 else None  # one column under either name can be a sigmoid
        self.kind = self.metadata.get("output", {}).get("kind") or by_name or self.kind

        # Require images with channels last.
        if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
            raise InputError(
                f"{str(path)!r} takes images of shape {tuple(shape)}, channels first: images (batch, height, width, "
                "channels) are needed"
            )
        if len(shape) != 4 or self.input_dtype not in ("uint8", "float32", "int8"):
            raise InputError(
                f"{str(path)!r} takes {self.input_dtype} of shape {tuple(shape)}: images "
                "(batch, height, width, channels), uint8, float32 or int8, are needed"
            )
        self.image_shape = tuple(shape[1:])
        self.batch = shape[0] if shape[0] and shape[0] > 0 else None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Outputs of a batch of images, pixels 0-255 of any type: float (batch, ...); integers are dequantized."""
        dtype = "float32" if self.input_dtype == "int8" else self.input_dtype  # quantized by the runtime's function
        pixels = np.ascontiguousarray(images, dtype=dtype)
        if self.batch in (None, len(pixels)):
            return np.asarray(self._run(pixels))

        # If the batch size is fixed, fill up the last batch with copies of its first image.
        outputs = []
        for start in range(0, len(pixels), self.batch):
            part = pixels[start : start + self.batch]
            filled = np.concatenate([part, np.repeat(part[:1], self.batch - len(part), axis=0)])
            outputs.append(np.asarray(self._run(filled))[: len(part)])
        return np.concatenate(outputs)


Opened = tuple[Callable[[np.ndarray], Any], tuple[int | None, ...], str, str, Any]
"""A function, the shape and type of its input, and the name and number of columns of its output (if known)."""


def format_of(path: Path) -> str:
    """The format of an exported file.

    Raises:
        InputError: the file does not exist, or has another format.
    """
    if path.is_dir() and (path / "saved_model.pb").is_file():
        return "savedmodel"
    if not path.exists():
        raise InputError(f"file {str(path)!r} does not exist")
    known = {".onnx": "onnx", ".tflite": "litert", ".keras": "keras"}
    if path.is_dir() or path.suffix.lower() not in known:
        raise InputError(f"{str(path)!r} is neither a SavedModel folder nor a file ending in {', '.join(known)}")
    return known[path.suffix.lower()]


def _one(file: Exported, kind: str, items: Collection[Any]) -> Collection[Any]:
    """The items, if there is exactly one."""
    if len(items) != 1:
        raise InputError(f"{str(file.path)!r} has {len(items)} {kind}s: a network with one {kind} is needed")
    return items


def _module(name: str, extra: str | None, described: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = f"'kzoo[{extra}]'" if extra else name
        raise InputError(f"{described} needs {name.partition('.')[0]}: pip install {package}") from None


@contextlib.contextmanager
def _without_wildcards(path: Path) -> Iterator[Path]:
    """The path, or a link to it if TensorFlow would read parts of the path as a wildcard."""
    if not any(sign in str(path.resolve()) for sign in "[]*?"):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="kzoo-") as folder:
        alias = Path(folder) / "model"
        alias.symlink_to(path.resolve(), target_is_directory=True)
        yield alias


def _saved_model(file: Exported, threads: int | None) -> Opened:
    tf = _module("tensorflow", None, "a SavedModel")
    with _without_wildcards(file.path) as path:
        loaded = tf.saved_model.load(str(path))
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        names = some(loaded.signatures) or "none"
        raise InputError(f"{str(file.path)!r} has no signature 'serving_default'; it has {names}")
    ((key, spec),) = _one(file, "input", signature.structured_input_signature[1].items())
    (output,) = _one(file, "output", signature.structured_outputs)
    file.metadata = read_metadata(file.path)

    # Keep the loaded object alive: the signature only refers to its variables.
    def run(images: np.ndarray, kept: Any = loaded) -> Any:
        return signature(**{key: tf.constant(images)})[output].numpy()

    return run, tuple(spec.shape), spec.dtype.name, output, signature.structured_outputs[output].shape[-1]


def _onnx(file: Exported, threads: int | None) -> Opened:
    onnxruntime = _module("onnxruntime", "onnx", "an ONNX file")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file.path), options, providers=["CPUExecutionProvider"])
    (entry,), (output,) = _one(file, "input", session.get_inputs()), _one(file, "output", session.get_outputs())
    file.metadata = checked(from_properties(session.get_modelmeta().custom_metadata_map), file.path)
    shape = tuple(size if isinstance(size, int) else None for size in entry.shape)
    dtype = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}.get(entry.type, entry.type)
    columns = output.shape[-1] if output.shape else None
    return lambda images: session.run([output.name], {entry.name: images})[0], shape, dtype, output.name, columns


def _litert(file: Exported, threads: int | None) -> Opened:
    module = _module("ai_edge_litert.interpreter", "litert", "a LiteRT file")
    interpreter = module.Interpreter(model_path=str(file.path), num_threads=threads)
    for entry in interpreter.get_input_details():
        batch, *sizes = entry["shape_signature"].tolist() or [1]
        if min(sizes, default=0) < 0:  # LiteRT would assume 1 pixel, which can be too few for a convolution
            open_sizes = [OPEN_SIZE if size < 0 else size for size in sizes]
            interpreter.resize_tensor_input(entry["index"], [max(batch, 1), *open_sizes])
    interpreter.allocate_tensors()  # here, where its messages are hidden
    runner = interpreter.get_signature_runner()
    ((name, details),) = _one(file, "input", runner.get_input_details().items())
    ((output, result),) = _one(file, "output", runner.get_output_details().items())
    file.metadata = read_metadata(file.path)

    # Get the shape, type and quantization of the input and the output.
    shape = tuple(None if size < 0 else int(size) for size in details["shape_signature"])
    taken, back = Quantization.of(details), Quantization.of(result)
    dtype = np.dtype(details["dtype"]).name
    if dtype == "int8":
        _check_takes_pixels(file, taken)
    file.rounding = back.scale / 2 if back else 0.0

    def run(images: np.ndarray) -> np.ndarray:
        # uint8 inputs are the pixels themselves, whatever their scale in the file.
        pixels = taken.integers(images) if taken and dtype == "int8" else images
        outputs = runner(**{name: pixels})[output]
        return back.numbers(outputs) if back else outputs

    return run, shape, dtype, output, result["shape"][-1] if len(result["shape"]) else None


@dataclass(frozen=True)
class Quantization:
    """LiteRT's encoding of numbers as integers: ``number = (integer - zero_point) * scale``."""

    scale: float
    zero_point: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Quantization | None:
        """The quantization of a tensor, from LiteRT's details; None for a float tensor."""
        scale, zero_point = details["quantization"]
        dtype = np.dtype(details["dtype"])
        return cls(float(scale), int(zero_point), dtype) if scale and dtype.kind in "iu" else None

    def integers(self, numbers: np.ndarray) -> np.ndarray:
        """Quantize float numbers to the nearest integers."""
        limits = np.iinfo(self.dtype)
        return np.clip(np.round(numbers / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)

    def numbers(self, integers: np.ndarray) -> np.ndarray:
        """Dequantize integers to float32 numbers."""
        return ((integers.astype(np.int32) - self.zero_point) * np.float32(self.scale)).astype(np.float32)


def _check_takes_pixels(file: Exported, taken: Quantization | None) -> None:
    """Refuse int8 inputs without a scale, or with a range that does not fit pixels."""
    if taken is None:
        raise InputError(
            f"{str(file.path)!r} takes int8 without a scale: the file does not say how pixels 0-255 become int8"
        )
    lowest, highest = ((limit - taken.zero_point) * taken.scale for limit in (-128, 127))
    if not file.metadata and (lowest > 127 or highest < 128):
        raise InputError(
            f"{str(file.path)!r} takes numbers from {lowest:.3g} to {highest:.3g}: images with pixels 0-255 are needed"
        )


def _keras(file: Exported, threads: int | None) -> Opened:
    keras = _module("keras", None, "a Keras file")
    model = importlib.import_module("kzoo.introspection.keras_file").load_keras_file(file.path)  # needs Keras
    outputs = importlib.import_module("kzoo.introspection.outputs")
    inputs, results = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if not inputs:
        raise InputError(
            f"{str(file.path)!r} does not say which images it takes: save a Functional model, "
            "keras.Model(inputs, model(inputs))"
        )
    (image,), _ = _one(file, "input", inputs), _one(file, "output", results)
    with contextlib.suppress(InputError):  # not a classifier
        file.kind = outputs.read_outputs(model).kind
    file.metadata, file.model = read_metadata(file.path), model
    output = file.metadata.get("output", {}).get("name", "outputs")

    def run(images: np.ndarray) -> Any:
        # As `predict` computes: its graph can differ from a plain call. The one output can be in a dictionary.
        (outputs,) = keras.tree.flatten(model.predict_on_batch(images))
        return outputs

    dtype = keras.backend.standardize_dtype(image.dtype)
    return run, tuple(image.shape), dtype, output, results[0].shape[-1] if len(results[0].shape) else None
