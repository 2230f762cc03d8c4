"""keras-tuner's four oracles with what they lack: budgets that leave rejected trials out, and numbers that last."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner import oracles
from keras_tuner.src.engine.trial import TrialStatus

from kzoo.search.records import OUTCOME
from kzoo.search.results import read_outcome
from kzoo.search.search import Search
from kzoo.seeds import derived_seed

REJECTED_IN_A_ROW = 100
"""After so many rejected trials with none between them, the limits leave nothing to find."""


class Planned:
    """Mixed into an oracle: it ends by the search's budgets, and draws the same trials after a restart.

    Attributes:
        exhausted: whether the budget is used up.
    """

    search: Search

    def plan(self: Any, search: Search) -> None:
        """Follow a search."""
        self.search, self.verbose = search, 0
        self.spent, self.began = 0.0, time.monotonic()

    @property
    def seconds(self: Any) -> float:
        """Wall-clock time that all processes have spent on the search."""
        return round(self.spent + time.monotonic() - self.began, 3)

    def get_state(self: Any) -> dict[str, Any]:
        """keras-tuner's, and the time."""
        return {**super().get_state(), "seconds": self.seconds}  # type: ignore[misc]

    def set_state(self: Any, state: dict[str, Any]) -> None:
        """Go on from a state."""
        super().set_state(state)  # type: ignore[misc]
        self.spent, self.began = state["seconds"], time.monotonic()

    def populate_space(self: Any, trial_id: str) -> dict[str, Any]:
        """The next trial's values, or why there is none."""
        search = self.search
        minutes, budget = search.minutes, search.budget
        counted = len(self.trials) - sum(self._rejected(number) for number in self.end_order)
        if (minutes and self.seconds >= minutes * 60) or (budget and counted >= budget):
            return {"status": TrialStatus.STOPPED, "values": None}
        first = not self.trials and search.baseline and search.tuner in ("random", "bayesian")
        own = search.checked_space.baseline() if first else None
        if own:
            answer = {"status": TrialStatus.RUNNING, "values": own}
        else:
            if isinstance(self, oracles.BayesianOptimizationOracle):  # its own generator is not saved
                self._random_state = np.random.RandomState(derived_seed(search.seed, "bayesian", len(self.trials)))
            with warnings.catch_warnings():
                # From the Gaussian process, about length scales: nothing that a user could do about.
                warnings.filterwarnings("ignore", module="sklearn.gaussian_process")
                answer = super().populate_space(trial_id)  # type: ignore[misc]
        if answer["status"] == TrialStatus.RUNNING and search.tuner != "grid":  # a grid's are rounded already
            answer["values"] = search.checked_space.lasting(answer["values"])
        return answer

    def end_trial(self: Any, trial: Any) -> None:
        """Note a trial's end, with the values that it was given: a worker's went through 32 bits."""
        given = self.trials[trial.trial_id].hyperparameters.values
        trial.hyperparameters.values.update({k: v for k, v in given.items() if k in trial.hyperparameters.values})
        super().end_trial(trial)  # type: ignore[misc]

    def _check_consecutive_failures(self: Any) -> None:
        failed = rejected = 0
        for number in self.end_order:
            refused = self._rejected(number)
            rejected = rejected + 1 if refused else 0
            if not refused:
                failed = failed + 1 if self.trials[number].status == TrialStatus.FAILED else 0
        limit = self.search.failures_in_a_row
        if limit is not None and failed >= limit:
            last = next(number for number in reversed(self.end_order) if not self._rejected(number))
            raise RuntimeError(f"{failed} trials in a row failed, the last one: {self._reason(last)}")
        if rejected >= REJECTED_IN_A_ROW:
            raise RuntimeError(f"{rejected} trials in a row were rejected, the last one: {self._reason(number)}")

    def _outcome(self: Any, number: str) -> Any:
        path = Path(self._project_dir) / f"trial_{number}" / OUTCOME
        return read_outcome(path) if path.exists() else None

    def _rejected(self: Any, number: str) -> bool:
        if self.trials[number].status != TrialStatus.FAILED:
            return False
        outcome = self._outcome(number)
        return outcome is not None and outcome.status == "rejected"

    def _reason(self: Any, number: str) -> str:
        outcome = self._outcome(number)
        return (outcome.reason if outcome else self.trials[number].message) or "no reason was left"


class RandomOracle(Planned, oracles.RandomSearchOracle):
    """Values drawn at random."""


class GridOracle(Planned, oracles.GridSearchOracle):
    """All combinations, those next to the recipe's own first."""


class BayesianOracle(Planned, oracles.BayesianOptimizationOracle):
    """A Gaussian process on what is known so far."""


class HyperbandOracle(Planned, oracles.HyperbandOracle):
    """Many short trials, of which the best go on (Li et al. 2018)."""


ORACLES = {"random": RandomOracle, "grid": GridOracle, "bayesian": BayesianOracle, "hyperband": HyperbandOracle}


def make_oracle(search: Search) -> Any:
    """The oracle of a search."""
    objective = keras_tuner.Objective(search.objective, search.direction)
    # keras-tuner takes a seed of 0 for none at all.
    options: dict[str, Any] = {"objective": objective, "seed": derived_seed(search.seed, "search") or 1}
    if search.tuner == "hyperband":
        options["max_epochs"] = search.base.epochs
    else:
        options["max_trials"] = None  # our budget leaves rejected trials out
    oracle = ORACLES[search.tuner](**options)
    oracle.plan(search)
    return oracle
