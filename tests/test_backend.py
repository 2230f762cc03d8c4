"""Environment variables that kzoo sets before TensorFlow reads them."""

import os
import subprocess
import sys
import threading
import time

import keras
import pytest

from kzoo.backend import (
    ONEDNN,
    TENSORFLOW_THREADS,
    choose_backend,
    quiet_import,
    uses_onednn,
    visible_gpus,
    without_gpus,
)
from kzoo.seeds import seed_keras


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
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # chosen, so kzoo does not look for one
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


@pytest.mark.parametrize(
    ("named", "gpus"), [("0", ["0"]), ("1, 3", ["1", "3"]), ("", []), ("-1", []), ("GPU-ab,-1", ["GPU-ab"])]
)
def test_gpus_are_those_that_are_named(named, gpus):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": named}) == gpus


def test_gpus_without_names_are_counted_from_0(monkeypatch):
    files = ["nvidia2", "nvidia7", "nvidia0-caps"]
    monkeypatch.setattr("pathlib.Path.glob", lambda folder, pattern: [folder / name for name in files])
    assert visible_gpus({}) == ["0", "1"]


def test_gpus_are_hidden_and_come_back(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    with without_gpus():
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["JAX_PLATFORMS"]) == ("-1", "cpu")
        assert visible_gpus(os.environ) == []
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ.get("JAX_PLATFORMS")) == ("2", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with without_gpus():
        assert os.environ.get("JAX_PLATFORMS") is None  # there is no GPU to hide


def test_the_backend_in_keras_file_is_used_where_tensorflow_is_missing(monkeypatch, tmp_path):
    there = {"torch", "jax"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name in there or None)
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    for content, chosen in (
        (None, "jax"),
        ("{", "jax"),
        ('{"backend": "tensorflow"}', "jax"),
        ('{"backend": "torch"}', None),
        ('{"backend": ""}', "jax"),
    ):
        if content is not None:
            (tmp_path / "keras.json").write_text(content)
        monkeypatch.setenv("KERAS_BACKEND", "to be restored")
        monkeypatch.delenv("KERAS_BACKEND")
        choose_backend()
        assert os.environ.get("KERAS_BACKEND") == chosen, content
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    choose_backend()
    assert os.environ["KERAS_BACKEND"] == "torch"


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


def test_standard_error_comes_back_when_the_last_of_several_threads_has_imported():
    before, both = os.fstat(2), threading.Barrier(2)

    def import_slowly(seconds):
        with quiet_import():
            both.wait()
            time.sleep(seconds)

    threads = [threading.Thread(target=import_slowly, args=[seconds]) for seconds in (0, 0.05)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert os.path.samestat(os.fstat(2), before)


def test_standard_error_may_be_closed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "__stderr__", None)
    with quiet_import():
        pass


def test_keras_is_seeded_without_what_tensorflow_prints_when_it_is_imported_for_that(monkeypatch, capfd):
    seeds = []
    monkeypatch.setattr(keras.utils, "set_random_seed", lambda seed: seeds.append(seed) or os.write(2, b"Could not"))
    seed_keras(7)
    assert (seeds, capfd.readouterr().err) == ([7], "")
