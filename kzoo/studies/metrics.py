"""Metrics of a run, by name: where they are read, and how they are titled and written (no Keras)."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kzoo.errors import unknown
from kzoo.training.recorders.flow_history import recorded_flow

ROUNDING = 1e-7
"""Largest error of an accuracy, or of the difference of two, that was measured in float32."""
EPOCHS_TO = re.compile(r"epochs_to_([1-9][0-9]?)")
AT_EPOCH = re.compile(r"((?:train|val)_(?:accuracy|loss))_at_([1-9][0-9]*)")
CHANGED = re.compile(r"(accuracy|agreement)_at_(shift|angle)_([1-9][0-9]*)")


@dataclass(frozen=True)
class Metric:
    """A metric of a run.

    Attributes:
        title: what it measures.
        kind: ``"accuracy"`` and ``"share"`` (0 to 1), ``"loss"`` (nats), ``"epochs"`` (how many were needed),
            ``"epoch"`` (which one), ``"bytes"``, ``"count"``, ``"ratio"``, ``"flops"``, ``"seconds"``.
        read: reads it from a `kzoo.training.records.RunRecord`; returns None if the record does not have it.
        short: heading of a table's column; empty if it is the title.
        part: the part of the data whose number of images limits its precision.
        limited_by: the accuracy that limits this metric's precision; empty if the metric is itself a share of images.
        any_budget: whether it is the same at every budget, because it is counted on the network, timed at the recipe's
            own size, or measured before training.
        needs_epochs: whether a run that has no value could have one if it trained for longer.
        source: ``"record"``, or the benchmark that measures it for some runs: ``"epoch time"`` or ``"invariance"``.
        change: for ``"invariance"``: accuracy or agreement, shift or angle, and its size.
    """

    title: str
    kind: str
    read: Callable[[Any], float | None] = lambda record: None
    short: str = ""
    part: str = "test"
    limited_by: str = ""
    any_budget: bool = False
    needs_epochs: bool = False
    source: Literal["record", "epoch time", "invariance"] = "record"
    change: tuple[str, str, int] | None = None

    @property
    def heading(self) -> str:
        """The heading of a table's column."""
        return self.short or self.title

    @property
    def better(self) -> int:
        """1 if larger values are better, -1 if smaller, 0 if neither (then a failed run does not count as worse)."""
        return {"accuracy": 1, "loss": -1, "epochs": -1}.get(self.kind, 0)


def _score(part: str, field: str) -> Callable[[Any], float | None]:
    def read(record: Any) -> float | None:
        score = getattr(record, part, None)
        return None if score is None else float(getattr(score, field))

    return read


def _field(name: str) -> Callable[[Any], float | None]:
    return lambda record: getattr(record, name)


def _gap(record: Any) -> float | None:
    if record.train is None or record.test is None:
        return None
    return float(record.train.accuracy - record.test.accuracy)


def _lowest_loss(record: Any) -> float | None:
    losses = record.history.get("val_loss", [])
    finite = [(loss, epoch) for epoch, loss in enumerate(losses, 1) if math.isfinite(loss)]
    return float(min(finite)[1]) if finite else None


def _unsteadiness(record: Any) -> float | None:
    values = record.history.get("val_accuracy", [])
    half = values[len(values) // 2 :]
    if len(half) < 2:
        return None
    return statistics.fmean(abs(b - a) for a, b in itertools.pairwise(half))


def _gradient_ratio(epoch: int) -> Callable[[Any], float | None]:
    def read(record: Any) -> float | None:
        flow = recorded_flow(record)
        if flow is None or len(flow["layers"]) < 2 or (epoch == 0 and flow["epochs"][0]):  # measured only later
            return None
        first, *_, last = flow["gradients"][epoch]
        return float(first / last) if first is not None and last else None  # None: not finite

    return read


def _gradient_change(record: Any) -> float | None:
    flow = recorded_flow(record)
    if flow is None or len(flow["gradients"]) < 2 or flow["epochs"][0]:
        return None
    ends = [flow["gradients"][epoch] for epoch in (0, -1)]
    if any(value is None for by_layer in ends for value in by_layer):  # not finite
        return None
    first, last = map(statistics.fmean, ends)
    return float(last / first) if first else None


_LAST, _BEST, _TTA = "validation {}, last epoch", "validation accuracy, best epoch", "with test-time augmentation"
_STEADY = "mean change of validation accuracy between epochs, second half"
_GRADIENT = "gradient, first / last layer"
METRICS: dict[str, Metric] = {
    "train_accuracy": Metric("train accuracy", "accuracy", _score("train", "accuracy"), "train acc", "train"),
    "train_loss": Metric("train loss", "loss", _score("train", "loss"), part="train"),
    "val_accuracy": Metric(
        _LAST.format("accuracy"), "accuracy", _score("last", "accuracy"), "val acc, last", "validation"
    ),
    "val_loss": Metric(_LAST.format("loss"), "loss", _score("last", "loss"), "val loss, last", "validation"),
    "best_val_accuracy": Metric(_BEST, "accuracy", _score("best", "accuracy"), "val acc, best", "validation"),
    "best_epoch": Metric("best epoch", "epoch", _field("best_epoch")),
    "test_accuracy": Metric("test accuracy", "accuracy", _score("test", "accuracy"), "test acc"),
    "test_loss": Metric("test loss", "loss", _score("test", "loss")),
    "test_tta_accuracy": Metric(f"test accuracy {_TTA}", "accuracy", _score("test_tta", "accuracy"), "test acc, TTA"),
    "training_flops": Metric("floating point operations of training", "flops", _field("training_flops"), "PFLOP"),
    "seconds": Metric("seconds of training", "seconds", _field("seconds")),
    "gap": Metric("train - test accuracy", "share", _gap, "train - test", limited_by="test_accuracy"),
    "lowest_loss_epoch": Metric("epoch of the lowest validation loss", "epoch", _lowest_loss, "lowest val loss at"),
    "unsteadiness": Metric(_STEADY, "share", _unsteadiness, "unsteadiness", "validation", needs_epochs=True),
    "gradient_ratio_start": Metric(
        f"{_GRADIENT}, untrained", "ratio", _gradient_ratio(0), "gradient first / last, untrained", any_budget=True
    ),
    "gradient_ratio_end": Metric(
        f"{_GRADIENT}, last epoch", "ratio", _gradient_ratio(-1), "gradient first / last, trained"
    ),
    "gradient_change": Metric("gradient, last epoch / untrained, mean over layers", "ratio", _gradient_change),
    "peak_memory": Metric("peak memory", "bytes", _field("peak_memory"), "memory"),
    "parameters": Metric("parameters", "count", _field("parameters"), any_budget=True),
    # Times of runs made at different hours cannot be compared, so benchmarks/epoch_time.py measures them.
    "seconds_per_epoch_ratio": Metric(
        "seconds per epoch, as a ratio", "ratio", short="time per epoch, ratio", any_budget=True, source="epoch time"
    ),
}


def _epochs_to(percent: int) -> Metric:
    def read(record: Any) -> float | None:
        values = record.history.get("val_accuracy", [])
        enough = percent / 100 - ROUNDING
        return next((float(i) for i, value in enumerate(values, start=1) if value >= enough), None)

    title, short = f"epochs to {percent}% validation accuracy", f"epochs to {percent}%"
    return Metric(title, "epochs", read, short, needs_epochs=True)


def _at_epoch(field: str, epoch: int) -> Metric:
    def read(record: Any) -> float | None:
        values = record.history.get(field.removeprefix("train_"), [])
        return float(values[epoch - 1]) if len(values) >= epoch else None

    known = METRICS[field]
    title = f"{known.title.removesuffix(', last epoch')}, epoch {epoch}"
    return Metric(title, known.kind, read, part=known.part, needs_epochs=True)


def _after_change(measure: str, change: str, size: int) -> Metric:
    shifted = change == "shift"
    kind, what, short = "share", "share of test images with an unchanged prediction", "same prediction"
    if measure == "accuracy":
        kind, what, short = "accuracy", "test accuracy", "test acc"
    unit = f"shifted by {size} pixel{'s' * (size > 1)}" if shifted else f"turned by {size} degrees"
    short = f"{short}, {f'shift {size} px' if shifted else f'turn {size}°'}"
    return Metric(f"{what}, {unit}", kind, short=short, source="invariance", change=(measure, change, size))


def metric(name: str) -> Metric:
    """A metric by name.

    ``epochs_to_45`` is the first epoch whose validation accuracy is at or above 45%; ``train_loss_at_5`` the training
    loss of epoch 5 (and so on for ``train_accuracy``, ``val_accuracy``, ``val_loss``). ``agreement_at_shift_1`` is the
    share of test images whose predicted class does not change when they are shifted by a pixel;
    ``accuracy_at_angle_15`` the accuracy on images turned by 15 degrees.

    Raises:
        InputError: no metric has that name.
    """
    if name in METRICS:
        return METRICS[name]
    if match := AT_EPOCH.fullmatch(name):
        return _at_epoch(match[1], int(match[2]))
    if match := CHANGED.fullmatch(name):
        return _after_change(match[1], match[2], int(match[3]))
    if match := EPOCHS_TO.fullmatch(name):
        return _epochs_to(int(match[1]))
    raise unknown("metric", name, [*METRICS, "epochs_to_45", "train_loss_at_5", "agreement_at_shift_1"])


def write(name: str, value: float, sd: float | None = None) -> str:
    """A value as tables show it, with its standard deviation over seeds if there is one."""
    kind = metric(name).kind
    if kind == "bytes":
        value, sd = value / 2**20, None if sd is None else sd / 2**20
    text = _number(kind, value)
    if kind in ("count", "flops") and not sd:  # parameters and operations do not vary with the seed
        return text
    return text if sd is None else f"{text} ± {_number(kind, sd)}"


def write_all(values: Mapping[str, float]) -> str:
    """Several values after their titles, separated by semicolons."""
    return "; ".join(f"{metric(name).title} {write(name, value)}" for name, value in values.items())


def write_difference(name: str, value: float) -> str:
    """Our value minus the reported one, with its sign."""
    return f"{'-' if value < 0 else '+'}{write(name, abs(value))}"


def _number(kind: str, value: float) -> str:
    if kind in ("accuracy", "share"):
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
