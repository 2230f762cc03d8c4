"""Runs of a study on a Ray cluster."""

import importlib.util
import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.studies.on_ray import _resources, on_ray
from kzoo.studies.running import Task, run_tasks

SMALL = {"model": "vgg08", "dataset": "digits", "train_size": 100, "batch_size": 20, "epochs": 12}

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'kzoo[ray]'")


def task(seed, **fields):
    row = Recipe(**{"name": "test/ray", "seed": seed, **SMALL, **fields}).resolved()
    return Task(row, row.digest(), ("ray",), Path("runs") / f"test-ray-{row.digest()}")


def records():
    return {path.parent.name: json.loads(path.read_text()) for path in Path("runs").glob("*/result.json")}


def test_without_ray_one_error_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more))
    with pytest.raises(InputError, match=r"--on auto needs Ray, which is not installed: pip install 'kzoo\[ray\]'"):
        on_ray("auto")


@needs_ray
def test_bad_input():
    for address in ("", "nowhere", "ray://", "host:", "http://host:80"):
        with pytest.raises(InputError, match="--on takes auto, local, HOST:PORT or ray://HOST:PORT, not"):
            on_ray(address)
    with pytest.raises(InputError, match="workers must be a positive integer, not 0"):
        on_ray("local", workers=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start = time.monotonic()
    for scheme in ("", "ray://"):
        with pytest.raises(InputError, match=rf"no Ray cluster at '{scheme}127.0.0.1:{port}' .*ray start --head"):
            on_ray(f"{scheme}127.0.0.1:{port}")([task(0)], None, lambda *told: None)
    assert time.monotonic() - start < 30


def test_cores_and_gpus_are_divided():
    def node(cores, gpus=0, alive=True):
        return {"Alive": alive, "Resources": {"CPU": float(cores), "GPU": float(gpus)}}

    assert _resources([node(8), node(4), node(1, alive=False)], None) == (4, 0)
    assert _resources([node(8), node(4)], 6) == (2, 0)
    assert _resources([node(8), node(4)], 2) == (4, 0)
    assert _resources([node(2)], 8) == (1, 0)
    assert _resources([node(16, 4)], None) == (4, 1)
    assert _resources([node(16, 2)], 4) == (4, 0.5)
    with pytest.raises(InputError, match="no machine with a free core"):
        _resources([node(4, alive=False)], None)


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two nodes of one core each, on this machine."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    # Ray's sockets need short paths.
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    own = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=own)
    del own["include_dashboard"]
    cluster.second = cluster.add_node(**own)
    cluster.wait_for_nodes()
    yield cluster
    cluster.shutdown()


@pytest.mark.slow
def test_a_node_dies_and_each_run_is_recorded_once(cluster):
    tasks, told = [task(seed) for seed in range(3)], []

    def kill():
        # Both nodes are at work; the second one is gone between two epochs of its run.
        while len({path.parent for path in Path("runs").glob("*/checkpoint/0000[1-9]-*.npz")}) < 2:
            time.sleep(0.1)
        cluster.remove_node(cluster.second, allow_graceful=False)
        told.append("killed")

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    ended = run_tasks(tasks, runner=on_ray(cluster.address), tell=lambda one, *rest: told.append((one, *rest)))
    killer.join(timeout=60)
    assert [one.status for one in ended] == ["recorded"] * 3, told
    found = records()
    assert found.keys() == {one.directory.name for one in tasks}
    parts = sorted(len(record["segments"]) for record in found.values())
    assert parts == [1, 1, 2], told
    for record in found.values():
        assert (record["epochs"], len(record["history"]["loss"])) == (12, 12)
    (again,) = [row for row in told if row != "killed" and row[1] == "running" and row[2]]
    assert again[2].startswith(f"taken up again ({socket.gethostname()}")
    assert [row[1] for row in told if row != "killed" and row[1] == "recorded"] == ["recorded"] * 3


@pytest.mark.slow
@needs_ray
def test_on_this_machine_with_a_network_of_ones_own_and_interrupted(monkeypatch):
    code = (
        "import keras\n"
        "def network(input_shape=(8, 8, 1), classes=10, **options):\n"
        "    inputs = keras.Input(input_shape)\n"
        "    x = keras.layers.Conv2D(8, 3, padding='same')(inputs)\n"
        "    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(x)), name='own')\n"
    )
    Path("ray_network.py").write_text(code)
    monkeypatch.syspath_prepend(os.getcwd())
    tasks = [task(0, model="ray_network:network", epochs=60), task(0, dataset="cifar10")]
    monkeypatch.delenv("KZOO_DATA_DIR", raising=False)

    def interrupt():
        while not list(Path("runs").glob("*/checkpoint/00001-*.npz")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    told = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt, match="the same command goes on where it stopped"):
        run_tasks(tasks, runner=on_ray("local"), tell=lambda one, *rest: told.append(rest))
    assert ("cut off", "") in told
    assert not records()
    ended = run_tasks(tasks, runner=on_ray("local", workers=2))
    assert [one.status for one in ended] == ["recorded", "failed"]
    assert "cifar10" in ended[1].reason
    (record,) = records().values()
    assert len(record["segments"]) == 2
    assert record["segments"][1]["first_epoch"] > 1
