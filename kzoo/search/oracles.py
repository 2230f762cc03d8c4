"""The oracles of a search, by the names that `kzoo.Search` takes."""

from __future__ import annotations

import math
import warnings

import keras_tuner
import numpy as np
from keras_tuner import oracles
from keras_tuner.engine import hyperparameters as kinds
from keras_tuner.engine.trial import Trial, TrialStatus

from kzoo.search.planned import Planned, Values, combinations
from kzoo.seeds import derived_seed

FACTOR = 3
"""In Hyperband, one in this many trials is promoted, and trains for this many times the epochs."""


class RandomOracle(Planned, oracles.RandomSearchOracle):
    """Draws values at random."""


class BayesianOracle(Planned, oracles.BayesianOptimizationOracle):
    """Fits a Gaussian process to the results so far; if it proposes a known configuration, one is drawn at random."""

    def propose(self, trial_id: str) -> Values | None:
        """See `Planned.propose`."""
        # keras-tuner 1.4.8 does not save its random generator.
        self._random_state = np.random.RandomState(derived_seed(self.search.seed, "bayesian", len(self.trials)))
        with warnings.catch_warnings():
            # The Gaussian process warns about length scales, which the user cannot change.
            warnings.filterwarnings("ignore", module="sklearn.gaussian_process")
            values = super().propose(trial_id)
        if values is None:
            return None
        for entry in self.hyperparameters.space:
            # On a log scale, keras-tuner 1.4.8 may propose one more than the highest value.
            if isinstance(entry, kinds.Int) and entry.name in values:
                values[entry.name] = min(values[entry.name], entry.max_value)
        if self.configuration(values) not in self._known():
            return values
        other = self._random_values()
        self.skipped += other is not None
        return other


class GridOracle(Planned, keras_tuner.Oracle):
    """Tries all combinations, the recipe's first."""

    def propose(self, trial_id: str) -> Values | None:
        """See `Planned.propose`."""
        tried = [trial.hyperparameters.values for trial in self.trials.values()]
        known = self._known()
        self.skipped = 0  # counted again in each pass
        for values in combinations(self.hyperparameters.space, lambda entry: list(entry.values)):
            if self.configuration(values) not in known:
                return values
            self.skipped += values not in tried
        return None


class HyperbandOracle(Planned, keras_tuner.Oracle):
    """Promotes the best of many short trials (Li et al. 2018); later brackets start with fewer, longer trials.

    keras-tuner's oracle ends too early if a space has few configurations. In this class, a round begins when the
    previous one has ended. If a round has fewer trials than planned, because the space has no more configurations, the
    same share of them is promoted, and at least the best one.
    """

    def propose(self, trial_id: str) -> Values | None:
        """See `Planned.propose`."""
        for bracket in range(int(self._logarithm()), -1, -1):
            values = self._begin(bracket) or self._promote(bracket)
            if values is not None:
                return values
        return None

    def _why_no_more(self) -> str:
        full = self._exhausted_at != len(self.hyperparameters.space)
        return "all its brackets are done" if full else super()._why_no_more()

    def _logarithm(self) -> float:
        return round(math.log(self.search.base.epochs, FACTOR), 9)

    def _size(self, bracket: int, number: int) -> int:
        last = math.ceil(1 + self._logarithm())
        return math.ceil(last / (bracket + 1) * FACTOR ** (bracket - number))

    def _epochs(self, bracket: int, number: int) -> int:
        return math.ceil(self.search.base.epochs / FACTOR ** (bracket - number))

    def _members(self, bracket: int, number: int) -> list[Trial]:
        """Trials of a round, in the order in which they began, without rejected ones."""
        position = {"tuner/bracket": bracket, "tuner/round": number}
        trials = [self.trials[name] for name in self.start_order if name not in self.rejected]
        return [trial for trial in trials if position.items() <= trial.hyperparameters.values.items()]

    def _begin(self, bracket: int) -> Values | None:
        """A new configuration for a bracket's first round, unless the round is full."""
        if len(self._members(bracket, 0)) >= self._size(bracket, 0):
            return None
        values = self._random_values()
        return None if values is None else values | self._position(bracket, 0)

    def _promote(self, bracket: int) -> Values | None:
        """One of the best trials of a finished round, for the next round."""
        for number in range(bracket):
            past, next_ones = self._members(bracket, number), self._members(bracket, number + 1)
            if any(trial.status == TrialStatus.RUNNING for trial in past):
                return None
            sign = -1 if self.search.direction == "max" else 1
            done = [trial for trial in past if trial.status == TrialStatus.COMPLETED]
            share = self._size(bracket, number + 1) / self._size(bracket, number)
            count = min(math.ceil(len(past) * share), self._size(bracket, number + 1))
            chosen = {trial.hyperparameters.values["tuner/trial_id"] for trial in next_ones}
            for trial in sorted(done, key=lambda trial: sign * trial.score)[:count]:
                if trial.trial_id not in chosen:
                    after = {"tuner/trial_id": trial.trial_id, **self._position(bracket, number + 1)}
                    return {**trial.hyperparameters.values, **after}
        return None

    def _position(self, bracket: int, number: int) -> Values:
        before = self._epochs(bracket, number - 1) if number else 0
        epochs = {"tuner/epochs": self._epochs(bracket, number), "tuner/initial_epoch": before}
        return {**epochs, "tuner/bracket": bracket, "tuner/round": number}


ORACLES = {"random": RandomOracle, "grid": GridOracle, "bayesian": BayesianOracle, "hyperband": HyperbandOracle}
