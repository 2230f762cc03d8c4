"""A chief and its workers' calls, in one process: what the watch does when somebody is gone (no training)."""

import os
import threading
import time

import keras_tuner
import pytest

from kzoo.errors import InputError
from kzoo.search import chief as chief_module
from kzoo.search.addresses import free_port
from kzoo.search.chief import serve
from kzoo.search.link import Heart, say_left
from kzoo.search.steady import steady
from kzoo.search.worker import ChiefGone, Client

COMPLETED, FAILED, RUNNING, STOPPED = "COMPLETED", "FAILED", "RUNNING", "STOPPED"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Everything that takes seconds takes tenths."""
    monkeypatch.setattr("kzoo.search.link.INTERVAL", 0.1)
    monkeypatch.setattr("kzoo.search.link.PAUSE", 0.05)
    monkeypatch.setattr("kzoo.search.worker.PAUSE", 0.05)
    monkeypatch.setattr(chief_module, "INTERVAL", 0.3)
    monkeypatch.setattr(chief_module, "RECONNECT", 0.5)
    monkeypatch.setattr(chief_module, "FAREWELL", 0.5)


def oracle(trials=3, **options):
    """An oracle of keras-tuner's in this directory, with what was saved there."""
    os.environ.pop("KERASTUNER_ORACLE_IP", None)  # a worker would get a client
    os.environ["KERASTUNER_TUNER_ID"] = "boss"  # by which keras-tuner finds what it saved
    space = keras_tuner.HyperParameters()
    space.Float("x", 0.0, 1.0)
    goal = keras_tuner.Objective("loss", "min")
    kind = keras_tuner.oracles.RandomSearchOracle
    tuner = keras_tuner.Tuner(
        kind(goal, max_trials=trials, hyperparameters=space, seed=1, **options),
        Never(),
        directory=".",
        project_name="p",
    )
    tuner.oracle.verbose = 0
    steady(tuner.oracle, keep=True)
    tuner.save()
    return tuner.oracle


class Never(keras_tuner.HyperModel):
    """Nothing is built here."""

    def build(self, hp):
        hp.Float("x", 0.0, 1.0)


class Chief:
    """Serves in a thread until the search is over or it is stopped."""

    def __init__(self, oracle, place=None, timeout=0.8):
        self.oracle, self.place, self.error = oracle, place or free_port(), None
        self.stopped = threading.Event()
        options = {"timeout": timeout, "patience": 20, "interrupted": self.stopped.is_set}
        self.thread = threading.Thread(target=self._run, kwargs=options, daemon=True)
        self.thread.start()

    def _run(self, **options):
        try:
            serve(self.oracle, self.place, "token", **options)
        except BaseException as error:
            self.error = error

    def stop(self):
        """As if it had died: nobody is told."""
        self.stopped.set()
        self.thread.join(10)

    def end(self):
        """Wait for its end."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        if self.error:
            raise self.error


class Worker:
    """Asks for trials and tells their ends, as a tuner does."""

    def __init__(self, chief, name, monkeypatch):
        monkeypatch.setenv("KERASTUNER_ORACLE_IP", chief.place.host)
        monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(chief.place.port))
        monkeypatch.setenv("KERASTUNER_TUNER_ID", name)
        self.lost = threading.Event()
        self.heart = Heart(chief.place, name, self.lost.set)
        self.heart.begin(5)
        self.name, self.client = name, Client(chief.oracle, self.heart, patience=5)

    def ask(self):
        return self.client.create_trial(self.name)

    def finish(self, trial, status=COMPLETED):
        if status == COMPLETED:
            self.client.update_trial(trial.trial_id, {"loss": 0.5})
        trial.status = status
        self.client.end_trial(trial)

    def vanish(self):
        """Die without a word."""
        self.heart.end(left=None)


def work(worker):
    """Do all that there is to do."""
    done = []
    while (trial := worker.ask()).status == RUNNING:
        done.append(trial.trial_id)
        worker.finish(trial)
    worker.heart.end()
    return done


def statuses(oracle):
    return {name: trial.status for name, trial in oracle.trials.items()}


ALL = {"0": COMPLETED, "1": COMPLETED, "2": COMPLETED}


def test_the_trial_of_a_silent_worker_is_finished_by_another(monkeypatch):
    chief = Chief(oracle())
    gone, other = Worker(chief, "w1", monkeypatch), Worker(chief, "w2", monkeypatch)
    assert gone.ask().trial_id == "0"
    gone.vanish()
    began = time.monotonic()
    assert work(other) == ["1", "2", "0"]
    assert 0.5 < time.monotonic() - began < 8
    chief.end()
    assert statuses(chief.oracle) == ALL
    assert sorted(chief.oracle.end_order) == ["0", "1", "2"]
    assert chief.oracle.losses == {"0": 1}


def test_a_worker_that_its_supervisor_gave_up_is_not_waited_for(monkeypatch):
    chief = Chief(oracle(), timeout=60)
    gone, other = Worker(chief, "w1", monkeypatch), Worker(chief, "w2", monkeypatch)
    gone.ask()
    gone.vanish()
    assert say_left(chief.place, "w1", "", "died")
    assert work(other) == ["0", "1", "2"]
    chief.end()


def test_one_that_leaves_gives_its_trial_back_and_is_not_blamed(monkeypatch):
    chief = Chief(oracle(), timeout=60)
    one, other = Worker(chief, "w1", monkeypatch), Worker(chief, "w2", monkeypatch)
    one.ask()
    one.heart.end()
    assert work(other) == ["0", "1", "2"]
    chief.end()
    assert not chief.oracle.losses


def test_a_worker_taken_for_dead_is_told_and_its_result_still_counts_once(monkeypatch):
    chief = Chief(oracle(), timeout=0.8)
    slow, other = Worker(chief, "w1", monkeypatch), Worker(chief, "w2", monkeypatch)
    trial = slow.ask()
    beat = slow.heart._beat
    slow.heart._beat = lambda: time.sleep(1.5) or beat()  # out of reach for a time
    mine = other.ask()
    assert mine.trial_id == "1"
    other.finish(mine)
    deadline = time.monotonic() + 5
    while "0" not in chief.oracle._retry_queue and time.monotonic() < deadline:
        time.sleep(0.05)
    again = other.ask()
    assert again.trial_id == "0"
    assert slow.lost.wait(5)
    slow.finish(trial)
    other.finish(again)
    assert work(other) == ["2"]
    slow.heart.end()
    chief.end()
    assert chief.oracle.end_order == ["1", "0", "2"]


def test_a_chief_that_is_started_again_leaves_trials_with_their_workers(monkeypatch):
    first = Chief(oracle())
    one, two = Worker(first, "w1", monkeypatch), Worker(first, "w2", monkeypatch)
    mine, yours = one.ask(), two.ask()
    first.stop()
    second = Chief(oracle(), first.place, timeout=5)
    time.sleep(1.0)  # longer than it waits for workers that it has not heard from
    one.finish(mine)
    two.finish(yours)
    assert work(one) == ["2"]
    assert work(two) == []
    second.end()
    assert statuses(second.oracle) == ALL
    assert sorted(second.oracle.end_order) == ["0", "1", "2"]


def test_a_chief_that_is_started_again_gives_away_trials_of_workers_that_died_with_it(monkeypatch):
    first = Chief(oracle())
    gone = Worker(first, "w1", monkeypatch)
    gone.ask()
    gone.vanish()
    first.stop()
    second = Chief(oracle(), first.place)
    assert work(Worker(second, "w2", monkeypatch)) == ["1", "2", "0"]
    second.end()
    assert statuses(second.oracle) == ALL


def test_a_trial_that_kills_its_workers_fails(monkeypatch):
    chief = Chief(oracle(), timeout=60)
    for _ in range(3):
        one = Worker(chief, "w1", monkeypatch)
        assert one.ask().trial_id == "0"
        one.vanish()
        time.sleep(0.8)  # until the name is free again
    assert work(Worker(chief, "w1", monkeypatch)) == ["1", "2"]
    chief.end()
    assert statuses(chief.oracle) == {"0": FAILED, "1": COMPLETED, "2": COMPLETED}
    assert chief.oracle.trials["0"].message == "its worker died 3 times"


def test_at_the_limit_of_failures_all_end(monkeypatch):
    chief = Chief(oracle(trials=9, max_consecutive_failed_trials=2))
    one, two = Worker(chief, "w1", monkeypatch), Worker(chief, "w2", monkeypatch)
    mine, yours, third = one.ask(), two.ask(), None
    one.finish(mine, FAILED)
    third = one.ask()
    two.finish(yours, FAILED)
    assert two.ask().status == STOPPED
    two.heart.end()
    one.finish(third)
    assert one.ask().status == STOPPED
    one.heart.end()
    chief.end()
    assert "consecutive failures" in chief.oracle.stopped_because


def test_a_name_in_use_is_refused(monkeypatch):
    chief = Chief(oracle())
    one = Worker(chief, "w1", monkeypatch)
    with pytest.raises(InputError, match="'w1' is at work already"):
        Heart(chief.place, "w1", print).begin(0.5)
    work(one)
    chief.end()


def test_a_chief_that_is_gone_or_not_there_is_one_error(monkeypatch):
    place = free_port()
    with pytest.raises(InputError, match=f"no chief of a search at {place}"):
        Heart(place, "w1", print).begin(0.3)
    chief = Chief(oracle())
    one = Worker(chief, "w1", monkeypatch)
    chief.stop()
    one.client.stub._patience = 0.5
    with pytest.raises(ChiefGone, match=f"the chief at {chief.place} has not answered"):
        one.ask()
    one.vanish()


def test_a_port_in_use_is_one_error():
    one = Chief(oracle())
    time.sleep(0.5)
    with pytest.raises(InputError, match="cannot listen at"):
        serve(one.oracle, one.place, "token", timeout=1, patience=1)
    one.stop()
