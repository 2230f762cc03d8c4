"""The declared studies are complete and consistent, and every claim can hold, fail to hold, and lack runs."""

import math
from types import SimpleNamespace

import pytest

from kzoo.recipes import get_recipe, list_recipes
from kzoo.studies import get_study, list_studies, metrics
from kzoo.studies.claims import (
    Alike,
    Between,
    Computed,
    ConvergedBy,
    GroupsDiffer,
    HardestClasses,
    Higher,
    NoGain,
    NotRecorded,
    Ratio,
    WithinSpread,
)
from kzoo.studies.records import BudgetRecords
from kzoo.studies.reports.report_d import _dilated_side, _pooled_side

NAMES = {
    "a": ("rescue", "regularise"),
    "b": ("batchnorm", "learning-rate", "batch-size", "seeds", "batchnorm-decay"),
    "c": (
        "depth", "batchnorm-cost", "dropout", "pooling-optimizer", "filter-size", "augmentation", "pruned-best",
    ),
    "d": ("reduction", "dilation"),
    "e": (
        "resnet-depth", "resnet-optimizers", "resnet-schedules", "resnet-penalties", "resnet-activations",
        "resnet-blocks", "resnet-augmentation", "resnet-mixup",
    ),
    "future work": ("densenet", "lossless-reduction", "kernel-stride", "fully-connected"),
    "ours": ("fast", "fast-without"),
}  # fmt: skip
STUDIES = [get_study(name) for name in list_studies()]
CLAIMS = [pytest.param(study, claim, id=f"{study.name}: {claim.text}") for study in STUDIES for claim in study.claims]


def test_every_study_exists():
    assert list_studies() == [name for names in NAMES.values() for name in names]
    for letter in "abcde":
        assert {get_study(name).report for name in NAMES[letter]} == {letter}


def test_every_recipe_is_in_a_study():
    used = {entry.recipe.name for study in STUDIES for entry in study.entries}
    assert [name for name in list_recipes() if name not in used] == []


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_studies_are_consistent(study):
    assert study.question.endswith("?")
    assert len(study.entries) >= 3
    # What each trick adds is measured, not claimed.
    assert study.claims or study.name == "fast-without"
    digests = [entry.recipe.digest() for entry in study.entries]
    assert len(set(digests)) == len(digests)
    for entry in study.entries:
        assert get_recipe(entry.recipe.name) == entry.recipe
    for claim in study.claims:
        assert claim.source
    assert len({claim.text for claim in study.claims}) == len(study.claims)
    emnist = any(entry.recipe.dataset == "emnist" for entry in study.entries)
    assert any("EMNIST" in note for note in study.notes) == emnist
    # Short training does not hold back validation images.
    shown = (
        {"test_accuracy"} if study.name in NAMES["ours"] else {"train_accuracy", "val_accuracy", "best_val_accuracy"}
    )
    assert shown | {"test_accuracy"} <= set(study.columns)


def test_reported_values():
    def reported(name, label):
        return get_study(name).entry(label).reported

    assert reported("rescue", "VGG-08") == {
        "train_accuracy": 0.5524, "val_accuracy": 0.4848, "test_accuracy": 0.4995, "test_loss": 1.9106,
    }  # fmt: skip
    assert [reported("regularise", label)["val_accuracy"] for label in get_study("regularise").labels] == [
        0.6212, 0.6431, 0.6589, 0.6524,
    ]  # fmt: skip
    rates = [reported("learning-rate", label) for label in ("1e-4", "1e-3", "5e-3", "1e-2", "4.5e-2")]
    assert [rate["test_accuracy"] for rate in rates] == [0.4153, 0.4942, 0.4839, 0.4805, 0.4083]
    assert [rate["epochs_to_40"] for rate in rates] == [45, 39, 48, 80, 99]
    assert [reported("batch-size", label)["epochs_to_45"] for label in ("50", "100", "200")] == [60, 50, 69]
    assert [reported("seeds", f"seed {n}")["val_loss"] for n in (0, 10, 20)] == [1.89, 1.94, 1.98]
    assert reported("reduction", "average L=3")["test_accuracy"] == 0.8801
    assert reported("reduction", "max L=1")["seconds_per_epoch_ratio"] == 1
    assert reported("dilation", "dilated L=4")["seconds_per_epoch_ratio"] == 3.09  # 34.6 / 11.2
    assert reported("dilation", "dilated L=2")["test_accuracy"] == 0.8854
    assert reported("resnet-mixup", "crop+flip+mixup") == {"test_accuracy": 0.9443}


def test_labels_say_what_their_recipes_are():
    for entry in get_study("reduction").entries:
        kind, layers, *rest = entry.label.split()
        assert entry.recipe.model == f"lenet{layers[2:]}-{kind}"
        assert entry.recipe.model_options == ({"filters": 64} if "F=64" in rest else {})
        assert entry.recipe.dataset == ("cifar10" if "CIFAR-10" in rest else "emnist")
    for entry in get_study("resnet-optimizers").entries:
        network, optimizer = entry.label.lower().split()
        assert (entry.recipe.model, entry.recipe.optimizer.kind) == (network, optimizer)
    for entry in get_study("learning-rate").entries:
        rate, *schedule = entry.label.split()
        assert entry.recipe.optimizer.learning_rate == float(rate)
        assert entry.recipe.schedule.kind == (schedule or ["cosine"])[0]
    for entry in get_study("resnet-penalties").entries[1:]:
        norm, strength = entry.label.split()
        assert getattr(entry.recipe, norm.lower()) == float(strength)
        assert entry.recipe.l1 == 0 or entry.recipe.l2 == 0
    for entry in get_study("resnet-mixup").entries:
        kinds = [change.kind for change in entry.recipe.augmentation]
        assert ("mixup" in kinds) == ("mixup" in entry.label)
        assert ("gaussian_noise" in kinds) == ("noise" in entry.label)
        assert ("pad_crop" in kinds) == ("crop" in entry.label)
    for entry in get_study("lossless-reduction").entries:
        reduction, shortcut = entry.label.removesuffix(" shortcut").split(", ")
        options = {"reduction": "average", "shortcut": "none", **entry.recipe.model_options}
        assert (options["reduction"], options["shortcut"]) == (reduction, "none" if shortcut == "no" else shortcut)


@pytest.mark.parametrize(("study", "claim"), CLAIMS)
def test_without_records_there_are_not_enough_runs(study, claim):
    verdict = claim.test(BudgetRecords(study))
    if isinstance(claim.test, Computed):
        assert verdict.status in ("holds", "does not hold")
    else:
        assert verdict.status == ("inconclusive" if isinstance(claim.test, NotRecorded) else "not enough runs")
    assert verdict.evidence


class World(BudgetRecords):
    """Made-up values for one study: three seeds of every run, almost equal."""

    def __init__(self, study):
        super().__init__(study)
        self.made_up = {}
        self.curves = {}
        self.right = {}

    def start(self, metric):
        return {
            "accuracy": 0.3,
            "share": 0.3,
            "loss": 2.0,
            "epochs": 50.0,
            "epoch": 50.0,
            "bytes": 2.0**30,
            "count": 1e6,
            "ratio": 1.0,
        }[metrics.metric(metric).kind]

    def get(self, label, metric):
        return self.made_up.setdefault((label, metric), self.start(metric))

    def put(self, label, metric, value):
        self.made_up[label, metric] = value

    def values(self, label, metric):
        self.study.entry(label)
        return [self.get(label, metric) * (1 + share) for share in (-1e-9, 0, 1e-9)]

    def records(self, label):
        classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        shares = self.right.get(label, [90] * len(classes))
        return [
            SimpleNamespace(
                status="completed",
                recipe={"seed": seed},
                data={"class_names": classes},
                history={"val_accuracy": self.curves.get(label, [0.5] * 50)},
                confusion=[
                    [right if i == j else 100 - right if j == (i + 1) % 10 else 0 for j in range(10)]
                    for i, right in enumerate(shares)
                ],
            )
            for seed in range(3)
        ]


def middle(low, high, base):
    """A value between bounds, which can be infinite."""
    if math.isinf(low) and math.isinf(high):
        return base
    if math.isinf(high):
        return low + abs(low or base)
    return high - abs(high or base) / 2 if math.isinf(low) else (low + high) / 2


def outside(low, high, base):
    return high + abs(high or base) if math.isfinite(high) else low - abs(low or base) / 2


def apply(leaf, world, holds):
    """Change the world so that a test holds (or does not). To hold, values are only raised, so the rounds end."""
    if isinstance(leaf, NoGain):
        step = 0 if holds else 0.1 * world.start(leaf.metric)
        label = leaf.b if holds else leaf.a
        world.put(label, leaf.metric, max(world.get(leaf.a, leaf.metric), world.get(leaf.b, leaf.metric)) + step)
    elif isinstance(leaf, Higher):
        up, down = (leaf.a, leaf.b) if leaf.sign > 0 else (leaf.b, leaf.a)
        up, down = (up, down) if holds else (down, up)
        step = max(0.1 * world.start(leaf.metric), 1.5 * (leaf.minimum or 0))
        world.put(up, leaf.metric, world.get(down, leaf.metric) + step)
    elif isinstance(leaf, Alike):
        top = max(world.get(label, leaf.metric) for label in leaf.labels)
        for label in leaf.labels:
            world.put(label, leaf.metric, top)
        if not holds:
            world.put(leaf.labels[0], leaf.metric, top + 2 * leaf.within)
    elif isinstance(leaf, Between):
        for label in leaf.labels:
            low, high = leaf.bounds(world, label)
            choose = middle if holds else outside
            world.put(label, leaf.metric, choose(low, high, world.start(leaf.metric)))
    elif isinstance(leaf, Ratio):
        choose = middle if holds else outside
        times = choose(leaf.low, leaf.high, 1.0)
        world.put(leaf.a, leaf.metric, world.get(leaf.b, leaf.metric) * times)
    elif isinstance(leaf, GroupsDiffer):
        choose = middle if holds else outside
        for label in leaf.a:
            world.put(label, leaf.metric, world.start(leaf.metric) + choose(leaf.low, leaf.high, 0.1))
        for label in leaf.b:
            world.put(label, leaf.metric, world.start(leaf.metric))
    elif isinstance(leaf, ConvergedBy):
        late = leaf.within * (0.5 if holds else 2)
        for label in leaf.labels:
            world.curves[label] = [0.8] * leaf.epoch + [0.8 + late] * 10
    elif isinstance(leaf, WithinSpread):
        low, high = (min(leaf.values), max(leaf.values)) if holds else (0.1, 0.11)
        for i, label in enumerate(leaf.labels):
            world.put(label, leaf.metric, low + (high - low) * i / (len(leaf.labels) - 1))
    else:
        assert isinstance(leaf, HardestClasses)
        names = world.records(leaf.labels[0])[0].data["class_names"]
        # for the claim to fail, other classes must fill all the places among the worst
        worst = leaf.names if holds else [name for name in names if name not in leaf.names][: leaf.among]
        world.right[leaf.labels[0]] = [90 - 10 * (name in worst) for name in names]


def satisfied(study, claim):
    world = World(study)
    for _ in range(40):
        broken = [leaf for leaf in claim.parts if leaf(world).status != "holds"]
        if not broken:
            return world
        for leaf in broken:
            apply(leaf, world, holds=True)
    raise AssertionError([leaf(world).evidence for leaf in broken])


DECIDABLE = [case for case in CLAIMS if not isinstance(case.values[1].test, (Computed, NotRecorded))]


@pytest.mark.parametrize(("study", "claim"), DECIDABLE)
def test_a_claim_holds_on_records_that_bear_it_out(study, claim):
    verdict = claim.test(satisfied(study, claim))
    assert verdict.status == "holds"
    assert verdict.evidence


@pytest.mark.parametrize(("study", "claim"), DECIDABLE)
def test_a_claim_does_not_hold_if_any_part_of_it_fails(study, claim):
    for leaf in claim.parts:
        world = satisfied(study, claim)
        apply(leaf, world, holds=False)
        verdict = claim.test(world)
        assert verdict.status == "does not hold", leaf
        assert verdict.evidence


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_receptive_fields_of_report_d_are_exact(layers):
    from kzoo.introspection.graph import calls
    from kzoo.introspection.receptive_field import receptive_fields
    from kzoo.models import create_model

    sides = {"average": _pooled_side(layers), "dilated": _dilated_side(layers)}
    for kind, side in sides.items():
        made = calls(create_model(f"lenet{layers}-{kind}"))
        fields = dict(zip([call.name for call in made], receptive_fields(made), strict=True))
        last = f"block{layers}_reduction_{'pool' if kind == 'average' else 'conv'}"
        assert fields[last] == (side, side)


def test_what_does_not_vary_with_the_seed_has_no_deviation():
    assert metrics.write("training_flops", 2.83e14, 0.0) == "0.28 PFLOP"
    assert metrics.write("parameters", 1000, 0.0) == "1,000"
    assert metrics.write("parameters", 1000, 12.0) == "1,000 ± 12"
    assert metrics.write("test_accuracy", 0.5, 0.0) == "0.5000 ± 0.0000"
