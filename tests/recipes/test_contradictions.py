"""Recipes that nobody intends are refused before a run begins, or reported."""

import pytest

from kzoo.errors import InputError
from kzoo.recipes import Recipe, get_recipe
from kzoo.recipes.contradictions import check_contradictions, surprises

RECIPE = Recipe("a/b", model="vgg08", epochs=5, schedule={"kind": "cosine", "minimum": 1e-3})


def test_a_rate_that_rises_is_reported():
    assert surprises(RECIPE) == []
    lower = RECIPE.override(**{"optimizer.learning_rate": 1e-4})
    (sentence,) = surprises(lower)
    assert "schedule.minimum=0.001 is above optimizer.learning_rate=0.0001, so the learning rate rises" in sentence
    assert surprises(lower.override(epochs=1)) == []
    assert surprises(lower.override(epochs=2)) == [sentence]
    (sentence,) = surprises(lower.override(schedule={"kind": "plateau", "minimum": 1e-3}))
    assert "so the learning rate never falls" in sentence
    check_contradictions(lower)  # a search can draw such a rate


def test_multipliers_without_effect_are_refused_before_a_run_begins():
    check_contradictions(RECIPE.override(rate_multipliers={"*": {"first_epoch": 3, "last_epoch": 3}}))
    with pytest.raises(InputError, match=r"rate_multipliers: '\*' applies from epoch 3 to 2, so it never applies"):
        check_contradictions(RECIPE.override(rate_multipliers={"*": {"first_epoch": 3, "last_epoch": 2}}))


def test_variables_that_a_shortened_recipe_does_not_train_are_reported():
    assert surprises(RECIPE.override(rate_multipliers={"*": {"first_epoch": 5}})) == []
    short = RECIPE.override(rate_multipliers={"*bias": {"first_epoch": 6}})
    check_contradictions(short)
    (sentence,) = surprises(short)
    assert "'*bias' applies from epoch 6 on and the run has 5, so these variables are not trained at all" in sentence


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["alternating_flip", "translate", "alternating_flip"], "alternating_flip is given 2 times"),
        (["flip", "alternating_flip"], "flip with horizontal=0.5 undoes alternating_flip"),
    ],
)
def test_flips_that_undo_each_other_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        check_contradictions(RECIPE.override(augmentation=changes))


def test_flips_in_two_directions_are_allowed():
    upside_down = {"kind": "flip", "horizontal": 0, "vertical": 0.5}
    check_contradictions(RECIPE.override(augmentation=["alternating_flip", upside_down]))


def test_a_rate_of_muon_for_larger_batches_is_reported():
    muon = RECIPE.override(optimizer="muon", batch_size=2000)
    assert surprises(muon) == []
    (sentence,) = surprises(muon.override(batch_size=20))
    assert sentence == (
        "optimizer.sgd_rate=106 is for batches of about 2,000, not 20; 1.1 is usual, and 4e-05 for optimizer.sgd_decay"
    )
    assert surprises(muon.override(batch_size=20, **{"optimizer.sgd_rate": 1.0})) == []


def test_a_factor_on_a_decay_that_is_none():
    idle = RECIPE.override(rate_multipliers={"*bias": {"decay": 0}})
    (sentence,) = surprises(idle)
    assert sentence.endswith("'*bias' has decay=0, which changes nothing, because l1, l2 and weight_decay are 0")
    for changes in ({"l2": 1e-4}, {"weight_decay": 0.1}, {"optimizer": "adamw"}):
        assert surprises(idle.override(**changes).resolved()) == []


def test_mirrored_test_images_are_reported_where_no_image_was_mirrored_in_training():
    fast = get_recipe("fast/cifar10-94")
    assert surprises(fast.resolved()) == []
    (sentence,) = surprises(fast.override(dataset="emnist").resolved())  # which drops the flips
    assert sentence.startswith("tta='flip-shift' also tests mirrored images")
    custom = {"augmentation": ["tests.recipes.test_contradictions:len"]}
    assert surprises(fast.override(**custom)) == []


def test_settings_that_change_nothing_are_reported():
    assert surprises(RECIPE.override(initial_weights_partial=True)) == [
        "initial_weights_partial changes nothing without initial_weights"
    ]
    half = {"rate_multipliers": {"*": {"decay": 0.5}}, "optimizer": "adamw"}
    assert surprises(RECIPE.override(**half).resolved()) == []
    (sentence,) = surprises(RECIPE.override(**half, weight_decay=0.0).resolved())
    assert "which changes nothing" in sentence
