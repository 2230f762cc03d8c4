"""Predictions for image files, and what the command line prints about runs, models and data."""

import json

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import kzoo
from kzoo.cli.common import colour

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def run(digits_run):
    return digits_run


@pytest.fixture
def printed(command):
    """Runs the command line, which must succeed; returns what it printed."""

    def call(*words):
        code, output, errors = command(*words)
        assert code == 0, errors
        return output

    return call


def test_digits_as_png_are_recognised(run, printed, tmp_path):
    images, labels = load_digits(return_X_y=True)
    files = []
    for i in range(20):
        pixels = np.round(images[i].reshape(8, 8) * 255 / 16).astype("uint8")
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(pixels).save(files[-1])
    rows = json.loads(printed("predict", run.directory, *files, "--json", "--top", 2))
    assert [row["file"] for row in rows] == [str(file) for file in files]
    assert np.mean([next(iter(row["classes"])) == str(label) for row, label in zip(rows, labels, strict=False)]) > 0.7
    for row in rows:
        first, second = row["classes"].values()
        assert 1 >= first >= second >= 0
    text = printed("predict", run.directory, files[0])
    assert text.startswith(f"{files[0]}: 0 ")


def test_other_sizes_and_colours_are_converted(run, printed, tmp_path):
    pixels = np.kron(load_digits().images[0], np.ones((5, 5))) * 255 / 16
    file = tmp_path / "large.jpg"
    Image.fromarray(pixels.astype("uint8")).convert("RGB").save(file)
    rows = json.loads(printed("predict", run.directory, file, "--json"))
    assert next(iter(rows[0]["classes"])) == "0"


def test_background_of_transparent_files(run, printed, command, tmp_path):
    # A white image whose transparency is a digit: over black it shows the digit, over white nothing.
    values = np.round(load_digits().images[3] * 255 / 16).astype("uint8")
    Image.fromarray(values).save(tmp_path / "whole.png")
    white = np.full((8, 8), 255, np.uint8)
    clear = tmp_path / "clear.png"
    Image.merge("LA", [Image.fromarray(white), Image.fromarray(values)]).save(clear)
    Image.fromarray(white).save(tmp_path / "blank.png")

    def classes(name, *words):
        return json.loads(printed("predict", run.directory, tmp_path / name, "--json", *words))[0]["classes"]

    expected = classes("whole.png")
    assert classes("clear.png", "--background", "0,0,0") == expected
    blank = classes("blank.png")
    assert blank != expected
    for background in ("255", "none"):
        assert classes("clear.png", "--background", background) == blank
    assert classes("clear.png") == blank  # as in training: white

    for word in ("predict", "explain"):
        code, _, errors = command(word, run.directory, clear, "--background=blue")
        assert code == 2
        assert "--background takes 0-255 for grey, RED,GREEN,BLUE, or none, not 'blue'" in errors
        code, _, errors = command(word, run.directory, "--split", "test", "--background", 0)
        assert code == 2
        assert "--background applies to image files only" in errors
    printed("explain", run.directory, clear, "--background", 0, "--output", tmp_path / "explained")


def test_how_a_background_is_written():
    for text in ("0", "0,0,0", "[0, 0, 0]"):
        assert colour(text) == (0, 0, 0)
    for text in ("blue", "256", "1,2", "-1", "", "1.5"):
        with pytest.raises(kzoo.InputError, match="--background takes 0-255 for grey, RED,GREEN,BLUE, or none"):
            colour(text)


def test_info_lists_data_and_evaluate(run, printed):
    table = json.loads(printed("info", "vgg38-bn", "--json"))
    assert table["trainable_parameters"] == 338_500
    assert "338,500 trainable" in printed("info", "vgg38-bn")
    assert [row["name"] for row in json.loads(printed("list", "resnet*", "--json"))] == [
        "resnet10",
        "resnet16",
        "resnet24",
        "resnet48",
    ]
    assert "rescue/bn-residual" in printed("list", "rescue/*", "--recipes")
    data = {row["name"]: row for row in json.loads(printed("data", "--data-dir", "nowhere", "--json"))}
    assert data["digits"]["present"] is True
    assert data["cifar100"]["present"] is False
    assert "`kzoo data get cifar100 --data-dir nowhere`" in data["cifar100"]["detail"]
    score = json.loads(printed("evaluate", run.directory, "--split", "validation", "--json"))
    assert score["accuracy"] == pytest.approx(run.result.best.accuracy)
    assert np.sum(score["confusion"]) == score["images"] == 216


def test_info_of_a_file(printed, tmp_path):
    kzoo.create_model("lenet1-max").save(tmp_path / "net.keras")
    assert json.loads(printed("info", tmp_path / "net.keras", "--json"))["trainable_parameters"] == 6_304


def test_info_names_layers_whose_work_it_cannot_count(printed, tmp_path):
    layers = [keras.Input((6, 4)), keras.layers.LSTM(3, name="memory"), keras.layers.Dense(2)]
    keras.Sequential(layers).save(tmp_path / "recurrent.keras")
    assert "not counted: memory" in printed("info", tmp_path / "recurrent.keras")
