"""Searches on digits: how good and bad trials end, and how a killed search resumes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import kzoo
from kzoo import Choice, InputError, IntRange, RunFailed, Search
from kzoo.search.results import read_search
from kzoo.search.running import claimed, open_directory, run_search

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = {"dataset": "digits", "train_size": 200, "epochs": 2, "l2": 0.0}
LITTLE = {"train_size": 40, "split.validation": 40, "epochs": 1}
RATES = {"optimizer.learning_rate": Choice(1e-3, 1e-2, 3e-2)}


def tiny(space=None, **options):
    changes = options.pop("changes", {})
    return Search("tiny", "lenet1-max", space or RATES, **options).override(**TINY | changes)


def model(hp):
    """Builds the chosen model: most of the choices cannot be trained."""
    import keras

    kind = hp.Choice("kind", ["good", "raises", "nan", "large", "other"])
    x = inputs = keras.Input((8, 8, 1))
    if kind == "raises":
        raise RuntimeError("this model cannot be built")
    if kind == "nan":
        for _ in range(2):
            x = keras.layers.Rescaling(1e30)(x)
    x = keras.layers.Flatten()(x)
    if kind == "large":
        x = keras.layers.Dense(1000)(x)
    return keras.Model(inputs, keras.layers.Dense(10)(x))


def test_bad_trials_are_recorded_and_the_search_continues():
    search = Search("bad", "lenet1-max", {}, model=model, tuner="grid", max_parameters=10_000)
    result = run_search(search.override(**TINY | LITTLE), "bad", progress=False)
    ends = {trial.values["kind"]: trial for trial in result.trials}
    status = {kind: trial.status for kind, trial in ends.items()}
    assert status == {
        "good": "completed",
        "other": "completed",
        "raises": "failed",
        "nan": "failed",
        "large": "rejected",
    }
    assert ends["raises"].reason == "this model cannot be built"
    assert "loss is nan" in ends["nan"].reason
    assert ends["large"].reason == "75,010 parameters exceed the limit of 10,000"
    assert ends["large"].outcome.epochs == 0
    assert not Path("bad/trial_0003/run").exists()
    assert "RuntimeError: this model" in Path("bad/trial_0001/traceback.txt").read_text()
    assert result.status == "completed"
    assert ends["good"].score == ends["other"].score  # same seed, same model
    with pytest.raises(InputError, match="uses a model function"):
        result.recipe()


def raises_at_first(hp):
    import keras

    return keras.layers.Dense(hp.Int("width", 0, 4))


def test_a_model_function_must_work_for_its_first_values():
    search = Search("first", "lenet1-max", {"batch_size": Choice(20, 30)}, model=raises_at_first, trials=2)
    message = (
        r"model function 'raises_at_first' raised ValueError: .* \(line \d+ of '.*test_search_running.py'\) with its "
        r"first values, .*width=0: "
    )
    with pytest.raises(InputError, match=message) as caught:
        run_search(search.override(**TINY), "first", progress=False)
    assert isinstance(caught.value.__cause__, ValueError)


def two_widths(hp):
    import keras

    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(hp.Choice("width", [2, 3]))(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(10)(x))


@pytest.mark.parametrize(("size", "baseline"), [(20, "0000"), (40, None)])
def test_the_trial_with_the_recipes_values_is_named_though_the_model_adds_values(size, baseline):
    recipe = kzoo.recipe("lenet1-max").override(**TINY | LITTLE, batch_size=20)
    search = Search("own", recipe, {"batch_size": Choice(size)}, model=two_widths, trials=1)
    (trial,) = run_search(search, "own", progress=False).trials
    assert (set(trial.values), trial.values["batch_size"]) == ({"batch_size", "width"}, size)
    assert read_search("own").record.baseline == baseline


def test_rejected_trials_do_not_count_and_a_larger_budget_continues():
    space = {"model_options.filters": IntRange(4, 7)}  # 49 parameters each
    search = tiny(space, tuner="grid", trials=1, max_parameters=250, changes=LITTLE)
    result = run_search(search, "small", progress=False)
    assert [trial.status for trial in result.trials] == ["completed"]
    more = run_search(search.replace(trials=3), "small", progress=False)
    assert more.trials[:1] == result.trials
    assert [trial.status for trial in more.trials] == ["completed", "completed", "rejected", "rejected"]
    assert more.record.seconds > result.record.seconds
    with pytest.raises(InputError, match="contains another search"):
        run_search(tiny(), "small", progress=False)


@pytest.mark.slow
def test_failures_in_a_row_end_it_only_if_asked():
    rates = {"optimizer.learning_rate": Choice(1e30, 2e30, 3e30)}
    search = tiny(rates, trials=3, failures_in_a_row=2, changes={"epochs": 1})
    with pytest.raises(RunFailed, match="2 trials in a row failed, the last one: the training loss"):
        run_search(search, "row", progress=False)
    result = read_search("row")
    assert (result.status, len(result.trials)) == ("given up", 2)
    with pytest.raises(RunFailed, match="none of its 3 trials was completed; the last one: the training loss"):
        run_search(search.replace(failures_in_a_row=None), "row", progress=False)
    assert read_search("row").status == "completed"
    assert [trial.status for trial in read_search("row").trials] == ["failed"] * 3


@pytest.mark.slow
def test_hyperband_resumes_what_it_promotes():
    search = tiny(tuner="hyperband", changes={"epochs": 3})
    result = run_search(search, "band", progress=False)
    promoted = [trial for trial in result.trials if trial.outcome.continues]
    assert promoted
    for trial in promoted:
        parent = next(other for other in result.trials if other.number == trial.outcome.continues)
        assert parent.values == trial.values
        assert (parent.outcome.epochs, trial.outcome.epochs) == (1, 3)
        assert not trial.outcome.resumed
        whole = kzoo.train(search.base.override(**trial.outcome.changes), directory="whole", progress=False)
        mine = json.loads((Path("band") / trial.directory / "result.json").read_text())
        assert mine["history"]["val_loss"] == whole.history["val_loss"]
        assert mine["test"] is None  # a search does not use the test part


@pytest.mark.slow
def test_poor_trials_are_stopped_at_the_median():
    space = {"optimizer.learning_rate": Choice(3e-2, 1e-2, 2e-2, 1e-7, 2e-7)}
    result = run_search(tiny(space, tuner="grid", stop_poor="median", changes={"epochs": 4}), "poor", progress=False)
    stopped = {trial.values["optimizer.learning_rate"] for trial in result.trials if trial.outcome.stopped}
    assert {1e-7, 2e-7} & stopped
    assert not {3e-2, 2e-2} & stopped
    assert all(trial.status == "completed" for trial in result.trials)
    assert all((trial.outcome.epochs < 4) == trial.outcome.stopped for trial in result.trials)


def test_one_process_searches_at_a_time(tmp_path):
    search = tiny()
    folder = tmp_path / "own"
    open_directory(search, folder)
    with claimed(folder), pytest.raises(kzoo.InputError, match="in use"), claimed(folder):
        pass
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match=r"letter\.txt"), claimed(tmp_path / "strange"):
        pass


def test_missing_data_is_one_error_before_any_trial():
    with pytest.raises(InputError, match=r"npz:nowhere|nowhere"):
        run_search(tiny().override(dataset="npz:nowhere.npz"), "none", progress=False)
    assert not list(Path("none").glob("trial_*"))


SCRIPT = """
import kzoo
search = kzoo.Search(
    "killed",
    "lenet1-max",
    {"optimizer.learning_rate": kzoo.Range(1e-3, 1e-1, log=True), "batch_size": kzoo.Choice(5, 10)},
    trials=3,
    tuner=TUNER,
).override(dataset="digits", train_size=600, epochs=6, model_options={"filters": 4})
"""


def start(directory, *words):
    command = [sys.executable, "-m", "kzoo", "search", "killed.py", "--directory", str(directory), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize(("tuner", "trial"), [("random", "0001"), ("grid", "0000"), ("bayesian", "0002")])
def test_a_killed_search_ends_as_if_it_had_not_been(tuner, trial):
    Path("killed.py").write_text(SCRIPT.replace("TUNER", repr(tuner)))
    finish(start("whole"))
    process = start("cut")
    curve = Path("cut") / f"trial_{trial}" / "run" / "metrics.csv"
    deadline = time.monotonic() + 240
    while not curve.exists() or len(curve.read_text().splitlines()) < 3:
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    there = read_search("cut")
    assert there.status == "running"
    assert there.trials[-1].number == trial
    finish(start("cut"))
    whole, cut = read_search("whole"), read_search("cut")
    assert [t.number for t in cut.trials] == [t.number for t in whole.trials] == ["0000", "0001", "0002"]
    assert [t.values for t in cut.trials] == [t.values for t in whole.trials]
    assert [t.score for t in cut.trials] == [t.score for t in whole.trials]
    assert [t.outcome.resumed for t in cut.trials] == [t.number == trial for t in cut.trials]
    record = json.loads((Path("cut") / f"trial_{trial}" / "run" / "result.json").read_text())
    assert len(record["segments"]) == 2
    assert record["segments"][1]["first_epoch"] >= 2  # not from scratch
    assert len(record["history"]["loss"]) == 6


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits on memory need Linux")
def test_each_trial_in_its_own_process_within_its_memory():
    Path("greedy.py").write_text(
        "import keras, kzoo\n"
        "def model(hp):\n"
        "    width = hp.Choice('width', [10, 100_000_000])\n"  # the larger one takes 25.6 GB
        "    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(),\n"
        "                             keras.layers.Dense(width), keras.layers.Dense(10)])\n"
        "search = kzoo.Search('greedy', 'lenet1-max', {}, model=model, tuner='grid', own_process=True, memory=4)\n"
        "search = search.override(dataset='digits', train_size=200, epochs=1)\n"
    )
    result = run_search(kzoo.load_search("greedy.py"), "greedy", progress=False)
    small, large = result.trials
    assert (small.status, large.status) == ("completed", "failed")
    assert large.reason.startswith("out of memory")
    assert "os.getpid" not in large.reason
    segments = json.loads((Path("greedy") / small.directory / "result.json").read_text())["segments"]
    assert len(segments) == 1
