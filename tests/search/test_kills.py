"""Searches whose processes are killed for good reasons and bad: they end by themselves, each trial done once."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search_kills import check, kill, parts, start, write_search
from kzoo.errors import KzooError
from kzoo.search.addresses import free_port
from kzoo.search.results import read_search

LIMIT = 600  # seconds, of machines that do other things too
TRIALS, EPOCHS = 5, 10


@pytest.fixture
def begin():
    """Gives the command; what is left of it in the end is stopped."""
    commands = []

    def give(path, directory, workers=3):
        commands.append(start(path, directory, workers))
        return commands[-1]

    yield give
    for command in commands:
        command.terminate()
        command.wait(90)


def wait_for(found, process=None, limit=LIMIT):
    """Look until it is there."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode} too early")
        if result := found():
            return result
        time.sleep(0.1)
    raise AssertionError("did not come about in time")


def running(directory, count=1):
    """Names of trials that have an epoch behind them and are not over, if there are so many."""
    try:
        trials = read_search(directory).trials
    except KzooError:
        return None
    begun = [t.number for t in trials if t.status == "running" and (directory / t.directory / "metrics.csv").exists()]
    return begun if len(begun) >= count else None


def completed(directory):
    try:
        return sum(trial.status == "completed" for trial in read_search(directory).trials)
    except KzooError:
        return 0


@pytest.mark.slow
def test_workers_and_then_the_chief_are_killed(begin, tmp_path):
    path, directory = write_search(tmp_path, TRIALS, EPOCHS), tmp_path / "search"
    command = begin(path, directory)
    wait_for(lambda: running(directory, 2), command)
    assert len(kill(command, "two workers", np.random.default_rng(0))) == 2
    wait_for(lambda: completed(directory) >= 2, command)
    os.kill(parts(command.pid)["chief"], signal.SIGKILL)
    assert command.wait(LIMIT) == 0, directory.with_suffix(".log").read_text()
    problems, resumed = check(directory, TRIALS, EPOCHS)
    assert not problems
    assert resumed >= 1


@pytest.mark.slow
@pytest.mark.representative
def test_a_command_that_was_killed_or_interrupted_goes_on(begin, tmp_path):
    path, directory = write_search(tmp_path, TRIALS, EPOCHS), tmp_path / "search"
    for number, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
        command = begin(path, directory, 2)
        wait_for(lambda command=command: running(directory) and len(parts(command.pid)) == 3, command)
        command.send_signal(number)
        assert command.wait(90) == code
    command = begin(path, directory, 2)
    assert command.wait(LIMIT) == 0, directory.with_suffix(".log").read_text()
    problems, resumed = check(directory, TRIALS, EPOCHS)
    assert not problems
    assert resumed >= 1


@pytest.mark.slow
def test_parts_started_by_hand_and_a_worker_that_never_comes_back(tmp_path):
    path, directory, place = write_search(tmp_path, 3, EPOCHS), tmp_path / "search", free_port()

    def part(*words):
        with open(tmp_path / "log", "ab") as log:
            command = [sys.executable, "-m", "kzoo", "search", str(path), "--directory", str(directory), *words]
            return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    worker = ("--role", "worker", "--chief", str(place), "--wait", "300")
    gone = part(*worker, "--name", "gone")
    chief = part("--role", "chief", "--bind", str(place), "--worker-timeout", "5")
    wait_for(lambda: running(directory), chief)
    gone.kill()
    gone.wait()
    other = part(*worker, "--name", "other")
    log = (tmp_path / "log").read_text
    assert chief.wait(LIMIT) == 0, log()
    assert other.wait(60) == 0, log()
    problems, resumed = check(directory, 3, EPOCHS)
    assert not problems
    assert resumed == 1
    assert {trial.outcome.worker for trial in read_search(directory).trials[:1]} == {"other"}


FILE = "import kzoo\nfrom kzoo.search.space import Choice\n"
FILE += "search = kzoo.Search('s', kzoo.recipe('mlp').override(dataset='digits'), {'batch_size': Choice(32, 64)})\n"


def test_what_cannot_be_is_one_error_within_seconds(command):
    Path("s.py").write_text(FILE)
    began = time.monotonic()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, _, err = command("search", "s.py", "--role", "chief", "--bind", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (code, err.count("\n")) == (2, 1)
    assert "Address already in use" in err
    nowhere = free_port()
    code, _, err = command("search", "s.py", "--role", "worker", "--chief", nowhere, "--name", "w1", "--wait", "0.5")
    assert (code, err) == (2, f"error: no chief of a search at {nowhere}: it is not running, or cannot be reached\n")
    code, _, err = command("search", "s.py", "--workers", "0")
    assert (code, err) == (2, "error: workers must be a positive integer, not 0\n")
    code, _, err = command("search", "s.py", "--workers", "2", "--worker-timeout", "-1")
    assert code == 2
    assert "worker" in err
    assert "must be a positive number of seconds, not -1" in err
    assert not Path("searches").exists()
    assert time.monotonic() - began < 60
