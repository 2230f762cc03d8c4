"""A search's keras-tuner tuner: its trials leave an outcome each, whatever becomes of them."""

from __future__ import annotations

import contextlib
import io
import time
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.errors import FailedTrialError
from keras_tuner.src.engine.trial import TrialStatus
from keras_tuner.src.engine.tuner_utils import TunerCallback

from kzoo.search.attempt import attempt, hyper_model, watchers
from kzoo.search.child import in_child
from kzoo.search.oracles import make_oracle
from kzoo.search.records import OUTCOME, Outcome
from kzoo.search.results import write_json
from kzoo.search.search import Search

PAUSE = 0.5
"""Seconds before asking again where the oracle has no trial yet; keras-tuner asks again at once."""


class SearchTuner(keras_tuner.Tuner):
    """Runs the trials of a search, here or each in a process of its own.

    Attributes:
        search_plan: the search.
    """

    def __init__(
        self, search: Search, directory: Path, *, data_dir: str | Path | None, checkpoint_minutes: float
    ) -> None:
        """Take up the search in `directory`, from whatever state it is in."""
        self.search_plan, self.data_dir, self.checkpoint_minutes = search, data_dir, checkpoint_minutes
        self._asked = False
        with contextlib.redirect_stdout(io.StringIO()):  # keras-tuner says that it reloads
            super().__init__(
                oracle=make_oracle(search),
                hypermodel=hyper_model(search, data_dir, checkpoint_minutes),
                directory=str(directory.parent),
                project_name=directory.name,
            )

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Run one trial; its outcome is written before anybody is told.

        Raises:
            FailedTrialError: it failed or was rejected, which is recorded.
        """
        place = Path(self.get_trial_dir(trial.trial_id))
        changes = self.hypermodel.space.changes(trial.hyperparameters.values)
        before = trial.hyperparameters.values.get("tuner/trial_id")
        facts = {"worker": str(self.tuner_id), "changes": changes, "continues": before}
        if self.search_plan.own_process:
            outcome, history = self._elsewhere(trial, place, facts)
        else:
            outcome, history = attempt(lambda: self._train(trial, place), place, self.search_plan, facts)
        write_json(place / OUTCOME, outcome.model_dump(mode="json"))
        if outcome.status != "completed":
            raise FailedTrialError(outcome.reason)
        return history

    def _try_run_and_update_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        """Run a trial and note its end. keras-tuner prints the traceback of one that failed; ours is in its directory.

        Only what concerns all trials is raised.
        """
        try:
            self._run_and_update_trial(trial, *args, **kwargs)
            trial.status = TrialStatus.COMPLETED
        except FailedTrialError as error:
            trial.status, trial.message = TrialStatus.FAILED, str(error)

    def _train(self, trial: Any, place: Path) -> Any:
        """Build and train as keras-tuner's tuners do, with its callbacks and ours."""
        values = trial.hyperparameters.values
        options: dict[str, Any] = {}
        if "tuner/epochs" in values:
            options = {"epochs": values["tuner/epochs"], "initial_epoch": values["tuner/initial_epoch"]}
        weights = self._get_checkpoint_fname(trial.trial_id)
        callbacks = [TunerCallback(self, trial), *watchers(self.search_plan, place, weights)]
        return self._build_and_fit_model(trial, callbacks=callbacks, **options)

    def _elsewhere(self, trial: Any, place: Path, facts: dict[str, Any]) -> tuple[Outcome, Any]:
        """Train in a child process; gives what keras-tuner wants to know."""
        outcome = in_child(
            self.search_plan,
            trial.hyperparameters.get_config(),
            place,
            facts,
            weights=self._get_checkpoint_fname(trial.trial_id),
            data_dir=self.data_dir,
            checkpoint_minutes=self.checkpoint_minutes,
        )
        return outcome, {self.search_plan.objective: outcome.score}

    def pre_create_trial(self) -> None:
        """Wait a moment if there was no trial just now."""
        if self._asked:
            time.sleep(PAUSE)
        self._asked = True

    def on_trial_begin(self, trial: Any) -> None:
        """There is one."""
        self._asked = False
        super().on_trial_begin(trial)

    def _populate_initial_space(self) -> None:
        """Declare the space; only a model function of the user's own is called to ask for more."""
        if self.search_plan.model is not None:
            super()._populate_initial_space()
            return
        hp = self.oracle.get_space()
        self.hypermodel.declare_hyperparameters(hp)
        self.oracle.update_space(hp)

    def save(self) -> None:
        """The oracle's state is all that there is to save."""
        if not self._is_worker():
            self.oracle.save()

    def reload(self) -> None:
        """Take up the oracle's state."""
        if not self._is_worker():
            self.oracle.reload()

    def _get_tuner_fname(self) -> str:
        # keras-tuner takes a search for a new one if this file is missing; its own is written after the first trial.
        return str(Path(self.project_dir) / "oracle.json")
