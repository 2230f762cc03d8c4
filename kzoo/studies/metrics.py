"""The figures that a record gives, by name: how they are read, called and written (no Keras)."""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kzoo.errors import unknown

EPOCHS_TO = re.compile(r"epochs_to_([1-9][0-9]?)")
AT_EPOCH = re.compile(r"((?:train|val)_(?:accuracy|loss))_at_([1-9][0-9]*)")
CHANGED = re.compile(r"(accuracy|agreement)_at_(shift|angle)_([1-9][0-9]*)")


@dataclass(frozen=True)
class Metric:
    """A figure of a record.

    Attributes:
        title: what it is.
        kind: ``"share"`` (accuracies, 0 to 1), ``"loss"`` (nats), ``"epochs"``, ``"bytes"``, ``"count"``, ``"ratio"``,
            ``"flops"``, ``"seconds"``.
        read: takes it from a record (`kzoo.training.records.Result`); None where the record does not have it.
    """

    title: str
    kind: str
    read: Callable[[Any], float | None]


def _score(part: str, field: str) -> Callable[[Any], float | None]:
    def read(record: Any) -> float | None:
        score = getattr(record, part, None)
        return None if score is None else float(getattr(score, field))

    return read


def _gap(record: Any) -> float | None:
    if record.train is None or record.test is None:
        return None
    return float(record.train.accuracy - record.test.accuracy)


def _lowest_loss(record: Any) -> float | None:
    losses = record.history.get("val_loss")
    return float(losses.index(min(losses)) + 1) if losses else None


def _unsteadiness(record: Any) -> float | None:
    values = record.history.get("val_accuracy", [])
    half = values[len(values) // 2 :]
    if len(half) < 2:
        return None
    return statistics.fmean(abs(b - a) for a, b in itertools.pairwise(half))


def _gradient_ratio(which: int) -> Callable[[Any], float | None]:
    def read(record: Any) -> float | None:
        flow = getattr(record, "gradient_flow", None)
        if not flow or len(flow["layers"]) < 2:
            return None
        row = flow["gradients"][which]
        return float(row[0] / row[-1]) if row[-1] else None

    return read


def _gradient_change(record: Any) -> float | None:
    flow = getattr(record, "gradient_flow", None)
    if not flow or len(flow["gradients"]) < 2:
        return None
    first, last = (statistics.fmean(flow["gradients"][which]) for which in (0, -1))
    return float(last / first) if first else None


METRICS: dict[str, Metric] = {
    "train_accuracy": Metric("train accuracy", "share", _score("train", "accuracy")),
    "train_loss": Metric("train loss", "loss", _score("train", "loss")),
    "val_accuracy": Metric("validation accuracy, last epoch", "share", _score("last", "accuracy")),
    "val_loss": Metric("validation loss, last epoch", "loss", _score("last", "loss")),
    "best_val_accuracy": Metric("validation accuracy, best epoch", "share", _score("best", "accuracy")),
    "best_epoch": Metric("best epoch", "epochs", lambda record: record.best_epoch),
    "test_accuracy": Metric("test accuracy", "share", _score("test", "accuracy")),
    "test_loss": Metric("test loss", "loss", _score("test", "loss")),
    "test_tta_accuracy": Metric("test accuracy with test-time augmentation", "share", _score("test_tta", "accuracy")),
    "training_flops": Metric("floating point operations of training", "flops", lambda record: record.training_flops),
    "seconds": Metric("seconds of training", "seconds", lambda record: record.seconds),
    "gap": Metric("train - test accuracy", "share", _gap),
    "lowest_loss_epoch": Metric("epoch of the lowest validation loss", "epochs", _lowest_loss),
    "unsteadiness": Metric("mean change of validation accuracy between epochs, second half", "share", _unsteadiness),
    "gradient_ratio_start": Metric("gradient, first / last layer, untrained", "ratio", _gradient_ratio(0)),
    "gradient_ratio_end": Metric("gradient, first / last layer, last epoch", "ratio", _gradient_ratio(-1)),
    "gradient_change": Metric("gradient, last epoch / untrained, mean over layers", "ratio", _gradient_change),
    "peak_memory": Metric("peak memory", "bytes", lambda record: record.peak_memory),
    "parameters": Metric("parameters", "count", lambda record: record.parameters),
    # Not from runs' records: runs made at different hours cannot be compared, see benchmarks/epoch_time.py.
    "seconds_per_epoch_ratio": Metric("seconds an epoch, as a ratio", "ratio", lambda record: None),
}


SHORT = {
    "train_accuracy": "train acc",
    "val_accuracy": "val acc, last",
    "val_loss": "val loss, last",
    "best_val_accuracy": "val acc, best",
    "test_accuracy": "test acc",
    "test_tta_accuracy": "test acc, TTA",
    "training_flops": "PFLOP",
    "gap": "train - test",
    "lowest_loss_epoch": "lowest val loss at",
    "unsteadiness": "unsteadiness",
    "gradient_ratio_start": "gradient first / last, untrained",
    "gradient_ratio_end": "gradient first / last, trained",
    "peak_memory": "memory",
    "seconds_per_epoch_ratio": "time an epoch, ratio",
}


def heading(name: str) -> str:
    """What a metric's column is called: its title, or something shorter."""
    match, moved = EPOCHS_TO.fullmatch(name), CHANGED.fullmatch(name)
    if moved:
        change = f"shift {moved[3]} px" if moved[2] == "shift" else f"turn {moved[3]}°"
        return f"{'same answer' if moved[1] == 'agreement' else 'test acc'}, {change}"
    return f"epochs to {match[1]}%" if match else SHORT.get(name) or metric(name).title


def _epochs_to(percent: int) -> Metric:
    def read(record: Any) -> float | None:
        values = record.history.get("val_accuracy", [])
        return next((float(i) for i, value in enumerate(values, start=1) if value >= percent / 100), None)

    return Metric(f"epochs to {percent}% validation accuracy", "epochs", read)


def _at_epoch(field: str, epoch: int) -> Metric:
    def read(record: Any) -> float | None:
        values = record.history.get(field.removeprefix("train_"), [])
        return float(values[epoch - 1]) if len(values) >= epoch else None

    known = METRICS[field]
    return Metric(f"{known.title.removesuffix(', last epoch')}, epoch {epoch}", known.kind, read)


AT_ANY_BUDGET = ("parameters", "seconds_per_epoch_ratio", "gradient_ratio_start")
"""Metrics that no budget changes: counted on the network, timed at the recipe's own size, or of it untrained."""


def changed_images(name: str) -> tuple[str, str, int] | None:
    """What a metric of `kzoo.studies.invariance` measures, after which change, and its size; None for all others."""
    match = CHANGED.fullmatch(name)
    return (match[1], match[2], int(match[3])) if match else None


def measured_apart(name: str) -> bool:
    """Whether a metric is not read from runs' records but measured by a benchmark, for some runs."""
    return name == "seconds_per_epoch_ratio" or changed_images(name) is not None


def _changed(measure: str, change: str, size: int) -> Metric:
    what = "test accuracy" if measure == "accuracy" else "share of test images answered as before"
    unit = f"shifted by {size} pixel{'s' * (size > 1)}" if change == "shift" else f"turned by {size} degrees"
    return Metric(f"{what}, {unit}", "share", lambda record: None)


def metric(name: str) -> Metric:
    """A metric by name.

    ``epochs_to_45`` is the first epoch whose validation accuracy is at or above 45%; ``train_loss_at_5`` the training
    loss of epoch 5 (so too ``train_accuracy``, ``val_accuracy``, ``val_loss``). ``agreement_at_shift_1`` is the share
    of test images that are answered as before when they are shifted by a pixel, ``accuracy_at_angle_15`` the accuracy
    on images turned by 15 degrees.

    Raises:
        InputError: there is none of that name.
    """
    if name in METRICS:
        return METRICS[name]
    place = AT_EPOCH.fullmatch(name)
    if place:
        return _at_epoch(place[1], int(place[2]))
    moved = changed_images(name)
    if moved:
        return _changed(*moved)
    match = EPOCHS_TO.fullmatch(name)
    if not match:
        raise unknown("metric", name, [*METRICS, "epochs_to_45", "train_loss_at_5", "agreement_at_shift_1"])
    return _epochs_to(int(match[1]))


def check(name: str) -> None:
    """Refuse the name of a metric that there is not."""
    metric(name)


def write(name: str, value: float, sd: float | None = None) -> str:
    """A figure as tables show it, with its standard deviation over seeds if there is one."""
    kind = metric(name).kind
    if kind == "bytes":
        value, sd = value / 2**20, None if sd is None else sd / 2**20
    text = _number(kind, value)
    if kind == "count" and not sd:  # parameters do not vary with the seed
        return text
    return text if sd is None else f"{text} ± {_number(kind, sd)}"


def _number(kind: str, value: float) -> str:
    if kind == "share":
        return f"{value:.4f}"
    if kind == "loss":
        return f"{value:.3f}"
    if kind == "bytes":
        return f"{value:,.0f} MiB"
    if kind == "flops":
        return f"{value / 1e15:.2g} PFLOP"
    if kind == "ratio":
        return f"{value:.2f}" if 0.01 <= abs(value) < 1000 else f"{value:.1e}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def write_difference(name: str, value: float) -> str:
    """Ours less the reported figure, with its sign."""
    text = write(name, abs(value))
    return f"{'-' if value < 0 else '+'}{text}"
