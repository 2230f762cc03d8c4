"""benchmarks/keep_runs.py collects each finished run once: its record, and its weights if trained for more epochs."""

import pytest

import kzoo
from benchmarks.keep_runs import collect_records, needing_invariance, publishable, summary, update_set
from kzoo.models.weight_sets import describe
from kzoo.recipes import get_recipe
from kzoo.studies.checksums import check_sums
from kzoo.studies.records import read_records

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of one epoch and one of two, of a registered recipe."""
    directory = tmp_path_factory.mktemp("kept") / "runs"
    for epochs in (1, 2):
        changes = {"epochs": epochs, "train_size": 50, "batch_size": 400, "model_options": {"hidden": [8]}}
        changes |= {"progress": False, "diagnostics": False}
        kzoo.train("mlp", dataset="digits", directory=directory / str(epochs), **changes)
    return directory


@pytest.mark.slow
@pytest.mark.representative
def test_only_more_epochs_replace_a_weight_set(runs, tmp_path):
    short, long = sorted(read_records([runs]).files, key=lambda item: item.record.epochs)
    assert update_set(short, tmp_path) == "weight set mlp:digits has 1 epochs"
    assert update_set(long, tmp_path) == "weight set mlp:digits has 2 epochs, replaces one of 1"
    assert update_set(short, tmp_path) == update_set(long, tmp_path) == ""
    directory = tmp_path / "mlp" / "digits"
    assert describe(directory, "mlp:digits").digest == long.digest
    assert [path.name for path in directory.parent.iterdir()] == ["digits"]
    kzoo.create_model("mlp", weights=str(directory))
    assert summary(long).startswith("default/mlp seed 0: test accuracy 0.")


def test_only_a_models_first_recipe_is_publishable(runs, made, keep, tmp_path):
    assert not any(publishable(item) for item in read_records([runs]).files)
    recipes = [
        get_recipe("rescue/bn"),
        get_recipe("rescue/bn").override(seed=1),
        get_recipe("rescue/vgg08").override(epochs=3),
    ]
    for one in (*recipes, get_recipe("batch-size/50"), get_recipe("reduction/lenet1-max-64")):
        keep(made(one), tmp_path / "runs")
    published = [item.recipe for item in read_records([tmp_path / "runs"]).files if publishable(item)]
    assert [(one.name, one.seed) for one in published] == [("rescue/bn", 0)]


def test_records_of_all_studies_are_collected_once(made, keep, tmp_path):
    for name in ("rescue/bn", "reduction/lenet1-max"):
        keep(made(get_recipe(name)), tmp_path / "runs")
    new = collect_records(tmp_path / "runs", tmp_path / "results")
    assert sorted(path.parent.name for path in new) == ["reduction", "rescue"]
    assert check_sums(tmp_path / "results") == []
    assert collect_records(tmp_path / "runs", tmp_path / "results") == []


def test_claims_determine_which_runs_need_invariance():
    digests = needing_invariance()
    assert get_recipe("reduction/lenet2-average").digest() in digests
    assert get_recipe("reduction/lenet2-dilated").digest() in digests
    assert get_recipe("reduction/lenet2-average-64").digest() not in digests
