"""The rule by which a claim holds, on records made up for it."""

import pytest

from kzoo.recipes import Recipe
from kzoo.studies import Entry, Study
from kzoo.studies.claims import (
    alike,
    all_of,
    at_chance,
    best,
    faster,
    hardest_classes,
    higher,
    learns,
    lower,
    no_gain,
    overfits_more,
    overfits_sooner,
    peak_at,
    ranking,
)  # fmt: skip
from kzoo.studies.results import Results

HOLDS, NOT, FEW = "holds", "does not hold", "not enough runs"
RECIPES = {label: Recipe(f"t/{label}", model="mlp", model_options={"hidden": [width]}, epochs=5)
           for label, width in (("a", 8), ("b", 16), ("c", 32))}  # fmt: skip
STUDY = Study("t", "ours", "Which?", tuple(Entry(recipe, label) for label, recipe in RECIPES.items()))


@pytest.fixture
def world(made):
    """Results in which each run has the accuracies given, one a seed."""

    def build(ratios=None, budget="full", **accuracies):
        records = {
            label: [made(RECIPES[label].override(seed=seed), value) for seed, value in enumerate(values)]
            for label, values in accuracies.items()
        }
        return Results(STUDY, budget, records, ratios)

    return build


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        ([0.9], [0.5], HOLDS),
        ([0.5], [0.9], NOT),
        ([0.55], [0.5], FEW),  # 100 test images leave 0.14
        ([0.5], [0.55], FEW),
        ([0.55, 0.55], [0.5, 0.5], HOLDS),  # the seeds do not spread at all
        ([0.55, 0.57], [0.5], HOLDS),  # margin 0.035 around 0.06
        ([0.52, 0.60], [0.5], FEW),
        ([0.52, 0.60, 0.56], [0.5, 0.6, 0.55], NOT),
        ([], [0.5], FEW),
    ],
)
def test_a_difference_counts_beyond_the_margin(world, a, b, status):
    verdict = higher("a", "b")(world(a=a, b=b))
    assert verdict.status == status, verdict
    if a:
        assert f"n={len(a)}" in verdict.evidence
    else:
        assert verdict.evidence == "not recorded: a"
    mirrored = lower("b", "a", metric="test_accuracy")(world(a=a, b=b))
    assert mirrored.status == status


def test_a_stated_minimum_is_needed(world):
    results = world(a=[0.6, 0.6], b=[0.5, 0.5])
    assert higher("a", "b", minimum=0.05)(results).status == HOLDS
    assert higher("a", "b", minimum=0.15)(results).status == FEW
    assert higher("a", "b", minimum=0.15)(world(a=[0.6] * 3, b=[0.5] * 3)).status == NOT


def test_a_failed_run_is_worse(made):
    records = {"a": [made(RECIPES["a"], 0.5)], "b": [made(RECIPES["b"], failed=True)]}
    results = Results(STUDY, "full", records)
    assert higher("a", "b")(results).status == HOLDS
    assert higher("b", "a")(results).status == NOT
    assert lower("a", "b", metric="test_loss")(results).status == HOLDS
    assert "b failed" in higher("a", "b")(results).evidence
    assert results.has("b")
    assert results.values("b", "test_accuracy") == []


def test_several_at_once(world):
    results = world(a=[0.9], b=[0.5], c=[0.1])
    assert ranking(["a", "b", "c"])(results).status == HOLDS
    assert ranking(["a", "c", "b"])(results).status == NOT
    assert best("a", STUDY.labels)(results).status == HOLDS
    assert best("b", STUDY.labels)(results).status == NOT
    assert peak_at("b", ("a", "b", "c"))(results).status == NOT
    assert peak_at("b", ("a", "b", "c"))(world(a=[0.5], b=[0.9], c=[0.1])).status == HOLDS
    assert peak_at("c", ("a", "b", "c")).labels == ("c", "b")
    both = all_of(higher("a", "b"), higher("b", "c"))
    assert both(world(a=[0.9], b=[0.5])).status == FEW
    assert both(world(a=[0.1], b=[0.9])).status == NOT
    assert both.labels == ("a", "b", "c")


def test_chance_is_one_over_the_classes(world):
    assert at_chance("a")(world(a=[0.55])).status == HOLDS
    assert at_chance("a")(world(a=[0.8])).status == NOT
    assert learns("a", times=1.5)(world(a=[0.8])).status == HOLDS
    assert learns("a", times=1.5)(world(a=[0.6])).status == NOT
    assert learns("a")(world()).status == FEW


def test_alike_and_no_gain(world):
    assert alike(("a", "b"), within=0.06)(world(a=[0.5], b=[0.55])).status == HOLDS
    assert alike(("a", "b"), within=0.04)(world(a=[0.5], b=[0.55])).status == NOT
    assert no_gain("a", "b")(world(a=[0.5], b=[0.55])).status == HOLDS
    assert no_gain("a", "b")(world(a=[0.9], b=[0.5])).status == NOT


def test_epochs_to_an_accuracy(made):
    def results(a, b):
        return Results(STUDY, "full", {"a": [made(RECIPES["a"], a)], "b": [made(RECIPES["b"], b)]})

    # accuracies climb evenly: 0.9 passes 40% at epoch 3, 0.5 at epoch 4
    assert results(0.9, 0.5).values("a", "epochs_to_40") == [3]
    assert results(0.9, 0.5).values("b", "epochs_to_40") == [4]
    assert faster("a", "b", percent=40)(results(0.9, 0.5)).status == HOLDS
    assert faster("b", "a", percent=40)(results(0.9, 0.5)).status == NOT
    assert faster("a", "b", percent=60)(results(0.9, 0.5)).status == HOLDS
    assert "b never reached 60%" in faster("a", "b", percent=60)(results(0.9, 0.5)).evidence
    assert faster("b", "a", percent=60)(results(0.9, 0.5)).status == NOT
    assert faster("a", "b", percent=95)(results(0.9, 0.5)).status == FEW


def test_overfitting(made):
    a = made(RECIPES["a"], 0.5, train=1.0)
    history = {**a.history, "val_loss": [1.0, 0.5, 2.0, 3.0, 4.0]}
    a = a.model_copy(update={"history": history})
    results = Results(STUDY, "full", {"a": [a], "b": [made(RECIPES["b"], 0.5)]})
    assert overfits_more("a", "b")(results).status == HOLDS
    assert results.values("a", "lowest_loss_epoch") == [2]
    assert overfits_sooner("a", "b")(results).status == HOLDS
    neither = Results(STUDY, "full", {label: [made(RECIPES[label], 0.5)] for label in ("a", "b")})
    assert overfits_sooner("a", "b")(neither).status == FEW
    assert "none has begun to overfit" in overfits_sooner("a", "b")(neither).evidence


def test_hardest_classes(made):
    confusion = [[50, 50], [10, 90]]
    results = Results(STUDY, "full", {"a": [made(RECIPES["a"], confusion=confusion)]})
    assert hardest_classes("a", ["a"], 1)(results).status == HOLDS
    assert hardest_classes("a", ["b"], 1)(results).status == NOT
    assert hardest_classes("a", ["cat"], 1)(results).status == FEW
    assert "a 0.500" in hardest_classes("a", ["a"], 1)(results).evidence


def test_times_come_from_the_benchmark(world):
    claim = lower("a", "b", metric="seconds_per_epoch_ratio")
    records = {"a": [0.5], "b": [0.5]}
    assert claim(world(**records)).status == FEW
    assert claim(world({"a": 1.0, "b": 1.3}, **records)).status == HOLDS
    assert claim(world({"a": 1.0, "b": 1.02}, **records)).status == FEW


@pytest.mark.parametrize(
    ("budget", "a", "b", "status"),
    [
        ("epochs=5", [0.51], [0.50], "too small a budget"),  # two classes: both guess
        ("epochs=5", [0.51], [0.90], "too small a budget"),  # a network that learned nothing is not judged
        ("epochs=5", [0.95], [0.50], HOLDS),
        ("full", [0.51], [0.90], NOT),
    ],
)
def test_a_budget_too_small_for_the_network_that_is_to_learn(world, budget, a, b, status):
    found = world(budget=budget, a=a, b=b)
    tests = at_chance("b", metric="test_accuracy"), learns("a", metric="test_accuracy", times=1.8)
    assert all_of(*tests)(found).status == (NOT if budget == "full" else status)
    assert higher("a", "b")(found).status == status
    assert lower("b", "a", metric="test_accuracy")(found).status == status
    assert tests[1](found).status == (NOT if budget == "full" else status)
