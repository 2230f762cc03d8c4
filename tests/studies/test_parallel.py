"""Runs of a study side by side, in child processes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from kzoo.errors import InputError
from kzoo.pool import Children, shares
from kzoo.recipes.schema import Recipe
from kzoo.studies.running import Task, run_tasks

SMALL = {"dataset": "digits", "train_size": 60, "batch_size": 20, "epochs": 2}
FAST = {"delay": 0.05, "grace": 30.0}


def recipe_with(name="test/a", **fields):
    return Recipe(**{"name": name, "model": "lenet1-max", **SMALL, **fields})


def task(recipe):
    recipe = recipe.resolved()
    return Task(
        recipe, recipe.digest(), (recipe.name,), Path("runs") / f"{recipe.name.replace('/', '-')}-{recipe.digest()}"
    )


def records(root="runs"):
    return {path.parent.name: json.loads(path.read_text()) for path in Path(root).glob("*/result.json")}


def segments(root="runs"):
    return {name: len(record["segments"]) for name, record in records(root).items()}


class Changes:
    """The changes that a runner reports."""

    def __init__(self):
        self.all = []

    def __call__(self, one, status, reason=""):
        self.all.append((one.recipe.name, status, reason))

    def of(self, name):
        return [status for other, status, _ in self.all if other == name]


# A custom network; the first process that trains it is killed after the checkpoint of an epoch.
MORTAL = """
import os, pathlib, signal, threading, time
import keras

def network(input_shape=(8, 8, 1), classes=10, **options):
    def die():
        while not list(pathlib.Path("runs").glob("*mortal*/checkpoint/00001-*.npz")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    if not pathlib.Path("dead").exists():
        pathlib.Path("dead").touch()
        threading.Thread(target=die, daemon=True).start()
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(inputs)), name="own")
"""


@pytest.mark.slow
def test_runs_train_side_by_side_and_killed_ones_are_resumed(monkeypatch):
    Path("mortal_network.py").write_text(MORTAL)
    monkeypatch.syspath_prepend(os.getcwd())
    mortal = recipe_with("test/mortal", model="mortal_network:network", epochs=40)
    tasks, changes = [task(mortal), task(recipe_with("test/b", seed=1)), task(recipe_with("test/c", seed=2))], Changes()
    ended = run_tasks(tasks, pool=Children(2, **FAST), tell=changes)
    assert [one.status for one in ended] == ["recorded"] * 3
    assert changes.of("test/mortal") == ["running", "cut off", "running", "recorded"]
    assert changes.of("test/c") == ["running", "recorded"]
    (reason,) = [reason for _, status, reason in changes.all if status == "cut off"]
    assert reason.startswith("its process died (killed by SIGKILL, perhaps out of memory)")
    assert reason.endswith("it starts again")
    assert segments() == {one.directory.name: 2 if one is tasks[0] else 1 for one in tasks}
    record = records()[tasks[0].directory.name]
    assert (record["epochs"], len(record["history"]["loss"])) == (40, 40)
    assert record["segments"][1]["first_epoch"] > 1
    if hasattr(os, "sched_setaffinity"):
        cores = {segment["cores"] for record in records().values() for segment in record["segments"]}
        assert cores <= {len(share.cores) for share in shares(2)}


@pytest.mark.slow
def test_bad_input_is_reported_once_and_failures_do_not_stop_others(monkeypatch, capsys):
    Path("broken_network.py").write_text("def network(**options):\n    raise RuntimeError('no network today')\n")
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)
    tasks = [
        task(recipe_with("test/broken", model="broken_network:network")),
        task(recipe_with("test/absent", dataset="cifar10")),
        task(recipe_with("test/good")),
    ]
    changes = Changes()
    with pytest.raises(InputError, match=r"^test/absent, seed 0: .*cifar10"):
        run_tasks(tasks, pool=Children(2, **FAST), tell=changes)
    assert changes.of("test/good") == ["running", "recorded"]
    assert changes.of("test/absent") == ["running", "failed"]
    assert changes.of("test/broken") == ["running", "failed"]
    assert "no network today" in next(why for name, _, why in reversed(changes.all) if name == "test/broken")
    assert list(records()) == [tasks[2].directory.name]


STUDY = [sys.executable, "-m", "kzoo", "study", "run", "rescue", "--only", "VGG-08", "--seeds", "0,1,2"]
STUDY += ["--dataset", "digits", "--epochs", "12", "--set", "train_size=100", "--workers"]


def start(workers, where):
    Path(where).mkdir(exist_ok=True)
    return subprocess.Popen([*STUDY, str(workers)], cwd=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process):
    printed, _ = process.communicate(timeout=600)
    assert process.returncode == 0, printed.decode()[-3000:]
    return printed.decode()


def wait_for(check, process):
    while not (result := check()):
        assert process.poll() is None
        time.sleep(0.05)
    return result


def children(pid):
    """The child processes of a supervisor that train runs."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    return [int(row[0]) for row in rows if int(row[1]) == pid and "kzoo.pool.child" in row[2]]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_is_killed_trains_nothing_twice(number):
    process = start(2, "here")
    wait_for(lambda: list(Path("here/runs").glob("*/checkpoint/00001-*.npz")), process)
    trainers = children(process.pid)
    assert trainers
    process.send_signal(number)
    if number == signal.SIGINT:
        process.communicate(timeout=120)
        assert process.returncode == 130
        assert not children(process.pid)
    else:
        process.communicate(timeout=120)
    before = records("here/runs")
    finish(start(2, "here"))  # at once: children of the first command may still be writing checkpoints
    after = records("here/runs")
    assert len(after) == 3
    assert {name: after[name] for name in before} == before
    parts = segments("here/runs")
    assert all(count <= 2 for count in parts.values())
    assert 2 in parts.values()
    for record in after.values():
        assert (record["status"], record["epochs"], len(record["history"]["loss"])) == ("completed", 12, 12)
        firsts = [segment["first_epoch"] for segment in record["segments"]]
        assert firsts == sorted(firsts)
        assert firsts[0] == 1
    done = {path: path.stat().st_mtime_ns for path in Path("here/runs").glob("*/result.json")}
    finish(start(2, "here"))
    assert {path: path.stat().st_mtime_ns for path in done} == done


@pytest.mark.slow
def test_two_studies_at_once_train_each_run_once():
    pair = [start(2, "here"), start(1, "here")]
    printed = [None, None]

    def collect(i):
        printed[i] = finish(pair[i])

    threads = [threading.Thread(target=collect, args=[i]) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in printed
    assert list(segments("here/runs").values()) == [1, 1, 1]
    assert all(text.count(": recorded") == 3 for text in printed), printed
    assert any("elsewhere" in text for text in printed)
