"""A run's record, `result.json`: the only source of any number that kzoo prints (no Keras)."""

from __future__ import annotations

import csv
import datetime
import functools
import importlib.metadata
import io
import json
import platform
import re
import subprocess
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from kzoo import notebook
from kzoo.backend import ONEDNN, ONEDNN_FEATURES, processor, usable_cores, uses_onednn
from kzoo.errors import InputError, counted
from kzoo.schemas import Frozen, read_record

SCHEMA_VERSION = 1
METRICS = "metrics.csv"
PACKAGES = ("kzoo", "keras", "tensorflow", "jax", "torch", "numpy")
FEATURES = ONEDNN_FEATURES | {"avx2", "avx512f"}
"""Features of processors that affect speed or sums."""


class Score(Frozen):
    """Loss (nats) and accuracy (share) on one part of the data."""

    loss: float
    accuracy: float


def _is_time(text: str) -> str:
    datetime.datetime.fromisoformat(text)  # else a ValueError: the record is damaged
    return text


class Segment(Frozen):
    """One process's part of a run: where and with what it was computed."""

    started: Annotated[str, AfterValidator(_is_time)]
    seconds: float
    first_epoch: int
    backend: str
    versions: dict[str, str]
    python: str
    platform: str
    processor: str
    processor_features: list[str]
    cores: int
    devices: list[str]
    onednn: str | None = None
    """Value of the variable TF_ENABLE_ONEDNN_OPTS; None if it was not set, on other backends, and in early records."""


class RunRecord(Frozen):
    """A finished run.

    Attributes:
        schema_version: version of this schema.
        name, digest: the recipe's name and identity.
        status: ``"completed"`` or ``"failed"``; a failed run has a `reason` and no scores.
        recipe: the resolved recipe.
        parameters: trainable parameters of the model.
        multiply_adds: of one image's forward pass, see `kzoo.layer_table`; None if they cannot be counted, and in
            early records.
        all_parameters: parameters including frozen layers' weights; None in early records.
        sizes: images in the training (before and after expansion), validation and test part.
        data: the dataset's fingerprint, class names and normalization.
        epochs: epochs completed; `best_epoch` counts from 1.
        best, last: validation scores of the best and of the last epoch.
        train: training scores of the last epoch, averaged while it ran.
        test: scores of the best epoch's weights on the test part.
        test_tta: the same with the recipe's test-time augmentation; None without.
        history: per epoch: loss, accuracy, val_loss, val_accuracy, learning_rate, seconds.
        gradient_flow: of each layer with a kernel (`layers`), before training and after every epoch (`epochs`): its
            mean absolute gradient (`gradients`) and how much of the kernel the epoch's last step changed
            (`update_ratio`), rows by epoch; see `kzoo.training.recorders.flow_history`. None without diagnostics.
        confusion: test images by true class (rows) and predicted class (columns); sparse above 200
            classes, see `kzoo.training.counts`.
        origin: what the run was made of beyond its recipe, see `kzoo.training.identity.origin`: ``model`` (None where
            the zoo's name identifies it), ``callbacks``, and ``parts``, the recipe's custom functions (None without).
            None in early records.
        extends: name, digest and epochs of the run that this one extends; its segments are among this one's.
        seconds: training time of all segments, validation and start-up included.
        peak_memory: largest resident size of the last segment's process during the segment, in bytes; None if it cannot
            be measured. On other systems than Linux, work of the process before the segment counts too.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    digest: str
    status: Literal["completed", "failed"]
    reason: str | None = None
    recipe: dict[str, Any]
    parameters: int
    multiply_adds: int | None = None
    all_parameters: int | None = None
    sizes: dict[str, int]
    data: dict[str, Any]
    epochs: int
    best_epoch: int | None = None
    best: Score | None = None
    last: Score | None = None
    train: Score | None = None
    test: Score | None = None
    test_tta: Score | None = None
    history: dict[str, list[float]]
    gradient_flow: dict[str, Any] | None = None
    confusion: list[list[int]] | dict[str, Any] | None = None
    origin: dict[str, Any] | None = None
    extends: dict[str, Any] | None = None
    seconds: float
    peak_memory: int | None
    segments: list[Segment]
    git_commit: str | None

    def in_words(self) -> str:
        """The run's outcome in short: ``"100 epochs, seed 0, test accuracy 0.4976"``."""
        epochs = f"{counted(self.epochs, 'epoch')}, seed {self.recipe['seed']}"
        if self.status == "failed":
            return f"failed after {epochs}: {self.reason}"
        for part, title in ((self.test, "test"), (self.best, "best validation"), (self.train, "train")):
            if part is not None:
                return f"{epochs}, {title} accuracy {part.accuracy:.4f}"
        return epochs

    def __repr__(self) -> str:
        return f"RunRecord({self.name!r}: {self.in_words()})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = [
            (title, score and f"{score.accuracy:.4f}", score and f"{score.loss:.4f}", curves)
            for title, score, curves in (
                ("train, last epoch", self.train, notebook.curve(self.history.get("accuracy", ()))),
                ("validation, best epoch", self.best, notebook.curve(self.history.get("val_accuracy", ()))),
                ("test", self.test, ""),
                ("test, with test-time augmentation", self.test_tta, ""),
            )
            if score is not None or curves
        ]
        summary = f"{self.recipe['model']} on {self.recipe['dataset']}, {self.parameters_in_words()}; {self.in_words()}"
        columns = ("", "accuracy", "loss", "accuracy by epoch")
        return notebook.heading(self.name, summary) + notebook.table(columns, rows)

    @property
    def training_flops(self) -> float | None:
        """Floating point operations of all training steps: three forward passes per image, two per multiply-add.

        This is the usual convention: a backward pass counts as two forward passes. Validation is left out.
        """
        if self.multiply_adds is None:
            return None
        return 6.0 * self.multiply_adds * self.sizes["train"] * self.epochs

    def parameters_in_words(self) -> str:
        """The number of parameters; both counts if some were frozen."""
        if self.all_parameters in (None, self.parameters):
            return f"{self.parameters:,} parameters"
        return f"{self.all_parameters:,} parameters, {self.parameters:,} of them trained"

    def why_untested(self) -> str:
        """Why there is no test score, as a sentence; empty if there is one."""
        if self.status == "failed":
            return "The run failed, so it was not tested."
        if self.test is not None:
            return ""
        read = "The run did not read its test part, as no trial of a search does."
        return read if self.sizes.get("test") else "The data has no test part."

    def to_json(self) -> str:
        """The record as JSON."""
        return json.dumps(self.model_dump(mode="json"), indent=1) + "\n"


def read_result(path: Path) -> RunRecord:
    """The record in a file.

    Raises:
        InputError: the record is missing, damaged, or of a newer schema.
    """
    return read_record(path, RunRecord, "record", SCHEMA_VERSION, ": restore it or move its run aside")


def read_run(directory: Path) -> RunRecord:
    """The record of the run in a directory.

    Raises:
        InputError: there is no record yet, or it is damaged.
    """
    path = directory / "result.json"
    if not path.exists():
        raise InputError(f"run {str(directory)!r} is not finished: kzoo resume {directory}")
    return read_result(path)


def public(record: RunRecord) -> RunRecord:
    """A record without the machine's data directory; paths in its recipe stay, because they identify the run."""
    return record.model_copy(update={"data": {k: v for k, v in record.data.items() if k != "data_dir"}})


def folder_name(name: str, digest: str) -> str:
    """The name of a run's directory in the folder of runs."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}-{digest}"


def history_csv(history: dict[str, list[float]]) -> str:
    """The history as CSV, one line per epoch, epochs counted from 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *history])
    writer.writerows([i, *row] for i, row in enumerate(zip(*history.values(), strict=True), start=1))
    return text.getvalue()


def read_history(directory: Path) -> dict[str, list[float]]:
    """The metrics that a run has written so far, finished or not, epoch by epoch.

    Returns:
        The columns of its ``metrics.csv``, ``epoch`` among them; empty before the first epoch's end, or if the
        file cannot be read.
    """
    try:
        with open(directory / METRICS, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        return {key: [float(row[key]) for row in rows] for key in rows[0]} if rows else {}
    except (OSError, ValueError, TypeError):
        return {}


def versions() -> dict[str, str]:
    """Versions of the installed packages that can change a run's bits."""
    found = {package: _version(package) for package in PACKAGES}
    return {package: version for package, version in found.items() if version is not None}


@functools.cache
def _version(package: str) -> str | None:
    """The version of a package, looked up once per process; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def hardware() -> dict[str, Any]:
    """The processor: its name, the matrix instructions it has, and the cores this process may use."""
    name, features = processor()
    return {
        "processor": name,
        "processor_features": sorted(features & FEATURES),
        "cores": len(usable_cores()),
        "platform": platform.platform(),
    }


def _onednn(segment: dict[str, Any]) -> str:
    features = set(segment["processor_features"])
    if "avx512f" in features:  # early records list no VNNI; nearly all of these processors have it
        features.add("avx512_vnni")
    return "1" if uses_onednn(segment.get("onednn"), features) else "0"


def warn_of_other_bits(directory: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Warn about differences from a run's last process that change the last bits of its sums."""
    backend = before["backend"]
    if backend != now["backend"]:
        changed = [f"{now['backend']} instead of {backend}"]
    else:
        old, new = ({ONEDNN: _onednn(segment), **segment["versions"]} for segment in (before, now))
        names = [*([ONEDNN] if backend == "tensorflow" else []), "kzoo", "keras", backend, "numpy"]
        names = [name for name in names if old.get(name) != new.get(name)]
        changed = [f"{name} {new.get(name)} instead of {old.get(name)}" for name in names]
    if changed:
        warnings.warn(
            f"run {str(directory)!r} resumes with {', '.join(changed)}: its last bits differ from those of an "
            "uninterrupted run",
            stacklevel=3,
        )


def git_commit() -> str | None:
    """The commit of the checkout that kzoo runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
