"""The pool on a Ray cluster, with cheap jobs and with a run that is really trained."""

import importlib.util
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from benchmarks.search_kills import check, checkpoints, write_search
from kzoo.backend import usable_cores
from kzoo.errors import InputError
from kzoo.pool import Job, OnRay
from kzoo.pool.on_ray import _perform, resources
from kzoo.recipes.schema import Recipe
from kzoo.search.running import run_search
from kzoo.search.search import load_search
from kzoo.studies.running import Task, run_tasks
from tests.pool.conftest import kinds
from tests.pool.fake_ray import fake_ray

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'kzoo[ray]'")


def test_without_ray_one_error_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more))
    with pytest.raises(InputError, match=r"--on auto needs Ray, which is not installed: pip install 'kzoo\[ray\]'"):
        OnRay("auto")


@needs_ray
def test_invalid_addresses():
    for address in ("", "nowhere", "ray://", "host:", "http://host:80"):
        with pytest.raises(InputError, match="--on takes auto, local, HOST:PORT or ray://HOST:PORT, not"):
            OnRay(address)


@pytest.mark.slow
@needs_ray
def test_a_missing_cluster_is_reported_within_seconds():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    for scheme in ("", "ray://"):
        with (
            pytest.raises(InputError, match=rf"no Ray cluster at '{scheme}127.0.0.1:{port}' .*ray start --head"),
            OnRay(f"{scheme}127.0.0.1:{port}"),
        ):
            pass
    assert time.monotonic() - start < 30


@needs_ray
def test_a_task_that_is_retried_is_not_done_again(job):
    done = job("done", "finish")
    done.directory.mkdir()
    done.record.write_text("as it was")
    assert _perform(OnRay("local")._order(done), 0.0) == ("done", "")
    assert done.record.read_text() == "as it was"
    assert not (done.directory / "starts").exists()


def test_cores_and_gpus_are_divided():
    def node(cores, gpus=0, alive=True):
        return {"Alive": alive, "Resources": {"CPU": float(cores), "GPU": float(gpus)}}

    assert resources([node(8), node(4), node(1, alive=False)], None) == (4, 0, 2)
    assert resources([node(8), node(4)], 6) == (2, 0, 6)
    assert resources([node(8), node(4)], 2) == (4, 0, 2)
    assert resources([node(2)], 8) == (1, 0, 8)
    assert resources([node(16, 4)], None) == (4, 1, 4)
    assert resources([node(16, 2)], 4) == (4, 0.5, 4)
    assert resources([node(16, 2)], 5) == (3, pytest.approx(1 / 3), 5)
    assert resources([node(16, 2)], 2) == (8, 1, 2)
    assert resources([node(1, 2)], None) == (1, 1, 2)
    assert resources([{"Alive": True, "Resources": {"CPU": 2.0}}], None) == (2, 0, 1)
    with pytest.raises(InputError, match="no machine with a CPU core"):
        resources([node(4, alive=False)], None)


@pytest.fixture
def ray(monkeypatch):
    """A substitute for Ray, with one machine of eight cores; tasks change a copy of the environment."""
    made = fake_ray([{"Alive": True, "Resources": {"CPU": 8.0}}])
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setattr(os, "environ", {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"})
    for module in ("jobs", "on_ray"):
        monkeypatch.setattr(f"kzoo.pool.{module}.WAIT", 0.01)
    return made


def test_what_ray_is_asked_for_and_what_its_tasks_answer(ray, job, finish):
    jobs = [job("good", "finish"), job("refused", "fail", error="InputError"), job("bad", "fail", error="RunFailed")]
    events = finish(OnRay("local", 2), jobs)
    ends = {key: (kinds(reported), reported[-1].reason) for key, reported in events.items()}
    assert ends == {
        "good": (["started", "done"], ""),
        "refused": (["started", "refused"], "no luck today"),
        "bad": (["started", "failed"], "no luck today"),
    }
    assert f"process {os.getpid()}, " in events["good"][0].where
    assert Path("runs/good/record").read_text().split()[1] == "4"  # threads: its share of the cores
    assert ray.calls["remote"] == {"num_cpus": 4.0, "num_gpus": 0, "max_retries": 2, "max_calls": 1}
    address, options = ray.calls["init"]
    assert (address, options.pop("object_store_memory") >= 75 * 2**20) == ("local", True)  # the least that Ray accepts
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
    assert options == {"num_cpus": len(usable_cores()), "num_gpus": 0, **quiet}
    assert ray.calls["shutdown"] == 1
    assert not ray.calls["cancelled"]


@pytest.mark.parametrize(("gpus", "calls", "slots"), [(0, 0, 1), (2, 1, 2)])
def test_processes_are_reused_unless_they_hold_a_gpu(ray, gpus, calls, slots):
    ray.nodes = lambda: [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": gpus}}]
    with OnRay("local", reuse=True, deaths=5) as pool:
        assert pool.slots == slots
    cores = {"num_cpus": 8.0 / max(gpus, 1), "num_gpus": int(gpus > 0)}
    assert ray.calls["remote"] == {**cores, "max_retries": 4, "max_calls": calls}


def test_a_task_whose_process_dies_has_failed_unless_there_is_a_record(ray, job, finish):
    ray.broken = ["it died\nafter its record", "The worker died.\nIt was killed.\n"]
    events = finish(OnRay("local"), [job("whole", "finish"), job("lost", "fail", error="other")])
    assert kinds(events["whole"]) == ["started", "done"]
    assert [(end.kind, end.reason) for end in events["lost"]][1:] == [("failed", "It was killed.")]


def test_a_task_that_starts_again_is_reported_and_one_that_runs_is_cancelled(ray, job):
    ray.late = True
    with OnRay("local") as pool:
        pool.submit(job("a", "finish"))
        (start,) = pool.wait(0.0)
        assert (start.kind, pool.wait(0.0)) == ("started", [])
        Path("logs/a.started").write_text("another machine")
        reported = [(event.kind, event.where) for event in pool.wait(0.0)]
        assert reported == [("died", start.where), ("started", "another machine")]
    assert ray.calls["cancelled"] == [False]
    assert ray.calls["wait"] == (1, 1, 60.0)  # the task can save meanwhile


@pytest.mark.parametrize(
    ("patience", "reported"), [(60.0, ["started", "done"]), (0.0, ["started", "elsewhere", "started", "done"])]
)
def test_a_directory_in_use_is_waited_for_by_the_task_then_by_the_pool(ray, job, finish, patience, reported):
    events = finish(OnRay("local", patience=patience), [job("a", "fail", error="InUse")])
    assert kinds(events["a"]) == reported
    assert Path("runs/a/starts").read_text() == "xx"


def test_an_existing_connection_is_used_and_stays(ray):
    ray.is_initialized = lambda: True
    with OnRay("auto"):
        pass
    assert ("init" in ray.calls, ray.calls["shutdown"]) == (False, 0)


def test_a_cluster_that_cannot_be_reached_is_one_error(ray):
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{there.getsockname()[1]}"
        with (
            pytest.raises(InputError, match=rf"no Ray cluster at '{address}' \(.*refused.*ray start --head"),
            OnRay(address),
        ):
            pass
        assert "init" not in ray.calls
        there.listen()
        with OnRay(address):
            assert ray.calls["init"] == (address, {"log_to_driver": False, "logging_level": "error"})

    def refuse(address, **options):
        raise ConnectionError("nobody answers\nand more")

    ray.init = refuse
    with pytest.raises(InputError, match=r"no Ray cluster at 'auto' \(nobody answers\): start one"), OnRay("auto"):
        pass


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two nodes of one core each, on this machine."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")  # Ray's sockets need short paths
    options = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
    cluster.second = cluster.add_node(**options)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


COUNTING = """
import json, os, time
from pathlib import Path


def count(directory):
    '''Like training: resumes after the last epoch that it has written, and holds the directory's lock.'''
    import filelock
    from kzoo.errors import InUse

    folder = Path(directory)
    folder.mkdir(exist_ok=True)
    try:
        lock = filelock.FileLock(folder / ".lock", timeout=0).acquire()
    except filelock.Timeout:
        raise InUse("in use")
    with lock:
        log = folder / "epochs.txt"
        for epoch in range(len(log.read_text().splitlines()) if log.exists() else 0, 12):
            time.sleep(0.5)
            with open(log, "a") as stream:
                stream.write(f"{epoch} {os.getpid()}\\n")
        (folder / "record").touch()
"""


@pytest.mark.slow
@needs_ray
def test_a_node_dies_and_its_job_resumes_on_another(cluster, job, finish, monkeypatch):
    Path("ray_counting.py").write_text(COUNTING)
    monkeypatch.syspath_prepend(os.getcwd())

    def counting(key):
        directory = Path("runs", key).absolute()
        function, arguments = "ray_counting:count", {"directory": str(directory)}
        return Job(key, function, arguments, directory, directory / "record", Path("logs", f"{key}.log"))

    def kill():
        # Wait until both nodes are training.
        while sum(len(path.read_text().splitlines()) > 2 for path in Path("runs").glob("*/epochs.txt")) < 2:
            time.sleep(0.1)
        cluster.remove_node(cluster.second, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    events = finish(OnRay(cluster.address, reuse=True), [counting(key) for key in "abc"])
    killer.join(timeout=60)
    assert {key: ends[-1].kind for key, ends in events.items()} == dict.fromkeys("abc", "done")
    restarted = [key for key, ends in events.items() if "died" in kinds(ends)]
    assert len(restarted) == 1
    for key in "abc":
        rows = [line.split() for line in Path("runs", key, "epochs.txt").read_text().splitlines()]
        assert [int(epoch) for epoch, _ in rows] == list(range(12))
        assert len({pid for _, pid in rows}) == (2 if key in restarted else 1)


@pytest.mark.slow
@needs_ray
def test_a_node_dies_within_a_search_which_completes_by_itself(cluster, tmp_path, monkeypatch):
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)
    trials, epochs = 3, 25
    search, directory, kept = load_search(write_search(tmp_path, trials, epochs)), tmp_path / "search", {}

    def kill():
        while sum(count > 1 for count in checkpoints(directory).values()) < 2:
            time.sleep(0.02)
        kept.update(checkpoints(directory))
        cluster.remove_node(cluster.second, allow_graceful=False)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    run_search(search, directory, on=cluster.address, progress=False)
    killer.join(timeout=60)
    problems, resumed = check(directory, trials, epochs, kept)
    assert not problems
    assert resumed == 1


@pytest.mark.slow
@needs_ray
def test_ends_on_ray_are_those_of_every_pool(job, finish):
    jobs = [
        job("good", "finish"),
        job("always", "die", times=9),
        job("refused", "fail", error="InputError"),
        job("bad", "fail", error="RunFailed"),
    ]
    events = finish(OnRay("local", 2), jobs)
    ends = {key: events[key][-1] for key in events}
    assert {key: end.kind for key, end in ends.items()} == {
        "good": "done", "always": "failed", "refused": "refused", "bad": "failed",
    }  # fmt: skip
    assert (ends["refused"].reason, ends["bad"].reason) == ("no luck today", "no luck today")
    assert Path("runs/always/starts").read_text() == "xxx"


@pytest.mark.slow
@needs_ray
def test_a_study_on_this_machine_with_a_custom_network_and_interrupted(monkeypatch):
    code = (
        "import keras\n"
        "def network(input_shape=(8, 8, 1), classes=10, **options):\n"
        "    inputs = keras.Input(input_shape)\n"
        "    x = keras.layers.Conv2D(8, 3, padding='same')(inputs)\n"
        "    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(x)), name='custom')\n"
    )
    Path("ray_network.py").write_text(code)
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)

    fields = {"dataset": "digits", "train_size": 100, "batch_size": 20, "epochs": 25}
    recipe = Recipe(**{"name": "test/ray", "model": "ray_network:network", **fields}).resolved()
    tasks = [Task(recipe, recipe.digest(), ("ray",), Path("runs") / f"test-ray-{recipe.digest()}")]

    def interrupt():
        while not list(Path("runs").glob("*/checkpoint/00001-*.npz")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    reported = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match="the same command resumes it"):
        run_tasks(tasks, pool=OnRay("local"), tell=lambda one, *rest: reported.append(rest))
    assert ("cut off", "") in reported
    assert not list(Path("runs").glob("*/result.json"))
    (ended,) = run_tasks(tasks, pool=OnRay("local", 2))
    assert ended.status == "recorded"
    record = json.loads((tasks[0].directory / "result.json").read_text())
    assert len(record["segments"]) == 2
    assert record["segments"][1]["first_epoch"] > 1
