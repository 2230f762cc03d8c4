"""Fixtures for all tests. Each test runs in its own directory, so that nothing is left behind."""

import contextlib
import gc
import os
import sys
from pathlib import Path

import filelock
import pytest
from hypothesis import settings

from kzoo.cli import main

# Tests that start other processes pass this on.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# The default run uses a few fixed examples; .ci/full uses many new ones (pytest --hypothesis-profile=many).
settings.register_profile("few", max_examples=15, deadline=None, derandomize=True)
settings.register_profile("many", max_examples=200, deadline=None)
settings.load_profile("few")

# Modules that are imported while tests are collected are never freed, and looking for garbage meanwhile takes seconds.
gc.disable()


def pytest_collection_finish():
    """Freeze everything imported so far, so that the garbage collector does not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Hide the machine's cache and configuration from module fixtures too, which run outside of tests."""
    folder = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KZOO_CACHE", str(folder / "cache"))
        patch.setenv("KZOO_CONFIG", str(folder / "configuration"))
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Run in an empty directory with an empty cache and no configuration."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("KZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KZOO_CONFIG", str(tmp_path / "configuration"))


@contextlib.contextmanager
def graphs(made):
    """On TensorFlow, `made` determines whether training and predicting make graphs; other backends do not change.

    Making a graph takes longer than the few steps that a small test runs with it.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(not made)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


@pytest.fixture(scope="module")
def eagerly():
    """Trains and predicts without graphs in a whole module (``pytestmark = pytest.mark.usefixtures("eagerly")``).

    It is for modules that test what surrounds training. Modules that test training itself, such as
    `tests/training/test_resume.py` and `test_fast.py`, make graphs, as a user's run does.
    """
    with graphs(made=False):
        yield


@pytest.fixture
def eagerly_once():
    """Trains and predicts without graphs in one test."""
    with graphs(made=False):
        yield


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real data; tests that need it are marked `data` and are skipped without it."""
    folder = os.environ.get("KZOO_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("KZOO_DATA_DIR names no folder with real data prepared by tensorflow-datasets")
    return folder


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A LeNet that knows the digits, for all tests that read a run. A test that changes it copies its directory."""
    import kzoo

    # Parallel test processes share the run: the first one that needs it trains it.
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "digits"
    shared.mkdir(exist_ok=True)
    directory = shared / "run"
    with filelock.FileLock(shared / "lock"):
        if (directory / "result.json").exists():
            return kzoo.Run(directory)
        with graphs(made=True):  # even if the test that needs the run first makes none
            return kzoo.train(
                "lenet2-max", dataset="digits", epochs=5, batch_size=20, directory=directory, progress=False
            )


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs the command line in this process; returns exit status, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["kzoo", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        text = capsys.readouterr()
        return caught.value.code or 0, text.out, text.err

    return run
