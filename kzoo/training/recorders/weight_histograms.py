"""How each layer's weights are distributed, over the epochs of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError
from kzoo.files import write_json
from kzoo.introspection.layers import find_kernels
from kzoo.schemas import check_version
from kzoo.training.recorders.flow_history import rounded

FILE = "weight_histograms.json"
BINS = 32
RECORDED = 20  # epochs of a run, in addition to epoch 0
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Histogram:
    """One kernel's weights: bins of equal width from `low` to `high`, the finite weights' mean and deviation.

    Attributes:
        low, high: the smallest and the largest weight (half a unit below and above if all are equal).
        mean, deviation: of the finite weights; NaN if there are none.
        counts: weights in each bin; weights that are not finite are in none.
    """

    low: float
    high: float
    mean: float
    deviation: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class WeightHistory:
    """Histograms of all kernels over epochs.

    Attributes:
        layers: paths of the layers, in topological order where the model has one.
        epochs: the epochs of the histograms; 0 is before training, 1 after the first epoch.
        histograms: by epoch and layer.
    """

    layers: tuple[str, ...]
    epochs: tuple[int, ...]
    histograms: tuple[tuple[Histogram, ...], ...]

    def until(self, epochs: Sequence[int]) -> WeightHistory:
        """The part recorded at the given epochs."""
        kept = [i for i, epoch in enumerate(self.epochs) if epoch in epochs]
        return WeightHistory(self.layers, tuple(self.epochs[i] for i in kept), tuple(self.histograms[i] for i in kept))

    def of(self, layers: Sequence[str]) -> WeightHistory:
        """The part of the given layers; earlier versions recorded more, such as the slopes of PReLU."""
        kept = [i for i, layer in enumerate(self.layers) if layer in layers]
        rows = tuple(tuple(row[i] for i in kept) for row in self.histograms)
        return WeightHistory(tuple(self.layers[i] for i in kept), self.epochs, rows)

    def with_epoch(self, epoch: int, histograms: Sequence[Histogram]) -> WeightHistory:
        """A copy with one more epoch."""
        return WeightHistory(self.layers, (*self.epochs, epoch), (*self.histograms, tuple(histograms)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON data, with six significant digits."""
        rows = [
            [[*(rounded(v, 6) for v in (h.low, h.high, h.mean, h.deviation)), list(h.counts)] for h in row]
            for row in self.histograms
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "fields": ["low", "high", "mean", "deviation", "counts"],
            "layers": list(self.layers),
            "epochs": list(self.epochs),
            "histograms": rows,
        }

    @classmethod
    def from_dict(cls, data: Any) -> WeightHistory:
        """The history that `to_dict` returned.

        Raises:
            InputError: the data is something else, or of a newer version.
        """
        try:
            check_version(data, "file of weight histograms", SCHEMA_VERSION)
            rows = tuple(tuple(_histogram(*fields) for fields in row) for row in data["histograms"])
            history = cls(tuple(data["layers"]), tuple(map(int, data["epochs"])), rows)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"no weight histograms: {error!r}") from None
        if len(rows) != len(history.epochs) or any(len(row) != len(history.layers) for row in rows):
            raise InputError("no weight histograms: epochs, layers and histograms do not fit together")
        return history


def _histogram(low: float, high: float, mean: float | None, deviation: float | None, counts: list[int]) -> Histogram:
    mean, deviation = (float("nan") if value is None else float(value) for value in (mean, deviation))
    return Histogram(float(low), float(high), mean, deviation, tuple(map(int, counts)))


def read_weight_histograms(path: str | Path) -> WeightHistory:
    """The histograms in a run's directory, or in a file.

    Raises:
        InputError: there are no histograms, or the file is damaged.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{str(path)!r} does not exist: the run kept no weight histograms (diagnostics were off)")
    try:
        return WeightHistory.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"file {str(path)!r} cannot be read: {error}") from None


def histogram(weights: np.ndarray, bins: int = BINS) -> Histogram:
    """The histogram of an array of any shape."""
    values = np.asarray(weights, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return Histogram(0.0, 0.0, float("nan"), float("nan"), (0,) * bins)
    counts, edges = np.histogram(values, bins)
    return Histogram(
        float(edges[0]), float(edges[-1]), float(values.mean()), float(values.std()), tuple(counts.tolist())
    )


def _kernels(model: keras.Model) -> list[tuple[str, Any]]:
    """(path, variable) of all kernels, even frozen ones; if a layer has several, the variable's name ends the path."""
    return [
        (path if len(kernels) == 1 else f"{path}/{variable.name}", variable)
        for path, kernels in find_kernels(model, frozen=True)
        for variable in kernels
    ]


def weight_histograms(model: keras.Model) -> dict[str, Histogram]:
    """The histogram of every kernel of a built model, by layer.

    Example:
        >>> list(kzoo.weight_histograms(model))
        ['block1_conv', 'logits']
    """
    return {path: histogram(keras.ops.convert_to_numpy(variable)) for path, variable in _kernels(model)}


class WeightHistograms(keras.callbacks.Callback):
    """Keeps histograms of a model's kernels in ``weight_histograms.json``: before training and after at most 20 epochs.

    It only reads weights, so training ends with the same bits with and without it.
    """

    def __init__(self, model: keras.Model, directory: str | Path, epochs: int) -> None:
        """Record `model` (the one that is trained, or that shares its weights) in a run of `epochs` epochs."""
        super().__init__()
        self._recorded = model
        self._path = Path(directory) / FILE
        self._every = max(1, -(-epochs // RECORDED))
        self._epochs = epochs
        self._last, self._begun = 0, False
        self.history = WeightHistory(tuple(path for path, _ in _kernels(model)), (), ())

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Record the weights that training begins with."""
        if epoch == 0 and not self._begun:
            self._record(0)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Record some epochs."""
        self._last = epoch + 1
        if self._last % self._every == 0 or self._last == self._epochs:
            self._record(self._last)

    def on_train_end(self, logs: Any = None) -> None:
        """Record the last epoch if training stopped early."""
        if self._last and self._last not in self.history.epochs:
            self._record(self._last)

    def _record(self, epoch: int) -> None:
        self._begun = True
        if epoch in self.history.epochs:
            return
        self.history = self.history.with_epoch(epoch, list(weight_histograms(self._recorded).values()))
        self._write()

    def _write(self) -> None:
        write_json(self._path, self.history.to_dict(), indent=None, locked=True)

    def state(self) -> dict[str, Any]:
        """What has been recorded; the histograms themselves are in the file."""
        return {"epochs": list(self.history.epochs), "last": self._last, "begun": self._begun}

    def restore(self, state: dict[str, Any]) -> None:
        """Resume from a state; the file may also hold epochs that will be trained again, which are dropped."""
        self._last, self._begun = state["last"], state["begun"]
        try:
            recorded = read_weight_histograms(self._path)
        except InputError:
            return  # deleted or damaged: no reason to stop training, only a picture is lost
        recorded = recorded.of(self.history.layers)
        if recorded.layers == self.history.layers:
            self.history = recorded.until(state["epochs"])
            if self.history != recorded:
                self._write()
