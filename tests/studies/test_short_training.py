"""Tables of the reports' studies on CIFAR end with the accuracy of a short training."""

import pytest

from kzoo.recipes import get_recipe
from kzoo.studies import get_study, short_training, tables
from kzoo.studies.records import read_records, study_records


@pytest.fixture
def notes(made, keep, tmp_path):
    """Returns the notes under the table of a study with one run, whose record has the given fields."""

    def write(study, recipe, **fields):
        keep(made(recipe, **fields), tmp_path / "runs")
        records = study_records(get_study(study), read_records([tmp_path / "runs"]))
        return tables.notes(next(iter(records.budgets.values())))

    return write


@pytest.fixture
def packaged(made, tmp_path, monkeypatch):
    """A packaged weight set of the shortest recipe, as if it had reached 93%, and 94% with test-time augmentation."""
    record = made(
        get_recipe("fast/cifar10-94"),
        0.93,
        test_tta={"loss": 0.3, "accuracy": 0.94},
        multiply_adds=100_000_000,
        sizes={"train": 50_000, "test": 10_000},
    )
    folder = tmp_path / "sets" / "fastnet-s" / "cifar10"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text(record.to_json())
    monkeypatch.setattr(short_training, "PACKAGED", tmp_path / "sets")


@pytest.mark.usefixtures("packaged")
def test_the_last_note_compares_with_a_short_training(notes):
    last = notes("depth", get_recipe("depth/vgg-a").override(epochs=1), multiply_adds=1_000_000)[-1]
    reached = "`fast/cifar10-94` reaches a test accuracy of 0.9300 (0.9400 with test-time augmentation)"
    # Six operations per multiply-add, image and epoch: 6 * 1e8 * 50,000 * 5 and 6 * 1e6 * 1,000 * 1.
    assert last == (f"For comparison: {reached} with 0.15 PFLOP of training. The runs of this table take 6e-06 PFLOP.")


@pytest.mark.usefixtures("packaged")
def test_early_records_without_a_count_are_compared_by_accuracy_alone(notes):
    assert notes("depth", get_recipe("depth/vgg-a").override(epochs=1))[-1].endswith("PFLOP of training.")


@pytest.mark.usefixtures("packaged")
@pytest.mark.parametrize(
    ("study", "changes"),
    [("depth", {"dataset": "digits", "epochs": 1}), ("rescue", {"epochs": 1}), ("fast", {})],
)
def test_other_data_and_the_studies_of_short_training_have_no_such_note(study, changes, notes):
    recipe = get_study(study).entries[0].recipe.override(**changes)
    assert not any("For comparison" in note for note in notes(study, recipe))


def test_without_a_packaged_set_there_is_no_note(notes, monkeypatch, tmp_path):
    monkeypatch.setattr(short_training, "PACKAGED", tmp_path)
    assert not any("For comparison" in note for note in notes("depth", get_recipe("depth/vgg-a").override(epochs=1)))
