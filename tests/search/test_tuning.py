"""Each file in tuning/: what it searches fits its recipe, and it runs on digits."""

from pathlib import Path

import pytest

import kzoo
from kzoo.search.hypermodel import RecipeHyperModel
from kzoo.search.running import run_search

FILES = sorted((Path(__file__).parents[2] / "tuning").glob("*.py"))
NAMES = {
    "lenet_layers_filters_reduction",
    "resnet_optimizer_schedule",
    "vgg38_kernel_stride",
    "vgg38_learning_rate",
    "vgg_ade_best",
    "vgg_ade_dropout_pool_optimizer",
}

FEWER_BLOCKS = {"vgg38-bn": {"model_options.blocks": 0}, "resnet24": {"model_options.blocks": [1, 1, 1, 1]}}


def test_there_is_a_file_for_each_report():
    assert {file.stem for file in FILES} == NAMES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_fits_its_recipe(file):
    search = kzoo.load_search(file)
    RecipeHyperModel(search.base, search.checked_space)
    own = search.checked_space.baseline()
    if search.tuner != "hyperband":  # whose trials begin elsewhere
        assert own is not None, "the report's own values are not in the space"
        assert search.base.override(**search.checked_space.changes(own)).resolved().epochs == search.base.epochs


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_runs_on_digits(file):
    search = kzoo.load_search(file)
    tiny = {"dataset": "digits", "train_size": 40, "split.validation": 20}
    tiny["epochs"] = 2 if search.tuner == "hyperband" else 1  # of which it makes more than one trial
    search = search.override(**tiny, **FEWER_BLOCKS.get(search.base.model, {}))
    result = run_search(search.replace(trials=2), "tiny", progress=False)
    assert sum(trial.status == "completed" for trial in result.trials) == 2
    best = result.recipe()
    assert best.name == f"{search.name}/best"
    assert (Path("tiny") / "best.json").read_text() == best.to_json()
    assert (Path("tiny") / "trials.svg").exists()
