"""Searches whose processes are killed end by themselves or with the same command, with each trial done once."""

import signal
import time

import numpy as np
import pytest

from benchmarks.search_kills import check, checkpoints, children, kill, start, trained, write_search

LIMIT = 600  # seconds, also on busy machines
TRIALS, EPOCHS = 4, 8


@pytest.fixture
def begin():
    """Starts a command and returns it; at the end, stops all that still run."""
    commands = []

    def give(path, directory, workers=3):
        commands.append(start(path, directory, workers))
        return commands[-1]

    yield give
    for command in commands:
        command.terminate()
        command.wait(90)


def wait_for(check, command):
    """Wait until `check` returns true while the command runs."""
    deadline = time.monotonic() + LIMIT
    while not check():
        assert command.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_trials_whose_processes_are_killed_resume(begin, tmp_path):
    path, directory = write_search(tmp_path, TRIALS, EPOCHS), tmp_path / "search"
    command = begin(path, directory)
    wait_for(lambda: sum(count > 0 for count in checkpoints(directory).values()) >= 2, command)
    kept = checkpoints(directory)
    assert kill(command, "two", np.random.default_rng(0))
    assert command.wait(LIMIT) == 0, directory.with_suffix(".log").read_text()
    problems, resumed = check(directory, TRIALS, EPOCHS, kept)
    assert not problems
    assert resumed >= 1


@pytest.mark.slow
@pytest.mark.representative
def test_a_search_that_was_interrupted_or_killed_is_resumed(begin, tmp_path):
    path, directory = write_search(tmp_path, TRIALS, EPOCHS), tmp_path / "search"
    for number, code in ((signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)):
        command, before = begin(path, directory, 2), trained(directory)
        wait_for(lambda command=command, before=before: trained(directory) > before + 1, command)
        pids = children(command.pid)
        assert pids
        command.send_signal(number)
        assert command.wait(90) == code
    command = begin(path, directory, 2)
    assert command.wait(LIMIT) == 0, directory.with_suffix(".log").read_text()
    problems, resumed = check(directory, TRIALS, EPOCHS)
    assert not problems
    assert resumed >= 1
