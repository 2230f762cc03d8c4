"""The hyper-model in keras-tuner's tuners, as users of keras-tuner would write it."""

import json
from pathlib import Path

import keras
import keras_tuner
import numpy as np
import pytest

import kzoo
from kzoo import Choice, InputError, IntRange, Range, RecipeHyperModel
from kzoo.search.hypermodel import Rejected

pytestmark = pytest.mark.usefixtures("eagerly")

RECIPE = kzoo.recipe("lenet1-max").override(
    **{"dataset": "digits", "train_size": 60, "split.validation": 40, "epochs": 2}
)
SPACE = {"optimizer.learning_rate": Range(1e-3, 1e-1, log=True), "batch_size": Choice(30, 60)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "options"),
    [
        pytest.param(keras_tuner.RandomSearch, {"max_trials": 2}, marks=pytest.mark.representative),
        (keras_tuner.GridSearch, {"max_trials": 2}),
        (keras_tuner.BayesianOptimization, {"max_trials": 4}),
        (keras_tuner.Hyperband, {"max_epochs": 2, "factor": 2}),
    ],
)
def test_keras_tuners_tuners_train_runs(make, options):
    changes = {"label_smoothing": 0.1, "l2": 1e-4, "schedule": "cosine", "augmentation": [{"kind": "flip"}]}
    # Of epochs with equal accuracy, keras-tuner's checkpoint keeps the first one.
    recipe = RECIPE.override(**changes, ties="first")
    objective = keras_tuner.Objective("val_accuracy", "max")
    tuner = make(
        RecipeHyperModel(recipe, SPACE), objective=objective, seed=3, directory="kt", project_name="p", **options
    )
    tuner.search(verbose=0)
    trials = tuner.oracle.get_best_trials(10)
    assert all(trial.status == "COMPLETED" for trial in trials)
    best = trials[0]
    record = json.loads((Path(tuner.get_trial_dir(best.trial_id)) / "run" / "result.json").read_text())
    assert record["recipe"]["batch_size"] == best.hyperparameters.values["batch_size"]
    assert record["recipe"]["label_smoothing"] == 0.1
    assert best.score == max(record["history"]["val_accuracy"])
    assert tuner.get_best_hyperparameters()[0].get("batch_size") in (30, 60)
    model = tuner.get_best_models()[0]  # from keras-tuner's checkpoint
    assert model.output_shape == (None, 10)
    ours = kzoo.training.run.Run(Path(tuner.get_trial_dir(best.trial_id)) / "run").model
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), ours.get_weights(), strict=True))


@pytest.mark.slow
def test_batch_norm_and_averages_are_saved_as_they_are_scored():
    """keras-tuner's checkpoint contains the stock model, with averaged weights if the recipe averages them."""
    recipe = kzoo.recipe("vgg08-bn").override(dataset="digits", train_size=100, epochs=2, ema=0.9)
    hyper_model = RecipeHyperModel(recipe, {"batch_size": Choice(20, 50)})
    tuner = keras_tuner.RandomSearch(hyper_model, objective="val_accuracy", max_trials=1, seed=1, directory="kt")
    tuner.search(verbose=0)
    model = tuner.get_best_models()[0]
    run = kzoo.training.run.Run(Path(tuner.get_trial_dir("0")) / "run")
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), run.model.get_weights(), strict=True))


def test_several_executions_are_separate_runs():
    tuner = keras_tuner.RandomSearch(
        RecipeHyperModel(RECIPE.override(epochs=1), {"batch_size": Choice(60)}),
        objective="val_loss",
        max_trials=1,
        executions_per_trial=2,
        directory="kt",
    )
    tuner.search(verbose=0)
    records = [json.loads((Path(tuner.get_trial_dir("0")) / f / "result.json").read_text()) for f in ("run", "run-2")]
    assert [record["recipe"]["seed"] for record in records] == [0, 1]
    losses = [record["history"]["val_loss"][0] for record in records]
    assert losses[0] != losses[1]
    assert tuner.oracle.get_best_trials()[0].score == pytest.approx(np.mean(losses))


def test_a_custom_model_function_is_trained_by_the_recipe():
    import keras

    def build(hp):
        width = hp.Int("width", 4, 8)
        layers = [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(width, "relu")]
        return keras.Sequential([*layers, keras.layers.Dense(10)])

    hyper_model = RecipeHyperModel(RECIPE.override(epochs=1), {"batch_size": Choice(30, 60)}, model=build)
    tuner = keras_tuner.RandomSearch(hyper_model, objective="val_accuracy", max_trials=2, seed=2, directory="kt")
    tuner.search(verbose=0)
    for trial in tuner.oracle.get_best_trials(2):
        values = trial.hyperparameters.values
        record = json.loads((Path(tuner.get_trial_dir(trial.trial_id)) / "run" / "result.json").read_text())
        assert record["parameters"] == 65 * values["width"] + 10 * (values["width"] + 1)
        assert record["recipe"]["batch_size"] == values["batch_size"]


def test_fit_outside_a_tuner_is_a_run():
    hyper_model = RecipeHyperModel(RECIPE.override(epochs=1), SPACE)
    hp = keras_tuner.HyperParameters()
    model = hyper_model.build(hp)
    history = hyper_model.fit(hp, model, directory="alone")
    assert len(history.history["val_loss"]) == 1
    assert Path("alone/result.json").exists()
    with pytest.raises(InputError, match="has its own data"):
        hyper_model.fit(hp, model, np.zeros((2, 8, 8, 1)), np.zeros(2))


def test_files_that_cannot_be_written_end_a_search():
    hyper_model, hp = RecipeHyperModel(RECIPE.override(epochs=1), SPACE), keras_tuner.HyperParameters()
    model = hyper_model.build(hp)
    Path("full").mkdir()
    Path("full/recipe.json").write_text(hyper_model.recipe_of(hp).to_json())
    Path("full/checkpoint").touch()  # a file in place of the directory of checkpoints
    with pytest.raises(keras_tuner.errors.FatalError, match="cannot make 'full/checkpoint': File exists"):
        hyper_model.fit(hp, model, directory="full")
    Path("full/checkpoint").unlink()
    assert len(hyper_model.fit(hp, model, directory="full").history["val_loss"]) == 1


def test_an_option_that_the_builder_does_not_take_is_refused():
    with pytest.raises(InputError, match="did you mean 'filters'"):
        RecipeHyperModel(RECIPE, {"model_options.filter": IntRange(2, 4)})
    search = kzoo.Search("own", RECIPE, {"model_options.filter": IntRange(2, 4)})
    with pytest.raises(InputError, match="did you mean 'filters'"):
        kzoo.run_search(search, "own", progress=False)


def test_a_model_whose_work_cannot_be_counted_is_not_compared_with_the_limit():
    inputs = keras.Input((4, 4))
    attended = keras.layers.MultiHeadAttention(1, 2, name="attention")(inputs, inputs)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(attended)))
    with pytest.raises(InputError, match="max_multiply_adds=1000: the multiply-adds of attention cannot be counted"):
        RecipeHyperModel(RECIPE, SPACE, max_multiply_adds=1000).check_limits(model)
    with pytest.raises(Rejected, match="32 multiply-adds exceed the limit of 31"):
        RecipeHyperModel(RECIPE, SPACE, max_multiply_adds=31).check_limits(model)
