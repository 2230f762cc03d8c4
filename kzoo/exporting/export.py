"""`export` writes a model or a run as a file and checks that the file computes the same outputs."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo._version import __version__
from kzoo.backend import quiet_import
from kzoo.checks import is_whole
from kzoo.data.labels import texts
from kzoo.data.pixels import range_hint, whole_pixels
from kzoo.errors import InputError, RunFailed, unknown
from kzoo.exporting import interface
from kzoo.exporting.formats import Format, chosen_format
from kzoo.exporting.making import INT8, INT8_ONLY, Order, Pictures, make
from kzoo.exporting.parity import OPEN_SIZE, Parity, photographs, random_pictures
from kzoo.files import names_keras_file, user_path
from kzoo.introspection.backends import sync
from kzoo.introspection.file_metadata import SCHEMA_VERSION, read_metadata
from kzoo.introspection.keras_file import load_keras_file
from kzoo.introspection.outputs import read_outputs
from kzoo.seeds import generator
from kzoo.training.run import Run
from kzoo.training.saved_set import open_run

COMPARED = 16
"""Number of random images, and of real images, on which an export is compared."""
CALIBRATION = 256
"""Number of training images used to calibrate int8."""
LOWEST_OPSET = 7
"""The lowest version that tf2onnx writes."""
SCORED = 2000
"""Largest number of test or validation images on which int8 is scored."""

RESIZE = "bilinear with antialiasing to the whole size, without keeping the aspect ratio"
"""How images are scaled to the network's size; see `kzoo.data.images.resize`."""


@dataclass(frozen=True)
class Export:
    """An exported file.

    Attributes:
        path: the file or folder.
        format: the format's name.
        bytes: size of the file, or of all files in the folder.
        layers: number of layers ``before`` and ``after`` folding, including input and output.
        output: name of the outputs.
        parity: comparison with the model.
    """

    path: Path
    format: str
    bytes: int
    layers: dict[str, int]
    output: str
    parity: Parity

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {**asdict(self), "path": str(self.path)}


def export(
    model_or_run: keras.Model | Run | str | Path,
    path: str | Path,
    format: str | None = None,
    *,
    input: str | None = None,
    outputs: str | None = None,
    quantize: str | None = None,
    opset: int | None = None,
    fold: bool = True,
    class_names: Sequence[str] | None = None,
    calibration: np.ndarray | None = None,
    data_dir: str | Path | None = None,
    overwrite: bool = False,
) -> Export:
    """Write a network as a file that needs no kzoo, load it in its own runtime, and compare it with the network.

    The file takes raw 0-255 pixels and any batch size, and computes in float32, whatever precision the network was
    trained in. TensorFlow makes SavedModel, ONNX and LiteRT files, in a separate process where Keras runs on another
    backend. An earlier file is replaced only after the new one has passed the comparison.

    Args:
        model_or_run: a built Keras model, a `Run`, a run's directory, a .keras file, or a weight set
            (``MODEL:TAG``, its folder or URL).
        path: the file (.onnx, .tflite, .keras) or a SavedModel's folder.
        format: ``"savedmodel"``, ``"onnx"``, ``"litert"`` or ``"keras"``; by default taken from the path's suffix.
        input: dtype of the pixels, ``"float32"`` (the default) or ``"uint8"``; not with ``"int8-only"``.
        outputs: ``"probabilities"``, ``"logits"``, or None: probabilities for a run, a model's outputs unchanged.
        quantize: ``"int8"`` to compute in int8, ``"int8-only"`` to have int8 inputs and outputs too, with the file's
            scales and zero points (both LiteRT), or None.
        opset: version of ONNX's operators, 7 or more; the converter's default if not given.
        fold: fold BatchNorm and leave out layers that do nothing after training; see `fold_batch_norm`.
        class_names: names to embed; by default those of the run or the model.
        calibration: images (n, height, width, channels), 0-255, for int8; by default from the run's training part.
        data_dir: the data directory; by default the one that the run was trained with.
        overwrite: whether a file at `path` may be replaced.

    Raises:
        InputError: an argument or the model does not fit, TensorFlow or another package is missing, or `path` exists.
        RunFailed: the file's outputs differ from the model's by more than rounding.

    Example:
        >>> kzoo.export(run, "digits.keras").parity.same_class
        1.0
    """
    # Check every argument before any work.
    target = user_path(path)
    file_format = chosen_format(target, format)
    _check_options(file_format, input, outputs, quantize, opset)
    if calibration is not None and quantize is None:
        raise InputError(
            f"calibration: only quantize={INT8!r} or {INT8_ONLY!r} needs it; give one of them or leave it out"
        )
    _check_target(target, overwrite)

    # Open the model, and choose the images for the comparison.
    source, run, names = _opened(model_or_run)
    class_names = names if class_names is None else texts(class_names, "export")
    if run is not None:
        outputs = outputs or "probabilities"
    pictures, part, counts = _pictures(source, run, quantize, calibration, data_dir)
    _check_names(source, class_names)
    metadata = _metadata(source, run, class_names)

    # Make the file.
    dtype = input or "float32"
    order = Order("", file_format.name, dtype, outputs, fold, metadata, counts, part, quantize, opset)
    return _write(target, source, order, pictures, overwrite)


def _metadata(model: keras.Model, run: Run | None, class_names: Sequence[str] | None) -> dict[str, Any]:
    """The metadata of the file."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kzoo_version": __version__,
        "name": model.name if run is None else run.result.name,
        "class_names": None if class_names is None else list(class_names),
        "resize": RESIZE,
        "recipe": None if run is None else run.result.recipe,
    }


def _write(target: Path, model: keras.Model, order: Order, pictures: Pictures, overwrite: bool) -> Export:
    """Make the file in a temporary folder next to the target, so that a rename suffices and exports do not collide."""
    real = Path(os.path.realpath(target))  # a symbolic link stays one
    try:
        with tempfile.TemporaryDirectory(prefix=f".{real.name}-", dir=real.parent) as folder:
            temporary = Path(folder) / target.name
            made = make(model, replace(order, target=str(temporary)), pictures)
            size = sum(file.stat().st_size for file in [temporary, *temporary.rglob("*")] if file.is_file())
            _check_target(target, overwrite)  # again: it may have been made in the meantime
            _put_in_place(temporary, real)
    except OSError as error:
        raise RunFailed(f"cannot write {str(target)!r}: {error.strerror or error}; nothing was replaced") from None
    return Export(target, order.format, size, made["layers"], made["output"], Parity(**made["parity"]))


def _check_options(
    file_format: Format, input: str | None, outputs: str | None, quantize: str | None, opset: int | None
) -> None:
    # Check each argument by itself.
    if input is not None and input not in interface.INPUTS:
        raise unknown("input", input, interface.INPUTS)
    if outputs is not None and outputs not in interface.OUTPUTS:
        raise unknown("outputs", outputs, interface.OUTPUTS)
    if quantize not in (None, INT8, INT8_ONLY):
        raise unknown("quantize", quantize, [INT8, INT8_ONLY])

    # Then check its combination with the others and with the format.
    if quantize is not None and file_format.name != "litert":
        raise InputError(f"quantize={quantize!r}: only format 'litert' supports it, not {file_format.name!r}")
    if opset is not None and file_format.name != "onnx":
        raise InputError(f"opset={opset}: only format 'onnx' supports it, not {file_format.name!r}")
    if quantize == INT8_ONLY and input is not None:
        raise InputError(f"input={input!r}: with quantize={INT8_ONLY!r} the input is int8; leave it out")
    if file_format.tensorflow and importlib.util.find_spec("tensorflow") is None:
        raise InputError(
            f"format {file_format.name!r} is made by TensorFlow, which is not installed: pip install tensorflow "
            "(format 'keras' needs none)"
        )
    if opset is not None and importlib.util.find_spec("tf2onnx") is not None:  # without it, Keras says what is missing
        with quiet_import():
            from tf2onnx.constants import OPSET_TO_IR_VERSION

        highest = max(OPSET_TO_IR_VERSION)
        if not is_whole(opset, LOWEST_OPSET) or opset > highest:
            raise InputError(f"opset={opset!r}: an integer from {LOWEST_OPSET} to {highest} is needed")


def _check_target(target: Path, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise InputError(f"path {str(target)!r}: folder {str(target.parent)!r} does not exist")
    if target.exists() and not overwrite:
        raise InputError(f"path {str(target)!r} exists: choose another, or overwrite it (--force)")
    if target.is_dir() and not (target / "saved_model.pb").is_file():
        raise InputError(f"path {str(target)!r} is a folder but not a SavedModel: choose another")


def _opened(model_or_run: Any) -> tuple[keras.Model, Run | None, Sequence[str] | None]:
    """The model, its run, and the names of its classes."""
    if isinstance(model_or_run, keras.Model):
        sync(model_or_run)
        return model_or_run, None, getattr(model_or_run, "class_names", None)
    if isinstance(model_or_run, Run) or not names_keras_file(model_or_run):
        run = open_run(model_or_run)
        return run.model, run, run.class_names
    return load_keras_file(model_or_run), None, read_metadata(user_path(model_or_run)).get("class_names")


def _check_names(model: keras.Model, names: Sequence[str] | None) -> None:
    if names is None:
        return
    count = read_outputs(model).classes if len(model.outputs) == 1 else len(model.outputs)
    if count != len(names):
        raise InputError(f"class_names has {len(names)} names, model {model.name!r} gives {count} outputs")


def _pictures(
    model: keras.Model, run: Run | None, quantize: str | None, calibration: np.ndarray | None, data_dir: Any
) -> tuple[Pictures, str, dict[str, int]]:
    if len(getattr(model, "inputs", None) or []) != 1:
        raise InputError(f"model {model.name!r} must be built and have one input to be exported")
    shape = tuple(model.inputs[0].shape[1:])
    if len(shape) != 3 or shape[2] is None:
        raise InputError(f"model {model.name!r} takes {shape}: images (height, width, channels) are needed")

    # Real images, from the run's test or validation part if possible, otherwise photographs.
    labels = np.zeros(0, np.int64)
    real, part = photographs(shape, COMPARED), "photographs"
    held = None if run is None else _held_out(run, data_dir, required=quantize is not None)
    if held is not None:
        held_out, part = held
        count = min(len(held_out), SCORED if quantize else COMPARED)
        real, labels = held_out.images[:count], held_out.labels[: count if quantize else 0]

    # Images to calibrate int8.
    calibration_images = np.zeros((0, *(size or OPEN_SIZE for size in shape)), np.uint8)
    if quantize:
        calibration_images = _calibration(model, run, calibration, data_dir)

    # Random images, except for int8: their classes are arbitrary.
    drawn = random_pictures(shape, COMPARED)
    drawn = drawn[:0] if quantize and len(real) else drawn
    counts = {kind: len(images) for kind, images in (("random", drawn), (part, real)) if len(images)}
    return Pictures(np.concatenate([drawn, real]), labels, calibration_images), part, counts


def _held_out(run: Run, data_dir: Any, *, required: bool) -> tuple[Any, str] | None:
    part = next((part for part in ("test", "validation") if run.result.sizes.get(part)), "validation")
    try:
        return run.part(part, data_dir), part
    except InputError:
        if required:
            raise
        return None  # the comparison then uses photographs


def _calibration(model: keras.Model, run: Run | None, calibration: np.ndarray | None, data_dir: Any) -> np.ndarray:
    if calibration is None and run is None:
        raise InputError("quantize needs calibration: images of the training data; a run brings its own")
    if calibration is None:
        assert run is not None
        images = run.part("train", data_dir).images
        order = generator(0, "calibration images").permutation(len(images))[:CALIBRATION]
        return images[order]
    values = whole_pixels(np.asarray(calibration))
    shape = tuple(model.inputs[0].shape[1:])
    fits = (
        values.ndim == 4 and len(values) and all(b in (None, a) for a, b in zip(values.shape[1:], shape, strict=True))
    )
    if not fits:
        raise InputError(f"calibration of shape {values.shape}: images (n, *{shape}) of pixels 0 to 255 are needed")
    if values.dtype != np.uint8:
        raise InputError(f"calibration must be uint8 in 0-255, not {values.dtype}{range_hint(values)}")
    return values


def _put_in_place(temporary: Path, target: Path) -> None:
    """Replace a file in one step. A folder cannot be replaced in one step, so the old one is renamed first."""
    if not target.is_dir():
        os.replace(temporary, target)
        return
    aside = temporary.with_name(f"{temporary.name}-before")
    os.replace(target, aside)
    try:
        os.replace(temporary, target)
    except OSError:
        os.replace(aside, target)
        raise
