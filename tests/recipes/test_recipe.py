"""Recipes: validation, overriding, identity, JSON, and the reports' recipes."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from kzoo.data.augmentation.spec import Flip, PadCrop
from kzoo.errors import InputError
from kzoo.models.registry import get_variant, list_models
from kzoo.recipes import Recipe, get_recipe, list_recipes
from kzoo.recipes.settings import Adam, ChannelStatistics, Cosine, Nesterov
from kzoo.recipes.text import differing_fields
from kzoo.schemas import identity_fields, later, upgraded
from kzoo.studies.record_files import EPOCH_TIME, INVARIANCE

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", list_recipes())
def test_every_recipe_resolves_and_survives_json(name):
    recipe = get_recipe(name)
    assert recipe.name == name
    assert "/" in name
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe
    assert again.digest() == recipe.digest()
    resolved = recipe.resolved()
    assert resolved.resolved() == resolved
    assert Recipe.from_json(resolved.to_json()).digest() == recipe.digest()


def test_a_default_recipe_is_found_by_its_name():
    assert get_recipe("default/vgg08") == get_recipe("vgg08")
    with pytest.raises(InputError, match="unknown recipe 'default/vgg09'"):
        get_recipe("default/vgg09")


def test_every_model_has_a_default_recipe():
    for name in list_models():
        recipe = get_recipe(name)
        assert recipe.model == name
        assert (recipe.name, recipe.model_options) == (f"default/{name}", {})


def test_values_of_the_reports():
    recipe = get_recipe("rescue/bn-residual")
    assert (recipe.model, recipe.dataset, recipe.batch_size, recipe.epochs, recipe.seed) == (
        "vgg38-bn-res",
        "cifar100",
        100,
        100,
        0,
    )
    assert recipe.optimizer == Adam(learning_rate=1e-3, beta_1=0.9, beta_2=0.999, epsilon=1e-8)
    assert recipe.schedule == Cosine(minimum=2e-5)
    assert recipe.split.validation == 2500
    assert recipe.augmentation == (PadCrop(padding=4), Flip(horizontal=0.5, vertical=0.0))
    assert get_recipe("regularise/erasing-l2-dropout").l2 == 1e-3
    assert get_recipe("learning-rate/0.045").optimizer.learning_rate == 4.5e-2
    resnet = get_recipe("resnet/resnet24")
    assert (resnet.optimizer, resnet.l2, resnet.batch_size) == (Nesterov(learning_rate=0.1, momentum=0.9), 1e-3, 128)
    lenet = get_recipe("reduction/lenet2-dilated")
    assert (lenet.l2, lenet.split.validation, lenet.split.test) == (1e-5, 0.12, 0.12)


def test_identity_is_content_not_name():
    assert (
        get_recipe("rescue/bn").digest() == get_recipe("batchnorm/baseline").digest() == get_recipe("seeds/0").digest()
    )
    assert get_recipe("rescue/bn").digest() != get_recipe("seeds/10").digest()
    # The options that a variant's name stands for are part of the content.
    plain = Recipe("a/b", model="vgg38", model_options={"batch_norm": True})
    assert plain.digest() == Recipe("c/d", model="vgg38-bn").digest()
    assert plain.digest() != Recipe("a/b", model="vgg38").digest()
    # Writing out a default gives the same run.
    recipe = Recipe("a/b", model="vgg08", dataset="cifar10")
    assert recipe.digest() == recipe.override(augmentation=[{"kind": "pad_crop"}, {"kind": "flip"}]).digest()
    assert recipe.digest("sha of a file") != recipe.digest()


def test_another_dataset_brings_its_own_defaults():
    recipe = get_recipe("rescue/vgg38").override(dataset="digits")
    assert recipe.resolved().augmentation == ()
    assert recipe.normalization == "dataset"
    assert recipe.split.validation is None
    kept = get_recipe("rescue/vgg38").override(dataset="digits", augmentation=[{"kind": "flip"}])
    assert kept.augmentation == (Flip(),)
    same = get_recipe("rescue/vgg38").override(dataset="cifar100")
    assert same == get_recipe("rescue/vgg38")


def test_a_recipe_cannot_be_changed():
    recipe = Recipe("a/b", model="vgg08")
    for thing, field in ((recipe, "epochs"), (recipe.optimizer, "learning_rate"), (recipe.split, "seed")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, field, 1)


def test_numbers_of_classes_stay_numbers():
    recipe = Recipe("a/b", model="vgg08", class_names=[10, "11"])
    assert recipe.class_names == Recipe.from_json(recipe.to_json()).class_names == (10, "11")


def test_dotted_overrides_reach_into_a_field():
    recipe = get_recipe("rescue/bn").override(**{"optimizer.learning_rate": 0.01, "model_options.dropout": 0.5})
    assert recipe.optimizer == Adam(learning_rate=0.01)
    assert recipe.model_options == {"dropout": 0.5}
    with pytest.raises(
        InputError, match=r"beta_1' does not exist: .*; optimizer=sgd selects the kind with its defaults"
    ):
        recipe.override(**{"optimizer.kind": "sgd"})
    both = recipe.override(**{"optimizer": "nesterov", "optimizer.learning_rate": 0.2, "split.validation": 0.1})
    assert both.optimizer == Nesterov(learning_rate=0.2)
    assert both.split.validation == 0.1
    values = recipe.override(**{"normalization": "none"}).override(
        **{"normalization.mean": [0], "normalization.std": [1]}
    )
    assert values.normalization == ChannelStatistics(mean=(0,), std=(1,))
    balanced = recipe.override(class_weights="balanced")
    assert balanced.override(**{"class_weights.cat": 2}).class_weights == {"cat": 2}


BAD = [
    ({"epoch": 5}, "unknown recipe field 'epoch': did you mean 'epochs'?"),
    ({"epochs": "many"}, "'epochs' is 'many'"),
    ({"epochs": 0}, "'epochs' is 0"),
    ({"batch_size": -3}, "'batch_size' is -3"),
    ({"optimizer": "adamm"}, "unknown optimizer 'adamm': did you mean 'adam'?"),
    ({"optimizer": {"kind": "adam", "rate": 1}}, "optimizer.adam.rate"),
    ({"optimizer": {"kind": "adam", "learning_rate": -1}}, "is -1"),
    ({"schedule": "cosin"}, "unknown schedule 'cosin': did you mean 'cosine'?"),
    ({"augmentation": [{"kind": "flop"}]}, "unknown augmentation 'flop': did you mean 'flip'?"),
    ({"precision": "float8"}, "'precision' is 'float8'"),
    ({"label_smoothing": 1.5}, "'label_smoothing' is 1.5"),
    ({"seed": -1}, "'seed' is -1"),
    ({"normalization": {"mean": [0.5], "std": [0.2, 0.2]}}, "as many means as standard deviations"),
    ({"schema_version": 3}, "schema_version 3, newer than 2"),
    ({"schema_version": "x"}, "schema_version of a recipe must be a positive integer"),
    ({"model_options": {"activation": len}}, "model_options must hold what JSON can hold"),
    ({"expansions": ["mirorr"]}, "'expansions.0' is 'mirorr'"),
    ({"epochs": True}, "epochs must be a number, not True"),
    ({"optimizer": {"kind": "adam", "learning_rate": True}}, "learning_rate must be a number, not True"),
    ({"class_weights": {"cat": True}}, "class_weights must be a number, not {'cat': True}"),
    ({"class_names": {"cat"}}, "class_names must be a list (its order matters), not {'cat'}"),
    ({"class_names": [True, False]}, "class_names must be a number or text"),
    ({"optimizer": {"kind": "adam", "learning_rate": float("inf")}}, "is inf: input should be a finite number"),
    (
        {"split": {"validation": 1.0}},
        "'split.validation' must be a share from 0 to below 1 or a whole number of images",
    ),
    ({"normalization": {"mean": [125.3], "std": [63.0]}}, "mean=(125.3,): must be in units of pixels / 255"),
    ({"normalization": "imagenet"}, 'or {"mean": ..., "std": ...}'),
    ({"class_weights": [1, 2]}, 'or {"NAME": number}'),
    ({"freeze": "stem, head"}, "'freeze' is 'stem, head': it takes a list: [\"stem\", \"head\"]"),
    ({"augmentation": "none"}, "it takes a list: []"),
    ({"tta": "none"}, "null for none"),
    ({"background": "white"}, "'background' must be red, green and blue, or one grey value"),
    ({"initial_weights": ""}, "'initial_weights' is ''"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(list(case[0])) + str(i) for i, case in enumerate(BAD)])
def test_bad_fields_get_one_clear_error(fields, message):
    with pytest.raises(InputError) as caught:
        Recipe("a/b", model="vgg08", **fields)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_order_of_multipliers_belongs_to_a_recipe():
    recipe = Recipe("a/b", model="vgg08")
    one, other = (
        recipe.override(rate_multipliers=dict(pairs))
        for pairs in ([("*", 1), ("*bias", 64)], [("*bias", 64), ("*", 1)])
    )
    assert one.digest() != other.digest()
    assert Recipe.from_json(other.to_json()).digest() == other.digest()
    assert differing_fields(one, other) == ["rate_multipliers"]


def test_a_recipe_in_a_line():
    recipe = Recipe("a/b", model="vgg08", epochs=1, seed=3)
    assert str(recipe) == repr(recipe) == "Recipe('a/b': vgg08 on digits, 1 epoch, seed 3)"
    recipe = recipe.override(train_size=1200, epochs=2)
    assert str(recipe) == "Recipe('a/b': vgg08 on 1,200 images of digits, 2 epochs, seed 3)"


def test_transparent_files_are_predicted_as_they_were_trained():
    recipe = Recipe("a/b", model="vgg08", dataset="folder:x", background=9)
    assert (recipe.background, recipe.prediction_background) == ((9, 9, 9), (9, 9, 9))
    assert recipe.override(background=None).prediction_background is None
    assert Recipe("a/b", model="vgg08", background=None).prediction_background == (255, 255, 255)
    assert Recipe("a/b", model="vgg08", background=[1, 2, 3]).prediction_background == (1, 2, 3)


def test_what_short_training_does_without():
    """Each recipe leaves out one of the tricks in section 3 of Jordan (2024)."""
    base = get_recipe("fast/cifar10-94")
    assert (base.split.validation, base.label_smoothing, base.tta) == (0, 0.2, "flip-shift")
    assert {name: factor.factor * 0.053 for name, factor in base.rate_multipliers.items()} == {
        "logits/kernel": pytest.approx(0.67),
        "whitening/bias": 0.053,
    }
    changed = {name: differing_fields(base, get_recipe(name)) for name in list_recipes("fast-without/*")}
    assert [name.partition("/")[2] for name in changed] == [
        *("whitening", "identity", "quick-batchnorm", "muon", "linear-schedule", "label-smoothing"),
        *("alternating-flip", "translation"),
    ]
    assert changed.pop("fast-without/whitening") == ["model_options", "rate_multipliers"]
    assert changed.pop("fast-without/muon") == ["optimizer", "l2", "rate_multipliers"]
    without = get_recipe("fast-without/whitening")
    assert without.rate_multipliers == {"logits/kernel": base.rate_multipliers["logits/kernel"]}
    options = [
        get_recipe(f"fast-without/{name}").model_options for name in ("whitening", "identity", "quick-batchnorm")
    ]
    assert options == [{"whiten": False}, {"identity": False}, {"momentum": 0.9}]
    assert [fields for fields in changed.values() if len(fields) != 1] == []
    moves = [
        [change.kind for change in get_recipe(f"fast-without/{name}").augmentation]
        for name in ("alternating-flip", "translation")
    ]
    assert moves == [["flip", "translate"], ["alternating_flip"]]
    every = [get_recipe(name).augmentation for name in list_recipes("fast/*")]
    assert [len(changes) for changes in every] == [2, 2, 2, 2, 3, 3, 1]
    translated = [change.pixels for changes in every for change in changes if change.kind == "translate"]
    assert translated == [2, 2, 2, 2, 4, 4, 2]


@pytest.mark.parametrize(("name", "rate", "decay"), [("cifar10-95", 10, 0.0153), ("cifar10-96", 9, 0.012)])
def test_rates_before_muon_are_the_authors(name, rate, decay):
    """Per 1,024 images, before momentum; the classifier's factor of 1/9 enters its steps squared (airbench95, 96)."""
    recipe = get_recipe(f"fast/{name}")
    width = {"fastnet-m": 384, "fastnet-l": 512}[recipe.model]
    momentum, base = recipe.optimizer.momentum, recipe.optimizer.learning_rate
    assert base * (1 + 1 / (1 - momentum)) * recipe.batch_size / 1024 == pytest.approx(rate)
    assert recipe.l2 * rate == pytest.approx(decay)
    factors = {pattern: (one.factor, one.factor * one.decay) for pattern, one in recipe.rate_multipliers.items()}
    assert factors["*_bn/beta"] == pytest.approx((64, 1))
    assert factors["logits/kernel"] == pytest.approx((width**2 / 81, 1))
    assert factors["whitening/bias"] == (1, 1)


def test_missing_model_and_unknown_names():
    with pytest.raises(InputError, match="'model' is missing"):
        Recipe("a/b")
    with pytest.raises(InputError, match="did you mean 'vgg38-bn'"):
        Recipe("a/b", model="vgg38-bm").resolved()
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        Recipe("a/b", model="vgg08", dataset="cifar1").resolved()
    with pytest.raises(InputError, match="did you mean 'rescue/vgg38'"):
        get_recipe("rescue/vgg39")
    with pytest.raises(InputError, match="did you mean 'resnet24'"):
        get_recipe("resnet25")


def test_files(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(get_recipe("rescue/bn").to_json())
    assert get_recipe(str(path)) == get_recipe("rescue/bn")
    assert get_variant(get_recipe(str(path)).model).name == "vgg38-bn"
    with pytest.raises(InputError, match="cannot read recipe file"):
        get_recipe(str(tmp_path / "absent.json"))
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match="is not valid JSON"):
        get_recipe(str(path))
    path.write_text(json.dumps([1]))
    with pytest.raises(InputError, match="must hold a JSON object, not list"):
        get_recipe(str(path))
    path.write_text(json.dumps({**json.loads(get_recipe("rescue/bn").to_json()), "schema_version": 99}))
    with pytest.raises(InputError, match="upgrade kzoo"):
        get_recipe(str(path))


def test_digests_are_those_of_the_first_version():
    """Records, runs and weight sets are found by digest: a new field of the schema must not change any digest."""
    known = json.loads((Path(__file__).parent / "digests.json").read_text())
    assert {name: get_recipe(name).digest() for name in known} == known
    sets = [json.loads(path.read_text()) for path in (ROOT / "kzoo" / "models" / "sets").glob("*/*/record.json")]
    files = [path for path in (ROOT / "results").glob("*/*.json") if path.parent.name not in (EPOCH_TIME, INVARIANCE)]
    records = [json.loads(path.read_text()) for path in files]
    assert len(sets) >= 11
    assert len(records) >= 33
    for record in sets + records:
        assert Recipe(**record["recipe"]).digest() == record["digest"], record["name"]


def test_a_later_field_counts_only_where_it_is_used():
    class Inner(BaseModel):
        old: int = 1
        new: int = later(0)

    class Outer(BaseModel):
        inner: tuple[Inner, ...] = (Inner(),)
        new: str | None = later(None)
        best: str = later("loss", before="first", since=2)

    assert identity_fields(Outer()) == {"inner": [{"old": 1}], "best": "loss"}
    assert identity_fields(Outer(inner=(Inner(new=3),), new="x", best="first")) == {
        "inner": [{"old": 1, "new": 3}],
        "new": "x",
    }
    # Data from before the field existed gets the value that describes the behaviour of that time.
    assert upgraded(Outer, {}, 1) == {"best": "first"}
    assert upgraded(Outer, {"best": "loss"}, 1) == {"best": "loss"}
    assert upgraded(Outer, {}, 2) == {}
