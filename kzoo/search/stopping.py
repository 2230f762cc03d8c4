"""Stopping poor trials, by what the trials before them have written: no oracle of keras-tuner's can stop one."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import keras

from kzoo.search.records import OUTCOME, RUN
from kzoo.search.results import read_outcome
from kzoo.training.records import read_history

LEAST = 3
"""Completed trials that it takes to speak of a median (ours)."""


class MedianStop(keras.callbacks.Callback):
    """Ends a trial whose best score so far is worse than the median of the others' running averages at this epoch.

    The median stopping rule of Golovin et al. (2017, section 3.2.1): against completed trials only. It reads the
    trials' files, so it works with any number of processes that share the search's directory.
    """

    def __init__(self, directory: Path, trial: Path, objective: str, direction: str) -> None:
        """Watch the trial in the directory `trial`, one of those in `directory`."""
        super().__init__()
        self.directory, self.trial, self.objective, self.direction = directory, trial, objective, direction

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Compare."""
        others = [curve(path.parent / RUN, self.objective) for path in self.completed()]
        averages = [statistics.fmean(values[: epoch + 1]) for values in others if len(values) > epoch]
        if len(averages) < LEAST:
            return
        best = max if self.direction == "max" else min
        score, median = best(curve(self.trial / RUN, self.objective)), statistics.median(averages)
        if score != median and best(score, median) == median:
            self.model.stop_training = True

    def completed(self) -> list[Path]:
        """Outcomes of the other trials that were completed."""
        paths = [path for path in self.directory.glob(f"trial_*/{OUTCOME}") if path.parent.name != self.trial.name]
        return [path for path in paths if read_outcome(path).status == "completed"]

    def state(self) -> dict[str, Any]:
        """Nothing: all is read from files."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""


def curve(run: Path, objective: str) -> list[float]:
    """A run's values of the objective, epoch by epoch; empty before the first epoch's end."""
    return read_history(run).get(objective, [])
