"""The oracles of a search, by the names that `kzoo.Search` takes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles

from kzoo.search.combinations import Values, combinations
from kzoo.search.hyperband import HyperbandOracle
from kzoo.search.planned import Planned
from kzoo.search.search import Search
from kzoo.seeds import derived_seed


class RandomOracle(Planned, oracles.RandomSearchOracle):
    """Values drawn at random."""


class BayesianOracle(Planned, oracles.BayesianOptimizationOracle):
    """A Gaussian process on what is known so far; where it proposes what was tried, a draw at random."""

    def propose(self, trial_id: str) -> Values | None:
        """See `Planned.propose`."""
        # keras-tuner 1.4.8 does not save its generator.
        self._random_state = np.random.RandomState(derived_seed(self.search.seed, "bayesian", len(self.trials)))
        with warnings.catch_warnings():
            # From the Gaussian process, about length scales: nothing that a user could do about.
            warnings.filterwarnings("ignore", module="sklearn.gaussian_process")
            values = super().propose(trial_id)
        if values is None or self.configuration(values) not in self._known():
            return values
        other = self._random_values()
        self.skipped += other is not None
        return other


class GridOracle(Planned, keras_tuner.Oracle):
    """All combinations, the recipe's own first."""

    def propose(self, trial_id: str) -> Values | None:
        """See `Planned.propose`."""
        mine = [trial.hyperparameters.values for trial in self.trials.values()]
        known = self._known()
        self.skipped = 0  # counted anew with each pass
        for values in combinations(self.hyperparameters.space, lambda entry: list(entry.values)):
            if self.configuration(values) not in known:
                return values
            self.skipped += values not in mine
        return None


ORACLES = {"random": RandomOracle, "grid": GridOracle, "bayesian": BayesianOracle, "hyperband": HyperbandOracle}


def make_oracle(search: Search, directory: Path) -> Any:
    """The oracle of a search, in whatever state it is in its directory."""
    oracle: Any = ORACLES[search.tuner](
        objective=keras_tuner.Objective(search.objective, search.direction),
        seed=derived_seed(search.seed, "search") or 1,  # keras-tuner takes a seed of 0 for none at all
        max_trials=None,  # our budget leaves rejected trials out
        max_consecutive_failed_trials=10**9,  # likewise
    )
    oracle.plan(search, directory)
    return oracle
