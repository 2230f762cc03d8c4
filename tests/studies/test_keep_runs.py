"""What a long computation has finished is kept once: its record, and the weights of more epochs than the set has."""

import pytest

import kzoo
from benchmarks.keep_runs import asked_for, keep_records, keep_set, publishable, told
from kzoo.models.weight_sets import describe
from kzoo.recipes import get_recipe
from kzoo.studies.collecting import check_sums
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
def test_a_set_is_replaced_by_one_of_more_epochs_only(runs, tmp_path):
    short, long = sorted(read_records([runs]).files, key=lambda item: item.record.epochs)
    assert keep_set(short, tmp_path) == "set mlp:digits is of 1 epochs"
    assert keep_set(long, tmp_path) == "set mlp:digits is of 2 epochs, in place of 1"
    assert keep_set(short, tmp_path) == keep_set(long, tmp_path) == ""
    folder = tmp_path / "mlp" / "digits"
    assert describe(folder, "mlp:digits").digest == long.digest
    assert [path.name for path in folder.parent.iterdir()] == ["digits"]
    kzoo.create_model("mlp", weights=str(folder))
    assert told(long).startswith("default/mlp seed 0: test accuracy 0.")


def test_only_a_models_first_recipe_stands_for_it(runs, made, keep, tmp_path):
    assert not any(publishable(item) for item in read_records([runs]).files)
    recipes = [
        get_recipe("rescue/bn"),
        get_recipe("rescue/bn").override(seed=1),
        get_recipe("rescue/vgg08").override(epochs=3),
    ]
    for one in (*recipes, get_recipe("batch-size/50"), get_recipe("reduction/lenet1-max-64")):
        keep(made(one), tmp_path / "runs")
    kept = [item.recipe for item in read_records([tmp_path / "runs"]).files if publishable(item)]
    assert [(row.name, row.seed) for row in kept] == [("rescue/bn", 0)]


def test_records_of_all_studies_are_kept_once(made, keep, tmp_path):
    for name in ("rescue/bn", "reduction/lenet1-max"):
        keep(made(get_recipe(name)), tmp_path / "runs")
    new = keep_records(tmp_path / "runs", tmp_path / "results")
    assert sorted(path.parent.name for path in new) == ["reduction", "rescue"]
    assert check_sums(tmp_path / "results") == []
    assert keep_records(tmp_path / "runs", tmp_path / "results") == []


def test_claims_decide_which_networks_predict_changed_images():
    asked = asked_for()
    assert get_recipe("reduction/lenet2-average").digest() in asked
    assert get_recipe("reduction/lenet2-dilated").digest() in asked
    assert get_recipe("reduction/lenet2-average-64").digest() not in asked
