"""The values of a space, how they reach keras-tuner and come back, and what is refused."""

import pytest

import kzoo
from kzoo import Choice, InputError, IntRange, Range
from kzoo.recipes.settings import Adam, Cosine, Momentum
from kzoo.search.declared import Space, from_dict

RECIPE = kzoo.recipe("reduction/lenet2-max")


def test_labels_stand_for_what_keras_tuner_cannot_hold():
    choice = Choice(Adam(), Momentum(learning_rate=0.1), None, [3, 5], True)
    assert choice.keys == ("adam", "momentum", "none", "[3, 5]", "true")
    assert choice.read("momentum") == {"kind": "momentum", "learning_rate": 0.1, "momentum": 0.9}
    assert choice.read("none") is None
    assert choice.read("[3, 5]") == [3, 5]
    assert choice.find(Adam()) == "adam"
    alike = Choice(Adam(), Adam(learning_rate=0.1))
    assert len(set(alike.keys)) == 2
    assert all("learning_rate" in key for key in alike.keys)


def test_a_label_that_is_another_choices_value_stands_for_its_own():
    choice = Choice("relu", "elu", labels=("elu", "relu"))
    assert [*map(choice.read, ("elu", "relu"))] == ["relu", "elu"]
    assert [*map(choice.find, ("elu", "relu"))] == ["elu", "relu"]
    assert [*map(choice.key_of, ("relu", "elu", "swish"))] == ["elu", "relu", None]


def test_a_grid_holds_zero_itself():
    range_ = Range(-0.3, 0.3, step=0.1)
    assert range_.grid() == [-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3]
    assert range_.find(0.0) == 0


def test_numbers_come_back_from_32_bits():
    import numpy as np

    choice, range_ = Choice(1e-4, 4.5e-2), Range(1e-4, 1e-1, log=True)
    for value in (1e-4, 4.5e-2):
        assert choice.read(float(np.float32(value))) == value
    for value in (0.000123457, 0.0450001, 0.1):
        assert range_.read(float(np.float32(value))) == value
    assert Choice(0, 0.5).keys == (0.0, 0.5)  # one type for keras-tuner
    assert Choice(0, 0.5).read(0.0) == 0
    assert Choice(20240101, 20240102).read(20240102) == 20240102  # integers are exact


def test_grid_of_a_range():
    assert Range(0.0, 0.5, step=0.1).grid() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert Range(1e-4, 1e-1, step=10, log=True).grid() == [1e-4, 1e-3, 1e-2, 1e-1]
    assert Range(1e-12, 1e-10, step=10, log=True).grid() == [1e-12, 1e-11, 1e-10]
    assert len(Range(1e-4, 1e-1, log=True).grid()) == 10
    assert IntRange(1, 7, step=3).grid() == [1, 4, 7]
    assert IntRange(1, 9, step=3).grid() == [1, 4, 7]
    assert IntRange(3, 6).grid() == [3, 4, 5, 6]
    assert IntRange(2, 40, step=3, log=True).grid() == [2, 6, 18]
    assert Range(0.2, 0.55, step=0.1).grid() == [0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize(
    ("entry", "inside", "outside", "between"),
    [
        (Range(0.0, 0.5, step=0.1), (0.0, 0.3, 0.5), (-0.1, 0.6), (0.25,)),
        (Range(1e-4, 1e-1, log=True), (1e-4, 0.000123, 0.1), (9e-5, 0.1001, "0.01", True, None), ()),
        (Range(1e-3, 1.0, step=10, log=True), (1e-3, 0.1), (1e-4,), (0.05,)),
        (Range(1e-7, 1.0, log=True), (1e-7, 1.0), (0.0, 9e-8), ()),  # a log scale has no zero
        (Range(0.0, 1.0), (1 + 5e-7, -5e-7), (1 + 2e-6, -2e-6), ()),  # rounding does not count
        (IntRange(1, 7, step=3), (1, 4, 4.0, 7), (0, 8, 4.5), (5,)),
        (IntRange(1, 99), (9, 50), (100,), ()),
    ],
)
def test_a_range_takes_the_numbers_between_its_ends_and_on_its_steps(entry, inside, outside, between):
    for value in inside:
        assert entry.find(value) == pytest.approx(value, abs=1e-6)
    for values, says in ((outside, "is not in"), (between, "is not on the steps of")):
        for value in values:
            with pytest.raises(InputError, match=says):
                entry.find(value)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Choice(), "at least one"),
        (lambda: Choice(1, 1), "equal labels"),
        (lambda: Choice(1, 2, labels=("a",)), "as many text labels"),
        (lambda: Range(1.0, 1.0), "from a lower to a higher"),
        (lambda: Range(0, 1, log=True), "begin above 0"),
        (lambda: Range(1, 8, step=1, log=True), "above 1"),
        (lambda: Range(0, float("inf")), "finite"),
        (lambda: IntRange(1, 2.5), "whole number"),
        (lambda: IntRange(1, 5, step=-1), "above 0"),
    ],
)
def test_bad_entries_are_refused(make, says):
    with pytest.raises(InputError, match=says):
        make()


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({}, "must map"),
        ({"learning_rate": Choice(1)}, "unknown recipe field"),
        ({"batch_sise": Choice(1)}, "batch_size"),
        ({"optimizer.learning_rat": Choice(1)}, "learning_rate"),
        ({"optimizer.momentum": Choice(0.5)}, "optimizer.momentum"),  # the recipe's Adam has none
        ({"batch_size": Choice(100, -1)}, "greater than or equal to 1"),
        ({"batch_size": Range(16, 64)}, "'batch_size' is 31.2789"),
        ({"optimizer": Choice("adam", "adamm")}, "adamm"),
        ({"batch_size": [1, 2]}, "Choice, Range or IntRange"),
        ({"name": Choice("a/b", "c/d")}, "unknown recipe field"),
        ({"augmentation": Choice(["flip"], ["flip", "alternating_flip"])}, "'augmentation': augmentation: flip with"),
        ({"l2": Choice(0.0, when={"l1": 0.0})}, "l1"),
        ({"l1": Choice(0.0, 1.0), "l2": Choice(0.0, when={"l1": 2.0})}, "2.0 is not one of"),
        ({"l1": Choice(0.0, when={"l2": 0.0}), "l2": Choice(0.0, when={"l1": 0.0})}, "circular"),
        ({"l1": Range(0.0, 1.0), "l2": Choice(0.0, when={"l1": 0.3})}, r"no trial would get exactly 0\.3 from Range"),
    ],
)
def test_bad_spaces_are_refused(entries, says):
    with pytest.raises(InputError, match=says):
        Space(entries, RECIPE)


def test_conditions_switch_fields_on():
    space = Space(
        {
            "optimizer.momentum": Range(0.5, 0.99, when={"optimizer": "momentum"}),
            "l1": Choice(0.0, 1e-5, when={"l2": 0.0}),
            "l2": Choice(0.0, 1e-5),
            "optimizer": Choice(Adam(), Momentum()),
        },
        RECIPE,
    )
    assert list(space).index("optimizer") < list(space).index("optimizer.momentum")
    Space({"batch_size": IntRange(3, 50, log=True), "l2": Choice(0.0, when={"batch_size": 7})}, RECIPE)
    changes = space.changes({"optimizer": "momentum", "optimizer.momentum": 0.75, "l2": 1e-5, "l1": 1e-5, "tuner/x": 1})
    assert "l1" not in changes
    recipe = RECIPE.override(**changes)
    assert (recipe.optimizer.kind, recipe.optimizer.momentum, recipe.l2) == ("momentum", 0.75, 1e-5)
    assert space.baseline() == {"optimizer": "adam", "l2": 1e-5}
    again = Space(from_dict(space.to_dict()), RECIPE)
    assert again.to_dict() == space.to_dict()
    assert again.changes({"optimizer": "adam", "l2": 0.0, "l1": 1e-5}) == {
        "optimizer": Adam().model_dump(),
        "l2": 0.0,
        "l1": 1e-5,
    }


def test_keras_tuner_draws_what_the_space_allows():
    import keras_tuner

    entries = {
        "optimizer": Choice(Adam(), Momentum()),
        "optimizer.momentum": Range(0.5, 0.99, when={"optimizer": "momentum"}),
        "model_options.layers": IntRange(1, 3),
        "schedule": Choice(Cosine(), "constant"),
    }
    space, seen = Space(entries, RECIPE), set()
    for grid in (False, True):
        hp = keras_tuner.HyperParameters()
        space.declare(hp, grid=grid)
        assert (hp.get("optimizer"), hp.get("schedule")) == ("adam", "constant")  # the recipe's own
        oracle = keras_tuner.oracles.RandomSearchOracle(objective="val_loss", max_trials=20, seed=1, hyperparameters=hp)
        oracle._set_project_dir(".", f"draws-{grid}")
        oracle.verbose = 0
        for number in range(20):
            values = oracle.create_trial(f"w{number}").hyperparameters.values
            changes = space.changes(values)
            recipe = RECIPE.override(**changes)
            seen.add(recipe.optimizer.kind)
            assert ("optimizer.momentum" in changes) == (recipe.optimizer.kind == "momentum")
    assert seen == {"adam", "momentum"}


def test_what_is_set_is_no_longer_varied():
    search = kzoo.Search(
        "own",
        RECIPE,
        {
            "optimizer": Choice(Adam(), Momentum()),
            "optimizer.momentum": Range(0.5, 0.99, when={"optimizer": "momentum"}),
            "l2": Choice(0.0, 1e-3),
        },
    )
    assert list(search.override(optimizer="momentum").space) == ["l2"]
    assert list(search.override(**{"optimizer.momentum": 0.9, "optimizer": "momentum"}).space) == ["l2"]
    assert list(search.override(l2=0.5).space) == ["optimizer", "optimizer.momentum"]
    kept = search.override(epochs=3)
    assert (list(kept.space), kept.base.epochs) == (list(search.space), 3)
    with pytest.raises(InputError, match="nothing to search"):
        search.override(optimizer="adam", l2=0.0)
    message = r"optimizer\.learning_rate cannot be set, because the search varies optimizer as a whole: set optimizer,"
    with pytest.raises(InputError, match=message):
        search.override(**{"optimizer.learning_rate": 3e-3})


def test_a_field_that_is_switched_off_switches_off_those_that_depend_on_it():
    chain = {
        "label_smoothing": Choice(0.0, 0.1, when={"l1": 1e-5, "batch_size": 20}),
        "l1": Choice(0.0, 1e-5, when={"l2": 1e-4}),
        "l2": Choice(0.0, 1e-4, when={"optimizer": "adam"}),
        "optimizer": Choice(Adam(), Momentum()),
        "batch_size": Choice(20, 50),
    }
    search = kzoo.Search("own", RECIPE, chain)
    assert list(search.override(optimizer="momentum").space) == ["batch_size"]
    assert list(search.override(l2=0.0).space) == ["optimizer", "batch_size"]
    assert set(search.override(l2=1e-4).space) == {"optimizer", "batch_size", "l1", "label_smoothing"}
    assert set(search.override(batch_size=50).space) == {"optimizer", "l2", "l1"}
    assert dict(search.override(optimizer="adam").space)["l2"].when == {}
