"""A study and a search at the same time, which share a machine and a folder of runs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.search_kills import check, start, write_search
from kzoo.search.results import read_search

TRIALS, EPOCHS = 3, 4
STUDY = ["study", "run", "rescue", "--only", "VGG-08", "--seeds", "0,1,2", "--dataset", "digits", "--epochs", "4"]
STUDY += ["--set", "train_size=100", "--directory", "runs", "--workers", "1"]


def finish(process):
    printed, _ = process.communicate(timeout=600)
    return process.returncode, printed


def study():
    command = [sys.executable, "-m", "kzoo", *STUDY]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_no_run_is_trained_twice(tmp_path):
    path, directory = write_search(tmp_path, TRIALS, EPOCHS), Path("runs/search")
    Path("runs").mkdir()
    both = [study(), start(path, directory, 1)]
    assert [finish(process)[0] for process in both] == [0, 0], directory.with_suffix(".log").read_text()

    # Every run of the study and every trial was trained once, by one process, for all epochs.
    problems, resumed = check(directory, TRIALS, EPOCHS)
    assert (problems, resumed) == ([], 0)
    trials = {directory / trial.directory / "result.json" for trial in read_search(directory).trials}
    runs = set(Path("runs").glob("*/result.json"))
    assert (len(trials), len(runs)) == (TRIALS, 3)
    assert set(Path("runs").rglob("result.json")) == trials | runs
    for file in runs | trials:
        record = json.loads(file.read_text())
        assert (record["status"], record["epochs"], len(record["segments"])) == ("completed", EPOCHS, 1)

    # Repeating the commands trains nothing.
    before = {file: file.stat().st_mtime_ns for file in runs | trials}
    both = [study(), start(path, directory, 1)]
    assert [finish(process)[0] for process in both] == [0, 0], directory.with_suffix(".log").read_text()
    assert {file: file.stat().st_mtime_ns for file in runs | trials} == before
    assert set(Path("runs").rglob("result.json")) == runs | trials
