"""keras-tuner's oracles, made to survive kills: what is lost or doubled when a process dies at a bad moment.

An oracle chooses the trials of a search. keras-tuner 1.4.8 saves its state so that a kill between two writes, or within
one, loses trials, doubles them or leaves files that cannot be read; and it takes every process for immortal. `steady`
puts that right in an oracle of any of its classes.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from pathlib import Path
from typing import Any

from keras_tuner import Oracle, synchronized
from keras_tuner.oracles import GridSearchOracle
from keras_tuner.src.engine.trial import Trial, TrialStatus

from kzoo.files import write_atomically

ENDED = (TrialStatus.COMPLETED, TrialStatus.FAILED)
MOST_LOSSES = 3
"""A trial whose worker died so often is failed: it is likely to be the reason, by the memory that it takes, say."""


def steady(oracle: Oracle, *, keep: bool = False) -> Oracle:
    """Give an oracle the behaviour of `Steady`, in place, and mend the state that it was loaded with.

    Args:
        oracle: a keras-tuner oracle, after its tuner was made (which loads what was saved).
        keep: whether trials stay with the workers that had them when the oracle was last saved (a chief that is started
            again while its workers go on), instead of being given to whoever asks first.

    Returns:
        The same object.
    """
    kind = type(oracle)
    if not isinstance(oracle, Steady):
        oracle.__class__ = type(f"Steady{kind.__name__}", (Steady, kind), {})
        oracle.stopped_because, oracle.losses = None, Counter()
    oracle.mend(keep)
    return oracle


class Steady:
    """Mixed into an oracle's class by `steady`.

    Attributes:
        stopped_because: why no further trials are given out before the search is complete, if so.
        losses: how often each trial's worker has died.
    """

    stopped_because: str | None
    losses: Counter[str]

    def save(self: Any) -> None:
        """Write the oracle's state, whole or not at all (keras-tuner writes in place)."""
        _write(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self: Any, trial: Trial) -> None:
        _write(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    @synchronized
    def create_trial(self: Any, tuner_id: str) -> Trial:
        """A trial for a worker.

        Nobody is sent home while trials run: one that waits finishes those of a worker that dies.
        """
        if tuner_id in self.ongoing_trials:  # its process has died, and a new one asks
            trial = self.ongoing_trials[tuner_id]
            if not self._count_loss(trial):
                return trial
        if self.stopped_because:
            return Trial(self.get_space(), status=TrialStatus.STOPPED)
        trial = super().create_trial(tuner_id)  # type: ignore[misc]
        if trial.status == TrialStatus.STOPPED and self.ongoing_trials:
            trial.status = TrialStatus.IDLE
        return trial

    @synchronized
    def end_trial(self: Any, trial: Trial) -> None:
        """Note a trial's end, once: a worker tells it again if the answer got lost, or if it was taken for dead."""
        if trial.trial_id in self.end_order:
            return
        super().end_trial(trial)  # type: ignore[misc]
        if self.trials[trial.trial_id].status in ENDED and trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)
        self.save()  # keras-tuner saves while the trial still counts as running, and would run it again

    @synchronized
    def give_back(self: Any, tuner_id: str, *, lost: bool = True) -> str | None:
        """Take the trial of a worker that is gone, for the next one that asks; gives the trial's name.

        Args:
            tuner_id: the worker.
            lost: whether it died of itself, which counts against the trial.
        """
        trial = self.ongoing_trials.get(tuner_id)
        if trial is None:
            return None
        if lost and self._count_loss(trial):
            return trial.trial_id
        del self.ongoing_trials[tuner_id]
        self._retry_queue.append(trial.trial_id)
        self.save()
        return trial.trial_id

    def _count_loss(self: Any, trial: Trial) -> bool:
        """Note that a trial's worker has died; whether the trial was failed for that."""
        self.losses[trial.trial_id] += 1
        if self.losses[trial.trial_id] < MOST_LOSSES:
            return False
        failed = Trial(trial.hyperparameters, trial.trial_id, TrialStatus.FAILED)
        failed.message = f"its worker died {MOST_LOSSES} times"
        self.end_trial(failed)
        return True

    def _check_consecutive_failures(self: Any) -> None:
        # Raised within end_trial, keras-tuner's error leaves its lock taken and the chief waiting for ever.
        try:
            super()._check_consecutive_failures()  # type: ignore[misc]
        except RuntimeError as error:
            self.stopped_because = str(error).strip()

    def mend(self: Any, keep: bool) -> None:
        """Bring oracle and trials together again after a kill between the writing of their files."""
        path = Path(self._get_oracle_fname())
        if not path.exists():
            return
        for name in set(self.trials) - set(self.start_order):
            # Its file was written, the oracle's not yet: nobody has been told of it, and it will be made anew.
            del self.trials[name]
            (Path(self._get_trial_dir(name)) / "trial.json").unlink(missing_ok=True)
        ended = [name for name in self.start_order if self.trials[name].status in ENDED]
        for name in ended:
            if name not in self.end_order:
                self.end_order.append(name)
                self.update_space(self.trials[name].hyperparameters)
        waiting = dict.fromkeys([*self._retry_queue, *reversed(self.start_order)])
        self._retry_queue = [name for name in waiting if name not in ended]
        if keep:
            held = json.loads(path.read_text(encoding="utf-8"))["ongoing_trials"]
            self.ongoing_trials = {who: self.trials[name] for who, name in held.items() if name in self._retry_queue}
            taken = {trial.trial_id for trial in self.ongoing_trials.values()}
            self._retry_queue = [name for name in self._retry_queue if name not in taken]
        if isinstance(self, GridSearchOracle):
            self._mend_grid()

    def _mend_grid(self: Any) -> None:
        """Where a grid search stands, which keras-tuner does not save: without it, a loaded one ends at once."""

        def compare(a: str, b: str) -> int:
            return self._compare(self.trials[a].hyperparameters.values, self.trials[b].hyperparameters.values)

        self._ordered_ids = type(self._ordered_ids)()
        for name in sorted(self.start_order, key=functools.cmp_to_key(compare)):
            self._ordered_ids.insert(name)
        self._populate_next = list(self.start_order)


def _write(path: Path, state: dict[str, Any]) -> None:
    write_atomically(path, lambda stream: stream.write(json.dumps(state).encode()))
