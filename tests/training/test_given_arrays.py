"""Runs on arrays passed in Python: identified by their fingerprint, and refused without the arrays."""

from __future__ import annotations

import gc
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import kzoo
from kzoo.errors import InputError

pytestmark = pytest.mark.usefixtures("eagerly")

IMAGES = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), np.uint8)
LABELS = np.arange(60) % 3
QUICK = {"epochs": 1, "batch_size": 60, "progress": False, "diagnostics": False}


def ask(directory: Path | None, dataset: Any = (IMAGES, LABELS)) -> kzoo.Run:
    return kzoo.train("lenet1-max", dataset=dataset, directory=directory, **QUICK)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = ask(tmp_path_factory.mktemp("given") / "run").directory
    gc.collect()
    return directory


@pytest.fixture
def there(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run, whose arrays are no longer in memory."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture
def begun(there: Path) -> Path:
    """The same run before its record was written."""
    (there / "result.json").unlink()
    return there


def test_the_recipe_and_the_record_hold_the_fingerprint(there: Path) -> None:
    run = kzoo.Run(there)
    kind, _, fingerprint = run.recipe.dataset.partition(":")
    assert kind == "arrays"
    assert run.result.data["fingerprint"].startswith(fingerprint)
    assert len(fingerprint) == 16
    assert run.result.sizes == {"drawn": 43, "train": 43, "validation": 5, "test": 12}


def test_the_same_arrays_find_the_finished_run_and_others_are_refused(there: Path) -> None:
    before = (there / "result.json").read_bytes()
    run = ask(there)
    assert (there / "result.json").read_bytes() == before
    assert run.evaluate("test").accuracy == pytest.approx(run.result.test.accuracy)
    with pytest.raises(InputError, match=r"dataset is 'arrays:\w+' there and 'arrays:\w+' here"):
        ask(there, (IMAGES[::-1].copy(), LABELS))


def test_other_names_of_the_classes_are_refused(there: Path) -> None:
    names = {"class_names": ["a", "b", "c"]}
    with pytest.raises(InputError, match=r"other class names .*'a'"):
        ask(there, {"images": IMAGES, "labels": LABELS, **names})


@pytest.mark.filterwarnings("ignore::UserWarning")  # few images
def test_image_files_are_evaluated_on_the_background_of_predictions(there: Path, tmp_path: Path) -> None:
    """What is transparent, and black underneath, counts as white."""
    run, rng = kzoo.Run(there), np.random.default_rng(0)
    for name in run.class_names:
        for part in ("clear", "white"):
            (tmp_path / part / name).mkdir(parents=True)
        for index in range(4):
            grey, opaque = rng.integers(0, 256, (8, 8), np.uint8), rng.random((8, 8)) < 0.5
            clear = Image.fromarray(np.stack([grey * opaque, opaque * np.uint8(255)], axis=2), "LA")
            clear.save(tmp_path / "clear" / name / f"{index}.png")
            Image.fromarray(np.where(opaque, grey, np.uint8(255))).save(tmp_path / "white" / name / f"{index}.png")
    losses = [run.evaluate("train", dataset=f"folder:{tmp_path / part}").loss for part in ("clear", "white")]
    assert losses[0] == pytest.approx(losses[1])


def test_without_the_arrays_a_run_is_not_resumed(begun: Path, command: Any) -> None:
    message = "consists of arrays passed in Python that are no longer in memory: pass them again"
    with pytest.raises(InputError, match=message):
        kzoo.resume(begun, progress=False)
    code, _, errors = command("resume", begun)
    assert (code, message in errors) == (2, True)
    with pytest.raises(InputError, match=r"was trained on 'arrays:\w+', not on 'arrays:\w+'"):
        kzoo.resume(begun, dataset=(IMAGES, LABELS[::-1].copy()), progress=False)
    assert not (begun / "result.json").exists()


def test_with_the_arrays_a_run_is_resumed(begun: Path) -> None:
    run = kzoo.resume(begun, dataset=(IMAGES, LABELS), progress=False)
    assert run.finished
    assert run.evaluate("validation").images == 5


def test_a_finished_run_is_opened_without_its_arrays(there: Path) -> None:
    run = kzoo.resume(there, progress=False)
    assert run.model.predict(IMAGES[:2], verbose=0).shape == (2, 3)
    with pytest.raises(InputError, match="passed in Python"):
        run.evaluate()
