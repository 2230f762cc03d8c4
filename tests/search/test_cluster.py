"""Supervision of a search's processes, with children of a few lines that play chief and worker."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from kzoo.errors import InputError, RunFailed
from kzoo.search import cluster
from kzoo.search.addresses import Address, address, check_free, free_port
from kzoo.search.cluster import default_workers, run_cluster
from kzoo.search.roles import run_chief, run_worker

PLAY = """
import pathlib, signal, sys, time
role = sys.argv[sys.argv.index("--role") + 1]
name = sys.argv[sys.argv.index("--name") + 1] if role == "worker" else "chief"
starts = pathlib.Path(f"{name}.starts")
starts.write_text(starts.read_text() + "x" if starts.exists() else "x")
first = starts.read_text() == "x"
over = pathlib.Path("over")

def die(number=signal.SIGKILL):
    import os
    os.kill(os.getpid(), number)

def wait():
    deadline = time.monotonic() + 20
    while not over.exists() and time.monotonic() < deadline:
        time.sleep(0.01)

def fail(text, code):
    print("error:", text)
    sys.exit(code)

"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(cluster, "LAST", 0.3)


def play(lines, workers=2, **options):
    """Run a cluster whose processes do `lines`; gives what was told."""
    Path("play.py").write_text(PLAY + lines)
    told = []
    options = {"delay": 0.05, "grace": 5.0} | options
    program = [sys.executable, "-S"]
    try:
        run_cluster(["play.py"], Path("search"), workers, program=program, tell=told.append, **options)
    except BaseException as error:
        error.told = told
        raise
    return told


def starts(name):
    return len(Path(f"{name}.starts").read_text())


def test_a_search_is_over_when_its_chief_says_so():
    began = time.monotonic()
    assert play("if role == 'chief': time.sleep(0.2)\nelse: time.sleep(30)") == []
    assert time.monotonic() - began < 10
    assert (starts("chief"), starts("w1"), starts("w2")) == (1, 1, 1)


def test_who_dies_is_started_again_under_its_name():
    lines = "if name == 'chief':\n  if first: die()\n  wait()\nelse:\n  if first: die()\n  over.touch()"
    told = play(lines, workers=1)
    assert (starts("chief"), starts("w1")) == (2, 2)
    assert "w1: killed by SIGKILL" in "".join(told)
    assert "chief: started again" in told


def test_one_worker_given_up_does_not_end_the_search(monkeypatch):
    dead = []
    monkeypatch.setattr("kzoo.search.link.say_left", lambda place, name, token, left: dead.append((name, left)) or True)
    told = play("if name == 'chief': wait()\nif name == 'w1': die()\ntime.sleep(1)\nover.touch()", restarts=1)
    assert starts("w1") == 2
    assert any("w1" in line and "it is given up" in line for line in told)
    assert dead == [("w1", "died")]


def test_no_worker_left_ends_the_search():
    with pytest.raises(RunFailed, match=r"w1: killed by SIGKILL.*; w2: killed by SIGKILL"):
        play("if name == 'chief': wait()\ndie()", restarts=1)
    with pytest.raises(InputError, match=r"^no such data$"):
        play("if name == 'chief': wait()\nfail('no such data', 2)")


def test_what_the_chief_refuses_or_gives_up_is_told():
    with pytest.raises(InputError, match=r"^port 1 is taken$"):
        play("if name == 'chief': fail('port 1 is taken', 2)\nwait()")
    assert starts("chief") == 1
    with pytest.raises(RunFailed, match=r"^3 trials in a row failed$"):
        play("if name == 'chief': fail('3 trials in a row failed', 1)\nwait()")
    assert starts("chief") == 2


def test_a_chief_killed_when_all_was_done_is_no_failure():
    chief = "if name == 'chief':\n  if not first: time.sleep(30)\n  wait()\n  die()\n"
    play(f"{chief}time.sleep(0.5)\nover.touch()")
    assert starts("chief") == 2


def test_an_interrupt_ends_all():
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        play("time.sleep(30)")
    assert time.monotonic() - began < 10


def test_several_gpus_get_a_worker_each():
    assert default_workers({"CUDA_VISIBLE_DEVICES": "0,2,5"}) == 3
    assert default_workers({"CUDA_VISIBLE_DEVICES": "1"}) is None
    assert default_workers({"CUDA_VISIBLE_DEVICES": "-1"}) is None
    assert default_workers({"CUDA_VISIBLE_DEVICES": ""}) is None


def test_workers_get_a_gpu_each_and_the_chief_none(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    play(
        "import os\nPath = pathlib.Path\nPath(f'{name}.gpu').write_text(os.environ['CUDA_VISIBLE_DEVICES'])\n"
        "if name == 'chief': time.sleep(1)\nelse: wait()"
    )
    assert [Path(f"{name}.gpu").read_text() for name in ("chief", "w1", "w2")] == ["-1", "4", "7"]


def test_addresses():
    assert address("head:7300", "--chief") == Address("head", 7300)
    assert str(address("[::1]:7300", "--chief")) == "[::1]:7300"
    for text in ("head", "head:", ":7300", "head:port", "head:0", "head:70000", "::1:7300"):
        with pytest.raises(InputError, match=r"--chief takes HOST:PORT"):
            address(text, "--chief")


def test_a_port_that_is_taken_or_not_ours_is_an_error_at_once():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"cannot listen at 127\.0\.0\.1:\d+: Address already in use"):
            run_chief(None, bind=f"127.0.0.1:{taken.getsockname()[1]}")
    with pytest.raises(InputError, match=r"cannot listen at 192\.0\.2\.1:7300"):
        check_free(Address("192.0.2.1", 7300))
    check_free(free_port())


@pytest.mark.parametrize("name", ["", "chief2", "a b", "a/b"])
def test_names_that_cannot_be(name):
    with pytest.raises(InputError, match="name of a worker"):
        run_worker(None, chief="127.0.0.1:1", name=name)


def test_no_seconds():
    with pytest.raises(InputError, match="wait must be a positive number of seconds, not 0"):
        run_worker(None, chief="127.0.0.1:1", name="w1", wait=0)
    with pytest.raises(InputError, match="timeout must be a positive number of seconds, not -1"):
        run_chief(None, timeout=-1)
