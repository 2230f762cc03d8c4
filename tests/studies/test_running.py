"""Running a study: what is trained, what is skipped, and what is reported. Networks are tiny, on digits."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from kzoo import studies
from kzoo.errors import InputError
from kzoo.pool import Here
from kzoo.recipes import Recipe, get_recipe
from kzoo.studies import Entry, Study, get_study
from kzoo.studies.collecting import collect
from kzoo.studies.progress import StudyProgress
from kzoo.studies.running import _job, failures, plan, run_study
from kzoo.training.directory import claimed
from kzoo.training.listing import read_progress

pytestmark = pytest.mark.usefixtures("eagerly")

RUNS = Path("runs")
SMALL = Recipe("t/small", model="mlp", model_options={"hidden": [8]}, train_size=40, epochs=2, batch_size=400)
WIDE = SMALL.derive("t/wide", model_options={"hidden": [16]})
TINY = Study("tiny", "ours", "Which?", (Entry(SMALL, "small"), Entry(WIDE, "wide")))


class Changes(list):
    def __call__(self, task, status, reason=""):
        self.append((*task.labels, status))


def digests():
    return {path.parent.name: path.stat().st_mtime_ns for path in RUNS.glob("*/result.json")}


def test_trained_tasks_have_their_records():
    tasks = run_study(TINY)
    assert [task.status for task in tasks] == ["recorded", "recorded"]
    assert [task.record for task in tasks] == [task.directory / "result.json" for task in tasks]
    assert [task.record for task in run_study(TINY)] == [task.record for task in tasks]


def test_entries_of_one_identity_share_their_runs():
    same = Study("twice", "ours", "Which?", (*TINY.entries, Entry(SMALL.derive("t/again"), "again")))
    tasks = plan(same, seeds=[0, 1])
    assert [(task.labels, task.recipe.seed) for task in tasks] == [
        (("small", "again"), 0), (("small", "again"), 1), (("wide",), 0), (("wide",), 1),
    ]  # fmt: skip
    assert len({task.directory for task in tasks}) == 4
    # this also holds across studies: report b's baseline resumes in the directory where report a's run began
    (begun,) = plan(get_study("rescue"), only="BN")
    begun.directory.mkdir(parents=True)
    (begun.directory / "recipe.json").write_text(begun.recipe.to_json())
    for name, label in (("batch-size", "100"), ("seeds", "seed 0"), ("learning-rate", "1e-3")):
        (task,) = plan(get_study(name), only=label)
        assert (task.directory, task.status) == (begun.directory, "cut off"), name


def test_only_and_changes():
    tasks = plan(get_study("rescue"), only="rescue/*residual", changes={"dataset": "digits", "epochs": 3})
    assert [task.labels[0] for task in tasks] == ["residual", "BN+residual"]
    assert {(task.recipe.dataset, task.recipe.epochs, task.recipe.augmentation) for task in tasks} == {
        ("digits", 3, ())
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "nothing*"}, "wildcard 'nothing\\*' matches no run of study 'tiny': its runs are small, wide"),
        ({"seeds": [1, 1]}, "seeds must be different integers"),
        ({"seeds": [-1]}, "seeds must be different integers"),
        ({"seeds": [0.5]}, "seeds must be different integers"),
        ({"changes": {"epoch": 1}}, "unknown recipe field 'epoch': did you mean 'epochs'"),
        ({"changes": {"epochs": 0}}, "recipe field 'epochs' is 0"),
        ({"changes": {"dataset": "digit"}}, "unknown dataset 'digit': did you mean 'digits'"),
        ({"changes": {"model_options.hidden": [3]}}, "compares values of model_options.hidden"),
        ({"records": [Path("nowhere")]}, "directory of records 'nowhere' does not exist"),
    ],
)
def test_bad_input_is_refused_before_training(options, message):
    with pytest.raises(InputError, match=message):
        run_study(TINY, **options)
    assert not RUNS.exists()


def test_data_directory_may_be_in_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (task, _) = plan(TINY)
    assert _job(task, "~/data", Here()).arguments["data_dir"] == str(tmp_path / "data")


def test_seeds_of_a_study_of_seeds():
    with pytest.raises(InputError, match="study 'seeds' compares seeds"):
        plan(get_study("seeds"), seeds=[0, 1])


def test_a_damaged_record_is_reported_before_training_and_left(made, keep):
    path = keep(made(get_recipe("rescue/bn")), RUNS)
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        plan(get_study("rescue"))
    assert path.read_text() == "{"
    (path.parent / "recipe.json").write_text(get_recipe("rescue/bn").resolved().to_json())
    path.write_text(made(get_recipe("rescue/vgg08")).to_json())
    with pytest.raises(InputError, match=r"not of the run in its directory: .*model.* in 'recipe.json' differs"):
        plan(get_study("rescue"))
    path.unlink()
    (path.parent / "recipe.json").write_text(get_recipe("rescue/vgg08").resolved().to_json())
    with pytest.raises(InputError, match="holds the run of another recipe: move it aside"):
        plan(get_study("rescue"))


def test_trains_what_is_missing_and_nothing_twice():
    changes = Changes()
    ended = run_study(TINY, only="small", tell=changes)
    assert changes == [("small", "running"), ("small", "recorded")]
    assert [task.status for task in ended] == ["recorded"]
    before = digests()
    changes.clear()
    assert [task.status for task in run_study(TINY, tell=changes)] == ["recorded", "recorded"]
    assert changes == [("wide", "running"), ("wide", "recorded")]
    assert before.items() <= digests().items()
    # a committed record counts too; a smaller budget is another run
    collect(TINY, RUNS, Path("results"))
    assert [task.status for task in plan(TINY, directory=Path("elsewhere"))] == ["recorded", "recorded"]
    assert [task.status for task in plan(TINY, changes={"epochs": 1})] == ["waiting", "waiting"]
    assert [task.status for task in plan(TINY, directory=Path("elsewhere"), records=[])] == ["waiting", "waiting"]


def test_a_failed_run_does_not_stop_the_others():
    wild = SMALL.derive("t/wild", batch_size=20, optimizer={"kind": "sgd", "learning_rate": 1e30})
    study = Study("wild", "ours", "Which?", (Entry(wild, "wild"), Entry(SMALL, "small")))
    changes = Changes()
    ended = run_study(study, tell=changes)
    assert changes[-3:] == [("wild", "failed"), ("small", "running"), ("small", "recorded")]
    assert "1 of 2 runs failed: wild, seed 0: the training loss is" in str(failures(ended))
    changes.clear()
    assert "wild, seed 0: the training loss is" in str(failures(run_study(study, tell=changes)))
    assert changes == []
    assert failures(ended[1:]) is None


def test_a_run_in_use_elsewhere_is_waited_for(monkeypatch):
    from kzoo.pool import jobs

    small = plan(TINY)[0]
    lock = claimed(small.directory)
    lock.__enter__()
    waits = []

    def release(seconds):
        waits.append(seconds)
        lock.__exit__(None, None, None)

    monkeypatch.setattr(jobs, "time", SimpleNamespace(sleep=release, monotonic=time.monotonic))
    monkeypatch.setattr(jobs, "WAIT", 0.0)
    changes = Changes()
    ended = run_study(TINY, tell=changes)
    assert [task.status for task in ended] == ["recorded", "recorded"]
    assert changes[:3] == [("small", "elsewhere"), ("wide", "running"), ("wide", "recorded")]
    assert changes[3:] == [("small", "running"), ("small", "recorded")]
    assert waits == [jobs.WAIT]


def test_progress_is_read_from_the_runs_directory(tmp_path):
    assert read_progress(tmp_path, 10).epoch == 0
    (tmp_path / "metrics.csv").write_text("epoch,val_accuracy,seconds\n1,0.25,4\n2,0.5,4\n")
    so_far = read_progress(tmp_path, 10)
    assert (so_far.epoch, so_far.val_accuracy) == (2, 0.5)
    assert 28 <= so_far.seconds_left <= 32
    assert read_progress(tmp_path, 2).seconds_left == 0


@pytest.mark.parametrize("terminal", [True, False])
def test_what_is_shown(terminal):
    small, wide = plan(TINY)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=100)
    with StudyProgress(console, "Which?", [small, wide], interval=0.02) as shown:
        shown.tell(small, "running")
        small.directory.mkdir(parents=True)
        (small.directory / "metrics.csv").write_text("epoch,val_accuracy,seconds\n1,0.25,4\n")
        time.sleep(0.2)
        shown.tell(small, "recorded")
        shown.tell(wide, "failed", "the training loss is nan")
    text = stream.getvalue()
    if terminal:
        assert "small" in text
        assert "1/2" in text
        assert "0.2500" in text
    else:
        assert text.splitlines() == [
            "small, seed 0: running",
            "small, seed 0: epoch 1/2, val accuracy 0.2500, 0:04 left",
            "small, seed 0: recorded",
            "wide, seed 0: failed: the training loss is nan",
        ]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(studies.REGISTRY, "added", {"tiny": TINY})


def test_commands(command, tiny, made, keep):
    keep(made(SMALL, 0.5), RUNS)
    keep(made(WIDE, 0.6), RUNS)
    code, text, _ = command("study", "run", "tiny")
    assert code == 0
    assert "tiny at the full budget" in text
    code, text, _ = command("study", "table", "tiny", "--json")
    assert [row["label"] for row in json.loads(text)["budgets"][0]["rows"]] == ["small", "wide"]
    assert "| small | 1 |" in command("study", "table", "tiny", "--markdown")[1]
    assert "What lets" in command("study", "list", "resc*")[1]
    assert json.loads(command("study", "list", "tiny", "--json")[1])[0]["question"] == "Which?"
    code, text, _ = command("study", "show", "rescue")
    assert "0.6212" in text
    assert "BatchNorm and residual connections together are best" in text
    assert json.loads(command("study", "show", "tiny", "--json")[1])["name"] == "tiny"
    assert "2 new records" in command("study", "collect", "tiny")[1]
    assert "0 new records" in command("study", "collect", "tiny")[1]

    # If all records are in results/, the directory of runs need not exist.
    shutil.rmtree(RUNS)
    code, text, errors = command("study", "run", "tiny")
    assert (code, "page: runs/tiny.html" in text) == (0, True), errors


def test_only_may_be_repeated(command, monkeypatch, made, keep):
    third = SMALL.derive("t/third", model_options={"hidden": [4]})
    study = Study("three", "ours", "Which?", (*TINY.entries, Entry(third, "third")))
    monkeypatch.setattr(studies.REGISTRY, "added", {"three": study})
    for one in (SMALL, WIDE, third):
        keep(made(one, failed=True), RUNS)
    code, _, errors = command("study", "run", "three", "--only", "small", "--only", "w*")
    assert code == 1
    assert "2 of 2 runs failed: small, seed 0" in errors
    assert "wide, seed 0" in errors
    assert "third" not in errors

    # A record that does not count is named once, before the runs.
    path = keep(made(SMALL), Path("results/three"))
    Path("results/SHA256SUMS").write_text(f"{64 * '0'}  {path.relative_to('results').as_posix()}\n")
    code, _, errors = command("study", "run", "three", "--only", "small")
    assert errors.count("was changed: its checksum does not match SHA256SUMS") == 1

    # A page that cannot be written does not hide that the runs failed.
    RUNS.joinpath("three.html").unlink()
    RUNS.joinpath("three.html").mkdir()
    code, _, errors = command("study", "run", "three", "--only", "small")
    assert code == 1
    assert "warning: page 'runs/three.html' is a directory" in errors
    assert "1 of 1 runs failed: small, seed 0" in errors


def test_bad_input_at_the_command_line(command, tiny, made, keep):
    keep(made(SMALL, 0.5), Path("below/runs"))
    Path("file").touch()
    for words, message in {
        ("run", "rescu"): "unknown study 'rescu': did you mean 'rescue'?",
        ("table", "rescu"): "unknown study 'rescu': did you mean 'rescue'?",
        ("list", "x*"): "pattern 'x*' matches no study",
        ("run", "tiny", "--only", "x*"): "wildcard 'x*' matches no run of study 'tiny'",
        ("run", "tiny", "--seeds", "1,x"): "--seeds takes integers separated by commas, not '1,x'",
        ("run", "tiny", "--epochs", "x"): "recipe field 'epochs' is 'x'",
        ("run", "tiny", "--set", "model=vgg08"): "model cannot be set for a study",
        ("table", "tiny", "--records", "nowhere"): "directory of records 'nowhere' does not exist",
        ("collect", "tiny"): "directory of records 'runs' does not exist",
        ("collect", "tiny", "--directory", "below", "--into", "file"): "directory 'file/tiny' cannot be made",
    }.items():
        code, text, errors = command("study", *words)
        assert (code, text) == (2, ""), words
        assert message in errors
        assert "Traceback" not in errors
    keep(made(SMALL, 0.5), RUNS)
    path = keep(made(WIDE, 0.5), RUNS)
    path.write_text(path.read_text()[:200])
    code, text, errors = command("study", "table", "tiny")
    assert code == 0
    assert "small" in text
    assert errors.count("warning:") == 1
    assert "cannot be read" in errors
    code, _, errors = command("study", "run", "tiny")
    assert code == 2
    assert "cannot be read" in errors


@pytest.mark.slow
@pytest.mark.representative
def test_a_study_that_is_killed_ends_with_the_same_records():
    words = ["study", "run", "rescue", "--dataset", "digits", "--only", "VGG-08", "--seeds", "0,1", "--epochs", "3"]
    words += ["--set", "train_size=200", "--batch-size", "20"]
    argv = [sys.executable, "-m", "kzoo", *words]
    straight = subprocess.run([*argv, "--directory", "straight"], capture_output=True, text=True, timeout=300)
    assert straight.returncode == 0, straight.stderr
    assert "rescue at epochs=3, train_size=200, dataset=digits, batch_size=20" in straight.stdout

    killed = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 200
    while len(list(RUNS.glob("*/metrics.csv"))) < 2:  # until the second run has trained an epoch
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    first = digests()
    assert len(first) == 1
    again = subprocess.run(argv, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert first.items() <= digests().items()

    def record(path):
        content = json.loads(path.read_text())
        for key in ("seconds", "peak_memory", "segments", "git_commit"):
            content.pop(key)
        content["history"].pop("seconds")
        return content

    for path in Path("straight").glob("*/result.json"):
        expected, actual = record(path), record(RUNS / path.parent.name / "result.json")
        assert [key for key in expected if expected[key] != actual[key]] == []
