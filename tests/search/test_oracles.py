"""An oracle's choices, and that a search killed at any write ends like an uninterrupted one, without training."""

import itertools
import json
import os
import shutil
from collections import Counter
from pathlib import Path

import pytest

import kzoo
from kzoo import Choice, IntRange, Range, Search
from kzoo.errors import InputError
from kzoo.files import read_json, write_json
from kzoo.pool import Event, Pool
from kzoo.search.planned import Planned
from kzoo.search.results import Outcome, read_search
from kzoo.search.running import Owner, open_directory

BASE = kzoo.recipe("lenet1-max").override(dataset="digits", epochs=9)
SPACES = {
    "few": {"batch_size": Choice(10, 20)},
    "four": {"batch_size": Choice(10, 20), "l2": Choice(0.0, 1e-4)},
    "rates": {"optimizer.learning_rate": Range(1e-4, 1e-1, log=True), "l2": Choice(1 / 3, 2 / 3)},
    "same": {"optimizer": Choice("adam", {"kind": "adam", "learning_rate": 1e-3}, labels=("a", "b"))},
}


def score(values):
    """The score of a trial: larger batches and rates are better."""
    return values.get("batch_size", 1) / 100 + values.get("optimizer.learning_rate", 0.0) + values.get("l2", 0.0)


class Fake(Pool):
    """Trains nothing: a trial's score is a function of its values. Two trials run at a time."""

    def __init__(self, statuses=()):
        super().__init__(2)
        self.at_work, self.statuses = [], dict(statuses)

    def wait(self, seconds=0.0):
        while len(self.at_work) < self.slots and (job := self._next()) is not None:
            self.at_work.append(job)
            self._events.append(Event("started", job))
        if self.at_work:
            job = self.at_work.pop(0)
            values = job.arguments["hyperparameters"]["values"]
            status = self.statuses.get(job.key, "completed")
            if status == "unwritten":
                self._end("unwritten", job, "cannot write 'a': No space left on device")
                return self._taken()
            if status == "gone":  # its directory is deleted, and its process dies
                shutil.rmtree(job.record.parent)
                self._end("failed", job, "its process died")
                return self._taken()
            outcome = {"status": status, "score": score(values) if status == "completed" else None}
            outcome |= {"epochs": values.get("tuner/epochs", 9), "continues": values.get("tuner/trial_id")}
            write_json(job.record, Outcome(**outcome).model_dump(mode="json"))
            self._end("done", job)
        return self._taken()


def search_for(space, tuner, **options):
    options.setdefault("trials", None if tuner in ("grid", "hyperband") else 8)
    return Search("fake", BASE, SPACES[space], tuner=tuner, **options)


def run(search, directory="s", statuses=()):
    """Run a search to its end, or resume it; returns its owner."""
    owner = Owner(search, Path(directory), Fake(statuses), data_dir=None, checkpoint_minutes=3.0)
    owner.run(lambda record: None)
    return owner


def shown(owner):
    """Each trial's values and epochs."""
    return [(tuple(trial.values.items()), trial.outcome.epochs) for trial in owner.record.trials]


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.fixture
def kill_at(monkeypatch):
    """Makes write number `left` fail, as if the process was killed; counts the outcomes that were written."""
    state, replace = {"left": 0, "outcomes": Counter()}, os.replace

    def counted(source, target):
        state["left"] -= 1
        if state["left"] == 0:
            raise Killed
        replace(source, target)
        state["outcomes"][str(target)] += Path(target).name == "outcome.json"

    monkeypatch.setattr("kzoo.files.os.replace", counted)
    monkeypatch.setattr("kzoo.files.os.fsync", lambda descriptor: None)
    return state


@pytest.mark.parametrize(
    ("tuner", "space"),
    [
        ("random", "rates"),
        ("grid", "four"),
        pytest.param("hyperband", "four", marks=[pytest.mark.slow, pytest.mark.representative]),
    ],
)
def test_killed_at_any_write_a_search_ends_as_if_it_had_not_been(tuner, space, kill_at):
    search = search_for(space, tuner, trials=3 if tuner == "random" else None)
    open_directory(search, Path("whole"))
    kill_at["left"] = 0
    whole = run(search, "whole")
    writes = -kill_at["left"]
    assert {trial.status for trial in whole.record.trials} == {"completed"}
    for moment in range(1, writes + 1):
        directory = f"killed{moment}"
        open_directory(search, Path(directory))
        kill_at["left"], kill_at["outcomes"] = moment, Counter()
        with pytest.raises(Killed):
            run(search, directory)
        kill_at["left"] = 0
        owner = run(search, directory)
        assert sorted(shown(owner)) == sorted(shown(whole))
        numbers = [trial.number for trial in owner.record.trials]
        assert numbers == sorted(owner.oracle.end_order) == [trial.number for trial in read_search(directory).trials]
        assert [count for path, count in kill_at["outcomes"].items() if "outcome" in path] == [1] * len(numbers)
        assert owner.oracle.ended


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_no_configuration_is_tried_twice_and_an_exhausted_space_ends_a_search(tuner):
    owner = run(search_for("four", tuner))
    assert len(set(shown(owner))) == len(shown(owner)) == 4
    assert owner.record.reason == "its space is exhausted: all 4 configurations have been tried"
    assert read_search("s").record.skipped == owner.oracle.skipped


@pytest.mark.parametrize("tuner", ["random", "grid", "bayesian"])
@pytest.mark.parametrize(
    ("field", "entry"),
    [
        ("optimizer.learning_rate", Range(0.1, 0.7, step=0.1)),
        ("optimizer.learning_rate", Range(1e-9, 5e-9, step=1e-9)),
        ("optimizer.learning_rate", Range(1e-5, 1e-1, step=10, log=True)),
        ("batch_size", IntRange(10, 50, step=7)),
        ("batch_size", IntRange(2, 50, step=2, log=True)),
        ("batch_size", IntRange(3, 5, log=True)),
    ],
)
def test_every_tuner_tries_the_same_values_of_a_range_from_end_to_end(tuner, field, entry):
    """In floating point, 0.1 + 6 * 0.1 is more than 0.7, and a proposal on a log scale can be one past its end."""
    owner = run(
        Search("ends", BASE, {field: entry}, tuner=tuner, trials=None if tuner == "grid" else 12, baseline=False)
    )
    tried = sorted(trial.values[field] for trial in owner.record.trials)
    assert tried == (entry.grid() if entry.step else [3, 4, 5])


@pytest.mark.parametrize("tuner", ["random", "grid", "bayesian"])
def test_a_step_of_a_range_switches_another_field_on(tuner):
    """In floating point, 0.1 + 2 * 0.1 is not 0.3."""
    switched = Choice(10, 20, 30, when={"label_smoothing": [0.1, 0.3]})
    space = {"label_smoothing": Range(0.0, 0.45, step=0.1), "batch_size": switched}
    owner = run(Search("steps", BASE, space, tuner=tuner, trials=None if tuner == "grid" else 40, baseline=False))
    tried = [(trial.values["label_smoothing"], trial.values.get("batch_size")) for trial in owner.record.trials]
    alone, together = [(0.0, None), (0.2, None), (0.4, None)], itertools.product([0.1, 0.3], [10, 20, 30])
    assert sorted(tried, key=str) == sorted([*alone, *together], key=str)
    assert "exhausted: all 9 configurations" in owner.record.reason


@pytest.mark.parametrize("tuner", ["random", "bayesian"])
def test_each_of_many_steps_can_meet_a_condition(tuner):
    steps = Range(0.0, 0.3, step=0.0001)
    assert len(steps.grid()) == 3001
    space = {"label_smoothing": steps, "batch_size": Choice(10, 20, when={"label_smoothing": steps.grid()})}
    owner = run(Search("steps", BASE, space, tuner=tuner, trials=12, baseline=False))
    assert all("batch_size" in trial.values for trial in owner.record.trials)
    assert len({trial.values["label_smoothing"] for trial in owner.record.trials}) > 6


def test_values_that_make_the_same_recipe_are_one_configuration():
    for tuner in ("grid", "random"):
        owner = run(search_for("same", tuner), tuner)
        assert len(owner.record.trials) == 1
        assert owner.record.reason == "its space is exhausted: all 1 configurations have been tried"
    assert run(search_for("same", "grid"), "grid").record.skipped == 1


def test_a_proposal_that_was_tried_is_replaced_and_counted():
    space = {"batch_size": IntRange(1, 30)}
    owner = run(Search("many", BASE, space, trials=30))
    assert len({values for values, _ in shown(owner)}) == 30
    assert owner.record.skipped > 5


def test_each_replaced_proposal_counts_once(monkeypatch):
    drawn = iter([1, 1, 2, 2, 1, 3])  # the second trial's first draw was tried before, like the third's first two
    monkeypatch.setattr(Planned, "_draw", lambda self, attempt: {"batch_size": next(drawn)})
    owner = run(Search("many", BASE, {"batch_size": IntRange(1, 30)}, trials=3, baseline=False))
    assert ([trial.values["batch_size"] for trial in owner.record.trials], owner.record.skipped) == ([1, 2, 3], 2)


def test_hyperband_carries_the_best_to_all_epochs_however_few_there_are():
    owner = run(search_for("few", "hyperband"))
    epochs = Counter(trial.outcome.epochs for trial in owner.record.trials)
    assert epochs == {1: 2, 3: 1, 9: 1}
    best = read_search("s").best
    assert (best.outcome.epochs, best.values) == (9, {"batch_size": 20})
    assert owner.record.reason == "its space is exhausted: all 2 configurations have been tried"


def test_hyperbands_brackets_and_their_promotions():
    owner = run(search_for("rates", "hyperband"))
    members = {}
    for trial in owner.oracle.trials.values():
        values = trial.hyperparameters.values
        members.setdefault((values["tuner/bracket"], values["tuner/round"]), []).append(trial)
    counts = {bracket: len(trials) for bracket, trials in members.items()}
    assert counts == {(2, 0): 9, (2, 1): 3, (2, 2): 1, (1, 0): 5, (1, 1): 2, (0, 0): 3}
    best = sorted(members[2, 0], key=lambda trial: -trial.score)[:3]
    promoted = {trial.hyperparameters.values["tuner/trial_id"] for trial in members[2, 1]}
    assert promoted == {trial.trial_id for trial in best}
    assert owner.record.reason == "all its brackets are done"


def test_hyperband_continues_with_the_rest_when_trials_fail():
    failing = {f"{number:04d}": "failed" for number in range(6)}
    owner = run(search_for("rates", "hyperband"), statuses=failing)
    epochs = Counter(trial.outcome.epochs for trial in owner.record.trials if trial.status == "completed")
    assert epochs[9] >= 4


def test_a_rejected_trial_is_replaced_by_another():
    owner = run(search_for("rates", "random", trials=3), statuses={"0001": "rejected", "0002": "rejected"})
    assert [trial.status for trial in owner.record.trials] == ["completed", "rejected", "rejected"] + ["completed"] * 2
    assert owner.record.reason == "its budget of 3 trials is used up"


def test_too_many_failures_end_a_search():
    search = search_for("rates", "random", failures_in_a_row=2)
    owner = run(search, statuses={"0001": "failed", "0002": "failed"})
    assert owner.oracle.given_up
    assert owner.record.reason.startswith("2 trials in a row failed")
    assert [trial.status for trial in owner.record.trials][:3] == ["completed", "failed", "failed"]
    assert len(owner.record.trials) == 4  # one was still running


def test_failures_with_a_success_between_them_are_not_in_a_row():
    search = search_for("rates", "random", trials=5, failures_in_a_row=2)
    owner = run(search, statuses={"0001": "failed", "0003": "failed"})
    assert not owner.oracle.given_up
    assert owner.record.reason == "its budget of 5 trials is used up"


def test_too_many_rejected_trials_in_a_row_end_a_search(monkeypatch):
    monkeypatch.setattr("kzoo.search.planned.REJECTED_IN_A_ROW", 3)
    rejected = dict.fromkeys(("0000", "0001", "0003", "0004", "0005"), "rejected")
    owner = run(search_for("rates", "random"), statuses=rejected)
    assert owner.oracle.given_up
    assert owner.record.reason.startswith("3 trials in a row were rejected, the last one: ")
    ends = [trial.status for trial in owner.record.trials]
    assert ends == ["rejected"] * 2 + ["completed"] + ["rejected"] * 3 + ["completed"]  # the last was still running


def test_no_trial_starts_after_a_search_has_taken_its_minutes(monkeypatch):
    monkeypatch.setattr(Planned, "seconds", property(lambda self: 20.0 * len(self.trials)))
    owner = run(search_for("rates", "random", minutes=1))
    assert (len(owner.record.trials), owner.record.reason) == (3, "its time limit of 1 min is over")


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError, None])
def test_the_time_of_an_interrupted_process_counts(monkeypatch, error):
    """The last process is killed after the time was saved once while it waited."""
    passed, wait = [0.0], Fake.wait
    for module in ("planned", "running"):
        monkeypatch.setattr(f"kzoo.search.{module}.time.monotonic", lambda: passed[0])

    def long(self, seconds=0.0):
        if passed[0] > 140:
            raise Killed if error is None else error
        passed[0] += 50
        return []

    monkeypatch.setattr(Fake, "wait", long)
    search = search_for("rates", "random", minutes=2)
    with pytest.raises(error or Killed):
        run(search)
    assert read_json(Path("s/oracle_state.json"))["seconds"] == (150 if error else 100)
    if error:
        assert read_search("s").record.seconds == 150
        monkeypatch.setattr(Fake, "wait", wait)
        owner = run(search)
        assert (len(owner.record.trials), owner.record.reason) == (2, "its time limit of 2 min is over")


def test_a_trial_whose_directory_is_deleted_fails_and_the_search_continues():
    owner = run(search_for("rates", "random", trials=4), statuses={"0001": "gone"})
    assert [trial.status for trial in owner.record.trials] == ["completed", "failed", "completed", "completed"]
    assert owner.record.trials[1].reason == "its process died"


def test_a_limit_on_memory_is_named_when_a_process_dies():
    search = search_for("rates", "random", trials=1, own_process=True, memory=2)
    (trial,) = run(search, statuses={"0000": "gone"}).record.trials
    assert trial.reason == "its process died; its memory was limited to 2 GiB, which may be too little"


def test_a_full_disk_ends_a_search_which_is_resumed():
    search = search_for("rates", "random", trials=4)
    with pytest.raises(kzoo.RunFailed, match="No space left"):
        run(search, statuses={"0001": "unwritten"})
    assert read_search("s").record.reason is None
    assert [trial.status for trial in run(search).record.trials] == ["completed"] * 4
    assert sorted(shown(run(search, "whole"))) == sorted(shown(run(search)))


def test_an_oracle_that_waits_is_asked_again_only_when_something_has_happened(monkeypatch):
    asked, ask, wait = [], Planned.ask, Fake.wait
    waits = itertools.count()
    monkeypatch.setattr(Planned, "ask", lambda self: asked.append(self) or ask(self))
    monkeypatch.setattr(Fake, "wait", lambda self: wait(self) if next(waits) % 20 == 0 else [])
    run(search_for("four", "bayesian"))
    assert next(waits) > 60
    assert len(asked) < 16


def test_numbers_are_drawn_as_they_are_stored():
    for trial in run(search_for("rates", "bayesian")).record.trials:
        assert trial.values["l2"] in (1 / 3, 2 / 3)
        rate = trial.values["optimizer.learning_rate"]
        assert rate == float(f"{rate:.6g}")


def test_what_an_older_kzoo_began_is_refused_or_shown():
    search = search_for("four", "grid")
    owner = run(search)
    Path("s/oracle_state.json").rename("s/oracle.json")
    with pytest.raises(kzoo.InputError, match="started by an older kzoo"):
        kzoo.run_search(search, "s", progress=False)
    done = owner.record.model_copy(update={"status": "completed"})
    Path("s/search.json").write_text(done.model_dump_json(indent=1))
    assert kzoo.run_search(search, "s", progress=False).record == done
    with pytest.raises(kzoo.InputError, match="started by an older kzoo"):
        kzoo.run_search(search.replace(trials=9), "s", progress=False)


def test_a_damaged_state_is_one_clear_error():
    search = search_for("four", "grid")
    run(search)
    Path("s/oracle_state.json").write_text("{}")
    with pytest.raises(kzoo.InputError, match=r"oracle_state\.json' is damaged"):
        kzoo.run_search(search, "s", progress=False)


def test_committed_searches_keep_their_identity():
    from kzoo.search.declared import from_dict

    for path in (Path(__file__).parents[2] / "docs" / "searches").glob("*.json"):
        record = read_search(path).record
        fields = {name: value for name, value in record.search.items() if name not in ("recipe", "space")}
        search = Search(
            recipe=kzoo.Recipe.from_json(json.dumps(record.search["recipe"])),
            space=from_dict(record.search["space"]),
            **fields,
        )
        assert search.digest == record.digest


@pytest.mark.parametrize("tuner", ["random", "bayesian", "grid"])
def test_the_first_trial_has_the_recipes_values(tuner):
    """Unless `baseline` is False; a grid always begins with them."""
    fields = {"batch_size": BASE.batch_size, "l2": BASE.l2, "epochs": BASE.epochs}
    space = {"batch_size": Choice(10, 20, BASE.batch_size), "l2": Choice(1e-4, BASE.l2), "epochs": IntRange(1, 99)}
    for baseline in (True, False):
        search = Search("fake", BASE, space, tuner=tuner, trials=1, baseline=baseline)
        record = run(search, f"{tuner} {baseline}").record
        assert (record.trials[0].values == fields) is (baseline or tuner == "grid")
        assert record.baseline == (record.trials[0].number if baseline or tuner == "grid" else None)
