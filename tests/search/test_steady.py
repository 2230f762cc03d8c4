"""Oracles of keras-tuner's, killed at every write of their files: what they saved is whole, and they go on."""

import json

import keras_tuner
import pytest
from keras_tuner import oracles
from keras_tuner.engine.trial import Trial

from kzoo.search import steady as steady_module
from kzoo.search.steady import steady

GOAL = keras_tuner.Objective("loss", "min")
KINDS = {
    "random": lambda space: oracles.RandomSearchOracle(GOAL, max_trials=4, hyperparameters=space, seed=3),
    "grid": lambda space: oracles.GridSearchOracle(GOAL, hyperparameters=space),
    "hyperband": lambda space: oracles.HyperbandOracle(GOAL, max_epochs=3, hyperparameters=space, seed=3),
    "bayesian": lambda space: oracles.BayesianOptimizationOracle(
        GOAL, max_trials=4, num_initial_points=2, hyperparameters=space, seed=3
    ),
}


class Killed(BaseException):
    """Stands for SIGKILL."""


class Quiet(keras_tuner.Tuner):
    """A tuner that finds what it has saved by the oracle's file, whoever it was."""

    def _get_tuner_fname(self):
        return "p/oracle.json"


class Never(keras_tuner.HyperModel):
    """Declares the space; nothing is built."""

    def build(self, hp):
        hp.Choice("x", [1, 2, 3])
        hp.Choice("y", [1, 2])


def load(kind, keep=False):
    """The oracle, from what is in this directory."""
    space = keras_tuner.HyperParameters()
    Never().build(space)
    oracle = Quiet(KINDS[kind](space), Never(), directory=".", project_name="p").oracle
    oracle.verbose = 0
    return steady(oracle, keep=keep)


def go_on(oracle, workers=("a", "b")):
    """Run trials as workers do, who take turns."""
    held, over = {}, False
    while not over:
        for worker in workers:
            if worker in held:
                trial = held.pop(worker)
                values = trial.hyperparameters.values
                oracle.update_trial(trial.trial_id, {"loss": values["x"] + 0.1 * values["y"]})
                trial.status = "COMPLETED"
                oracle.end_trial(trial)
            trial = oracle.create_trial(worker)
            if trial.status == "RUNNING":
                held[worker] = trial
        over = not held


def check(oracle):
    """Every trial has ended, once, and no two are alike."""
    assert {trial.status for trial in oracle.trials.values()} == {"COMPLETED"}
    assert sorted(oracle.end_order) == sorted(oracle.start_order) == sorted(oracle.trials)
    values = [json.dumps(trial.hyperparameters.values, sort_keys=True) for trial in oracle.trials.values()]
    if not isinstance(oracle, oracles.BayesianOptimizationOracle):  # it may try values again
        assert len(set(values)) == len(values)
    assert oracle.create_trial("c").status == "STOPPED"


@pytest.mark.parametrize("kind", ["random", "grid", "hyperband", pytest.param("bayesian", marks=pytest.mark.slow)])
def test_killed_at_any_write_a_search_goes_on(kind, monkeypatch, tmp_path):
    write, left = steady_module._write, 0

    def counted(path, state):
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        write(path, state)

    monkeypatch.setattr(steady_module, "_write", counted)
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    oracle = load(kind)
    go_on(oracle)
    check(oracle)
    trials, writes = len(oracle.trials), -left
    for moment in {round(1 + k * (writes - 1) / 7) for k in range(8)}:
        (tmp_path / str(moment)).mkdir()
        monkeypatch.chdir(tmp_path / str(moment))
        left = moment
        with pytest.raises(Killed):
            go_on(load(kind))
        oracle = load(kind)
        go_on(oracle)
        check(oracle)
        assert len(oracle.trials) == trials


def test_trials_stay_with_their_workers_or_go_to_whoever_asks():
    oracle = load("random")
    trials = {worker: oracle.create_trial(worker).trial_id for worker in "ab"}
    kept = load("random", keep=True)
    assert {worker: trial.trial_id for worker, trial in kept.ongoing_trials.items()} == trials
    assert kept.create_trial("a").trial_id == trials["a"]
    free = load("random")
    assert not free.ongoing_trials
    assert {free.create_trial(worker).trial_id for worker in "cd"} == set(trials.values())


def test_an_end_that_is_told_twice_counts_once():
    oracle = load("random")
    trial = oracle.create_trial("a")
    oracle.update_trial(trial.trial_id, {"loss": 1.0})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    again = Trial.from_state(trial.get_state())
    again.status = "FAILED"
    oracle.end_trial(again)
    assert oracle.end_order == [trial.trial_id]
    assert oracle.trials[trial.trial_id].status == "COMPLETED"


def test_nobody_is_sent_home_while_a_trial_runs():
    oracle = load("random")
    last = [oracle.create_trial(worker) for worker in "abcd"][-1]
    assert oracle.create_trial("e").status == "IDLE"
    assert oracle.give_back("d") == last.trial_id
    assert oracle.create_trial("e").trial_id == last.trial_id
    assert oracle.give_back("d") is None
