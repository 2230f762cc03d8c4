"""How far a run has come, read from its directory: so it shows what any process does there (no Keras)."""

from __future__ import annotations

import csv
import statistics
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs done.
        val_accuracy: of the last of them.
        seconds_left: estimated from the epochs so far; None before the first is done.
    """

    epoch: int = 0
    val_accuracy: float | None = None
    seconds_left: float | None = None


def read_progress(directory: Path, epochs: int) -> Progress:
    """How far the run in a directory has come, of `epochs` epochs, read from its metrics.csv."""
    path = directory / "metrics.csv"
    try:
        written = path.stat().st_mtime
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except OSError:
        return Progress()
    if not rows:
        return Progress()
    epoch, accuracy = int(rows[-1]["epoch"]), rows[-1].get("val_accuracy")
    each = statistics.median(float(row["seconds"]) for row in rows[-5:])
    left = max((epochs - epoch) * each - min(time.time() - written, each), 0.0)
    return Progress(epoch, float(accuracy) if accuracy else None, left)
