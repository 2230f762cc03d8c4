"""How a machine is divided between processes."""

import os

import pytest

from kzoo.backend import without_gpus
from kzoo.pool import divide, shares
from kzoo.pool.resources import default_workers


def test_cores_are_divided_evenly():
    assert divide(range(4), 2) == [(0, 1), (2, 3)]
    assert divide(range(5), 2) == [(0, 1), (2, 3, 4)]
    assert divide([2, 6], 4) == [(2,), (2,), (6,), (6,)]
    assert divide(range(8), 1) == [tuple(range(8))]
    assert sorted(core for part in divide(range(7), 3) for core in part) == list(range(7))


def test_threads_follow_the_cores_and_a_lower_limit_stays(monkeypatch):
    monkeypatch.setattr("kzoo.pool.resources.usable_cores", lambda: tuple(range(8)))
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
    listed = shares(2, {"CUDA_VISIBLE_DEVICES": "3,5"})
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in listed] == ["3", "5"]
    assert "TF_FORCE_GPU_ALLOW_GROWTH" not in listed[0].environment
    shared = shares(3, {"CUDA_VISIBLE_DEVICES": "3,5"})
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in shared] == ["3", "5", "3"]
    assert shared[1].environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.45"
    assert "CUDA_VISIBLE_DEVICES" not in shares(1, {"CUDA_VISIBLE_DEVICES": "-1"})[0].environment


def test_a_process_that_waits_leaves_the_gpus_alone(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    with without_gpus():
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["JAX_PLATFORMS"]) == ("-1", "cpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert "JAX_PLATFORMS" not in os.environ


def test_where_processes_cannot_be_bound_to_a_core_a_flag_limits_xla(monkeypatch):
    monkeypatch.setattr("kzoo.pool.resources.usable_cores", lambda: (0, 1, 2))
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    (one, two) = shares(2, {"XLA_FLAGS": "--mine"})
    assert one.environment["XLA_FLAGS"] == "--mine --xla_cpu_multi_thread_eigen=false"
    assert "XLA_FLAGS" not in two.environment  # two cores
    assert shares(3, {})[0].environment["XLA_FLAGS"] == "--xla_cpu_multi_thread_eigen=false"


def test_a_limit_of_zero_threads_is_ignored(monkeypatch):
    monkeypatch.setattr("kzoo.pool.resources.usable_cores", lambda: (0, 1))
    limits = [shares(1, {"OMP_NUM_THREADS": text})[0].environment["OMP_NUM_THREADS"] for text in ("0", "1", "2", "")]
    assert limits == ["2", "1", "2", "2"]


@pytest.mark.parametrize(("visible", "workers"), [("3,5", 2), ("3", None), ("-1", None)])
def test_by_default_there_is_a_worker_for_each_of_several_gpus(visible, workers, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert default_workers() == workers
