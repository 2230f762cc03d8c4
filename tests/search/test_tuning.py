"""Each file in tuning/: its space fits its recipe, and its search runs on digits."""

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
    baseline = search.checked_space.baseline()
    if search.tuner != "hyperband":  # its trials begin with other values
        assert baseline is not None, "the report's own values are not in the space"
        assert search.base.override(**search.checked_space.changes(baseline)).resolved().epochs == search.base.epochs


@pytest.fixture(scope="module")
def ray():
    """One cluster on this machine for all files, whose processes load Keras once."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'kzoo[ray]'")
    ray.init("local", num_cpus=2, include_dashboard=False, object_store_memory=100 * 2**20, log_to_driver=False)
    yield ray
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_runs_on_digits_the_same_on_every_pool(file, ray):
    search = kzoo.load_search(file)
    tiny = {"dataset": "digits", "train_size": 40, "split.validation": 20}
    tiny["epochs"] = 2 if search.tuner == "hyperband" else 1  # from which it makes more than one trial
    search = search.override(**tiny, **FEWER_BLOCKS.get(search.base.model, {})).replace(trials=2)
    results = {
        "here": run_search(search, "here", progress=False),
        "workers": run_search(search, "workers", workers=2, progress=False),
        "ray": run_search(search, "ray", workers=2, on="local", progress=False),
    }
    for name, result in results.items():
        assert [trial.status for trial in result.trials] == ["completed"] * 2
        best = result.recipe()
        assert best.name == f"{search.name}/best"
        assert (Path(name) / "best.json").read_text() == best.to_json()
        assert (Path(name) / "trials.svg").exists()
    if search.tuner in ("grid", "random"):
        kept = {name: [(trial.values, trial.score) for trial in result.trials] for name, result in results.items()}
        assert kept["here"] == kept["workers"] == kept["ray"]
