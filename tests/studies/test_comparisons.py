"""Claims with stated bounds, on made-up records."""

import pytest

from kzoo.recipes import Recipe
from kzoo.studies import Entry, Study
from kzoo.studies.claims import Alike, ConvergedBy, GroupsDiffer, Higher, NoGain, Ratio, WithinSpread
from kzoo.studies.records import BudgetRecords

HOLDS, NOT, FEW = "holds", "does not hold", "not enough runs"
RECIPES = {label: Recipe(f"t/{label}", model="mlp", model_options={"hidden": [width]}, epochs=5)
           for label, width in (("a", 8), ("b", 16), ("c", 32))}  # fmt: skip
STUDY = Study("t", "ours", "Which?", tuple(Entry(recipe, label) for label, recipe in RECIPES.items()))


@pytest.fixture
def world(made):
    """Makes records with the given accuracies of each run, one per seed."""

    def build(**accuracies):
        records = {
            label: [made(RECIPES[label].override(seed=seed), value) for seed, value in enumerate(values)]
            for label, values in accuracies.items()
        }
        return BudgetRecords(STUDY, "full", records)

    return build


@pytest.mark.parametrize(("low", "high", "status"), [(1.4, 1.6, HOLDS), (1.6, 1.7, NOT), (1.3, 1.4, NOT)])
def test_a_ratio_lies_between_its_bounds(world, low, high, status):
    claim = Ratio("a", "b", metric="test_accuracy", low=low, high=high)
    verdict = claim(world(a=[0.7, 0.8], b=[0.5]))
    assert verdict.status == status
    assert "a / b: 1.50 times" in str(verdict)
    assert claim(world(a=[0.7])).status == FEW
    assert claim(world(a=[0.7], b=[0.0])).status == "inconclusive"


@pytest.mark.parametrize(("low", "high", "status"), [(0.1, 0.3, HOLDS), (0.25, 0.3, NOT), (0.1, 0.15, NOT)])
def test_the_means_of_groups_differ_by_so_much(world, low, high, status):
    claim = GroupsDiffer(["a"], ["b", "c"], metric="test_accuracy", low=low, high=high)
    assert claim(world(a=[0.7], b=[0.4], c=[0.6])).status == status
    assert claim(world(a=[0.7], b=[0.4])).status == FEW


def test_what_is_gained_after_an_epoch(world):
    results = world(a=[0.5])  # validation accuracies 0.1 to 0.5 in five epochs
    assert ConvergedBy("a", epoch=4, within=0.11)(results).status == HOLDS
    assert ConvergedBy("a", epoch=4, within=0.09)(results).status == NOT
    assert ConvergedBy("a", epoch=5)(results).status == FEW


def test_values_within_the_spread_of_seeds(world):
    results = world(a=[0.5, 0.6], b=[0.4])  # mean 0.5, standard deviation 0.1
    assert WithinSpread(["a", "b"], [0.31, 0.69], metric="test_accuracy")(results).status == HOLDS
    assert WithinSpread(["a", "b"], [0.5, 0.71], metric="test_accuracy")(results).status == NOT
    assert WithinSpread(["b"], [0.4], metric="test_accuracy")(results).status == FEW


def test_rounding_decides_no_tie(world, made):
    results = world(a=[0.55], b=[0.5], c=[0.6])
    assert 0.55 - 0.5 > 0.05
    assert Alike(("a", "b"), within=0.05)(results).status == HOLDS
    assert Higher("a", "b", minimum=0.05)(results).status == FEW
    assert NoGain("a", "b", minimum=0.05)(results).status == HOLDS
    assert 0.6 - 0.55 < 0.05
    assert GroupsDiffer(("c",), ("a",), metric="test_accuracy", low=0.05)(results).status == HOLDS
    assert Alike(("a", "b"), within=0.0499)(results).status == NOT
    run = made(RECIPES["a"], 0.5)
    gained = run.model_copy(update={"history": {**run.history, "val_accuracy": [0.1, 0.2, 0.3, 0.5, 0.55]}})
    converged = ConvergedBy("a", epoch=4, within=0.05)
    assert converged(BudgetRecords(STUDY, "full", {"a": [gained]})).status == HOLDS
