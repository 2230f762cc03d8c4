"""Latency and throughput of a classifier in each installed runtime."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.checks import is_whole
from kzoo.errors import InputError
from kzoo.exporting.export import export
from kzoo.exporting.parity import OPEN_SIZE
from kzoo.exporting.runtimes import Exported
from kzoo.files import names_keras_file, user_path
from kzoo.introspection.keras_file import load_keras_file
from kzoo.training.saved_set import open_run

BATCHES = (1, 64)
RUNTIMES = {"onnx": ("onnxruntime", ".onnx"), "litert": ("ai_edge_litert", ".tflite"), "savedmodel": ("tensorflow", "")}
"""By format: the package that runs its files, and their suffix."""
LEAST = 10
"""Smallest number of timed calls, no matter how long they take."""


@dataclass(frozen=True)
class Timing:
    """One batch size in one runtime.

    Attributes:
        runtime: the format of the file, or ``"keras"`` for the model's own `predict_on_batch`.
        batch: images per call.
        calls: number of timed calls.
        milliseconds: median time of a call.
        slowest: 95th percentile of a call's time, in milliseconds.
        images_per_second: throughput at the median time.
    """

    runtime: str
    batch: int
    calls: int
    milliseconds: float
    slowest: float
    images_per_second: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)


def time_calls(runtime: str, call: Callable[[np.ndarray], Any], images: np.ndarray, seconds: float) -> Timing:
    """Time calls on one batch, after two warm-up calls."""
    for _ in range(2):
        call(images)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < LEAST or time.perf_counter() < end:
        start = time.perf_counter()
        call(images)
        taken.append(time.perf_counter() - start)
    median = statistics.median(taken)
    slowest = float(np.quantile(taken, 0.95))
    return Timing(runtime, len(images), len(taken), 1e3 * median, 1e3 * slowest, len(images) / median)


def benchmark(target: str | Path, *, batches: Sequence[int] = BATCHES, seconds: float = 2.0) -> list[Timing]:
    """Time a classifier in its runtimes, on random pixels.

    Args:
        target: an exported file, which is timed in its own runtime; or a run's directory, a weight set or a .keras
            file, which is timed in Keras and, as temporary exported files, in every other installed runtime.
        batches: images per call.
        seconds: time to spend on each batch size in each runtime.

    Raises:
        InputError: the target is something else, or a number is not above 0.
    """
    if not batches or not all(map(is_whole, batches)):
        raise InputError(f"batches must be positive integers, not {list(batches)!r}")
    if not 0 < seconds < float("inf"):
        raise InputError(f"seconds must be above 0 and finite, not {seconds!r}")
    path = user_path(target)
    if path.suffix.lower() in (".onnx", ".tflite") or (path / "saved_model.pb").is_file():
        file = Exported(path)
        return [_timed(file, batch, seconds) for batch in batches]
    return _every_runtime(str(target), batches, seconds)


def _every_runtime(target: str, batches: Sequence[int], seconds: float) -> list[Timing]:
    # In Keras.
    model = load_keras_file(target) if names_keras_file(target) else open_run(target).model
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise InputError(
            f"{target!r}: a network with one input, images (batch, height, width, channels), is needed; a subclassed "
            "model must be built"
        )
    shape = tuple(size or OPEN_SIZE for size in inputs[0].shape[1:])
    timings = []
    for batch in batches:
        images = _pictures(batch, shape, "float32")
        timings.append(time_calls("keras", model.predict_on_batch, images, seconds))

    # In each other installed runtime, from a temporary file.
    if importlib.util.find_spec("tensorflow") is None:  # TensorFlow makes the files
        return timings
    with tempfile.TemporaryDirectory() as folder:
        for name, (package, suffix) in RUNTIMES.items():
            needed = (package, "tf2onnx") if name == "onnx" else (package,)
            if any(importlib.util.find_spec(module) is None for module in needed):
                continue
            path = Path(folder) / f"model{suffix}"
            export(target, path, name)
            file = Exported(path)
            timings += [_timed(file, batch, seconds) for batch in batches]
    return timings


def _timed(file: Exported, batch: int, seconds: float) -> Timing:
    fixed = tuple(size or OPEN_SIZE for size in file.image_shape)
    dtype = "uint8" if file.input_dtype == "int8" else file.input_dtype  # the call itself quantizes pixels
    return time_calls(file.format, file, _pictures(batch, fixed, dtype), seconds)


def _pictures(batch: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (batch, *shape)).astype(dtype)
