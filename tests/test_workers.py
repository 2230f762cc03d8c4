"""Supervision, with children that are a line of Python each."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kzoo.errors import InputError
from kzoo.workers import Job, Supervisor, divide, run_jobs, shares

FAST = {"delay": 0.05, "interval": 0.02}


def job(key, code, **options):
    return Job(key, [sys.executable, "-S", "-c", code], Path("logs") / f"{key}.log", **options)


def log(key):
    return (Path("logs") / f"{key}.log").read_text()


def alive(pid):
    """Whether a process runs (one that has ended and is not yet waited for does not)."""
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


def eventually(check, seconds=20.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := check():
            return result
        time.sleep(0.02)
    raise AssertionError("did not come about in time")


def started_then(code):
    """A child that dies at its first start, then runs `code`."""
    return f"import os, pathlib\nmark = pathlib.Path('mark')\nfirst = not mark.exists()\nmark.touch()\n{code}"


def test_cores_are_divided_evenly():
    assert divide(range(4), 2) == [(0, 1), (2, 3)]
    assert divide(range(5), 2) == [(0, 1), (2, 3, 4)]
    assert divide([2, 6], 4) == [(2,), (2,), (6,), (6,)]
    assert divide(range(8), 1) == [tuple(range(8))]
    assert sorted(core for part in divide(range(7), 3) for core in part) == list(range(7))


def test_threads_follow_the_cores_and_a_lower_limit_stays(monkeypatch):
    monkeypatch.setattr("kzoo.workers.resources.usable_cores", lambda: tuple(range(8)))
    (one, two) = shares(2, {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "16", "OPENBLAS_NUM_THREADS": "dynamic"})
    assert (one.cores, two.cores) == ((0, 1, 2, 3), (4, 5, 6, 7))
    assert one.environment == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "4",
        "OPENBLAS_NUM_THREADS": "4",
        "TF_NUM_INTRAOP_THREADS": "4",
        "TF_NUM_INTEROP_THREADS": "4",
    }


def test_gpus_are_handed_out_and_shared():
    own = shares(2, {"CUDA_VISIBLE_DEVICES": "3,5"})
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in own] == ["3", "5"]
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in own[0].environment
    shared = shares(3, {"CUDA_VISIBLE_DEVICES": "3,5"})
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in shared] == ["3", "5", "3"]
    assert shared[1].environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.45"
    assert "CUDA_VISIBLE_DEVICES" not in shares(1, {"CUDA_VISIBLE_DEVICES": "-1"})[0].environment


def test_all_jobs_run_and_no_more_than_n_at_once():
    running, most, events = set(), 0, []

    def watch(event):
        nonlocal most
        events.append(event)
        running.add(event.key) if event.kind == "started" else running.discard(event.key)
        most = max(most, len(running))

    jobs = [job(str(i), f"import time; time.sleep(0.1); print('hello', {i})") for i in range(5)]
    ends = run_jobs(jobs, 2, watch=watch, **FAST)
    assert {key: end.kind for key, end in ends.items()} == {str(i): "completed" for i in range(5)}
    assert most == 2
    assert [event.key for event in events if event.kind == "started"] == list("01234")
    assert "hello 3" in log("3")
    assert "hello 3" not in log("2")


def test_children_keep_to_their_share():
    show = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['MINE'], os.getcwd(), sorted(ask(0)))"
    show = f"import os; ask = getattr(os, 'sched_getaffinity', lambda pid: [])\nimport time; time.sleep(0.2)\n{show}"
    Path("elsewhere").mkdir()
    options = {"environment": {"MINE": "yes"}, "directory": Path("elsewhere")}
    run_jobs([job("a", show, **options), job("b", show, **options)], 2, **FAST)
    for key, share in zip("ab", shares(2), strict=True):
        threads, mine, place, cores = log(key).splitlines()[1].split(" ", 3)
        assert (threads, mine, Path(place).name) == (str(len(share.cores)), "yes", "elsewhere")
        assert cores in (str(list(share.cores)), "[]")


def test_the_dead_are_taken_up_again():
    code = started_then("os.kill(os.getpid(), 9) if first else print('done')")
    events = []
    ends = run_jobs([job("a", code)], 1, watch=events.append, **FAST)
    assert [event.kind for event in events] == ["started", "died", "started", "completed"]
    assert (events[1].code, events[1].reason) == (-9, f"killed by SIGKILL (log: {Path('logs/a.log')})")
    assert ends["a"].starts == 2
    assert log("a").count("--- ") == 2


def test_a_job_that_always_dies_fails_with_its_reason_and_the_others_go_on():
    bad = job("bad", "print('one'); print('the reason'); raise SystemExit(7)")
    ends = run_jobs([bad, job("good", "pass")], 1, restarts=2, **FAST)
    end = ends["bad"]
    assert (end.kind, end.code, end.starts) == ("failed", 7, 3)
    assert end.reason == f"exit status 7 at start 3: the reason (log: {Path('logs/bad.log')})"
    assert end.tail == "one\nthe reason"
    assert ends["good"].kind == "completed"


def test_bad_input_is_not_tried_again():
    end = run_jobs([job("a", "raise SystemExit(2)")], 1, **FAST)["a"]
    assert (end.kind, end.code, end.starts) == ("failed", 2, 1)


def test_the_caller_decides_which_deaths_are_worth_a_restart():
    end = run_jobs([job("a", "raise SystemExit(1)")], 1, retry=lambda event: event.code != 1, **FAST)["a"]
    assert (end.kind, end.starts) == ("failed", 1)


def test_a_job_waits_until_it_is_ready_and_goes_back_into_the_queue_when_told():
    asked, order = [], []

    def ready(one):
        asked.append(one.key)
        if one.key == "needless":
            return None
        return one.key != "late" or asked.count("late") > 2

    def watch(event):
        if event.final:
            order.append(event.key)

    code = started_then("raise SystemExit(2 if first else 0)")
    jobs = [job("late", "pass"), job("a", "pass"), job("b", code), job("needless", "")]
    ends = run_jobs(jobs, 1, ready=ready, watch=watch, again=lambda event: event.key == "b", **FAST)
    assert {end.kind for end in ends.values()} == {"completed"}
    assert order.index("late") > 0
    assert (ends["needless"].starts, Path("logs/needless.log").exists()) == (0, False)
    assert asked.count("b") == 2


def test_a_long_lived_worker_comes_back_under_its_identity():
    ask = "import os, time; print(os.environ['NAME'], flush=True); time.sleep(60)"
    with Supervisor(2, delay=0.05, grace=5) as supervisor:
        supervisor.start(job("chief", "import time; time.sleep(60)", share=False))
        for name in ("w0", "w1"):
            supervisor.start(job(name, ask, environment={"NAME": name}))
        assert (supervisor.running, supervisor.free) == (("chief", "w0", "w1"), 0)
        first = {event.key: event.pid for event in supervisor.poll()}
        eventually(lambda: all(f"\n{name}\n" in log(name) for name in ("w0", "w1")))
        os.kill(first["w1"], signal.SIGKILL)
        died = eventually(supervisor.poll)
        assert [(event.key, event.kind) for event in died] == [("w1", "died")]
        (again,) = eventually(supervisor.poll)
        assert (again.key, again.kind, again.starts) == ("w1", "started", 2)
        eventually(lambda: log("w0").count("\nw0\n") == 1 and log("w1").count("\nw1\n") == 2)

        supervisor.restart("w0")
        (restarted,) = supervisor.poll()
        assert (restarted.key, restarted.starts, alive(first["w0"])) == ("w0", 2, False)

        (stopped,) = supervisor.stop(["w0"])
        assert (stopped.kind, supervisor.running, supervisor.free) == ("stopped", ("chief", "w1"), 1)
        assert supervisor.stop(["w0"]) == []
        with pytest.raises(InputError, match="unknown running job 'w0': did you mean 'w1'"):
            supervisor.restart("w0")
        supervisor.start(job("w2", ask, environment={"NAME": "w2"}))
        pids = [restarted.pid, again.pid, first["chief"]]
    assert not any(map(alive, pids))
    assert supervisor.running == ()


def test_a_child_that_will_not_stop_is_killed_and_so_are_its_own():
    code = (
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "print('child', child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with Supervisor(1) as supervisor:
        supervisor.start(job("a", code))
        eventually(lambda: "\nchild " in log("a"))
        (started, stopped) = supervisor.stop(grace=0.2)
    assert (stopped.kind, stopped.code) == ("stopped", -9)
    grandchild = int(log("a").split()[-1])
    eventually(lambda: not alive(started.pid) and not alive(grandchild))


# A supervisor of its own process: two children that write "saved" when asked to stop, one that ignores it.
SUPERVISOR = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with it ignored
from pathlib import Path
from kzoo.workers import Job, run_jobs
polite = '''
import signal, sys, time
def save(*_):
    print("saved", flush=True)
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
while True: time.sleep(0.05)
'''
deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
jobs = [Job(k, [sys.executable, "-S", "-c", c], Path(k)) for k, c in [("a", polite), ("b", polite), ("c", deaf)]]
try:
    run_jobs(jobs, 3, grace=float(sys.argv[1]), watch=lambda event: print(event.kind, event.pid, flush=True))
except KeyboardInterrupt as error:
    print(error)
    sys.exit(130)
"""


@pytest.fixture
def supervisor():
    """Starts that process; gives it and the numbers of its children when all are ready."""
    started = []

    def start(grace):
        command = [sys.executable, "-c", SUPERVISOR, str(grace)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        pids = [int(process.stdout.readline().split()[1]) for _ in range(3)]
        eventually(lambda: all("\nready\n" in Path(key).read_text() for key in "abc"))
        return process, pids

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_children_save_and_leaves_none(supervisor, number):
    process, pids = supervisor(1.0)
    process.send_signal(number)
    printed, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert printed.splitlines()[-1] == "interrupted; the same command goes on where it stopped"
    assert printed.count("stopped") == 4  # three children and the message
    assert ["\nsaved\n" in Path(key).read_text() for key in "abc"] == [True, True, False]
    assert not any(map(alive, pids))


def test_a_second_signal_kills_at_once(supervisor):
    process, pids = supervisor(600.0)
    process.send_signal(signal.SIGINT)
    eventually(lambda: "\nsaved\n" in Path("b").read_text())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    eventually(lambda: not any(map(alive, pids)))


def test_a_second_signal_before_all_children_were_told_kills_them_too(monkeypatch):
    with Supervisor(2) as supervisor:
        supervisor.start(job("a", "import time; time.sleep(60)"))
        supervisor.start(job("b", "import time; time.sleep(60)"))
        pids = [event.pid for event in supervisor.poll()]
        terminate = subprocess.Popen.terminate

        def interrupted(process):
            terminate(process)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(subprocess.Popen, "terminate", interrupted)
            with pytest.raises(KeyboardInterrupt):
                supervisor.stop(grace=600.0)
        assert not any(map(alive, pids))


def test_children_of_a_killed_supervisor_save_and_end(supervisor):
    process, pids = supervisor(0.5)
    process.kill()
    eventually(lambda: not any(map(alive, pids)))
    assert ["\nsaved\n" in Path(key).read_text() for key in "abc"] == [True, True, False]


def test_bad_input():
    for workers in (0, -1, True, 1.5, "2"):
        with pytest.raises(InputError, match=f"workers must be a positive integer, not {workers!r}"):
            run_jobs([job("a", "pass")], workers)
    with pytest.raises(InputError, match="same key"):
        run_jobs([job("a", "pass"), job("a", "pass")], 1)
    with pytest.raises(InputError, match="'no-such-program' cannot be started: No such file"):
        run_jobs([Job("a", ["no-such-program"], Path("a.log"))], 1)
    with Supervisor(1) as supervisor:
        supervisor.start(job("a", "import time; time.sleep(60)"))
        with pytest.raises(InputError, match="job 'a' is running already"):
            supervisor.start(job("a", "pass"))
        with pytest.raises(InputError, match="job 'b' cannot be started: all 1 workers are busy"):
            supervisor.start(job("b", "pass"))
    assert run_jobs([], 2) == {}
