"""Makes an exported file and compares it with the model, here or in a process where Keras runs on TensorFlow.

That process runs ``python -m kzoo.exporting.making FOLDER``, which writes ``answer.json`` into the folder.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError, KzooError, RunFailed, first_line, some
from kzoo.exporting.formats import FORMATS, Conversion, write
from kzoo.exporting.interface import with_interface
from kzoo.exporting.parity import check_outputs, compare, outputs_of
from kzoo.exporting.replay import LOW_PRECISION
from kzoo.exporting.runtimes import Exported
from kzoo.introspection.graph import inner_layers

INT8, INT8_ONLY = "int8", "int8-only"
QUANTIZED = "0 to 255, as int8 by the input's own scale and zero point"

_ERRORS: dict[str, type[KzooError]] = {"InputError": InputError, "RunFailed": RunFailed}


@dataclass(frozen=True)
class Order:
    """Settings of one export.

    Attributes:
        target: path of the new file.
        format: name of its format.
        input: dtype of the pixels.
        outputs: as for `with_interface`.
        fold: whether to fold BatchNorm.
        metadata: metadata to embed; inputs and outputs are added to it.
        images: number of compared images, by kind.
        part: part of the data from which the labelled images come.
        quantize: as for `kzoo.exporting.export.export`.
        opset: version of ONNX's operators; None for the converter's default.
    """

    target: str
    format: str
    input: str
    outputs: str | None
    fold: bool
    metadata: dict[str, Any]
    images: dict[str, int] = field(default_factory=dict)
    part: str = ""
    quantize: str | None = None
    opset: int | None = None


@dataclass(frozen=True)
class Pictures:
    """Images for one export, uint8 (n, height, width, channels).

    Attributes:
        compared: random and real images on which the file is compared with the model.
        labels: int64 labels of the last `compared` images; empty if none are labelled.
        calibration: images to calibrate int8; empty if nothing is quantized.
    """

    compared: np.ndarray
    labels: np.ndarray
    calibration: np.ndarray


def make(model: keras.Model, order: Order, pictures: Pictures) -> dict[str, Any]:
    """Make the file in this process, or in one with TensorFlow if the format needs it.

    Returns:
        ``parity`` (see `kzoo.exporting.parity.Parity`); ``layers``, the number of layers before and after folding; and
        ``output``, the name of the outputs.

    Raises:
        InputError: a package is missing, or the model cannot be exported.
        RunFailed: the file's outputs differ from the model's.
    """
    # Compute the outputs that the file must reproduce, and check them against the model's.
    images = pictures.compared.astype("float32")
    plain, _, kind = with_interface(model, outputs=order.outputs, fold=False, named=False)
    expected = np.asarray(plain.predict(images, batch_size=64, verbose=0))
    model_outputs = np.asarray(model.predict(images, batch_size=64, verbose=0))
    low = any(layer.compute_dtype in LOW_PRECISION for layer in [model, *inner_layers(model)])
    if kind is not None:
        check_outputs(model_outputs, expected, kind=kind, low_precision=low)
    inside = [layer for layer in inner_layers(plain) if not isinstance(layer, keras.Model | keras.layers.InputLayer)]
    kept = [layer.name for layer in inside if layer.compute_dtype in LOW_PRECISION]
    if kept:  # layers of a subclassed model, and those that a custom layer makes itself
        warnings.warn(
            f"model {model.name!r} is exported with layers that compute in low precision, because kzoo cannot copy "
            f"them alone: {some(kept)}",
            stacklevel=2,
        )

    # TensorFlow makes most formats.
    here = keras.backend.backend() == "tensorflow" or not FORMATS[order.format].tensorflow
    made = _make_here(model, order, pictures, expected) if here else _make_in_process(model, order, pictures, expected)
    made["layers"]["before"] = len(plain.layers)
    return made


def _make_here(model: keras.Model, order: Order, pictures: Pictures, expected: np.ndarray) -> dict[str, Any]:
    # The network with its new interface.
    file_format = FORMATS[order.format]
    ready, output, kind = with_interface(
        model, input=order.input, outputs=order.outputs, fold=order.fold, named=file_format.name != "keras"
    )

    # Describe the file's inputs and outputs.
    shape = list(ready.inputs[0].shape[1:])
    integers = order.quantize == INT8_ONLY
    taken = {"dtype": "int8", "pixels": QUANTIZED} if integers else {"dtype": order.input, "pixels": "0 to 255"}
    described = {
        "input": {"name": "image", "shape": shape, **taken},
        "output": {"name": output, "shape": list(expected.shape[1:]), "kind": kind},
        "folded": order.fold,
        "quantized": order.quantize,
    }

    # Write the file, open it in its runtime, and compare.
    calibration = pictures.calibration.astype(order.input) if order.quantize else None
    conversion = Conversion(calibration, integers, order.opset)
    write(ready, Path(order.target), file_format, {**order.metadata, **described}, conversion)
    outputs = outputs_of(_opened_again(order, model.name), pictures.compared)
    parity = compare(
        expected, outputs, output=output, images=order.images, labels=pictures.labels, part=order.part,
        quantized=order.quantize is not None,
    )  # fmt: skip
    return {"parity": asdict(parity), "layers": {"after": len(ready.layers)}, "output": output}


def _opened_again(order: Order, name: str) -> Exported:
    """The new file, opened in its runtime; an error names the model, because the file will be deleted."""
    try:
        return Exported(order.target)
    except InputError as error:
        if order.format == "litert" and "not supported by this interpreter" in str(error):
            raise InputError(
                f"model {name!r} uses operations that LiteRT lacks: export it to another format (LSTM and GRU layers "
                "have none with unroll=True)"
            ) from None
        if order.format != "keras":
            unreadable = str(error).partition(f" cannot be opened as {order.format}: ")[2]
            if not unreadable:
                raise  # the runtime is missing, say
            raise RunFailed(
                f"model {name!r} cannot be converted to {order.format}: the runtime refuses the file: {unreadable}"
            ) from None
        reason = str(error).partition(": ")[2].partition(". ")[0]
        raise InputError(
            f"model {name!r} cannot be loaded again from a .keras file ({reason}): use layers and functions that Keras "
            "finds by name, or another format"
        ) from None


def _make_in_process(model: keras.Model, order: Order, pictures: Pictures, expected: np.ndarray) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kzoo-export-") as name:
        folder = Path(name)
        model.save(folder / "model.keras")
        np.savez(folder / "pictures.npz", expected=expected, **vars(pictures))

        # The process imports the modules of custom layers and of registered functions, which registers them.
        modules = {type(layer).__module__ for layer in [model, *inner_layers(model)]}
        modules |= {getattr(each, "__module__", "keras") for each in keras.saving.get_custom_objects().values()}
        custom = sorted(module for module in modules if module.partition(".")[0] not in ("keras", "__main__"))
        (folder / "order.json").write_text(json.dumps({"order": asdict(order), "modules": custom}), encoding="utf-8")

        # Run TensorFlow on the CPU, with this process's module path.
        environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), *sys.path]))
        command = [sys.executable, "-m", "kzoo.exporting.making", str(folder)]
        process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if not (folder / "answer.json").exists():
            last = (process.stderr.strip() or "it said nothing").splitlines()[-1]
            raise RunFailed(f"the process that exports on TensorFlow ended with status {process.returncode}: {last}")
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    if "error" in answer:
        raise _ERRORS[answer["error"]](answer["message"])
    return dict(answer)


def main(folder: Path) -> None:
    """Carry out the order in a folder, and write the answer."""
    # Load the order, the images and the model.
    content = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    try:
        for module in content["modules"]:
            # What the model does not use may not be importable there; what it uses is missed below.
            with contextlib.suppress(Exception):
                importlib.import_module(module)
        with np.load(folder / "pictures.npz", allow_pickle=False) as arrays:
            expected = arrays["expected"]
            pictures = Pictures(arrays["compared"], arrays["labels"], arrays["calibration"])
        try:
            model = keras.saving.load_model(folder / "model.keras", compile=False, safe_mode=True)
        except Exception as error:  # a custom layer can raise anything
            raise InputError(f"the model cannot be loaded on TensorFlow: {first_line(error)}") from None
        answer = _make_here(model, Order(**content["order"]), pictures, expected)
    except KzooError as error:
        kind = "RunFailed" if isinstance(error, RunFailed) else "InputError"
        answer = {"error": kind, "message": str(error)}
    except Exception as error:
        message = f"the process that exports on TensorFlow failed: {type(error).__name__}: {first_line(error)}"
        answer = {"error": "RunFailed", "message": message}
    (folder / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
