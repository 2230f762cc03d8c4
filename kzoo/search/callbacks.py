"""Callbacks of trials: a tuner's callbacks as one, and a rule that ends poor trials."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import keras

# Private: keras-tuner does not export them, but passes both to a hyper-model's `fit`. Tested with keras-tuner 1.4.8.
from keras_tuner.src.engine.tuner_utils import SaveBestEpoch, TunerCallback

from kzoo.search.results import OUTCOME, RUN, read_outcome
from kzoo.training.callbacks.lists import Combined
from kzoo.training.records import read_history

__all__ = ["MedianStop", "SaveBestEpoch", "TunerCallback", "TunerCallbacks"]

LEAST = 3
"""Smallest number of completed trials for a median (our choice)."""


class TunerCallbacks(Combined):
    """The callbacks of a tuner."""

    savers = (*Combined.savers, SaveBestEpoch)


class MedianStop(keras.callbacks.Callback):
    """Ends a trial whose best score so far is worse than the median of the completed trials' running averages.

    The averages end at the same epoch: this is the median stopping rule of Golovin et al. (2017, section 3.2.1).
    keras-tuner's oracles cannot stop a trial. The rule reads the trials' files, so it works with any number of
    processes.
    """

    def __init__(self, trial: Path, objective: str, direction: str) -> None:
        """Watch the trial in the directory `trial`; the other trials' directories are next to it."""
        super().__init__()
        self.trial, self.objective, self.direction = trial, objective, direction

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop the trial if it is poor."""
        outcomes = [path for path in self.trial.parent.glob(f"trial_*/{OUTCOME}") if path.parent != self.trial]
        others = [self._curve(path.parent) for path in outcomes if read_outcome(path).status == "completed"]
        averages = [statistics.fmean(values[: epoch + 1]) for values in others if len(values) > epoch]
        if len(averages) < LEAST:
            return
        best = max if self.direction == "max" else min
        score, median = best(self._curve(self.trial)), statistics.median(averages)
        if score != median and best(score, median) == median:
            self.model.stop_training = True

    def _curve(self, trial: Path) -> list[float]:
        """A trial's values of the objective by epoch; empty before the first epoch ends."""
        return read_history(trial / RUN).get(self.objective, [])
