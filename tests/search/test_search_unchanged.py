"""A search that is run again after the user's data or model has changed."""

from pathlib import Path

import numpy as np
import pytest

import kzoo
from kzoo import Choice, InputError, Search
from kzoo.search.running import run_search

pytestmark = pytest.mark.usefixtures("eagerly")

TINY = {"dataset": "npz:own.npz", "epochs": 1, "batch_size": 60}
LAYERS = {"activation": "relu"}
SCALE = {"by": 1.0}


def write_data(seed=0):
    images = np.random.default_rng(seed).integers(0, 255, (60, 8, 8, 1)).astype("uint8")
    np.savez("own.npz", x_train=images, y_train=np.arange(60) % 3)


def model(hp):
    """A network whose code changes with LAYERS."""
    import keras

    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Dense(hp.Choice("width", [2, 3, 4]), **LAYERS)(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


def search(trials):
    space = {"optimizer.learning_rate": Choice(1e-3, 1e-2, 3e-2)}
    recipe = kzoo.Recipe("own", model="mlp", model_options={"hidden": [4]}, **TINY)
    return Search("own", recipe, space, trials=trials, tuner="random")


def test_other_data_behind_finished_trials():
    write_data()
    run_search(search(1), "s", progress=False)
    before = Path("s/search.json").read_bytes()
    assert len(run_search(search(1), "s", progress=False).trials) == 1  # nothing has changed: the same result
    write_data(seed=1)
    for trials in (1, 2):  # neither the old result nor new trials on other images
        with pytest.raises(InputError, match=r"trial_0000/run' is not what is asked for now: other data .*--fresh"):
            run_search(search(trials), "s", progress=False)
    assert not Path("s/trial_0001").exists()
    write_data()
    assert len(run_search(search(2), "s", progress=False).trials) == 2
    assert before != Path("s/search.json").read_bytes()


def rate(rate, epoch, epochs):
    """A schedule whose code changes with SCALE."""
    return rate * SCALE["by"]


def test_another_schedule_function_behind_finished_trials(monkeypatch):
    write_data()
    one, more = (search(trials).override(schedule=f"{__name__}:rate") for trials in (1, 2))
    run_search(one, "s", progress=False)
    assert len(run_search(one, "s", progress=False).trials) == 1
    monkeypatch.setitem(SCALE, "by", 0.5)
    with pytest.raises(InputError, match=r"trial_0000/run' is not what is asked for now: .*schedule"):
        run_search(more, "s", progress=False)
    assert not Path("s/trial_0001").exists()


@pytest.mark.slow
def test_another_model_function_behind_finished_trials(monkeypatch):
    write_data()
    recipe = kzoo.Recipe("own", model="mlp", model_options={"hidden": [4]}, **TINY)
    one = Search("own", recipe, {}, model=model, trials=1, tuner="random")
    run_search(one, "s", progress=False)
    assert len(run_search(one, "s", progress=False).trials) == 1
    monkeypatch.setitem(LAYERS, "activation", "tanh")
    with pytest.raises(InputError, match=r"trial_0000/run' is not what is asked for now: another model \(layer 'dense"):
        run_search(one, "s", progress=False)
