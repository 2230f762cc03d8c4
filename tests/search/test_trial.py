"""One trial in any process: its outcome, and how another process rebuilds its search."""

import errno
import json
import types
from pathlib import Path

import pytest

import kzoo
from kzoo import Choice, InputError, RunFailed, Search
from kzoo.errors import NotWritten
from kzoo.search.results import read_outcome
from kzoo.search.trial import describe, train_trial
from tests.html_report.conftest import full

HISTORY = {"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 1.0, 3.0], "val_accuracy": [0.1, 0.5, 0.4]}
SPACE = {"batch_size": Choice(20, 50), "optimizer": Choice("adam", "momentum", labels=("a", "m"))}


def outcome_of(history=None, error=None, record=None, values=None, **options):
    """Train a trial whose training writes this record and returns this history, or raises this error."""
    search = Search("own", "lenet1-max", SPACE, **options)

    def train(hp, directory):
        if record is not None:
            Path("t/run").mkdir(parents=True, exist_ok=True)
            Path("t/run/result.json").write_text(record.to_json())
        if error is not None:
            raise error
        return types.SimpleNamespace(history=history, multiply_adds=None)

    model = types.SimpleNamespace(search=search, space=search.space, data_of=lambda recipe: None, train_trial=train)
    hyperparameters = {"space": [], "values": values or {}}
    train_trial(model, hyperparameters, "t", data_dir=None, checkpoint_minutes=3.0)
    return read_outcome(Path("t/outcome.json"))


def test_the_score_is_that_of_the_best_epoch():
    best = outcome_of(HISTORY)
    assert (best.status, best.score, best.best_epoch) == ("completed", 0.5, 2)
    assert outcome_of(HISTORY, objective="val_loss").score == 1.0


@pytest.mark.parametrize(
    ("epochs", "processes", "options", "resumed", "stopped"),
    [
        (6, 1, {}, False, False),
        (6, 3, {}, True, False),
        (4, 1, {}, False, True),
        (4, 1, {"tuner": "hyperband"}, False, False),  # it trains some trials for fewer epochs
    ],
)
def test_the_outcome_describes_the_run_of_a_trial(epochs, processes, options, resumed, stopped):
    segment = full().segments[0].model_dump()
    record = full(segments=[{**segment, "seconds": 1.5 + i} for i in range(processes)], epochs=epochs)
    outcome = outcome_of(HISTORY, record=record, **options)
    assert (outcome.resumed, outcome.stopped) == (resumed, stopped)
    assert (outcome.epochs, outcome.parameters, outcome.segments) == (epochs, 336196, processes)
    assert outcome.seconds == sum(1.5 + i for i in range(processes))


def test_processes_of_the_trials_that_it_continues_are_not_counted():
    segment = full().segments[0].model_dump()
    records = [full(segments=[{**segment, "seconds": 1.5 + i} for i in range(processes)]) for processes in (2, 3)]
    before = Path("trial_0002/run/result.json")  # this trial itself continues another one
    before.parent.mkdir(parents=True)
    before.write_text(records[0].to_json())
    outcome = outcome_of(HISTORY, record=records[1], values={"tuner/trial_id": "0002"}, tuner="hyperband")
    assert (outcome.continues, outcome.segments, outcome.resumed, outcome.seconds) == ("0002", 1, False, 3.5)


def test_a_validation_loss_that_is_not_finite_fails_the_trial():
    history = {"loss": [2.0, 1.0], "val_loss": [2.0, float("nan")], "val_accuracy": [0.1, 0.5]}
    failed = outcome_of(history)
    assert (failed.status, failed.score) == ("failed", None)
    assert failed.reason == "the validation loss is nan in epoch 2"


def test_what_is_raised_is_the_reason_and_lack_of_memory_is_named():
    assert outcome_of(error=ValueError("no such\nthing")).reason == "no such thing"
    assert outcome_of(error=MemoryError("too much")).reason == "out of memory: MemoryError: too much"
    assert "MemoryError" in Path("t/traceback.txt").read_text()


def test_a_full_disk_is_not_an_outcome_of_a_trial():
    with pytest.raises(RunFailed, match="No space left"):
        outcome_of(error=NotWritten("cannot write 'a': No space left on device"))
    with pytest.raises(NotWritten, match="No space left"):  # of a library
        outcome_of(error=OSError(errno.ENOSPC, "No space left on device"))
    assert not Path("t/outcome.json").exists()
    assert outcome_of(error=OSError(errno.ENOENT, "No such file")).status == "failed"


def network(hp):
    """A model function that can be imported."""


def test_another_process_makes_the_same_search_of_its_description():
    from kzoo.search.trial import _hyper_model

    search = Search("own", "lenet1-max", SPACE, stop_poor="median", max_parameters=10**6)
    hyper_model = _hyper_model(json.dumps(describe(search)), None, 3.0)
    assert hyper_model.search.digest == search.digest
    assert hyper_model.recipe == search.base
    custom = Search("own", "lenet1-max", SPACE, model=network)
    assert describe(custom)["model"] == f"{__name__}:network"


def test_other_processes_need_a_model_that_they_can_import():
    search = Search("own", "lenet1-max", {}, model=lambda hp: None)
    with pytest.raises(InputError, match="other processes need a model function that they can import"):
        kzoo.run_search(search, "own", workers=2, progress=False)
