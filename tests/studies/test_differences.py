"""Which images a run saw, and why our value differs from the reported one, on made-up records."""

import pytest

from kzoo.recipes import get_recipe
from kzoo.studies import Entry, Study
from kzoo.studies.budget import budget, label
from kzoo.studies.differences import differences
from kzoo.studies.records import BudgetRecords
from kzoo.studies.rendering import markdown
from kzoo.studies.selection import on_other_images, published_sizes
from kzoo.studies.tables import notes, rows

BN = get_recipe("rescue/bn")
CIFAR100 = {"drawn": 47_500, "train": 47_500, "validation": 2_500, "test": 10_000}


def results(made, accuracies, *, reported, why="", sizes=CIFAR100, budget="full", recipe=BN):
    study = Study("t", "a", "Which?", (Entry(recipe, "BN", reported, why=why),))
    records = [made(recipe.override(seed=seed), value, sizes=sizes) for seed, value in enumerate(accuracies)]
    return BudgetRecords(study, budget, {"BN": records})


@pytest.mark.parametrize(
    ("name", "changes", "sizes"),
    [
        ("rescue/bn", {}, (47_500, 2_500, 10_000)),
        ("rescue/bn", {"train_size": 10_000}, (10_000, 2_500, 10_000)),
        ("reduction/lenet1-max", {}, (100_016, 15_792, 15_792)),
        ("reduction/lenet1-max", {"class_names": tuple("0123456789")}, (21_280, 3_360, 3_360)),
        ("rescue/bn", {"dataset": "digits"}, None),
        ("rescue/bn", {"dataset": "somebody:elses"}, None),
    ],
)
def test_sizes_on_the_published_dataset_follow_from_the_recipe(made, name, changes, sizes):
    recipe = get_recipe(name).override(**changes)
    record = made(recipe)
    assert published_sizes(record.recipe) == sizes
    assert on_other_images(record) == (sizes is not None)  # made-up records have 1,000 / 100 / 100
    if sizes is not None:
        drawn, validation, test = sizes
        # the copies of an expansion are not other images
        same = {"drawn": drawn, "train": 2 * drawn, "validation": validation, "test": test}
        assert not on_other_images(made(recipe, sizes=same))


def test_other_images_are_shown_with_the_budget_of_every_row(made):
    fewer = {**CIFAR100, "drawn": 40_000, "train": 40_000}
    for budget_, sizes, expected in (
        ("full", CIFAR100, "full"),
        ("full", fewer, "full, other images"),
        ("epochs=3", fewer, "epochs=3, other images"),
    ):
        records = results(made, [0.5], reported={}, sizes=sizes, budget=budget_)
        assert [row.budget for row in rows(records)] == [expected]
        assert (f"| BN | 1 | {expected} |" in markdown(records)) == ("other" in expected)
        assert ("47,500 / 2,500 / 10,000)" in notes(records)[0]) == ("other" in expected)


def test_a_difference_beyond_two_standard_errors_needs_a_reason(made):
    reported = {"test_accuracy": 0.49, "val_accuracy": 0.481, "train_accuracy": 0.1}
    # 10,000 test images: 0.005 at 0.5; 2,500 validation images: 0.01. Training images are not held out.
    (only,) = differences(results(made, [0.5], reported={**reported, "test_accuracy": 0.489}))
    assert (only.metric, only.images) == ("test_accuracy", 10_000)
    assert only.errors == pytest.approx(2.2)
    assert differences(results(made, [0.5], reported={**reported, "test_accuracy": 0.4901})) == []
    assert differences(results(made, [0.5], reported=reported | {"test_accuracy": 0.3}, budget="epochs=3")) == []
    assert (
        differences(results(made, [0.5], reported={"test_accuracy": 0.3}, recipe=BN.override(dataset="digits"))) != []
    )
    ours = results(made, [0.5], reported={"test_accuracy": 0.3})
    other = BudgetRecords(ours.study, "full", {"BN": [made(BN.override(dataset="digits"), 0.5, sizes=CIFAR100)]})
    assert differences(other) == []


def test_the_reason_is_the_entrys_or_says_what_was_tried(made):
    reported = {"test_accuracy": 0.3}
    explained = results(made, [0.5], reported=reported, why="The initial weights are others.")
    assert differences(explained)[0].why == "The initial weights are others."
    text = markdown(explained)
    assert "- BN: test accuracy 0.5000, reported 0.3000; +0.2000 is 40.0 standard errors of 10,000 images." in text
    (once,) = differences(results(made, [0.5], reported=reported))
    assert once.why.startswith("The reason is not known. Tried: the last epoch instead of the best (0.0000 apart")
    assert "Not tried yet: other seeds, other initial weights" in once.why
    (thrice,) = differences(results(made, [0.5, 0.52, 0.48], reported=reported))
    assert "Tried: 3 seeds (0.4800 to 0.5200)" in thrice.why
    assert "other seeds" not in thrice.why
    (elsewhere,) = differences(results(made, [0.5], reported=reported, sizes={**CIFAR100, "validation": 2_000}))
    assert "a different selection of cifar100: 47,500 / 2,000 / 10,000" in elsewhere.why
    assert "instead of 47,500 / 2,500 / 10,000" in elsewhere.why
    assert "It is not known whether this is the whole reason." in elsewhere.why


def test_another_precision_is_a_budget():
    study = Study("t", "a", "Which?", (Entry(BN, "BN"),))
    other = BN.override(precision="mixed_bfloat16")
    assert label(budget(study, study.entries[0], other.resolved())) == "precision=mixed_bfloat16"
