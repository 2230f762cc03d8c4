"""Models that users build, and settings that these cannot follow or that name their layers."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.training.build import build_model, load_parts, seed_and_freeze
from kzoo.training.prediction import predict_part
from kzoo.training.saved_set import open_run

pytestmark = pytest.mark.usefixtures("eagerly")

QUICK = {"dataset": "digits", "train_size": 40, "epochs": 1, "progress": False, "diagnostics": False}


def unnamed(classes, input_shape):
    """A network whose layers Keras names."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Dense(4, activation="relu")(keras.layers.Flatten()(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def test_automatic_names_are_the_same_whatever_was_built_before():
    recipe = Recipe("own", model=f"{__name__}:unnamed", dataset="digits", train_size=40, freeze=("dense",)).resolved()
    data = load_parts(recipe, None)
    names = []
    for _ in range(2):
        own = keras.layers.Dense(2)
        model = build_model(recipe, data)
        seed_and_freeze(model, recipe)
        names.append([layer.name for layer in model.layers])
        assert [layer.name for layer in model.layers if layer.weights and not layer.trainable] == ["dense"]
        assert keras.layers.Dense(2).name != own.name  # names outside go on as before
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("policy", "changes", "message"),
    [
        ("float32", {"precision": "mixed_bfloat16"}, "computes in float32: set precision='float32', or build it after"),
        ("mixed_float16", {}, "precision is 'float32', but model 'own' is built already and computes in float16: set"),
        ("float32", {"model_options.dropout": 0.3}, r"model_options\.dropout has no effect on model 'own', which is"),
    ],
)
def test_settings_that_a_built_model_cannot_follow_are_refused(tmp_path, policy, changes, message):
    inputs = keras.Input((32, 32, 1))
    model = keras.Model(inputs, keras.layers.Dense(10, dtype=policy)(keras.layers.Flatten()(inputs)), name="own")
    with pytest.raises(InputError, match=message):
        kzoo.train("mlp", model=model, directory=tmp_path / "run", **QUICK, **changes)
    assert not (tmp_path / "run").exists()


def test_options_of_the_recipe_that_a_built_model_does_not_get_are_reported():
    inputs = keras.Input((32, 32, 1))
    model = keras.Model(inputs, keras.layers.Dense(10)(keras.layers.Flatten()(inputs)), name="own")
    recipe = kzoo.recipe("mlp").derive("mine/mlp", model_options={"dropout": 0.1})
    with pytest.warns(UserWarning, match=r"model_options of recipe 'mine/mlp' \(dropout\) are for 'mlp': model 'own'"):
        run = kzoo.train(recipe, model=model, **QUICK)
    assert run.recipe.model_options == {}


def test_a_built_model_in_low_precision_is_trained_with_it():
    inputs = keras.Input((32, 32, 1))
    model = keras.Model(inputs, keras.layers.Dense(10, dtype="mixed_bfloat16")(keras.layers.Flatten()(inputs)))
    run = kzoo.train("mlp", model=model, precision="mixed_bfloat16", **QUICK)
    assert np.isfinite(run.history["loss"]).all()


@keras.saving.register_keras_serializable("test_given_models")
class Called(keras.Model):
    """A model of a custom class: it has no input shape, and is built by its first call."""

    def __init__(self, **options):
        super().__init__(**options)
        self.flat, self.scores = keras.layers.Flatten(), keras.layers.Dense(10)

    def call(self, images):
        return self.scores(self.flat(images) / 255)


@pytest.mark.backend
def test_a_model_of_a_custom_class_that_was_called(tmp_path):
    model = Called(name="called")
    with pytest.raises(InputError, match="not built: give it an Input, or call it once"):
        kzoo.train("mlp", model=model, directory=tmp_path / "run", **QUICK)
    model(np.zeros((1, 32, 32, 1)))
    run = kzoo.train("mlp", model=model, directory=tmp_path / "run", **QUICK)
    part = run.part("test")
    again = open_run(tmp_path / "run")
    outputs = np.asarray(run.model.predict(part.images, verbose=0))
    assert again.evaluate().accuracy == run.result.test.accuracy == (outputs.argmax(-1) == part.labels).mean()
    np.testing.assert_array_equal(predict_part(again).labels, part.labels)
    model = Called(name="called")
    model(np.zeros((1, 9, 9, 1)))
    with pytest.raises(InputError, match=r"takes images of shape \(9, 9, 1\), the data has \(32, 32, 1\)"):
        kzoo.train("mlp", model=model, directory=tmp_path / "other", **QUICK)


class ReadsRates(keras.callbacks.Callback):
    """Reads the optimizer's rate and steps before the first step of each epoch."""

    def __init__(self):
        super().__init__()
        self.rates, self.steps = [], []

    def on_train_batch_begin(self, batch, logs=None):
        if batch == 0:
            self.rates.append(float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)))
            self.steps.append(int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)))


def test_the_record_has_the_rates_that_were_used_although_the_loss_scale_skipped_steps():
    reads = ReadsRates()
    options = {**QUICK, "epochs": 2, "batch_size": 20, "precision": "mixed_float16", "schedule": "linear"}
    weights = {str(digit): 1e5 for digit in range(10)}  # too large gradients at first
    run = kzoo.train("mlp", callbacks=[reads], class_weights=weights, clip_norm=1.0, **options)
    assert reads.steps[1] < 2
    assert run.history["learning_rate"] == pytest.approx(reads.rates, rel=1e-6)


def whitened(classes, input_shape):
    """A network with a whitening layer, which kzoo adapts to the training images."""
    inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 2, name="whitening")(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes)(keras.layers.Flatten()(x)))


def test_a_run_with_a_whitening_layer_of_its_own_is_found_again():
    first = kzoo.train(f"{__name__}:whitened", directory="run", **QUICK)
    assert kzoo.train(f"{__name__}:whitened", directory="run", **QUICK).result == first.result
