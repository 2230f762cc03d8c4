"""Directories of trials: one writer at a time, and where a promoted trial begins."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from kzoo.errors import InUse
from kzoo.training.directory import claimed

WAIT = 1.0
"""Seconds between two looks at a run that another process trains."""
CARRIED = ("recipe.json", "metrics.csv", "best.weights.h5", "weight_histograms.json", "initial.keras", "checkpoint")
"""What a promoted trial takes over from the run that it goes on with."""


@contextlib.contextmanager
def in_turn(directory: Path) -> Iterator[None]:
    """Claim a run's directory as soon as no other process holds it: it may be about to finish the same trial."""
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(claimed(directory))
                break
            except InUse:
                time.sleep(WAIT)
        yield


def continue_from(before: Path, directory: Path) -> None:
    """Let the run in `directory` begin where the one in `before` has stopped, unless it has begun already."""
    if (directory / "recipe.json").exists() or not (before / "checkpoint").is_dir():
        return

    # Copy aside: another process may be about to end, in the midst of the same.
    copy = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    left = [path.name for path in before.iterdir() if path.name not in CARRIED]
    shutil.copytree(before, copy, ignore=shutil.ignore_patterns(*left))

    # Move the whole copy, unless the other process has.
    if not (directory / "recipe.json").exists():
        shutil.rmtree(directory, ignore_errors=True)  # empty but for a lock
        with contextlib.suppress(OSError):
            copy.replace(directory)
    shutil.rmtree(copy, ignore_errors=True)
