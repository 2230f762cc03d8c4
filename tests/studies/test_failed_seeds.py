"""Claims on runs that failed, wholly or with some seeds: these decide nothing in favour of a run."""

import pytest

from kzoo.studies.claims import (
    Alike,
    AtChance,
    Between,
    ConvergedBy,
    Faster,
    GroupsDiffer,
    Higher,
    Learns,
    Lower,
    NoGain,
    Ratio,
    WithinSpread,
)

HOLDS, NOT, FEW, SMALL = "holds", "does not hold", "not enough runs", "too small a budget"


@pytest.mark.parametrize(
    ("claim", "status"),
    [
        # b has a higher mean over its one remaining seed
        (NoGain("a", "b"), FEW),
        (NoGain("b", "a"), FEW),
        (NoGain("b", "a", metric="test_loss"), FEW),
        (NoGain("a", "b", metric="test_loss"), HOLDS),  # the failed seeds would only make b's loss higher
        # bounds
        (Learns("b", times=2.0), FEW),
        (Learns("a", "b", times=4.5), NOT),  # a is below the bound
        (AtChance("b", times=2.0), FEW),
        (AtChance("b", times=5.5), HOLDS),
        (Between("b", metric="test_accuracy", low=0.95), NOT),
        (Between("b", metric="val_loss", high=1.5), FEW),
        (Between("b", metric="val_loss", low=1.5), FEW),
        (Between("b", metric="val_loss", high=1.0), NOT),
        (Between("b", metric="gap", low=-1), HOLDS),  # neither direction of it is better
        # several runs
        (Alike(("a", "b"), within=0.2), FEW),
        (Alike(("a", "b"), within=0.9), HOLDS),
        (Alike(("a", "b"), metric="val_loss", within=0.05), FEW),
        (Ratio("b", "a", metric="test_accuracy", low=1), FEW),
        (Ratio("b", "a", metric="test_accuracy", high=1.5), HOLDS),
        (Ratio("a", "b", metric="test_accuracy", high=0.8), NOT),
        (Ratio("a", "b", metric="val_loss", high=1.5), HOLDS),
        (GroupsDiffer(["b"], ["a"], metric="test_accuracy", low=0), FEW),
        (GroupsDiffer(["b"], ["a"], metric="test_accuracy", low=0.2), NOT),
        (WithinSpread(["a", "b"], [0.8], metric="test_accuracy"), FEW),
        (ConvergedBy("b", epoch=4, within=0.5), FEW),
        (ConvergedBy("b", epoch=4, within=0.01), NOT),
    ],
    ids=repr,
)
def test_failed_seeds_decide_nothing_in_favour_of_their_run(world, claim, status):
    found = claim(world(a=[0.8] * 3, b=[0.9, None, None]))
    assert found.status == status, found
    assert ("2 of 3 runs of b failed" in found.evidence) == (status == FEW)


def test_alike_is_refuted_if_the_failed_seeds_could_not_bring_the_runs_together(world):
    results = world(a=[0.8] * 3, b=[0.5, None, None])
    assert Alike(("a", "b"), within=0.2)(results).status == NOT
    assert Alike(("a", "b"), within=0.4)(results).status == FEW


@pytest.mark.parametrize(("budget", "status"), [("full", FEW), ("epochs=5", SMALL)])
def test_a_failed_run_is_not_slower_than_one_that_never_got_there(world, budget, status):
    results = world(budget=budget, a=[0.5], b=[None])
    assert Faster("a", "b", percent=75)(results).status == status
    assert Faster("b", "a", percent=75)(results).status == status
    assert Faster("a", "b", percent=40)(results).status == HOLDS
    assert Faster("b", "a", percent=40)(results).status == NOT
    assert Faster("a", "b", percent=40)(world(budget=budget, a=[None], b=[None])).status == FEW


def test_a_few_seeds_are_not_better_than_a_run_that_failed(world):
    results = world(a=[0.9, None], b=[None])
    loss, faster = Lower("a", "b", metric="test_loss"), Faster("a", "b", percent=40)
    for claim in (Higher("a", "b"), Higher("b", "a"), loss, faster):
        assert claim(results).status == FEW
        assert "1 of 2 runs of a" in claim(results).evidence
    never = world(a=[0.9, 0.3], b=[0.3])  # 0.3 never reaches 40%
    assert Faster("a", "b", percent=40)(never).status == FEW
    assert Faster("b", "a", percent=40)(never).status == FEW
    assert Faster("a", "b", percent=40)(world(a=[0.9], b=[0.3, 0.3])).status == HOLDS


def test_a_failed_run_is_worse_only_than_one_that_learned(world):
    assert Higher("a", "b")(world(budget="epochs=5", a=[0.51], b=[None])).status == SMALL  # two classes: a guesses
    assert Higher("a", "b")(world(budget="epochs=5", a=[0.9], b=[None])).status == HOLDS
    assert Higher("b", "a")(world(budget="epochs=5", a=[0.51], b=[None])).status == NOT
    unmeasured = Higher("a", "b", metric="test_tta_accuracy")(world(a=[0.9], b=[None]))
    assert unmeasured.status == FEW
    assert "no value for a, b" in unmeasured.evidence
