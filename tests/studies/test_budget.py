import pytest

from kzoo.errors import InputError
from kzoo.recipes import get_recipe
from kzoo.recipes.settings import Adam
from kzoo.studies import Entry, Study, get_study
from kzoo.studies.budget import budget, budgeted, check_changes, label, leaves, varied

RESCUE = get_study("rescue")
BN = RESCUE.entry("BN")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "full"),
        ({"seed": 3}, "full"),
        ({"train_size": 10000, "epochs": 15}, "epochs=15, train_size=10000"),
        # the dataset's own augmentation, normalization and split go with it
        ({"dataset": "digits", "epochs": 2}, "epochs=2, dataset=digits"),
        ({"l2": 0.5, "batch_size": 20}, "batch_size=20, l2=0.5"),
        ({"model_options.filters": 8}, "model_options.filters=8"),
        ({"augmentation": [{"kind": "flip"}]}, "augmentation=flip"),
        ({"augmentation": [{"kind": "flip", "vertical": 0.5}]}, "augmentation=flip(vertical=0.5)"),
        ({"augmentation": []}, "augmentation=none"),
        # a setting that is turned on or off is named once
        (
            {"early_stop.patience": 2},
            "early_stop.min_delta=0.0, early_stop.monitor=val_accuracy, early_stop.patience=2",
        ),
        ({"class_weights.bee": 2}, "class_weights.bee=2.0"),
        ({"normalization": {"mean": [0.5], "std": [0.25]}}, "normalization.mean=0.5, normalization.std=0.25"),
    ],
)
def test_a_budget_is_what_was_changed(changes, expected):
    recipe = get_recipe("rescue/bn").override(**changes).resolved()
    difference = budget(RESCUE, BN, recipe)
    assert label(difference) == expected
    others = [entry for entry in RESCUE.entries if entry is not BN]
    assert [budget(RESCUE, entry, recipe) for entry in others] == [None] * 4


def test_a_setting_that_is_turned_off_is_named_once():
    study = Study(
        "t", "ours", "Which?", (Entry(get_recipe("rescue/bn").derive("t/a", early_stop={"patience": 3}), "a"),)
    )
    changed = study.entries[0].recipe.override(early_stop=None).resolved()
    assert label(budget(study, study.entries[0], changed)) == "early_stop=none"


@pytest.mark.parametrize("name", ["invariance", "epoch_time"])
def test_names_of_other_measurements_are_no_names_of_studies(name):
    with pytest.raises(InputError, match=f"study '{name}': the directories invariance and epoch_time of results"):
        Study(name, "ours", "Which?", (Entry(get_recipe("rescue/bn"), "a"),))


def test_content_counts_not_the_name():
    same = get_recipe("rescue/vgg38").derive("mine/x", model="vgg38", model_options={"batch_norm": True}, epochs=3)
    assert label(budget(RESCUE, BN, same.resolved())) == "epochs=3"
    # report b's baseline is report a's network, under any name
    for name in ("batchnorm/baseline", "learning-rate/0.001", "seeds/0"):
        assert label(budget(RESCUE, BN, get_recipe(name).override(l2=0.1).resolved())) == "l2=0.1"
    # other recipes are not budgets of it, whichever fields differ
    for name in ("learning-rate/0.01", "batch-size/50", "batchnorm-decay/0.001", "rescue/bn-residual"):
        assert budget(RESCUE, BN, get_recipe(name).resolved()) is None
    assert budget(RESCUE, BN, get_recipe("rescue/bn").derive("mine/x", l2=0.1).resolved()) is None


def test_what_a_study_varies_is_not_a_budget():
    assert {"model_options.batch_norm", "model_options.residual"} <= varied(RESCUE)
    rates = get_study("learning-rate")
    with pytest.raises(InputError, match=r"compares values of optimizer.learning_rate"):
        check_changes(rates, {"optimizer.learning_rate": 0.1})
    with pytest.raises(InputError, match=r"compares values of optimizer.learning_rate"):
        check_changes(rates, {"optimizer": Adam()})
    with pytest.raises(InputError, match="give --seeds"):
        check_changes(rates, {"seed": 1})
    with pytest.raises(InputError, match="model cannot be set"):
        check_changes(rates, {"model": "mlp"})
    check_changes(rates, {"epochs": 1, "dataset": "digits"})
    seeds = get_study("seeds")
    one, other = seeds.entries[:2]
    assert budget(seeds, one, other.recipe.resolved()) is None


def test_another_dataset_keeps_what_the_study_varies():
    study = get_study("regularise")
    recipes = [budgeted(study, entry, {"dataset": "digits"}) for entry in study.entries]
    assert len({item.digest() for item in recipes}) == len(recipes)
    assert "random_erasing" in [change.kind for change in recipes[-1].augmentation]
    assert {item.normalization for item in recipes} == {"dataset"}
    assert label(budget(study, study.entries[-1], recipes[-1])) == "dataset=digits"


def test_datasets_that_a_study_compares():
    base = get_recipe("reduction/lenet1-max")
    study = Study(
        "two", "ours", "Which?", (Entry(base, "emnist"), Entry(get_recipe("reduction/lenet1-max-cifar10"), "cifar10"))
    )
    # the split differs because the dataset does: it goes with it
    assert varied(study) == {"dataset"}
    first, second = study.entries
    assert budget(study, first, second.recipe.resolved()) is None
    assert budget(study, second, second.recipe.resolved()) == {}
    digits = [budgeted(study, entry, {"dataset": "digits"}).digest() for entry in study.entries]
    assert digits[0] == digits[1]


def test_the_order_of_rate_multipliers_distinguishes_recipes():
    """The last matching name counts."""
    orders = [{"*": 0.5, "dense/*": 2.0}, {"dense/*": 2.0, "*": 0.5}]
    recipes = [get_recipe("vgg08").override(rate_multipliers=order) for order in orders]
    assert recipes[0].digest() != recipes[1].digest()
    assert leaves(recipes[0]) != leaves(recipes[1])
    assert leaves(recipes[0]) == leaves(get_recipe("vgg08").override(rate_multipliers=dict(orders[0])))
