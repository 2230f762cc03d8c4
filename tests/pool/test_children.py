"""The pool of child processes, with cheap jobs."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from kzoo.pool import Children, shares
from kzoo.pool.children import why_it_died
from tests.pool.conftest import eventually, kinds

FAST = {"delay": 0.05, "grace": 20.0}


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return False
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("options", [{"reuse": True}, {}], ids=["reuse", "default"])
def test_all_jobs_run_each_within_its_share(job, finish, options):
    jobs = [job(str(i), "finish", seconds=0.2) for i in range(4)]
    events = finish(Children(2, **options, **FAST), jobs)
    assert {key: kinds(ends) for key, ends in events.items()} == {str(i): ["started", "done"] for i in range(4)}
    written = [one.record.read_text().split(" ", 2) for one in jobs]
    assert len({pid for pid, _, _ in written}) == (2 if options else 4)
    parts = {str(list(share.cores)): str(len(share.cores)) for share in shares(2)}
    for _, threads, cores in written:
        assert cores == "[]" or parts[cores] == threads
    assert "pool_work:finish in" in Path("logs/3.log").read_text()


def test_files_of_the_working_directory_do_not_replace_modules(job, finish, monkeypatch):
    """The `kzoo` command searches the working directory last for modules; so do its child processes."""
    here = os.getcwd()
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", ".", here)] + [here])
    for module in ("numbers", "queue", "random"):
        Path(f"{module}.py").write_text("raise SystemExit('the wrong module')\n")
    events = finish(Children(1, **FAST), [job("a", "finish")])
    assert kinds(events["a"]) == ["started", "done"]


def test_a_process_that_has_done_its_job_ends_by_itself(job):
    one = job("a", "leave")
    with Children(1, **FAST) as pool:
        pool.submit(one)
        eventually(lambda: pool.wait(0.01) is not None and Path("runs/a/left").exists(), seconds=30.0)
    assert one.record.exists()


@pytest.mark.parametrize("reuse", [True, False])
def test_the_dead_start_again_and_fail_at_the_third_death(job, finish, reuse):
    jobs = [job("once", "die", times=1), job("always", "die", times=9), job("good", "finish"), job("cut", "break_off")]
    events = finish(Children(1, reuse=reuse, **FAST), jobs)
    assert kinds(events["once"]) == kinds(events["cut"]) == ["started", "died", "started", "done"]
    assert kinds(events["always"]) == ["started", "died"] * 2 + ["started", "failed"]
    assert kinds(events["good"]) == ["started", "done"]
    log = Path("logs/always.log")
    end = events["always"][-1]
    how = "killed by SIGKILL, perhaps out of memory"
    assert end.reason == f"its process died ({how}), 3 times so far: about to die (log: {log})"
    assert log.read_text().count("--- ") == 3


@pytest.mark.parametrize(
    ("code", "last", "how"),
    [
        (-9, "epoch 1", "killed by SIGKILL, perhaps out of memory): epoch 1"),
        (-6, "std::bad_alloc", "killed by SIGABRT, perhaps out of memory): std::bad_alloc"),
        (-6, "assertion", "killed by SIGABRT): assertion"),
        (1, "no memory", "exit status 1): no memory"),
        (-35, "epoch 1", "killed by signal 35): epoch 1"),
    ],
)
def test_a_process_that_a_signal_ended_may_have_lacked_memory(tmp_path, code, last, how):
    log = tmp_path / "log.txt"
    log.write_text(f"of another job: memory\n{last}\n")
    start = len("of another job: memory\n")
    assert why_it_died(code, log, start, deaths=1) == f"its process died ({how} (log: {log})"


def test_a_directory_that_is_deleted_fails_its_job_alone(job, finish):
    gone = dataclasses.replace(job("gone", "vanish"), log=Path("runs/gone/log.txt"))
    events = finish(Children(1, deaths=2, **FAST), [gone, job("good", "finish")])
    assert kinds(events["gone"]) == ["started", "died", "started", "failed"]
    assert events["gone"][-1].reason.startswith("its process died (killed by SIGKILL, perhaps")
    assert "2 times so far" in events["gone"][-1].reason
    assert kinds(events["good"]) == ["started", "done"]


def test_a_log_that_cannot_be_written_ends_its_job_alone(job, finish):
    Path("file").touch()
    lost = dataclasses.replace(job("lost", "finish"), log=Path("file/log.txt"))
    events = finish(Children(1, **FAST), [lost, job("good", "finish")])
    (end,) = events["lost"]
    assert (end.kind, end.reason) == ("unwritten", "log 'file/log.txt' cannot be written: File exists")
    assert kinds(events["good"]) == ["started", "done"]


def test_ends_other_than_deaths_are_final(job, finish):
    jobs = [job(error, "fail", error=error) for error in ("RunFailed", "InputError", "other")]
    events = finish(Children(2, reuse=True, **FAST), jobs)
    assert {key: (kinds(ends), ends[-1].reason) for key, ends in events.items()} == {
        "RunFailed": (["started", "failed"], "no luck today (log: logs/RunFailed.log)"),
        "InputError": (["started", "refused"], "no luck today"),
        "other": (["started", "failed"], "OSError: no luck today (log: logs/other.log)"),
    }
    assert "Traceback" in Path("logs/other.log").read_text()


def test_a_directory_that_another_process_holds_is_waited_for(job, finish, monkeypatch):
    monkeypatch.setattr("kzoo.pool.jobs.WAIT", 0.05)
    held, lost = job("held", "finish"), job("lost", "fail", error="InUse")
    held.directory.mkdir()
    lock = filelock.FileLock(held.directory / ".lock")
    lock.acquire()
    pool = Children(1, reuse=True, **FAST)
    wait = pool.wait

    def wait_and_release(*seconds):
        events = wait(*seconds)
        if any(event.final for event in events):
            lock.release()
        return events

    pool.wait = wait_and_release
    events = finish(pool, [held, lost])
    assert kinds(events["held"]) == ["elsewhere", "started", "done"]
    assert kinds(events["lost"]) == ["started", "elsewhere", "started", "done"]


def test_a_child_whose_input_ends_saves_and_leaves_nothing(job):
    """The end of its input is a child's first sign of its owner's death, when the owner is still its parent."""
    job("a", "save")
    answers, theirs = os.pipe()
    command = [sys.executable, "-m", "kzoo.pool.child", str(theirs), "120"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs], start_new_session=True, env=environment)
    try:
        order = {"function": "pool_work:save", "arguments": {"directory": "runs/a"}, "log": "a.log"}
        child.stdin.write((json.dumps(order) + "\n").encode())
        child.stdin.flush()
        eventually(lambda: Path("runs/a/ready").exists())
        child.stdin.close()
        child.wait(timeout=60)
        pids = [int(pid) for pid in Path("runs/a/pids").read_text().split()]
        eventually(lambda: not any(map(alive, pids)), seconds=20.0)
        assert Path("runs/a/saved").exists()
    finally:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        os.close(answers)
        os.close(theirs)


OWNER = """
import sys
from pathlib import Path
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
from kzoo.pool import Children, Job

with Children(2, reuse=True, grace=float(sys.argv[1])) as pool:
    for key in "ab":
        directory = Path("runs", key)
        arguments = {"directory": str(directory), "deaf": key == "b"}
        pool.submit(Job(key, "pool_work:save", arguments, directory, directory / "record", Path(f"{key}.log")))
    try:
        while True:
            pool.wait()
    except KeyboardInterrupt as error:
        print(error)
        sys.exit(130)
"""


@pytest.fixture
def owner(job):
    """Starts a process that owns two children, one of which ignores SIGTERM; returns it and the children's ids."""
    started = []

    def start(grace):
        process = subprocess.Popen([sys.executable, "-c", OWNER, str(grace)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        eventually(lambda: all(Path("runs", key, "ready").exists() for key in "ab"))
        return process, [int(pid) for key in "ab" for pid in Path("runs", key, "pids").read_text().split()]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def saved():
    return [Path("runs", key, "saved").exists() for key in "ab"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_children_save_and_leaves_none(owner, number):
    process, pids = owner(0.5)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=120)
    assert (process.returncode, printed) == (130, "interrupted; the same command resumes it\n")
    assert saved() == [True, False]
    assert not any(map(alive, pids))


def test_a_second_signal_kills_at_once(owner):
    process, pids = owner(600.0)
    process.send_signal(signal.SIGINT)
    eventually(lambda: saved()[0])
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    eventually(lambda: not any(map(alive, pids)))


@pytest.mark.slow
@pytest.mark.representative
def test_children_of_a_killed_owner_save_and_end(owner):
    process, pids = owner(3.0)
    process.kill()
    eventually(lambda: not any(map(alive, pids)))
    assert saved() == [True, False]
