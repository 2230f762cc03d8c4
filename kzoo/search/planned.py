"""Additions to keras-tuner's oracles: no configuration is tried twice, and one state file survives a kill.

An oracle chooses the trials of a search. `Planned.ask` returns the next one, `Planned.tell` takes its outcome.
keras-tuner saves its state in several files, one after another; here everything is in one file, written atomically at
each change.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine import hyperparameters as kinds
from keras_tuner.engine.trial import Trial, TrialStatus

from kzoo.errors import InputError
from kzoo.files import read_json, write_json
from kzoo.schemas import check_version
from kzoo.search.results import STATE, Outcome
from kzoo.search.search import Search
from kzoo.seeds import derived_seed, generator

Values = dict[str, Any]
"""Values of the active hyper-parameters, by name."""
SCHEMA_VERSION = 1
REJECTED_IN_A_ROW = 100
"""After this many rejected trials in a row, the search is given up."""
DRAWS = 20
"""After this many random configurations in a row that were tried before, the remaining ones are listed."""
LISTED = 20_000
"""A space with more configurations than this is not listed."""


class Planned:
    """A mix-in for keras-tuner's oracles that follows the search's budgets and survives a kill.

    Attributes:
        search: the search.
        path: the state file.
        skipped: how often a proposed configuration had been tried before and was replaced.
        rejected: numbers of the trials that were rejected because their models exceed a limit.
        given_up: whether trials failed or were rejected too often.
        ended: why there are no more trials; empty before that.
    """

    def __init__(self: Any, search: Search, directory: Path) -> None:
        """Follow a search, starting from the state in its directory if there is one.

        Raises:
            InputError: the state is damaged or of a newer schema.
        """
        super().__init__(  # type: ignore[call-arg]
            objective=keras_tuner.Objective(search.objective, search.direction),
            seed=derived_seed(search.seed, "search") or 1,  # keras-tuner treats a seed of 0 as no seed
            max_trials=None,  # kzoo's budget does not count rejected trials
            max_consecutive_failed_trials=10**9,  # kzoo counts failures itself
        )
        self.search, self.path, self.verbose = search, directory / STATE, 0
        self.skipped, self.given_up, self.ended = 0, False, ""
        self.rejected: set[str] = set()
        self.spent, self.began = 0.0, time.monotonic()
        self._keys: dict[str, str] = {}
        self._exhausted_at = -1
        if self.path.exists():
            try:
                self._restore(read_json(self.path, "state", ": restore it, or start the search again"))
            except (KeyError, TypeError) as error:
                raise InputError(f"{str(self.path)!r} is damaged ({type(error).__name__}: {error})") from None

    @property
    def seconds(self: Any) -> float:
        """Wall-clock time spent on the search, by all processes that ran it."""
        return round(self.spent + time.monotonic() - self.began, 3)

    def ask(self: Any) -> Trial | None:
        """The next trial; None if others have to end first, or if there are no more trials (`ended` then says why)."""
        trial = self.create_trial(f"trial {len(self.start_order)}")
        return trial if trial.status == TrialStatus.RUNNING else None

    def tell(self: Any, number: str, outcome: Outcome, space: Values | None = None) -> None:
        """Take the outcome of a trial; `space` holds its hyper-parameters after a model function added to them."""
        hyperparameters = self.trials[number].hyperparameters
        if space is not None:
            hyperparameters = keras_tuner.HyperParameters.from_config(space)
        trial = Trial(hyperparameters, number, TrialStatus.FAILED, outcome.reason)
        if outcome.status == "completed":
            trial.status = TrialStatus.COMPLETED
            self.update_trial(number, {self.search.objective: outcome.score})
        elif outcome.status == "rejected":
            self.rejected.add(number)
        self.end_trial(trial)

    def save(self: Any) -> None:
        """Write the state completely or not at all. keras-tuner calls this at each change."""
        trials = []
        for number in self.start_order:
            trial = self.trials[number]
            fields = {name: getattr(trial, name) for name in ("status", "score", "message")}
            trials.append({"number": number, **fields, "values": trial.hyperparameters.values})
        state = {"schema_version": SCHEMA_VERSION, "seconds": self.seconds, "skipped": self.skipped}
        state |= {"space": self.hyperparameters.get_config(), "trials": trials, "end_order": self.end_order}
        write_json(self.path, state | {"rejected": sorted(self.rejected)}, locked=True)

    def _save_trial(self: Any, trial: Trial) -> None:
        """Do nothing: the state contains the trials. keras-tuner 1.4.8 writes a file for each, before the state."""

    def _restore(self: Any, state: Values) -> None:
        check_version(state, f"state {str(self.path)!r}", SCHEMA_VERSION)
        self.hyperparameters = keras_tuner.HyperParameters.from_config(state["space"])
        self.spent, self.skipped, self.rejected = state["seconds"], state["skipped"], set(state["rejected"])
        self.end_order = list(state["end_order"])
        for fields in state["trials"]:
            hyperparameters = self.hyperparameters.copy()
            hyperparameters.values = fields["values"]
            trial = Trial(hyperparameters, fields["number"], fields["status"], fields["message"])
            trial.score = fields["score"]
            self.trials[trial.trial_id] = trial
            self.start_order.append(trial.trial_id)
            if trial.status == TrialStatus.RUNNING:
                self.ongoing_trials[trial.trial_id] = trial

    def populate_space(self: Any, trial_id: str) -> Values:
        """The next trial's values, or a status without values if there is no trial; keras-tuner calls this."""
        self.ended = self._failures() or self._budget()
        if not self.ended:
            first = not self.trials and self.search.baseline and self.search.tuner in ("random", "bayesian")
            values = (self.search.checked_space.baseline() if first else None) or self.propose(trial_id)
            if values is not None:
                values |= self.search.checked_space.keys_of(values)
                return {"status": TrialStatus.RUNNING, "values": values}
            self.ended = self._why_no_more()
        if self.ongoing_trials and not self.given_up:  # another trial replaces a rejected one
            self.ended = ""
            return {"status": TrialStatus.IDLE, "values": None}
        return {"status": TrialStatus.STOPPED, "values": None}

    def propose(self: Any, trial_id: str) -> Values | None:
        """Values that were not tried before; None if there are none at present."""
        values: Values | None = super().populate_space(trial_id)["values"]  # type: ignore[misc]
        return values

    def _budget(self: Any) -> str:
        minutes, trials = self.search.minutes, self.search.budget
        if minutes and self.seconds >= minutes * 60:
            return f"its time limit of {minutes:g} min is over"
        if trials and len(self.trials) - len(self.rejected) >= trials:
            return f"its budget of {trials} trials is used up"
        return ""

    def _why_no_more(self: Any) -> str:
        return f"its space is exhausted: all {len(self._known())} configurations have been tried"

    def _failures(self: Any) -> str:
        """Why the search is given up; empty if it is not."""
        self.given_up, rejected, failed = True, 0, 0
        limit = self.search.failures_in_a_row
        for number in self.end_order:
            trial = self.trials[number]
            if number in self.rejected:
                rejected += 1
            else:
                rejected, failed = 0, failed + 1 if trial.status == TrialStatus.FAILED else 0
            if limit is not None and failed >= limit:
                return f"{failed} trials in a row failed, the last one: {trial.message}"
            if rejected >= REJECTED_IN_A_ROW:
                return f"{rejected} trials in a row were rejected, the last one: {trial.message}"
        self.given_up = False
        return ""

    def configuration(self: Any, values: Values) -> str:
        """The key of a trial with these values: its recipe's identity and its model's hyper-parameters."""
        values = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        text = json.dumps(values, sort_keys=True)
        if text not in self._keys:
            space = self.search.checked_space
            try:
                identity = self.search.base.override(**space.changes(values)).resolved().digest()
            except InputError:  # such a trial fails
                identity = json.dumps(space.keys_of(values), sort_keys=True, default=str)
            rest = {name: value for name, value in values.items() if name not in space}
            self._keys[text] = f"{identity} {json.dumps(rest, sort_keys=True)}" if rest else identity
        return str(self._keys[text])

    def _known(self: Any) -> set[str]:
        """Configurations of the trials so far."""
        return {self.configuration(trial.hyperparameters.values) for trial in self.trials.values()}

    def _random_values(self: Any) -> Values | None:
        """Random values that were not tried before; None if the space is exhausted.

        keras-tuner 1.4.8 considers a space exhausted after 20 draws of known values. It calls this method to draw.
        """
        size = len(self.hyperparameters.space)  # a model function may add to it
        if self._exhausted_at != size:
            known = self._known()
            for attempt, values in enumerate(self._candidates()):
                if self.configuration(values) not in known:
                    self.skipped += attempt > 0
                    return values
        self._exhausted_at = size
        return None

    def _candidates(self: Any) -> Iterator[Values]:
        """Random values, then all values, unless there are too many to list."""
        yield from map(self._draw, range(DRAWS))
        listed = list(itertools.islice(combinations(self.hyperparameters.space, all_values), LISTED + 1))
        if len(listed) <= LISTED:
            generator(self.search.seed, "left", len(self.trials)).shuffle(listed)
            yield from listed
        else:
            yield from map(self._draw, range(DRAWS, LISTED))

    def _draw(self: Any, attempt: int) -> Values:
        """Random values that are the same after a restart."""
        hp = keras_tuner.HyperParameters()
        for index, entry in enumerate(self.hyperparameters.space):
            if hp.is_active(entry):
                seed = derived_seed(self.search.seed, "draw", len(self.trials), attempt, index)
                hp.values[entry.name] = entry.random_sample(seed)
        return dict(hp.values)


def combinations(space: list[Any], values_of: Callable[[Any], list[Any]]) -> Iterator[Values]:
    """All combinations of the values of hyper-parameters, defaults first; the last hyper-parameter varies fastest.

    A combination contains only active hyper-parameters, like a trial's values.
    """
    hp = keras_tuner.HyperParameters()

    def extend(index: int, chosen: Values) -> Iterator[Values]:
        if index == len(space):
            yield chosen
            return
        entry, hp.values = space[index], chosen
        if not hp.is_active(entry):
            yield from extend(index + 1, chosen)
            return
        for value in dict.fromkeys([entry.default, *values_of(entry)]):
            yield from extend(index + 1, {**chosen, entry.name: value})

    return extend(0, {})


def all_values(entry: Any) -> list[Any]:
    """Every value of a hyper-parameter; for a real range, too many to list."""
    if isinstance(entry, kinds.Float) and entry.step is None:
        return list(range(LISTED + 1))
    if isinstance(entry, kinds.Int) and entry.step is None:
        return list(range(entry.min_value, entry.max_value + 1))
    return list(entry.values)
