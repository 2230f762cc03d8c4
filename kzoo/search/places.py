"""Directories of trials: one writer at a time, and a promoted trial's beginning."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kzoo.errors import InUse
from kzoo.training.directory import claimed

WAIT = 1.0
"""Seconds between two looks at a run that another process trains."""
CARRIED = ("recipe.json", "metrics.csv", "best.weights.h5", "weight_histograms.json", "initial.keras", "checkpoint")


@contextlib.contextmanager
def in_turn(place: Path) -> Iterator[None]:
    """Claim a run's directory, as soon as no other process has it.

    One that was taken for dead may still be at its trial; when it has ended, so has the trial.
    """
    while True:
        claim = claimed(place)
        try:
            claim.__enter__()
        except InUse:
            time.sleep(WAIT)
            continue
        break
    try:
        yield
    finally:
        claim.__exit__(None, None, None)


def continue_from(before: Path, place: Path) -> None:
    """Let the run in `place` begin where the one in `before` has stopped, unless it has begun already."""
    if (place / "recipe.json").exists() or not (before / "checkpoint").is_dir():
        return
    copy = place.with_name(f".{place.name}.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in CARRIED:
        if (before / name).is_dir():
            shutil.copytree(before / name, copy / name)
        elif (before / name).exists():
            shutil.copy2(before / name, copy / name)
    shutil.rmtree(place, ignore_errors=True)  # empty but for a lock
    copy.replace(place)
