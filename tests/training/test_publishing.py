"""Weight sets: made from a run, loaded by folder and URL, refused if anything is wrong with them."""

import functools
import hashlib
import http.server
import json
import re
import shutil
import threading
import zlib
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest

import kzoo
from kzoo.diagnostics.doctor.input_check import admit
from kzoo.exporting.predicting import Classifier
from kzoo.models.weight_sets import WEIGHTS, list_weights, open_set
from kzoo.training.publishing import HALF_COST, model_card

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    directory = tmp_path_factory.mktemp("published")
    changes = {"model": "lenet2-average", "model_options": {"filters": 8}, "epochs": 2, "image_size": 16}
    changes |= {"train_size": 200, "batch_size": 400, "progress": False, "diagnostics": False}
    return kzoo.train("reduction/lenet2-average", dataset="digits", directory=directory / "run", **changes)


@pytest.fixture
def folder(run, tmp_path):
    return kzoo.save_weights_set(run, tmp_path / "set")


def edited(folder, **fields):
    path = folder / "set.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    return str(folder)


def images(count=3, size=16):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1)).astype("float32")


def test_a_set_restores_its_run(run, folder):
    model = kzoo.create_model("lenet2-average", weights=str(folder))
    assert model.name == "lenet2-average"
    assert model.class_names == run.class_names == tuple("0123456789")
    np.testing.assert_array_equal(model.predict(images(), verbose=0), run.model.predict(images(), verbose=0))
    opened, path = open_set(str(folder))
    assert opened.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert opened.metrics["test_accuracy"] == run.result.test.accuracy
    assert (opened.class_names, opened.input_shape, opened.digest) == (run.class_names, (16, 16, 1), run.result.digest)
    record = json.loads((folder / "record.json").read_text())
    assert record["test"]["accuracy"] == run.result.test.accuracy
    assert "data_dir" not in record["data"]


def test_below_the_home_directory(run, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    run.model.save("net.keras")
    shutil.move("net.keras", folder.parent)
    pixels = images()
    expected = run.model.predict(pixels, verbose=0)
    for weights in ("~/set", "~/set/set.json"):
        model = kzoo.create_model("lenet2-average", weights=weights)
        np.testing.assert_array_equal(model.predict(pixels, verbose=0), expected, err_msg=weights)
    for target in ("~/set", "~/net.keras"):
        np.testing.assert_array_equal(Classifier(target).model.predict(pixels, verbose=0), expected, err_msg=target)
        np.testing.assert_array_equal(admit(target).model.predict(pixels, verbose=0), expected, err_msg=target)
    mean, std = run.result.data["normalization"]
    options = {"classes": 10, "input_shape": (16, 16, 1), "mean": mean, "std": std, "filters": 8}
    model = kzoo.create_model("lenet2-average", weights="~/net.keras", **options)
    np.testing.assert_array_equal(model.predict(pixels, verbose=0), expected)


def test_float16_halves_the_file_and_keeps_the_answers(run, folder, tmp_path, monkeypatch):
    half = kzoo.save_weights_set(run, tmp_path / "half", half=True)
    opened, path = open_set(str(half))
    with h5py.File(path) as file, h5py.File(folder / "model.weights.h5") as full:
        kernel, whole = (f["layers/conv2d/vars/0"] for f in (file, full))
        assert (kernel.dtype, whole.dtype) == ("float16", "float32")
        np.testing.assert_array_equal(kernel[()], whole[()].astype("float16"))
    assert (opened.dtype, open_set(str(folder))[0].dtype) == ("float16", "float32")
    model = kzoo.create_model("lenet2-average", weights=str(half))
    assert {weight.dtype for weight in model.weights} == {"float32"}
    np.testing.assert_allclose(model.predict(images(), verbose=0), run.model.predict(images(), verbose=0), atol=2e-3)
    assert "stored as float16" in (half / "README.md").read_text()
    assert "stored as float16" not in (folder / "README.md").read_text()

    # If float16 costs accuracy, nothing is written.
    monkeypatch.setattr("kzoo.training.publishing.HALF_COST", -1.0)
    with pytest.raises(kzoo.InputError, match=r"float16 weights have a test accuracy of .*without half=True"):
        kzoo.save_weights_set(run, tmp_path / "refused", half=True)
    assert not (tmp_path / "refused").exists()


def test_the_family_takes_a_set_too(run, folder):
    model = kzoo.LeNet(filters=8, reduction="average", weights=folder / "set.json")
    np.testing.assert_array_equal(model.predict(images(), verbose=0), run.model.predict(images(), verbose=0))


def test_features_without_the_classifier_and_other_image_sizes(run, folder):
    features = kzoo.create_model("lenet2-average", weights=str(folder), include_top=False, pooling="avg")
    assert features.output_shape == (None, 8)
    assert not hasattr(features, "class_names")
    inner = kzoo.feature_extractor(run.model, "block2_reduction_pool").predict(images(), verbose=0)
    np.testing.assert_allclose(features.predict(images(), verbose=0), inner.mean((1, 2)), rtol=1e-5)
    larger = kzoo.create_model("lenet2-average", weights=str(folder), input_shape=(28, 28, 1))
    for one, other in zip(larger.get_weights(), run.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lenet2-average", {"classes": 7}, "classes=7: the weights .* are for 10 classes; leave classes out"),
        ("lenet2-average", {"mean": 0.5, "std": 0.5}, "mean=0.5: the weights .* were trained with"),
        ("lenet2-average", {"filters": 16}, "another network than 'lenet2-average': layer 'block1_conv' is"),
        ("lenet2-average", {"activation": "elu"}, "another network than 'lenet2-average'"),
        ("lenet2-max", {"filters": 8}, "layer 'block1_reduction_pool' is .'MaxPooling2D'"),
        ("lenet3-average", {"filters": 8}, "it has a layer 'block3_conv', which they were not trained with"),
        ("vgg08", {"input_shape": (16, 16, 1)}, "another network than 'vgg08'"),
    ],
)
def test_another_network_is_refused(folder, name, options, message):
    with pytest.raises(kzoo.InputError, match=message):
        kzoo.create_model(name, weights=str(folder), **options)


def test_tampered_truncated_and_missing_files_are_refused(folder):
    weights = folder / "model.weights.h5"
    content = weights.read_bytes()
    middle = len(content) // 2
    cases = {
        content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]: "was changed: its sha256 is not",
        content[:-100]: "bytes, not",
    }
    for damaged, message in cases.items():
        weights.write_bytes(damaged)
        with pytest.raises(kzoo.InputError, match=message):
            kzoo.create_model("lenet2-average", weights=str(folder))
    weights.unlink()
    with pytest.raises(kzoo.InputError, match=r"cannot be read \(No such file"):
        kzoo.create_model("lenet2-average", weights=str(folder))


def test_descriptions_of_newer_or_damaged_sets_are_refused(folder):
    with pytest.raises(kzoo.InputError, match=r"schema_version 2, newer than 1.*upgrade kzoo"):
        kzoo.create_model("lenet2-average", weights=edited(folder, schema_version=2))
    with pytest.raises(kzoo.InputError, match=r"its set.json is damaged \(.* validation error"):
        kzoo.create_model("lenet2-average", weights=edited(folder, schema_version=1, parameters="many"))
    (folder / "set.json").write_text("{")
    with pytest.raises(kzoo.InputError, match=r"its set\.json is damaged"):
        kzoo.create_model("lenet2-average", weights=str(folder))


def test_unknown_names_of_sets():
    with pytest.raises(
        kzoo.InputError, match="unknown weights of model 'lenet2-average' 'emnst': did you mean 'emnist'"
    ):
        kzoo.create_model("lenet2-average", weights="emnst")
    with pytest.raises(kzoo.InputError, match="no set of weights of 'resnet10' comes with kzoo"):
        kzoo.ResNet10(weights="cifar10")
    with pytest.raises(kzoo.InputError, match=r"a set's name is MODEL:TAG"):
        kzoo.LeNet(weights="emnist")
    with pytest.raises(kzoo.InputError, match=r"there is no readable 'no/where/set\.json'"):
        kzoo.create_model("lenet2-average", weights="no/where")
    with pytest.raises(kzoo.InputError, match="there is no such file"):
        kzoo.create_model("lenet2-average", weights="gone.weights.h5")


@pytest.fixture
def server(folder):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/set.json", running
        running.shutdown()
        thread.join()


def test_a_url_is_fetched_once_and_then_works_offline(run, server, monkeypatch, tmp_path):
    monkeypatch.setenv("KZOO_CACHE", str(tmp_path / "cache"))
    url, running = server
    expected = run.model.predict(images(), verbose=0)
    model = kzoo.create_model("lenet2-average", weights=url)
    np.testing.assert_array_equal(model.predict(images(), verbose=0), expected)
    running.shutdown()
    running.server_close()
    model = kzoo.create_model("lenet2-average", weights=url)
    np.testing.assert_array_equal(model.predict(images(), verbose=0), expected)
    with pytest.raises(kzoo.InputError, match=r"cannot be downloaded \(.*Connection refused.*Offline, give the path"):
        kzoo.create_model("lenet2-average", weights=url.replace("set.json", "other/set.json"))


def test_a_download_is_checked_before_it_is_kept(server, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("KZOO_CACHE", str(tmp_path / "cache"))
    url, _ = server
    edited(folder, sha256="0" * 64)
    with pytest.raises(kzoo.InputError, match="was changed: its sha256 is not 000"):
        kzoo.create_model("lenet2-average", weights=url)
    assert not list((tmp_path / "cache").glob("weights/*/*"))
    with pytest.raises(kzoo.InputError, match=r"weights='http://\[bad/set\.json' is not a valid URL"):
        kzoo.create_model("lenet2-average", weights="http://[bad/set.json")
    with pytest.raises(kzoo.InputError, match=r"a URL must end in set.json"):
        kzoo.create_model("lenet2-average", weights=url.replace("set.json", "README.md"))


@pytest.mark.parametrize("damage", ["weights", "description"])
def test_a_damaged_set_in_the_cache_is_downloaded_again(run, server, monkeypatch, tmp_path, damage):
    monkeypatch.setenv("KZOO_CACHE", str(tmp_path / "cache"))
    url, running = server
    expected = kzoo.create_model("lenet2-average", weights=url).predict(images(), verbose=0)
    (path,) = (tmp_path / "cache").glob("weights/*/" + {"weights": WEIGHTS, "description": "set.json"}[damage])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=r"the cached set of 'http.*' is damaged, so it is downloaded again: "):
        model = kzoo.create_model("lenet2-average", weights=url)
    np.testing.assert_array_equal(model.predict(images(), verbose=0), expected)
    kzoo.create_model("lenet2-average", weights=url)  # without a warning

    path.write_bytes(b"")
    running.shutdown()
    running.server_close()
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(kzoo.InputError, match=r"cannot be downloaded .* and is not complete in the cache"),
    ):
        kzoo.create_model("lenet2-average", weights=url)


def test_card_is_one_that_hugging_face_reads(run, folder):
    yaml = pytest.importorskip("yaml")
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    data = yaml.safe_load(front)
    assert (data["library_name"], data.get("license"), data["datasets"]) == ("keras", None, ["digits"])
    (result,) = data["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == round(run.result.test.accuracy, 4)
    assert f"| test accuracy | {run.result.test.accuracy:.4f} (359 images) |" in text
    assert "for 2 epochs on 200 images instead of the recipe's 100" in text


def test_card_of_a_folder_of_any_name_and_without_its_path(run, folder):
    yaml = pytest.importorskip("yaml")
    weight_set = open_set(str(folder))[0]
    recipe = {**weight_set.recipe, "dataset": "folder:/home/me/birds: 2024 #2", "initial_weights": "/home/me/runs/base"}
    card = model_card(weight_set.model_copy(update={"recipe": recipe}), run)
    data = yaml.safe_load(card.split("---\n", 2)[1])
    assert data["datasets"] == ["birds: 2024 #2"]
    assert data["model-index"][0]["results"][0]["dataset"]["name"] == "birds: 2024 #2"
    assert "/home/me" not in card
    assert "Training started from the weights `base`" in card


def test_card_names_all_packages_and_processors_once(run, folder):
    (first,) = run.result.segments
    last = first.model_copy(update={"processor": "Another", "versions": {**first.versions, "keras": "9.9"}})
    ended = SimpleNamespace(result=run.result.model_copy(update={"segments": [first, first, last]}))
    text = " ".join(model_card(open_set(str(folder))[0], ended).split())
    began = rf"keras {re.escape(first.versions['keras'])}, \S+ \S+ on {re.escape(first.processor)}"
    assert re.search(rf"Trained with kzoo \S+, {began}, then with kzoo \S+, keras 9\.9, \S+ \S+ on Another\. ", text)


def test_nothing_is_overwritten_and_only_finished_runs_are_published(run, folder):
    with pytest.raises(kzoo.InputError, match="exists: choose another"):
        kzoo.save_weights_set(run, folder)
    with pytest.raises(kzoo.InputError, match=r"tag '\.\./up'"):
        kzoo.save_weights_set(run, tag="../up")
    with pytest.raises(kzoo.InputError, match="'nowhere' is not a run"):
        kzoo.save_weights_set("nowhere")
    assert not Path("weights").exists()


def test_fine_tuning_from_a_set_through_a_recipe(run, folder):
    tuned = kzoo.train(
        "reduction/lenet2-average",
        dataset="digits",
        class_names=("0", "1", "2"),
        image_size=16,
        train_size=60,
        batch_size=200,
        epochs=1,
        initial_weights=str(folder),
        freeze=("block1_conv",),
        progress=False,
        model_options={"filters": 8},
    )
    before, after = (
        dict(zip([w.path for w in m.weights], m.get_weights(), strict=True)) for m in (run.model, tuned.model)
    )
    np.testing.assert_array_equal(after["block1_conv/kernel"], before["block1_conv/kernel"])
    assert not np.array_equal(after["block2_conv/kernel"], before["block2_conv/kernel"])
    assert after["logits/kernel"].shape[1] == 3


def plain(classes=3, input_shape=(8, 8, 1)):
    layers = [keras.layers.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(classes, name="top")]
    return keras.Sequential(layers, name="plain")


def test_a_registered_model_that_knows_nothing_of_weights(tmp_path):
    kzoo.register_model("plain", f"{__name__}:plain", classes=3, input_shape=(8, 8, 1))
    small = {"dataset": "digits", "train_size": 60, "batch_size": 200, "epochs": 1}
    run = kzoo.train("reduction/lenet1-max", model="plain", progress=False, **small)
    folder = kzoo.save_weights_set(run, tmp_path / "set")
    model = kzoo.create_model("plain", weights=str(folder))
    np.testing.assert_array_equal(model.get_weights()[0], run.model.get_weights()[0])
    assert model.class_names == run.class_names
    with pytest.raises(kzoo.InputError, match="another network than 'plain': layer 'top' is"):
        kzoo.create_model("plain", weights=str(folder), classes=7)


def test_command_line(run, command):
    code, out, _ = command("weights", "save", run.directory, "--tag", "small")
    assert (code, out.strip()) == (0, "weights/lenet2-average/small")
    code, _, err = command("weights", "save", run.directory, "--tag", "small")
    assert (code, "exists: choose another" in err) == (2, True)
    code, out, _ = command("weights", "list", "lenet2-*", "--json")
    assert (code, [row["weights"] for row in json.loads(out)]) == (0, list_weights("lenet2-*"))
    code, out, _ = command("list", "lenet*", "--pretrained", "--json")
    assert {row["name"] for row in json.loads(out)} == {name.partition(":")[0] for name in list_weights("lenet*")}


@pytest.mark.parametrize("name", list_weights())
def test_packaged_sets_are_whole_and_small(name):
    opened, path = open_set(name)
    assert opened.name == name
    record = json.loads(path.with_name("record.json").read_text())
    assert opened.metrics["test_accuracy"] == record["test"]["accuracy"]
    assert opened.recipe == record["recipe"]
    assert "/" not in json.dumps(record["data"])
    assert f"{opened.metrics['test_accuracy']:.4f}" in path.with_name("README.md").read_text()


def test_packaged_sets_fit_into_a_wheel_of_30_mb():
    folders = [open_set(name)[1].parent for name in list_weights()]
    files = [path.read_bytes() for folder in folders for path in folder.iterdir()]
    assert 0 < sum(len(zlib.compress(content, 1)) for content in files) < 28_000_000  # a wheel is compressed


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    # In .ci/run, one weight set represents all.
    [pytest.param(name, marks=[pytest.mark.representative] * (name == "vgg08:cifar100")) for name in list_weights()],
)
def test_accuracy_evaluated_again_is_that_of_the_record(name, data_dir):
    from kzoo.training.build import load_parts

    opened, _ = open_set(name)
    model = kzoo.create_model(opened.model, weights=opened.tag)
    test = load_parts(kzoo.Recipe(**opened.recipe), data_dir).test
    right = model.predict(test.images, batch_size=500, verbose=0).argmax(1) == test.labels
    tolerance = HALF_COST if opened.dtype == "float16" else 2e-4
    assert right.mean() == pytest.approx(opened.metrics["test_accuracy"], abs=tolerance)
