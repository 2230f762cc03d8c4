"""Weight sets, folders of images and parts of the data at the command line."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import kzoo
from kzoo.models.weight_sets import PACKAGED
from kzoo.training.saved_set import SetRun, open_run

pytestmark = pytest.mark.usefixtures("eagerly")

NAME = "lenet1-max:emnist"


@pytest.fixture(scope="module")
def made(digits_run, tmp_path_factory):
    """A custom weight set for digits, and the run that it was made from."""
    directory = tmp_path_factory.mktemp("sets")
    return kzoo.save_weights_set(digits_run, directory / "set"), digits_run


@pytest.fixture
def folder(tmp_path):
    """Two digits in a folder, one in a subfolder, and a text file."""
    directory = tmp_path / "pictures"
    (directory / "more").mkdir(parents=True)
    for name, image in zip(("b.png", "a.png", "more/c.png"), load_digits().images, strict=False):
        Image.fromarray(np.round(image * 255 / 16).astype("uint8")).save(directory / name)
    (directory / "notes.txt").write_text("no picture")
    return directory


def test_a_set_is_opened_as_its_run(made):
    folder, run = made
    opened = open_run(folder)
    assert isinstance(opened, SetRun)
    assert opened.class_names == run.class_names
    assert opened.result.test == run.result.test
    for ours, theirs in zip(opened.model.weights, run.model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert opened.evaluate("test").accuracy == pytest.approx(run.result.test.accuracy)
    packaged = open_run(NAME)
    assert packaged.directory == PACKAGED / "lenet1-max" / "emnist"
    assert len(packaged.class_names) == 47
    assert open_run(folder.as_uri() + "/set.json").result.test == run.result.test


def test_a_set_without_its_record_says_so(made, tmp_path):
    shutil.copytree(made[0], tmp_path / "bare")
    (tmp_path / "bare" / "record.json").unlink()
    opened = open_run(tmp_path / "bare")
    assert opened.model.output_shape == (None, 10)
    with pytest.raises(kzoo.InputError, match=r"came without its record\.json"):
        opened.evaluate()


@pytest.mark.slow
@pytest.mark.representative
def test_every_command_takes_a_set(made, folder, command):
    weights_set, run = made
    code, text, errors = command("evaluate", weights_set, "--json")
    assert code == 0, errors
    assert json.loads(text)["accuracy"] == pytest.approx(run.result.test.accuracy)
    code, text, errors = command("predict", NAME, folder / "a.png", "--json")
    assert code == 0, errors
    assert len(json.loads(text)[0]["classes"]) == 3
    code, text, errors = command("explain", NAME, folder / "a.png")
    assert code == 0, errors
    code, text, errors = command("info", NAME)
    assert "6,304 trainable" in text
    code, text, errors = command("export", weights_set, "--to", "keras", "--output", "set.keras")
    assert code == 0, errors
    code, text, errors = command("predict", "set.keras", folder / "a.png", "--json")
    assert next(iter(json.loads(text)[0]["classes"])) in run.class_names
    code, text, errors = command("doctor", weights_set)
    assert code in (0, 3), errors
    assert text.startswith(f"set {str(weights_set)!r} (finished, 5 epochs")


def test_wrong_sets_are_one_line(command, folder):
    for words, message in (
        (("evaluate", "lenet1-max:mnist"), "did you mean 'emnist'"),
        (("predict", "lenet1-mx:emnist", folder), "not a set of weights: did you mean 'lenet1-max:emnist'?"),
        (("predict", "resnet99:cats", folder), "not a set of weights: kzoo weights list shows the sets"),
        (("info", "lenet1-max:mnist"), "did you mean 'emnist'"),
        (("export", "vgg38:emnist", "--to", "keras"), "no set of weights of 'vgg38'"),
    ):
        code, _, errors = command(*words)
        assert (code, errors.count("\n")) == (2, 1), (words, errors)
        assert message in errors


@pytest.mark.filterwarnings("ignore:folder .* left out 1 files of other kinds")
def test_folders_are_searched_in_order(made, folder, command):
    code, text, errors = command("predict", made[0], folder, "--json")
    assert code == 0, errors
    assert [row["file"] for row in json.loads(text)] == [str(folder / n) for n in ("a.png", "b.png", "more/c.png")]
    (folder / "empty").mkdir()
    code, _, errors = command("predict", made[0], folder / "empty")
    assert (code, "holds no image file" in errors) == (2, True)


@pytest.mark.filterwarnings("ignore:folder .* left out 1 files of other kinds")
def test_a_bad_file_does_not_stop_the_others_from_being_read(made, folder, command):
    (folder / "aa.png").write_text("no picture")
    code, text, errors = command("predict", made[0], folder)
    assert (code, errors.count("\n")) == (2, 1)
    assert len(text.splitlines()) == 3
    assert "aa.png" in errors
    (folder / "ab.png").write_text("no picture either")
    code, text, errors = command("explain", made[0], folder)
    assert (code, len(text.splitlines())) == (2, 3)
    assert "2 of 5 images cannot be read" in errors

    # If there are many, only the first ten are named.
    for index in range(10):
        (folder / f"ac{index}.png").write_bytes(b"")
    code, text, errors = command("predict", made[0], folder)
    assert (code, errors.count("\n"), len(text.splitlines())) == (2, 1, 3)
    assert "12 of 15 images cannot be read" in errors
    assert (errors.count(".png'"), "and 2 more" in errors) == (10, True)


def test_parts_of_the_data(made, command):
    weights_set, run = made
    code, text, errors = command("predict", weights_set, "--split", "test", "--first", 4, "--json")
    assert code == 0, errors
    part = run.part("test")
    rows = json.loads(text)
    assert [row["file"] for row in rows] == [f"test/{i}-{label}" for i, label in enumerate(part.labels[:4])]
    expected = run.model.predict(part.images[:4], verbose=0).argmax(-1)
    assert [next(iter(row["classes"])) for row in rows] == [str(label) for label in expected]
    code, text, errors = command("explain", run.directory, "--split", "validation", "--first", 2)
    assert code == 0, errors
    assert len(text.splitlines()) == 2
    for words in ((), ("--first", 3), ("a.png", "--split", "test"), ("a.png", "--first", 3)):
        code, _, errors = command("predict", weights_set, *words)
        assert (code, errors.count("\n")) == (2, 1), words
