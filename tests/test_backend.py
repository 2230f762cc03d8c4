"""What kzoo sets in the environment before TensorFlow reads it."""

import os
import subprocess
import sys

import pytest

from kzoo.backend import ONEDNN, TENSORFLOW_THREADS, choose_backend, uses_onednn


@pytest.mark.parametrize(
    ("setting", "features", "on"),
    [
        (None, ["avx2"], False),
        (None, ["avx2", "avx512f"], False),
        (None, ["avx512_vnni"], True),
        (None, ["amx_tile"], True),
        ("1", ["avx2"], True),
        ("true", [], True),
        ("0", ["avx512_vnni"], False),
        ("what", ["avx512_vnni"], True),
    ],
)
def test_onednn_is_on_by_the_variable_else_by_the_processor(setting, features, on):
    assert uses_onednn(setting, features) is on


@pytest.mark.parametrize(
    ("machine", "loaded", "before", "after"),
    [
        ("x86_64", False, None, "1"),
        ("AMD64", False, None, "1"),
        ("x86_64", False, "0", "0"),
        ("arm64", False, None, None),
        ("x86_64", True, None, None),
    ],
)
def test_onednn_is_turned_on_unless_the_user_has_decided(machine, loaded, before, after, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    if loaded:
        monkeypatch.setitem(sys.modules, "tensorflow", object())
    monkeypatch.delenv(ONEDNN, raising=False)
    if before:
        monkeypatch.setenv(ONEDNN, before)
    choose_backend()
    assert os.environ.get(ONEDNN) == after


@pytest.mark.parametrize(
    ("cores", "threads", "onednn", "then"),
    [
        ((0,), None, "1", "2"),
        ((0, 1), "1", "1", "2"),
        ((0, 1), None, "1", None),
        ((0,), "4", "1", "4"),
        ((0,), None, "0", None),
        ((0, 1), "1", "0", "1"),
    ],
)
def test_onednn_never_has_a_single_thread(monkeypatch, cores, threads, onednn, then):
    monkeypatch.setattr("kzoo.backend.usable_cores", lambda: cores)
    monkeypatch.setenv(ONEDNN, onednn)
    monkeypatch.delenv(TENSORFLOW_THREADS, raising=False)
    if threads:
        monkeypatch.setenv(TENSORFLOW_THREADS, threads)
    choose_backend()
    assert os.environ.get(TENSORFLOW_THREADS) == then


ON_ONE_CORE = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import kzoo
run = kzoo.train("resnet10", dataset="digits", model_options={"blocks": [1, 1], "channels": [4, 4]}, epochs=1,
                 train_size=60, batch_size=20, directory="run", progress=False, diagnostics=False)
assert run.result.epochs == 1
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores cannot be chosen on this system")
@pytest.mark.parametrize("threads", [None, "1"])
def test_a_small_resnet_trains_with_onednn_on_one_core(threads):
    pytest.importorskip("tensorflow")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", ONEDNN: "1"}
    environment |= {TENSORFLOW_THREADS: threads} if threads else {}
    done = subprocess.run(
        [sys.executable, "-c", ON_ONE_CORE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
