"""kzoo explain, receptive-field and invariance: pictures and values of runs, files and names; one error per mistake."""

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

import kzoo
from kzoo.diagnostics import explaining
from kzoo.diagnostics.explaining import plot_explained
from kzoo.diagnostics.grad_cam import grad_cam, overlay

pytestmark = pytest.mark.usefixtures("eagerly")

L = keras.layers


@pytest.fixture
def run(digits_run):
    return digits_run


@pytest.fixture
def files(tmp_path):
    """Three digits: one of the model's size, one larger and in colour, one in another folder."""
    digits = np.round(load_digits().images[:3] * 255 / 16).astype("uint8")
    paths = [tmp_path / "zero.png", tmp_path / "one.jpg", tmp_path / "two.png"]
    Image.fromarray(digits[0]).save(paths[0])
    Image.fromarray(np.kron(digits[1], np.ones((40, 40), "uint8"))).convert("RGB").save(paths[1])
    Image.fromarray(digits[2]).save(paths[2])
    return paths


def test_each_image_has_a_picture_of_its_own(tmp_path):
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, L.Dense(2)(L.Flatten()(L.Conv2D(2, 3)(image))))
    pixels = np.zeros((8, 8, 1), "uint8")
    images = [(tmp_path / name, pixels) for name in ("q.bmp", "q.png", "q.png.png")]
    rows = explaining.explain_images(model, images, tmp_path / "seen")
    written = [path for row in rows for path in row.pictures]
    assert sorted(written) == sorted((tmp_path / "seen").iterdir())
    assert [path.name for path in written] == [f"{name}-grad-cam.png" for name in ("q.bmp", "q.png", "q.png.png")]


@pytest.mark.slow
@pytest.mark.representative
def test_pictures_of_a_run(run, files, command):
    code, output, errors = command("explain", run.directory, *files[:2], "--output", "seen", "--feature-maps")
    assert code == 0, errors
    lines = output.splitlines()
    assert lines[0].startswith(f"{files[0]}: predicted 0, shown for 0 at block2_conv_act: ")
    pixels = np.asarray(Image.open(files[0]))[..., None]
    heatmap = grad_cam(run.model, pixels[None])[0]
    figure = plot_explained(pixels, heatmap, "title")
    image, heat, laid_over = (axes.images[0].get_array() for axes in figure.axes[:3])
    enlarged = pixels.repeat(28, 0).repeat(28, 1)
    np.testing.assert_array_equal(image, enlarged.repeat(3, -1))
    np.testing.assert_array_equal(heat, heatmap)
    np.testing.assert_array_equal(laid_over, overlay(enlarged[None], heatmap[None])[0])
    assert len(figure.axes) == 4  # the fourth is the scale
    for name in ("zero", "one"):
        picture = np.asarray(Image.open(f"seen/{name}-grad-cam.png"))
        assert picture.shape[1] > 2 * picture.shape[0]
    assert Image.open("seen/one-feature-maps.png").size[0] > 500


def test_another_class_and_layer(run, files, command, monkeypatch):
    layer, titles = "block1_conv", []
    draw = explaining.plot_explained
    monkeypatch.setattr(explaining, "plot_explained", lambda *args: titles.append(args[2]) or draw(*args))
    code, output, _ = command("explain", run.directory, files[0], "--class", "7", "--layer", layer)
    assert code == 0
    assert f"shown for 7 at {layer}: explained/zero-grad-cam.png" in output
    share = run.model.predict(np.asarray(Image.open(files[0]))[None, ..., None], verbose=0)[0]
    assert titles == [f"predicted 0 ({share[0]:.3f}), shown for 7 ({share[7]:.3f})\n{layer}"]


def test_nothing_is_overwritten_unless_forced(run, files, command):
    assert command("explain", run.directory, files[0])[0] == 0
    with open("explained/zero-grad-cam.png", "ab") as stream:
        stream.write(b"mine")
    code, _, errors = command("explain", run.directory, files[2], files[0])
    assert (code, errors.count("\n")) == (2, 1)
    assert "zero-grad-cam.png' exists" in errors
    with open("explained/zero-grad-cam.png", "rb") as stream:
        assert stream.read().endswith(b"mine")
    assert not Path("explained/two-grad-cam.png").exists()
    assert command("explain", run.directory, files[0], "--force")[0] == 0


def test_pictures_of_images_whose_names_differ_only_in_their_suffix(run, files):
    zero, two = np.asarray(Image.open(files[0]))[..., None], np.asarray(Image.open(files[2]))[..., None]
    images = [(Path(name), zero) for name in ("a.png", "a.jpg", "b.PNG", "0-St. Bernard", "1-St. Gallen")]
    rows = explaining.explain_images(run.model, [*images, (Path("c"), two)], Path("drawn"))
    names = [row.pictures[0].name.removesuffix("-grad-cam.png") for row in rows]
    assert names == ["a.png", "a.jpg", "b", "0-St. Bernard", "1-St. Gallen", "c"]


def test_a_custom_file_and_images_of_any_size(files, command):
    keras.utils.set_random_seed(0)
    keras.Sequential(
        [keras.Input((None, None, 3)), L.Rescaling(1 / 255), L.Conv2D(4, 3, activation="relu"),
         L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax")]
    ).save("own.keras")  # fmt: skip
    code, output, errors = command("explain", "own.keras", *files, "--class", "2")
    assert code == 0, errors
    assert output.count("shown for 2") == 3
    code, _, errors = command("explain", "own.keras", *files, "--class", "\N{SUPERSCRIPT TWO}")
    assert (code, errors.count("\n")) == (2, 1)
    assert "give a number" in errors


def test_bad_input_is_one_line(run, files, command, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "elsewhere").mkdir()
    twin = tmp_path / "elsewhere" / "zero.png"
    twin.write_bytes(files[0].read_bytes())
    keras.Sequential([keras.Input((7,)), L.Dense(2)]).save("flat.keras")
    keras.Sequential([keras.Input((8, 8, 1)), L.Flatten(), L.Dense(2)]).save("dense.keras")
    a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
    keras.Model([a, b], L.Dense(2)(L.Flatten()(L.Add()([a, b])))).save("two.keras")
    directory = run.directory
    for words, message in [
        (["explain", directory, tmp_path / "text.png"], "cannot read image"),
        (["explain", directory, tmp_path / "absent.png"], "cannot read image"),
        (["explain", directory, files[0], "--layer", "block"], "unknown layer"),
        (["explain", directory, files[0], "--layer", "predictions"], "one with a map"),
        (["explain", directory, files[0], "--class", "ten"], "unknown class 'ten'"),
        (["explain", directory, files[0], twin], "has the same name as another"),
        (["explain", directory, files[0], "--output", files[0]], "cannot be made"),
        (["explain", "absent.keras", files[0]], "does not exist"),
        (["explain", "absent", files[0]], "is not a run"),
        (["explain", "flat.keras", files[0]], "must take images"),
        (["explain", "two.keras", files[0]], "must take images"),
        (["explain", "dense.keras", files[0]], "has no layer with a map"),
        (["explain", "dense.keras", files[0], "--class", "cat"], "has no layer with a map"),
        (["receptive-field", "lenet9-max"], "unknown model 'lenet9-max'"),
        (["receptive-field", "lenet1-max", "--output", "figure.pdf"], "must end in .png or .svg"),
        (["receptive-field", "lenet1-max", "--exact", "--output", "figure.png"], "leave out --exact"),
        (["receptive-field", "lenet1-dilated", "--image-size", "2"], "cannot take images of 2x2"),
        (["invariance", "absent"], "is not a run"),
        (["invariance", directory, "--fill", "white"], "fill='white'"),
        (["invariance", directory, "--output", "absent/figure.png"], "does not exist"),
    ]:  # fmt: skip
        code, output, errors = command(*words)
        assert (code, errors.count("\n")) == (2, 1), (words, errors)
        assert message in errors, (words, errors)
        assert not output.strip()


def test_receptive_fields_of_a_name_a_run_and_a_file(run, command):
    code, output, errors = command("receptive-field", "lenet2-dilated", "--json", "--images", 1, "--output", "f.svg")
    assert code == 0, errors
    rows = json.loads(output)
    assert [row["exact"] for row in rows if row["name"] == "block2_reduction_conv"] == [[15, 15]]
    with open("f.svg", encoding="utf-8") as stream:
        assert "exact 15x15" in stream.read()
    code, output, _ = command("receptive-field", "lenet2-average", "--exact")
    assert code == 0
    # The exact field, and the one that follows from report d's "does not change".
    assert any(" 10x10 " in line and " 8x8 " in line for line in output.splitlines())
    output = command("receptive-field", run.directory, "--exact")[1]
    assert "lenet2-max" in output
    assert "10x10" in output
    kzoo.create_model("lenet1-max").save("net.keras")
    first = command("receptive-field", "net.keras", "--images", 1)[1]
    assert "4x4" in first


@pytest.mark.slow
@pytest.mark.representative
def test_invariance_of_runs(run, command):
    copy = Path("copy", run.directory.name)
    shutil.copytree(run.directory, copy)
    code, output, errors = command("invariance", run.directory, copy, "--limit", 40, "--json", "--output", "i.png")
    assert code == 0, errors
    one, two = json.loads(output)
    assert (one["name"], two["name"]) == (str(run.directory), str(copy))
    assert one | {"name": ""} == two | {"name": ""}
    assert one["images"] == 40
    part = run.part("test")
    score = (run.model.predict(part.images[:40], verbose=0).argmax(-1) == part.labels[:40]).mean()
    assert one["shift_accuracy"][0] == one["rotation_accuracy"][0] == pytest.approx(score)
    assert Image.open("i.png").size[0] > 500
    text = command("invariance", run.directory, "--limit", 20)[1]
    assert "accuracy by shift" in text
    assert run.result.name in text
    assert text.count("\n") == 9 + 13 + 4
