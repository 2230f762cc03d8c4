"""A run with a custom augmentation, schedule and optimizer: trained by them, recorded, compared on repetition."""

import keras
import numpy as np
import pytest

import kzoo
from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.training.build import load_parts
from kzoo.training.extending import check_extensible
from kzoo.training.optimization.optimizers import build_optimizer
from kzoo.training.optimization.schedules import learning_rate, rates_by_step
from tests.training.test_asked_again import QUICK, write_module

pytestmark = pytest.mark.usefixtures("eagerly")

PARTS = """
import keras

def inverted(images, rng):
    return 255 - images

def falling(rate, epoch, epochs, factor=0.5):
    return rate * factor ** epoch

def heavy(learning_rate, momentum=0.5):
    return keras.optimizers.SGD(learning_rate, momentum=momentum, weight_decay=0.01)

def below_zero(rate, epoch, epochs):
    return -rate

def no_optimizer(learning_rate):
    return "sgd"

def stubborn(learning_rate):
    return keras.optimizers.SGD(0.5)

def by_itself(learning_rate):
    return keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(learning_rate, 100))

def scaled(learning_rate):
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(learning_rate))
"""
FIELDS = {
    "augmentation": ["nets_under_test:inverted"],
    "schedule": {"kind": "nets_under_test:falling", "options": {"factor": 0.25}},
    "optimizer": {"kind": "nets_under_test:heavy", "learning_rate": 0.1, "options": {"momentum": 0.25}},
}


@pytest.fixture
def parts(tmp_path, monkeypatch):
    write_module(tmp_path / "code", PARTS)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    return tmp_path / "code"


def recipe_with(**changes):
    return Recipe("mine/parts", model="lenet1-max", dataset="digits", **{**FIELDS, **changes})


def test_optimizer_is_the_functions_with_what_the_recipe_adds(parts):
    made = build_optimizer(recipe_with().resolved())
    assert isinstance(made, keras.optimizers.SGD)
    assert (made.momentum, made.weight_decay, float(made.learning_rate)) == (0.25, 0.01, pytest.approx(0.1))
    asked = build_optimizer(recipe_with(weight_decay=0.0, clip_norm=1.0, ema=0.9, l2=0.5).resolved())
    assert (asked.weight_decay, asked.global_clipnorm, asked.use_ema, asked.ema_momentum) == (None, 1.0, True, 0.9)

    # One step from 1 with gradient 0: only the penalty moves it.
    variable = keras.Variable([1.0])
    asked = build_optimizer(recipe_with(weight_decay=0.0, l2=0.5).resolved())
    asked.build([variable])
    asked.apply([keras.ops.zeros((1,))], [variable])
    assert keras.ops.convert_to_numpy(variable) == pytest.approx([1 - 0.1 * 0.5])


def test_only_training_images_are_augmented(parts):
    small = {"train_size": 60, "batch_size": 20, "label_smoothing": 0.1}
    changed, plain = (recipe_with(**small, **fields).resolved() for fields in ({}, {"augmentation": []}))
    data = load_parts(changed, None)
    for part in ("train", "validation", "test"):
        (images, targets), (before, same) = (data.batches(part, each)[0] for each in (changed, plain))
        np.testing.assert_array_equal(images, 255 - before if part == "train" else before)
        np.testing.assert_array_equal(targets, same)
        assert targets.max() == pytest.approx(0.91 if part == "train" else 1)
    ordered, otherwise = (data.batches("train", plain.override(seed=seed))[0][0] for seed in (0, 1))
    assert not np.array_equal(ordered, otherwise)


def test_optimizer_of_keras_by_reference():
    assert isinstance(build_optimizer(recipe_with(optimizer="keras.optimizers:Ftrl", **PLAIN)), keras.optimizers.Ftrl)


PLAIN = {"augmentation": [], "schedule": "constant"}


def test_schedule_returns_the_rate_of_each_epoch(parts):
    schedule = recipe_with().schedule
    assert [learning_rate(schedule, 0.8, epoch, 3) for epoch in range(3)] == pytest.approx([0.8, 0.2, 0.05])
    assert rates_by_step(schedule, 0.8, 2, 2, warmup_epochs=1) == pytest.approx([0.8 / 3, 1.6 / 3, 0.8, 0.8])


def test_with_a_warm_up_a_schedule_is_asked_once_for_an_epoch(parts):
    asked = []
    kzoo.register_schedule("asked", lambda rate, epoch, epochs: asked.append((epoch, epochs)) or rate)
    rates_by_step(recipe_with(schedule="asked").schedule, 0.8, 4, 100, warmup_epochs=1.5)
    assert asked == [(0, 3), (1, 3), (2, 3)]


def test_run_cannot_be_extended_since_its_schedule_may_look_at_the_number_of_epochs(parts):
    with pytest.raises(InputError, match="the rates of schedule 'nets_under_test:falling' depend on the number of epo"):
        check_extensible(recipe_with())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "nets_under_test:below_zero"}, "must return a finite rate of 0 or more, not -0.1 in epoch 0"),
        ({"optimizer": "nets_under_test:no_optimizer"}, "must return a new keras.optimizers.Optimizer, not 'sgd'"),
        ({"optimizer": "nets_under_test:stubborn"}, r"must use the learning rate that it is given, 0\.001: the recipe"),
        ({"optimizer": "nets_under_test:by_itself"}, r"must use the learning rate that it is given, 0\.001"),
        ({"optimizer": "nets_under_test:stubborn", "schedule": "linear"}, "that it is given, a schedule: the recipe"),
        ({"optimizer": "nets_under_test:scaled"}, "must return its inner optimizer, not a LossScaleOptimizer"),
        ({"optimizer": "keras.optimizers:LossScaleOptimizer"}, "must return its inner optimizer, not a LossScale"),
    ],
)
def test_wrong_results_are_named(parts, fields, message):
    recipe = recipe_with(**{"optimizer": {"kind": "sgd", "learning_rate": 0.1}, "schedule": "constant", **fields})
    use = build_optimizer if "optimizer" in fields else lambda recipe: learning_rate(recipe.schedule, 0.1, 0, 2)
    with pytest.raises(InputError, match=message):
        use(recipe)


TWICE = {**QUICK, "epochs": 2, "batch_size": 100}  # one step each


def test_run_records_its_functions_and_refuses_other_code(parts, capsys):
    recipe = recipe_with(train_size=40, class_names=["0", "1"])
    run = kzoo.train(recipe, **TWICE)
    assert run.history["learning_rate"] == pytest.approx([0.1, 0.025])
    functions = run.result.origin["parts"]["functions"]
    assert {name: entry["source"] for name, entry in functions.items()} == {
        "augmentation nets_under_test:inverted": "nets_under_test:inverted",
        "schedule nets_under_test:falling": "nets_under_test:falling",
        "optimizer nets_under_test:heavy": "nets_under_test:heavy",
    }

    # The same run is found despite a new comment; other code of any function is an error.
    write_module(parts, PARTS.replace("def falling", "# a comment\ndef falling"))
    assert kzoo.train(recipe, **TWICE).directory == run.directory
    write_module(parts, PARTS.replace("factor ** epoch", "factor ** (epoch + 1)"))
    with pytest.raises(InputError, match=r"other code of schedule nets_under_test:falling \(nets_under_test:falling\)"):
        kzoo.train(recipe, **TWICE)

    # Without the code, the run can be evaluated, but not trained.
    write_module(parts, "")
    assert kzoo.Run(run.directory).evaluate("test").images > 0
    with pytest.raises(InputError, match="unknown function of module 'nets_under_test' 'inverted'"):
        kzoo.train(recipe, **TWICE)
