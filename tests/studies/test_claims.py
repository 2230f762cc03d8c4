"""The rule by which a claim holds, on made-up records."""

import math

import numpy as np
import pytest

from kzoo import InputError
from kzoo.studies.claims import (
    Alike,
    AllOf,
    AtChance,
    Best,
    Between,
    ConvergedBy,
    Faster,
    GroupsDiffer,
    HardestClasses,
    Higher,
    Learns,
    Lower,
    NoGain,
    OverfitsMore,
    OverfitsSooner,
    PeakAt,
    Ranking,
)
from kzoo.studies.margin import exceeds, margin
from kzoo.studies.records import BudgetRecords
from tests.studies.conftest import RECIPES, STUDY

HOLDS, NOT, FEW, OPEN = "holds", "does not hold", "not enough runs", "inconclusive"


@pytest.mark.parametrize(
    ("a", "b", "status"),
    [
        ([0.9], [0.5], HOLDS),
        ([0.5], [0.9], NOT),
        ([0.55], [0.5], FEW),  # 100 test images: the margin is 0.14
        ([0.5], [0.55], FEW),
        ([0.55, 0.55], [0.5, 0.5], HOLDS),  # the seeds have no spread
        ([0.55, 0.57], [0.5], HOLDS),  # margin 0.035 around 0.06
        ([0.52, 0.60], [0.5], FEW),
        ([0.52, 0.60, 0.56], [0.5, 0.6, 0.55], NOT),
        ([], [0.5], FEW),
    ],
)
def test_a_difference_counts_beyond_the_margin(world, a, b, status):
    verdict = Higher("a", "b")(world(a=a, b=b))
    assert verdict.status == status, verdict
    if a:
        assert f"n={len(a)}" in verdict.evidence
    else:
        assert verdict.evidence == "not recorded: a"
    mirrored = Lower("b", "a", metric="test_accuracy")(world(a=a, b=b))
    assert mirrored.status == status


def test_a_stated_minimum_is_needed(world):
    results = world(a=[0.6, 0.6], b=[0.5, 0.5])
    assert Higher("a", "b", minimum=0.05)(results).status == HOLDS
    assert Higher("a", "b", minimum=0.15)(results).status == FEW
    assert Higher("a", "b", minimum=0.15)(world(a=[0.6] * 3, b=[0.5] * 3)).status == NOT


def test_a_failed_run_is_worse(made):
    records = {"a": [made(RECIPES["a"], 0.5)], "b": [made(RECIPES["b"], failed=True)]}
    results = BudgetRecords(STUDY, "full", records)
    assert Higher("a", "b")(results).status == HOLDS
    assert Higher("b", "a")(results).status == NOT
    assert Lower("a", "b", metric="test_loss")(results).status == HOLDS
    assert "b failed" in Higher("a", "b")(results).evidence
    assert results.has("b")
    assert results.values("b", "test_accuracy") == []


def test_a_failed_run_is_worse_only_where_one_value_is_better(made):
    records = {"a": [made(RECIPES["a"], failed=True)], "b": [made(RECIPES["b"], 0.5)]}
    results = BudgetRecords(STUDY, "full", records, {"a": 1.0, "b": 2.0})
    for test in (Lower("a", "b", metric="unsteadiness"), OverfitsMore("b", "a"), OverfitsSooner("b", "a")):
        assert test(results).status == FEW
        assert "no value for a" in test(results).evidence
    assert Lower("b", "a", metric="seconds_per_epoch_ratio")(results).status == NOT


def test_a_mean_that_leaves_out_the_worst_runs_decides_nothing_in_their_favour(made):
    def runs(label, *accuracies):
        seeds = [RECIPES[label].override(seed=seed) for seed in range(len(accuracies))]
        return [made(recipe, x or 0.5, failed=x is None) for recipe, x in zip(seeds, accuracies, strict=True)]

    # Two of three seeds diverged.
    b = runs("b", 0.5, 0.5, 0.5)
    results = BudgetRecords(STUDY, "full", {"a": runs("a", 0.9, None, None), "b": b, "c": runs("c", 0.1, None)})
    assert Higher("a", "b")(results).status == FEW
    assert "2 of 3 runs of a failed" in Higher("a", "b")(results).evidence
    assert Higher("b", "a")(results).status == FEW
    assert Higher("b", "c")(results).status == HOLDS  # the remaining runs are already worse

    # 0.9 passes 40% at epoch 3, 0.5 at epoch 4, 0.3 never does.
    results = BudgetRecords(STUDY, "full", {"a": runs("a", 0.9, 0.3, 0.3), "b": b, "c": runs("c", 0.9, 0.9)})
    assert Faster("a", "b", percent=40)(results).status == FEW
    assert "2 of 3 runs of a never reached 40%" in Faster("a", "b", percent=40)(results).evidence
    results = BudgetRecords(STUDY, "full", {"b": runs("b", 0.5, 0.5, 0.3), "c": runs("c", 0.9, 0.9)})
    assert Faster("c", "b", percent=40)(results).status == HOLDS


def test_gradients_that_are_not_finite_have_no_ratio(made):
    flow = {"layers": ["a", "b"], "epochs": [0, 1], "gradients": [[None, 1.0], [1.0, 2.0]], "update_ratio": []}
    results = BudgetRecords(STUDY, "full", {"a": [made(RECIPES["a"], gradient_flow=flow)]})
    names = ("gradient_ratio_start", "gradient_ratio_end", "gradient_change")
    assert [results.values("a", name) for name in names] == [[], [0.5], []]
    later = {"epochs": [1, 2], "gradients": [[1.0, 1.0], [1.0, 2.0]]}  # measured after training had begun
    for changes, values in (({"epochs": [], "gradients": []}, [[], [], []]), (later, [[], [0.5], []])):
        results = BudgetRecords(STUDY, "full", {"a": [made(RECIPES["a"], gradient_flow=flow | changes)]})
        assert [results.values("a", name) for name in names] == values


def test_the_gap_is_as_precise_as_the_test_accuracy(made):
    records = {"a": [made(RECIPES["a"], 0.5, train=0.62)], "b": [made(RECIPES["b"], 0.5, train=0.5)]}
    assert OverfitsMore("a", "b")(BudgetRecords(STUDY, "full", records)).status == FEW  # 100 test images leave 0.14


def test_several_at_once(world):
    results = world(a=[0.9], b=[0.5], c=[0.1])
    assert Ranking(["a", "b", "c"])(results).status == HOLDS
    assert Ranking(["a", "c", "b"])(results).status == NOT
    assert Best("a", STUDY.labels)(results).status == HOLDS
    assert Best("b", STUDY.labels)(results).status == NOT
    assert PeakAt("b", ("a", "b", "c"))(results).status == NOT
    assert PeakAt("b", ("a", "b", "c"))(world(a=[0.5], b=[0.9], c=[0.1])).status == HOLDS
    assert PeakAt("c", ("a", "b", "c")).labels == ("c", "b")
    for alone in (lambda: Best("a", ["a"]), lambda: Ranking(["a"]), lambda: PeakAt("d", ("a", "b"))):
        with pytest.raises(InputError, match=r"a run to compare with|not one of the runs along the axis: a, b"):
            alone()
    both = AllOf(Higher("a", "b"), Higher("b", "c"))
    assert both(world(a=[0.9], b=[0.5])).status == FEW
    assert both(world(a=[0.1], b=[0.9])).status == NOT
    assert both.labels == ("a", "b", "c")


def test_chance_is_one_over_the_classes(world):
    assert AtChance("a")(world(a=[0.55])).status == HOLDS
    assert AtChance("a")(world(a=[0.56])).status == NOT
    assert Learns("a", times=1.5)(world(a=[0.56])).status == HOLDS
    assert Learns("a", times=1.5)(world(a=[0.54])).status == NOT
    assert Learns("a")(world()).status == FEW


def test_learning_with_few_classes(made):
    """Three times the accuracy of guessing would be 1.5 with two classes."""

    def records(accuracy, classes):
        data = {**made(RECIPES["a"], accuracy).data, "class_names": [str(i) for i in range(classes)]}
        return BudgetRecords(STUDY, "full", {"a": [made(RECIPES["a"], accuracy).model_copy(update={"data": data})]})

    assert [Learns("a")(records(accuracy, 2)).status for accuracy in (1.0, 0.72, 0.68)] == [HOLDS, HOLDS, NOT]
    assert [AtChance("a")(records(accuracy, 2)).status for accuracy in (0.5, 0.6)] == [HOLDS, NOT]
    assert [Learns("a")(records(accuracy, 10)).status for accuracy in (0.31, 0.29)] == [HOLDS, NOT]


def test_train_accuracy_is_as_precise_as_its_images_allow(made):
    sizes = {"train": 50_000, "drawn": 50_000, "validation": 0, "test": 100}
    runs = {label: [made(RECIPES[label], accuracy, sizes=sizes)] for label, accuracy in (("a", 0.57), ("b", 0.5))}
    records = BudgetRecords(STUDY, "full", runs)
    assert margin(records, "a", "b", "train_accuracy") == pytest.approx(0.01, abs=0.005)
    assert margin(records, "a", "b", "test_accuracy") > 0.1


def test_alike_and_no_gain(world):
    assert Alike(("a", "b"), within=0.06)(world(a=[0.5], b=[0.55])).status == HOLDS
    assert Alike(("a", "b"), within=0.04)(world(a=[0.5], b=[0.55])).status == NOT
    assert Alike(("a", "b"), within=0.0)(world(a=[0.5], b=[0.5])).status == HOLDS
    assert NoGain("a", "b")(world(a=[0.5], b=[0.55])).status == HOLDS
    assert NoGain("a", "b")(world(a=[0.9], b=[0.5])).status == NOT


def test_accuracies_of_epochs_are_float32(made):
    """0.42 in float32 is less than 0.42, and 0.005 more than 0.5 is more than 0.005."""
    record = made(RECIPES["a"], 0.9)
    record = record.model_copy(update={"history": {"val_accuracy": [0.41, float(np.float32(0.42)), 0.43]}})
    records = BudgetRecords(STUDY, "full", {"a": [record]})
    assert records.values("a", "epochs_to_42") == [2]
    assert not exceeds(float(np.float32(0.505)) - 0.5, 0.005)
    assert exceeds(0.50502 - 0.5, 0.005)


def test_epochs_to_an_accuracy(made):
    def results(a, b):
        return BudgetRecords(STUDY, "full", {"a": [made(RECIPES["a"], a)], "b": [made(RECIPES["b"], b)]})

    # accuracies climb evenly: 0.9 passes 40% at epoch 3, 0.5 at epoch 4
    assert results(0.9, 0.5).values("a", "epochs_to_40") == [3]
    assert results(0.9, 0.5).values("b", "epochs_to_40") == [4]
    assert Faster("a", "b", percent=40)(results(0.9, 0.5)).status == HOLDS
    assert Faster("b", "a", percent=40)(results(0.9, 0.5)).status == NOT
    assert Faster("a", "b", percent=60)(results(0.9, 0.5)).status == HOLDS
    assert "b never reached 60%" in Faster("a", "b", percent=60)(results(0.9, 0.5)).evidence
    assert Faster("b", "a", percent=60)(results(0.9, 0.5)).status == NOT
    assert Faster("a", "b", percent=95)(results(0.9, 0.5)).status == FEW


def test_overfitting(made):
    a = made(RECIPES["a"], 0.5, train=1.0)
    history = {**a.history, "val_loss": [1.0, 0.5, 2.0, 3.0, 4.0]}
    a = a.model_copy(update={"history": history})
    results = BudgetRecords(STUDY, "full", {"a": [a], "b": [made(RECIPES["b"], 0.5)]})
    assert OverfitsMore("a", "b")(results).status == HOLDS
    assert results.values("a", "lowest_loss_epoch") == [2]
    for losses, epochs in (([math.nan, 0.9, math.inf, 0.7, 0.8], [4]), ([math.nan] * 5, [])):
        unstable = a.model_copy(update={"history": {**history, "val_loss": losses}})
        values = BudgetRecords(STUDY, "full", {"a": [unstable]}).values("a", "lowest_loss_epoch")
        assert values == epochs
    assert OverfitsSooner("a", "b")(results).status == HOLDS
    runs = {label: [made(RECIPES[label], 0.5)] for label in ("a", "b")}
    neither = BudgetRecords(STUDY, "full", runs)
    assert OverfitsSooner("a", "b")(neither).status == OPEN
    assert AllOf(OverfitsSooner("a", "b"), Higher("a", "c"))(neither).status == OPEN
    assert OverfitsSooner("a", "b")(BudgetRecords(STUDY, "epochs=5", runs)).status == "too small a budget"
    assert "so none overfits yet" in OverfitsSooner("a", "b")(neither).evidence


def test_hardest_classes(made):
    confusion = [[50, 50], [10, 90]]
    results = BudgetRecords(STUDY, "full", {"a": [made(RECIPES["a"], confusion=confusion)]})
    assert HardestClasses("a", ["a"], 1)(results).status == HOLDS
    assert HardestClasses("a", ["b"], 1)(results).status == NOT
    assert HardestClasses("a", ["cat"], 1)(results).status == OPEN
    assert "a 0.500" in HardestClasses("a", ["a"], 1)(results).evidence

    # b and c tie, and the order of the classes decides nothing
    data = {**made(RECIPES["a"]).data, "class_names": ["a", "b", "c"]}
    tied = made(RECIPES["a"], data=data, confusion=[[50, 50, 0], [40, 55, 5], [20, 25, 55]])
    results = BudgetRecords(STUDY, "full", {"a": [tied]})
    assert [HardestClasses("a", ["a", name], 2)(results).status for name in "bc"] == [HOLDS, HOLDS]
    assert "a 0.500, b 0.550, c 0.550" in HardestClasses("a", ["c"], 2)(results).evidence
    assert HardestClasses("a", ["c"], 1)(results).status == NOT


def test_times_come_from_the_benchmark(world):
    claim = Lower("a", "b", metric="seconds_per_epoch_ratio")
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
    records = world(budget=budget, a=a, b=b)
    tests = AtChance("b", metric="test_accuracy"), Learns("a", metric="test_accuracy", times=1.8)
    assert AllOf(*tests)(records).status == (NOT if budget == "full" else status)
    assert Higher("a", "b")(records).status == status
    assert Lower("b", "a", metric="test_accuracy")(records).status == status
    assert tests[1](records).status == (NOT if budget == "full" else status)
    differ = GroupsDiffer(("a",), ("b",), metric="test_accuracy", low=0.3)
    assert differ(records).status == (NOT if budget == "full" else status)


def test_networks_that_both_guess_are_not_alike_yet(world):
    for claim in (Alike(("a", "b"), within=0.1), NoGain("a", "b")):
        assert claim(world(budget="epochs=5", a=[0.51], b=[0.5])).status == "too small a budget"
        assert claim(world(budget="epochs=5", a=[0.9], b=[0.9])).status == HOLDS
        assert claim(world(a=[0.51], b=[0.5])).status == HOLDS


def test_a_budget_too_short_for_what_the_claim_names(world):
    def statuses(budget):
        records = world(budget=budget, a=[0.5], b=[0.5])
        tests = Faster("a", "b", percent=95), ConvergedBy("a", epoch=35), HardestClasses("a", ["a"], 1)
        return [test(records).status for test in tests]

    assert statuses("epochs=5") == ["too small a budget"] * 3
    assert statuses("full") == [FEW, FEW, HOLDS]
    assert ConvergedBy("c", epoch=35)(world(budget="epochs=5", a=[0.5])).status == FEW


@pytest.mark.parametrize(("budget", "status"), [("epochs=5", "too small a budget"), ("full", FEW)])
def test_a_budget_too_short_for_the_epoch_of_a_metric(world, budget, status):
    records = world(budget=budget, a=[0.9], b=[0.5])
    assert Lower("a", "b", metric="train_loss_at_5")(records).status == HOLDS
    assert Lower("a", "b", metric="train_loss_at_6")(records).status == status
    assert Between("a", metric="epochs_to_95", high=10)(records).status == status
    assert Higher("a", "b", metric="test_tta_accuracy")(records).status == FEW
