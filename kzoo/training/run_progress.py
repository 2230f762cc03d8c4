"""How far a run has come, read from its directory: so it shows what any process does there (no Keras)."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from kzoo.training.records import METRICS, read_history


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
    try:
        since = time.time() - (directory / METRICS).stat().st_mtime
    except OSError:
        return Progress()
    if not (history := read_history(directory)):
        return Progress()
    epoch, accuracy = int(history["epoch"][-1]), history.get("val_accuracy")
    each = statistics.median(history["seconds"][-5:])
    left = max((epochs - epoch) * each - min(since, each), 0.0)
    return Progress(epoch, accuracy[-1] if accuracy else None, left)
