"""Error messages help: the name of a field, its allowed values, no suggestion if words mean something else."""

import numpy as np
import pytest

from kzoo.data.augmentation.spec import PadCrop
from kzoo.errors import InputError, unknown
from kzoo.models.registry import create_model, get_variant
from kzoo.recipes import Recipe, get_recipe
from kzoo.recipes.settings import EarlyStop, RateMultiplier
from kzoo.recipes.text import difference_in_words
from kzoo.recipes.words import MEANT, meant

CASES = [
    ({"lr": 0.1}, "unknown recipe field 'lr': did you mean 'optimizer.learning_rate'?"),
    ({"dropout": 0.1}, "did you mean 'model_options.dropout'?"),
    ({"classes": ["a"]}, "did you mean 'class_names'?"),
    ({"epoch": 5}, "did you mean 'epochs'?"),
    ({"optimizer": {}}, "kinds are adam, adamw, sgd"),
    ({"optimizer": {"learning_rate": 0.1}}, "kinds are adam, adamw, sgd"),
    ({"optimizer": 5}, "kinds are adam, adamw, sgd"),
    (
        {"optimizer.clipvalues": 1},
        "'optimizer.adam.clipvalues' does not exist: optimizer.adam has learning_rate, beta_1",
    ),
    ({"schedule.rate": 1}, "schedule.cosine has minimum"),
    ({"optimizer.lr": 1}, "'optimizer.adam.lr' does not exist: did you mean 'learning_rate'? optimizer.adam has"),
    ({"schedule": {"kind": "constant", "rate": 1}}, "schedule.constant has no fields"),
    ({"split.val": 5}, "split has validation, test, seed"),
    ({"early_stop": 5}, "it takes monitor, patience, min_delta"),
    ({"augmentation": "flip"}, "'augmentation' is 'flip': it takes a list"),
    ({"augmentation": [{"padding": 1}]}, "kinds are pad_crop"),
    ({"augmentation": ["pad_crp"]}, "unknown augmentation 'pad_crp': did you mean 'pad_crop'?"),
    ({"augmentation": ["zzz"]}, "unknown augmentation 'zzz': allowed are alternating_flip, color_jitter, "),
    ({"augmentation": [{"kind": "flip", "p": 1}]}, "augmentation.0.flip has horizontal, vertical"),
    ({"normalization": "imagenet"}, "recipe field 'normalization' is 'imagenet': input should be 'dataset' or 'none'"),
    ({"normalization.mean": 1}, "recipe field 'normalization.mean' is 1: it takes a list"),
    ({"normalization.sd": [1]}, "recipe field 'normalization.sd' does not exist: normalization has mean, std"),
    ({"split.validation": 1.5}, "recipe field 'split.validation' must be a share from 0 to below 1"),
    ({"optimizer.adam.clip": 1}, "recipe field 'optimizer.adam.clip' does not exist: optimizer.adam has"),
    ({"optimizer.momentum": 1}, "'optimizer.adam.momentum' does not exist: optimizer.adam has learning_rate, beta_1"),
    ({"optimizer.clipnorm": 1}, "'optimizer.adam.clipnorm' does not exist: did you mean 'clip_norm', a field of the"),
    ({"optimizer.weight_decay": 1}, "did you mean 'weight_decay', a field of the recipe itself? optimizer.adam has"),
    ({"max_grad_norm": 1}, "unknown recipe field 'max_grad_norm': did you mean 'clip_norm'?"),
    ({"warmup": 3}, "did you mean 'warmup_epochs'?"),
    (
        {"model.dropout": 0.1},
        "'model' has no entries, so 'model.dropout' cannot be set: did you mean 'model_options.dro",
    ),
    ({"precision.policy": 1}, "'precision'"),
    ({"tta.kind": "flip"}, "field 'tta' has no entries"),
    ({"augmentation": "[flip, 'cutout']"}, """it takes a list: ["flip", "cutout"]"""),
    (
        {"augmentation": [{"kind": "cutout", "fill": 256}]},
        "cutout.fill' is 256: input should be 'mean', or less than or equal to 255",
    ),
    ({"rate_multipliers": 5}, """'rate_multipliers' is 5: it takes {"NAME": value}"""),
    ({"rate_multipliers": {"*bias": "x"}}, "'rate_multipliers.*bias' is 'x': it takes a number, or factor, first_"),
    ({"rate_multipliers.*bias.lest_epoch": 1}, "rate_multipliers.*bias has factor, first_epoch, last_epoch"),
    ({"class_weights": {3: 2.0}}, """'class_weights' has the name 3: names are text, as in {"3": ...}"""),
    ({"class_weights": {"cat": True}}, "each entry of class_weights must be a number, not {'cat': True}"),
    ({"optimizer.sgd.momentum": 1}, "optimizer is 'adam'; to choose another kind, set optimizer=sgd"),
]


@pytest.mark.parametrize(("changes", "message"), CASES, ids=[str(changes) for changes, _ in CASES])
def test_an_error_says_what_is_meant_or_allowed(changes, message):
    with pytest.raises(InputError) as caught:
        get_recipe("vgg08").override(**changes)
    assert message in str(caught.value)


def test_an_array_is_not_printed_whole():
    with pytest.raises(
        InputError, match=r"recipe field 'dataset' is ndarray of shape \(50, 8, 8\): it takes a name"
    ) as e:
        get_recipe("vgg08").override(dataset=np.zeros((50, 8, 8)))
    assert len(str(e.value)) < 250


def test_the_kind_may_be_named_on_the_way():
    assert get_recipe("vgg08").override(**{"optimizer.adam.learning_rate": 0.5}).optimizer.learning_rate == 0.5


def test_hints_are_separate_sentences():
    assert str(unknown("fish", "x", "ab", hint="Others swim.")) == "unknown fish 'x': allowed are a, b. Others swim."
    assert str(unknown("fish", "eels", ["eel"], hint="Others swim.")).endswith("did you mean 'eel'? Others swim.")


def test_a_folder_or_file_instead_of_a_recipe(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    with pytest.raises(InputError, match=rf"unknown recipe .*folder of images goes with --dataset folder:{folder}"):
        get_recipe(str(folder))
    for path, why in ((tmp_path / "nope.json", "No such file"), (folder, "Is a directory")):
        with pytest.raises(InputError, match=why) as caught:
            Recipe.from_file(path)
        assert "Errno" not in str(caught.value)


def test_a_runs_directory_instead_of_a_recipe(tmp_path):
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(InputError, match=rf"\(it is a run: kzoo resume {tmp_path}; its recipe is .*recipe\.json\)"):
        get_recipe(str(tmp_path))


def test_only_words_that_mean_alike_are_suggested():
    assert "did you mean" not in str(unknown("field", "class_weight", ["class_names", "epochs"]))
    assert "did you mean" not in str(unknown("field", "best_of", ["best_epoch", "batch_size"]))
    assert "did you mean 'batch_size'" in str(unknown("field", "batchsize", Recipe.model_fields))
    with pytest.raises(InputError, match="allowed are augmentation, background, batch_size"):
        get_recipe("vgg08").override(zzz=1)


def test_every_field_that_a_word_means_exists():
    for field in MEANT:
        top, _, inner = field.partition(".")
        assert top in Recipe.model_fields
        if inner and top not in ("model_options",):
            recipe = get_recipe("vgg08").override(early_stop={}, optimizer="momentum")
            assert hasattr(getattr(recipe, top), inner), field
    assert not {word for words in MEANT.values() for word in words.split()} & set(Recipe.model_fields)
    assert meant("LR") == "optimizer.learning_rate"
    assert meant("vgg") is None


def test_values_are_shown_in_short():
    with pytest.raises(InputError) as caught:
        get_recipe("vgg08").override(epochs=list(range(10_000)))
    assert len(str(caught.value)) < 150


def test_a_difference_of_settings_names_the_entries():
    def words(name, changes):
        return difference_in_words(name, recipe, recipe.override(**changes))

    recipe = get_recipe("rescue/bn")
    assert words("optimizer", {"optimizer.beta_1": 0.5}) == "optimizer.beta_1 is 0.9 there and 0.5 here"
    assert words("optimizer", {"optimizer": "sgd"}) == "optimizer.kind is 'adam' there and 'sgd' here"
    assert words("epochs", {"epochs": 3}) == "epochs is 100 there and 3 here"


def test_early_stopping_is_enabled_by_one_of_its_entries():
    assert get_recipe("vgg08").early_stop is None
    assert get_recipe("vgg08").override(**{"early_stop.patience": 6}).early_stop == EarlyStop(patience=6)


def test_entries_of_mappings_are_set_by_dotted_names():
    recipe = get_recipe("vgg08").override(**{"class_weights.cat": 2, "rate_multipliers.*bias.last_epoch": 3})
    assert recipe.class_weights == {"cat": 2.0}
    assert recipe.rate_multipliers == {"*bias": RateMultiplier(last_epoch=3)}
    faster = recipe.override(**{"rate_multipliers.*bias": 4})
    assert faster.rate_multipliers == {"*bias": RateMultiplier(factor=4, last_epoch=3)}
    assert recipe.override(rate_multipliers={"*bias": 4}).rate_multipliers == {"*bias": RateMultiplier(factor=4)}
    assert recipe.override(**{"class_weights.dog": 3}).class_weights == {"cat": 2.0, "dog": 3.0}


def test_augmentation_by_bare_names():
    recipe = Recipe("a/b", model="vgg08", augmentation=["pad_crop", {"kind": "flip", "vertical": 0.5}])
    assert recipe.augmentation[0] == PadCrop()
    assert recipe.augmentation[1].vertical == 0.5
    assert recipe.digest() == recipe.override(augmentation=["pad_crop", {"kind": "flip", "vertical": 0.5}]).digest()


def test_a_recipe_instead_of_a_model():
    for ask in (get_variant, create_model):
        with pytest.raises(InputError, match="'rescue/bn' is a recipe, not a model; its model is 'vgg38-bn'"):
            ask("rescue/bn")


def test_names_of_classes_and_variables_can_contain_dots():
    recipe = get_recipe("vgg08").override(
        **{
            "class_weights.St. Bernard": 2.0,
            "rate_multipliers.block.conv/*": 3.0,
            "rate_multipliers.block.conv/bias.last_epoch": 2,
        }
    )
    assert recipe.class_weights == {"St. Bernard": 2.0}
    assert {name: (one.factor, one.last_epoch) for name, one in recipe.rate_multipliers.items()} == {
        "block.conv/*": (3.0, None),
        "block.conv/bias": (1.0, 2),
    }
