"""One verdict per claim: the full budget's if it decides, else another budget's, marked as such, or none."""

from kzoo.recipes import get_recipe
from kzoo.studies import Claim, Entry, Study
from kzoo.studies.claims import Computed, Higher
from kzoo.studies.records import BudgetRecords, StudyRecords
from kzoo.studies.standing import standings

RECIPES = {label: get_recipe(f"rescue/{name}") for label, name in (("a", "bn"), ("b", "residual"), ("c", "vgg08"))}
CIFAR100 = {"drawn": 47_500, "train": 47_500, "validation": 2_500, "test": 10_000}
STUDY = Study(
    "t",
    "a",
    "Which?",
    tuple(Entry(recipe, label) for label, recipe in RECIPES.items()),
    (
        Claim("a above b", "report a", Higher("a", "b")),
        Claim("b above c", "report a", Higher("b", "c")),
        Claim("a has more parameters", "report a", Higher("a", "b", metric="parameters")),
        Claim("two and two are five", "report a", Computed(lambda: (False, "they are four"))),
    ),
)


def index(made, *, sizes=CIFAR100, **budgets):
    groups = {}
    for name, accuracies in budgets.items():
        name = name.replace("_", "=")
        records = {label: [made(RECIPES[label], value, sizes=sizes)] for label, value in accuracies.items()}
        groups[name] = BudgetRecords(STUDY, name, records)
    return StudyRecords(groups, dict.fromkeys(groups, ()), ())


def verdicts(records):
    return [(row.verdict.status, row.budget, row.decided, row.small) for row in standings(STUDY, records)]


def test_the_full_budget_decides_wherever_it_can(made):
    records = index(made, epochs_3={"a": 0.2, "b": 0.9, "c": 0.1}, full={"a": 0.9, "b": 0.5})
    assert verdicts(records) == [
        ("holds", "full", True, False),
        ("holds", "epochs=3", True, True),
        ("does not hold", "any", True, False),
        ("does not hold", "no run needed", True, False),
    ]


def test_values_of_another_dataset_are_those_of_its_budget(made):
    digits = {label: [made(recipe.override(dataset="digits"))] for label, recipe in RECIPES.items()}
    name = "dataset=digits"
    records = StudyRecords({name: BudgetRecords(STUDY, name, digits)}, {name: ()}, ())
    assert verdicts(records)[2] == ("does not hold", name, True, True)


def test_values_of_another_network_are_those_of_its_budget(made):
    small = {
        label: [made(recipe.override(**{"model_options.filters": 4}), sizes=CIFAR100)]
        for label, recipe in RECIPES.items()
    }
    name = "model_options.filters=4"
    records = StudyRecords({name: BudgetRecords(STUDY, name, small)}, {name: ()}, ())
    assert verdicts(records)[2] == ("does not hold", name, True, True)


def test_without_enough_runs_nothing_is_decided(made):
    assert [row[0] for row in verdicts(index(made))][:2] == ["not enough runs"] * 2
    assert verdicts(index(made, epochs_3={"a": 0.5}))[0] == ("not enough runs", "epochs=3", False, True)


def test_other_images_are_reported(made):
    fewer = {**CIFAR100, "test": 5_000}
    assert verdicts(index(made, sizes=fewer, full={"a": 0.9, "b": 0.5}))[0][1] == "full, other images"
