"""A disk that is full, and what is missing in a run's directory: one error or line that says what, and nothing lost."""

import contextlib
import resource
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import NotWritten
from kzoo.training.callbacks.built_in import TensorBoardLog
from kzoo.training.directory import save_weights

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = {"dataset": "digits", "train_size": 40, "epochs": 1, "progress": False, "diagnostics": False}


@contextlib.contextmanager
def files_up_to(size):
    """A context in which this process can write no longer files, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def network():
    return keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Flatten(), keras.layers.Dense(10)])


def test_weights_that_do_not_fit_leave_the_earlier_ones(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    model, path = network(), folder / "best.weights.h5"
    save_weights(model, path)
    before = path.read_bytes()
    with files_up_to(10_000), pytest.raises(NotWritten, match=r"cannot write '.*best\.weights\.h5': File too large; "):
        save_weights(model, path)
    assert path.read_bytes() == before
    assert [*folder.iterdir()] == [path]


def test_a_model_that_does_not_fit_is_no_fault_of_the_model(tmp_path):
    run = kzoo.train("mlp", model=network(), directory=tmp_path / "first", **TINY)  # fills the cache of resized images
    assert run.result.status == "completed"
    with files_up_to(10_000), pytest.raises(NotWritten, match=r"cannot write '.*\.keras': File too large"):
        kzoo.train("mlp", model=network(), directory=tmp_path / "second", **TINY)


def test_event_files_that_do_not_fit(tmp_path):
    pytest.importorskip("tensorboard")
    with files_up_to(0), pytest.raises(NotWritten, match=r"cannot write '.*first'"):
        TensorBoardLog(tmp_path / "first")
    board = TensorBoardLog(tmp_path / "second")
    with files_up_to(50):
        with pytest.raises(NotWritten, match=r"cannot write '.*second'"):
            board.write({"loss": [1.0]})
        board.close()


def test_a_run_whose_checkpoints_are_gone_says_that_it_starts_again(tmp_path):
    changes = {**TINY, "directory": tmp_path / "run", "model_options.hidden": [4]}
    first = kzoo.train("mlp", **changes)
    (first.directory / "result.json").unlink()
    shutil.rmtree(first.directory / "checkpoint")
    with pytest.warns(UserWarning, match="run .* has no checkpoint any more: it starts again"):
        again = kzoo.train("mlp", **changes)
    for a, b in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Ends(keras.callbacks.Callback):
    """Takes the next of an iterator that has ended, in one of Keras's calls."""

    def __init__(self, hook):
        super().__init__()
        setattr(self, hook, lambda batch, logs=None: next(iter(())))


@pytest.mark.parametrize("hook", [f"on_{part}_batch_{end}" for part in ("train", "test") for end in ("begin", "end")])
def test_a_callback_that_raises_stop_iteration_does_not_end_an_epoch(hook):
    with pytest.raises(RuntimeError, match="a callback raised StopIteration"):
        kzoo.train("mlp", callbacks=[Ends(hook)], **TINY, **{"model_options.hidden": [4], "batch_size": 20})
    assert not Path("runs").exists() or not [*Path("runs").rglob("result.json")]
