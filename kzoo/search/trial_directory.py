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
    """Claim a run's directory, as soon as no other process has it.

    A worker of keras-tuner's that was taken for dead may still be at its trial; when it has ended, so has the trial.
    """
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

    # Copy to a directory of this process's own: another one may be about to end, in the midst of the same.
    copy = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    for name in CARRIED:
        if (before / name).is_dir():
            shutil.copytree(before / name, copy / name)
        elif (before / name).exists():
            shutil.copy2(before / name, copy / name)

    # Put it in its place, whole, unless the other one has.
    if not (directory / "recipe.json").exists():
        shutil.rmtree(directory, ignore_errors=True)  # empty but for a lock
        with contextlib.suppress(OSError):
            copy.replace(directory)
    shutil.rmtree(copy, ignore_errors=True)
