"""Made-up, consistent records for tests, without training."""

import pytest

from kzoo.recipes.schema import Recipe
from kzoo.studies import Entry, Study
from kzoo.studies.records import BudgetRecords
from kzoo.training.records import RunRecord


def make(
    recipe: Recipe, accuracy: float = 0.5, *, train: float | None = None, failed: bool = False, **fields
) -> RunRecord:
    """A record with this test and validation accuracy, rounded to hundredths, after at most five epochs."""
    recipe = recipe.resolved()
    correct = round(100 * accuracy)
    accuracy = correct / 100
    epochs = min(recipe.epochs, 5)
    climb = [accuracy * (i + 1) / epochs for i in range(epochs - 1)] + [accuracy]
    history = {
        "accuracy": [*climb[:-1], accuracy if train is None else train],
        "loss": [2.0 - value for value in climb],
        "val_accuracy": climb,
        "val_loss": [2.0 - value for value in climb],
        "learning_rate": [1e-3] * epochs,
        "seconds": [1.0] * epochs,
    }
    scores = {}
    if not failed:
        last = {"loss": history["val_loss"][-1], "accuracy": accuracy}
        scores = {
            "best_epoch": epochs,
            "best": last,
            "last": last,
            "train": {"loss": history["loss"][-1], "accuracy": history["accuracy"][-1]},
            "test": {"loss": 1.0, "accuracy": accuracy},
            "confusion": [[correct, 100 - correct], [0, 0]],
        }
    content = {
        "name": recipe.name,
        "digest": recipe.digest(),
        "status": "failed" if failed else "completed",
        "reason": "the training loss is nan" if failed else None,
        "recipe": recipe.model_dump(mode="json"),
        "parameters": 1000,
        "sizes": {"train": 1000, "train_expanded": 1000, "validation": 100, "test": 100},
        "data": {
            "fingerprint": "f" * 10,
            "class_names": ["a", "b"],
            "image_shape": [8, 8, 1],
            "normalization": None,
            "data_dir": "/somewhere/private",
        },
        "epochs": epochs,
        "history": history,
        "seconds": 5.0,
        "peak_memory": 2**30,
        "segments": [],
        "git_commit": None,
        **scores,
        **fields,
    }
    return RunRecord(**content)


@pytest.fixture
def made():
    return make


# A study of three runs, for tests of claims.
RECIPES = {label: Recipe(f"t/{label}", model="mlp", model_options={"hidden": [width]}, epochs=5)
           for label, width in (("a", 8), ("b", 16), ("c", 32))}  # fmt: skip
STUDY = Study("t", "ours", "Which?", tuple(Entry(recipe, label) for label, recipe in RECIPES.items()))


@pytest.fixture
def world():
    """Makes records of `STUDY` with the given accuracies of each run, one per seed; None is a failed run."""

    def build(ratios=None, budget="full", **accuracies):
        records = {
            label: [
                make(RECIPES[label].override(seed=seed), 0.5 if value is None else value, failed=value is None)
                for seed, value in enumerate(values)
            ]
            for label, values in accuracies.items()
        }
        return BudgetRecords(STUDY, budget, records, ratios)

    return build


@pytest.fixture
def keep():
    """Writes a record to a run's directory (in ``runs``) or to a committed file (in ``results/STUDY``)."""

    def write(record, folder):
        if folder.name == "runs":
            path = folder / f"{record.name.replace('/', '-')}-{record.digest}" / "result.json"
            path.parent.mkdir(parents=True)
            (path.parent / "recipe.json").write_text(Recipe(**record.recipe).to_json())
        else:
            path = folder / f"{record.digest}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(record.to_json())
        return path

    return write
