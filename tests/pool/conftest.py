"""Cheap jobs: functions of a module that the processes of a pool can import."""

import time
from pathlib import Path

import pytest

from kzoo.pool import Job

WORK = '''
import atexit, os, signal, subprocess, sys, time
from pathlib import Path

from kzoo.errors import InputError, InUse, NotWritten, RunFailed


def start(directory):
    """Count the starts, in the job's directory."""
    folder = Path(directory)
    folder.mkdir(exist_ok=True)
    starts = folder / "starts"
    count = len(starts.read_text()) + 1 if starts.exists() else 1
    starts.write_text("x" * count)
    return folder, count


def finish(directory, seconds=0.0):
    folder, _ = start(directory)
    time.sleep(seconds)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    (folder / "record").write_text(f"{os.getpid()} {os.environ.get('OMP_NUM_THREADS')} {cores}")


def leave(directory):
    """Leaves a mark when its process ends by itself, which takes a moment."""
    folder, _ = start(directory)
    atexit.register((folder / "left").touch)
    atexit.register(time.sleep, 0.2)
    (folder / "record").touch()


def die(directory, times):
    folder, count = start(directory)
    print("about to die", flush=True)
    if count <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "record").touch()


def vanish(directory):
    """Its directory, log and all, is deleted; then its process dies."""
    folder, _ = start(directory)
    import shutil
    shutil.rmtree(folder)
    os.kill(os.getpid(), signal.SIGKILL)


def break_off(directory):
    """It dies in the middle of its answer to the pool, once."""
    folder, count = start(directory)
    if count == 1:
        os.write(int(sys.argv[1]), b'["fai')
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / "record").touch()


def fail(directory, error):
    folder, count = start(directory)
    if error == "InUse" and count > 1:
        (folder / "record").touch()
        return
    kinds = {"InUse": InUse, "InputError": InputError, "RunFailed": RunFailed, "NotWritten": NotWritten}
    raise kinds.get(error, OSError)("no luck today")


def save(directory, deaf=False):
    """What training does when it is interrupted: it saves, unless it is deaf. Starts a process too."""
    folder, _ = start(directory)
    inner = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])

    def stop(*_):
        (folder / "saved").touch()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else stop)
    (folder / "pids").write_text(f"{os.getpid()} {inner.pid}")
    (folder / "ready").touch()
    time.sleep(600)
'''


@pytest.fixture
def job(monkeypatch):
    """Makes a job of one of the functions above."""
    Path("pool_work.py").write_text(WORK)
    Path("runs").mkdir()
    monkeypatch.syspath_prepend(".")

    def make(key, function, **arguments):
        directory = Path("runs", key).absolute()
        arguments["directory"] = str(directory)
        return Job(key, f"pool_work:{function}", arguments, directory, directory / "record", Path("logs", f"{key}.log"))

    return make


@pytest.fixture
def finish():
    """Runs jobs until they end; returns the events of each."""

    def run(pool, jobs):
        events = {one.key: [] for one in jobs}
        with pool:
            for one in jobs:
                pool.submit(one)
            while pool.running:
                for event in pool.wait():
                    events[event.job.key].append(event)
        return events

    return run


def eventually(check, seconds=120.0):
    """Wait until `check` returns a true value, and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := check():
            return result
        time.sleep(0.02)
    raise AssertionError("did not come about in time")


def kinds(events):
    """The kinds of the events."""
    return [event.kind for event in events]
