"""Custom augmentations, schedules and optimizers in recipes: by name, by reference, and every wrong use."""

import importlib
import json
import os
import sys
import types
import warnings

import numpy as np
import pytest

import kzoo
from kzoo import custom
from kzoo.errors import InputError
from kzoo.recipes import Recipe
from kzoo.recipes.nested import flat
from kzoo.recipes.text import write
from kzoo.references import load_function

MODULE = """
def noisy(images, rng, amount=10):
    return images + amount * rng.standard_normal(images.shape).astype("float32")

def shrinks(images, rng):
    return images[:, 1:]

def halved(rate, epoch, epochs, at):
    return rate if epoch < at * epochs else rate / 2
"""


@pytest.fixture(autouse=True)
def parts(tmp_path, monkeypatch):
    """A module of custom functions; unregisters what a test registers."""
    (tmp_path / "custom_parts.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    for registry in custom.REGISTRIES.values():
        monkeypatch.setattr(registry, "added", {})


def recipe_with(**fields):
    return Recipe("mine/row", model="vgg08", dataset="digits", **fields)


def augmented(kind):
    batch = np.full((4, 8, 8, 1), 100, np.uint8)
    return recipe_with(augmentation=[kind]).augmentation[0](batch, np.random.default_rng(0))


def test_registered_name_and_reference_are_the_same_function():
    kzoo.register_augmentation("noisy", "custom_parts:noisy")
    by_name, by_reference = augmented("noisy"), augmented("custom_parts:noisy")
    assert np.array_equal(by_name, by_reference)
    assert not np.array_equal(by_name, augmented({"kind": "noisy", "options": {"amount": 20}}))
    assert by_name.dtype == np.float32


def test_a_module_edited_since_it_was_imported_is_reported(tmp_path):
    path = tmp_path / "edited_parts.py"
    path.write_text(MODULE)
    load_function("edited_parts:halved", "schedule")
    os.utime(path, ns=(1, 1))
    with pytest.warns(UserWarning, match=r"edited_parts\.py' has changed since module 'edited_parts' was imported"):
        load_function("edited_parts:halved", "schedule")
    importlib.reload(sys.modules["edited_parts"])
    assert load_function("edited_parts:halved", "schedule")(0.2, 0, 4, at=0.5) == 0.2
    del sys.modules["edited_parts"]


def test_a_cell_edited_since_its_function_was_registered_is_reported(monkeypatch):
    cells = types.ModuleType("cells")
    monkeypatch.setitem(sys.modules, "cells", cells)

    def run_cell(factor):
        exec(f"def scaled(rate, epoch, epochs):\n    return rate * {factor}", vars(cells))

    run_cell(2)
    kzoo.register_schedule("scaled", cells.scaled)
    run_cell(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert custom.find("schedule", "scaled")(1, 0, 1) == 2  # the same code
    run_cell(3)
    with pytest.warns(UserWarning, match=r"schedule 'scaled' is scaled\(\) as it was when it was registered"):
        assert custom.find("schedule", "scaled")(1, 0, 1) == 2
    kzoo.register_schedule("scaled", cells.scaled)
    assert custom.find("schedule", "scaled")(1, 0, 1) == 3


def test_recipe_keeps_where_a_name_came_from_and_survives_json():
    kzoo.register_schedule("halved", "custom_parts:halved")
    made = recipe_with(schedule={"kind": "halved", "options": {"at": 0.5}})
    again = Recipe.from_json(made.to_json())
    assert again == made
    assert again.digest() == made.digest() != made.override(**{"schedule.options.at": 0.7}).digest()
    assert json.loads(made.to_json())["schedule"]["source"] == "custom_parts:halved"
    assert write(flat({"s": [made.schedule.model_dump()]})["s"]) == "halved(at=0.5, source=custom_parts:halved)"


def test_recipe_is_read_but_not_trained_where_its_name_is_not_registered():
    kzoo.register_schedule("halved", "custom_parts:halved")
    text = recipe_with(schedule={"kind": "halved", "options": {"at": 0.5}}).to_json()
    custom.REGISTRIES["schedule"].added.clear()
    elsewhere = Recipe.from_json(text)
    with pytest.raises(InputError, match=r"'halved' is not registered here; in the recipe .* 'custom_parts:halved'"):
        elsewhere.digest()
    kzoo.register_schedule("halved", "another:halved")
    with pytest.raises(InputError, match="means 'another:halved' here but 'custom_parts:halved' in the recipe"):
        elsewhere.resolved()


def test_registered_names_are_among_the_kinds():
    kzoo.register_optimizer("mine", "custom_parts:halved")
    for wrong in (5, {}, {"learning_rate": 0.1}):
        with pytest.raises(InputError, match=r"kinds are adam, .*, muon, mine$"):
            recipe_with(optimizer=wrong)


def test_names_can_be_registered_again_but_not_for_something_else():
    for _ in range(2):
        kzoo.register_optimizer("mine", "custom_parts:halved")
    with pytest.raises(InputError, match="optimizer name 'mine' is taken by 'custom_parts:halved'"):
        kzoo.register_optimizer("mine", "custom_parts:noisy")
    kzoo.register_schedule("mine", "custom_parts:noisy")  # another field has separate names


@pytest.mark.parametrize(
    ("call", "name", "function", "message"),
    [
        ("register_augmentation", "flip", len, "augmentation name 'flip' is taken by 'kzoo'"),
        ("register_schedule", "cosine", len, "schedule name 'cosine' is taken by 'kzoo'"),
        ("register_optimizer", "a/b", len, "optimizer name 'a/b': a name is text without slash"),
        ("register_optimizer", "mine", 3, "optimizer 'mine' is 3: give a function or 'module:function'"),
        ("register_schedule", "mine", "nowhere", "schedule 'mine' is 'nowhere': give a function"),
    ],
)
def test_bad_registrations(call, name, function, message):
    with pytest.raises(InputError, match=message):
        getattr(kzoo, call)(name, function)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "no_such_module:f"}, "optimizer 'no_such_module:f': there is no module 'no_such_module'"),
        ({"schedule": "custom_parts:halve"}, "unknown function of module 'custom_parts' 'halve': .*'halved'"),
        ({"schedule": "custom_parts:halved"}, r"called with \(rate, epoch, epochs\), which it does not take: .*'at'"),
        (
            {"schedule": {"kind": "custom_parts:halved", "options": {"att": 1}}},
            "unknown option of schedule .*did you mean 'at'",
        ),
        ({"augmentation": [{"kind": "custom_parts:noisy", "options": {"rng": 1}}]}, "unknown option .*'rng'"),
        ({"augmentation": [{"kind": "custom_parts:noisy", "amount": 1}]}, "has options, source"),
        ({"schedule": {"kind": "custom_parts:halved", "options": {"at": {1}}}}, "options must hold what JSON can hold"),
        ({"schedule": "./custom_parts.py:halved"}, "there is no module './custom_parts.py'"),
        ({"schedule": "halved"}, "unknown schedule 'halved': allowed are .*mine"),
    ],
)
def test_wrong_uses_are_named(fields, message):
    kzoo.register_schedule("mine", "custom_parts:halved")
    with pytest.raises(InputError, match=message):
        recipe_with(**fields).resolved()


def test_options_after_arguments_without_names():
    def darker(images, rng, /, factor=0.5):
        return images * factor

    def any_number(*arguments, factor=0.5):
        return arguments[0] * factor

    for name, function in {"darker": darker, "any": any_number}.items():
        kzoo.register_augmentation(name, function)
        assert augmented({"kind": name, "options": {"factor": 0.25}}).max() == 25
        with pytest.raises(InputError, match=r"unknown option .*: did you mean 'factor'"):
            recipe_with(augmentation=[{"kind": name, "options": {"factors": 1}}]).resolved()


class Tensor:
    """Like a tensor of PyTorch: its type is not one of NumPy."""

    shape, dtype = (4, 8, 8, 1), "torch.float32"


def test_augmentation_that_returns_a_tensor_is_refused():
    kzoo.register_augmentation("tensor", lambda images, rng: Tensor())
    with pytest.raises(InputError, match=r"must return images of shape \(4, 8, 8, 1\) as numbers, not Tensor"):
        augmented("tensor")


def test_augmentation_that_changes_the_shape_is_refused():
    with pytest.raises(InputError, match=r"must return images of shape \(4, 8, 8, 1\) as numbers, not ndarray of .*7"):
        augmented("custom_parts:shrinks")
