"""Datasets of tensorflow-datasets by name: small ones, written by its writers."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kzoo.data.datasets import DATASETS, get_dataset
from kzoo.data.images import resize
from kzoo.data.loading import available, load
from kzoo.data.splits import Split, split
from kzoo.data.tfds.decoding import _Changes, _without_empty_classes
from kzoo.data.tfds.description import describe, parts_of
from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.training.identity.named import names_data

SIZES = {"train": 12, "validation": 6, "val": 6, "test": 6, "extra": 3, "unlabelled": 4}


@dataclasses.dataclass(frozen=True)
class Small:
    """A dataset to write: its splits, the shape of its images, and its classes by label feature."""

    splits: tuple[str, ...] = ("train", "test")
    shape: tuple[int | None, int | None, int] = (8, 8, 3)
    labels: dict[str, Any] = dataclasses.field(default_factory=lambda: {"label": 3})
    config: str | None = None
    file_format: str = "tfrecord"
    declared: tuple[str, str] | None = None
    dtype: str = "uint8"


PETS = ["cat", "dog", "eel"]
SMALL = {
    "house_numbers": Small(("train", "test", "extra")),
    "grey": Small(shape=(8, 8, 1), file_format="array_record"),
    "pets": Small(("train", "val", "test"), labels={"label": PETS}),
    "both": Small(("train",), labels={"fine": PETS, "coarse": ["fish", "fur"]}, config="tiny"),
    "declared": Small(labels={"fine": PETS, "coarse": ["fish", "fur"]}, declared=("image", "coarse")),
    "odd": Small(("train", "validation", "test"), (None, None, 3), {"label": PETS}),
    "odd_records": Small(shape=(None, None, 3), file_format="array_record"),
    "deep": Small(shape=(8, 8, 1), dtype="uint16"),
    "half_labelled": Small(("train", "test", "unlabelled"), labels={"label": [*PETS, "fox"]}),
    "cifar10": Small(),
    "cifar100": Small(labels={"label": PETS, "coarse": ["fish", "fur"]}, declared=("image", "label")),
    "cifar10_corrupted": Small(("test",), config="fog_3"),
}


def example(small: Small, split: str, index: int) -> dict[str, Any]:
    """An image of random pixels, and its labels: every class in turn."""
    rng = np.random.default_rng([len(split), index])
    height, width, channels = (size or 5 + index % 3 + place for place, size in enumerate(small.shape))
    pixels = rng.integers(0, 65536 if small.dtype == "uint16" else 256, (height, width, channels))
    labels = {name: index % 2 if name == "coarse" else index % 3 for name in small.labels}
    if split == "unlabelled":
        labels = dict.fromkeys(labels, -1)
    return {"image": pixels.astype(small.dtype), **labels}


def images(name: str, split: str = "train") -> list[np.ndarray]:
    return [example(SMALL[name], split, index)["image"] for index in range(SIZES[split])]


def prepare(folder: Path, name: str, small: Small) -> None:
    tfds: Any = pytest.importorskip("tensorflow_datasets", reason="preparing a dataset needs it")
    features = {"image": tfds.features.Image(shape=small.shape, dtype=np.dtype(small.dtype), encoding_format="png")}
    for label, classes in small.labels.items():
        names = {"num_classes": classes} if isinstance(classes, int) else {"names": classes}
        features[label] = tfds.features.ClassLabel(**names)
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        config=small.config,
        version="1.0.0",
        data_dir=folder,
        split_datasets={
            split: [(index, example(small, split, index)) for index in range(SIZES[split])] for split in small.splits
        },
        features=tfds.features.FeaturesDict(features),
        file_format=small.file_format,
        disable_shuffling=True,
    )
    if small.declared is not None:  # the writer has no argument for it
        info = folder / name / "1.0.0" / "dataset_info.json"
        keys = {"tuple": {"items": [{"featureKey": key} for key in small.declared]}}
        info.write_text(json.dumps({**json.loads(info.read_text()), "supervisedKeys": keys}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with all of `SMALL`."""
    pytest.importorskip("tensorflow", reason="preparing a dataset needs TensorFlow")
    tfds: Any = pytest.importorskip("tensorflow_datasets", reason="preparing a dataset needs it")
    if any(small.file_format == "array_record" for small in SMALL.values()):
        pytest.importorskip("array_record", reason="writing ArrayRecord files needs it")
    tfds.disable_progress_bar()
    folder = tmp_path_factory.mktemp("data")
    for name, small in SMALL.items():
        prepare(folder, name, small)
    return folder


def loaded(name: str, **options: Any) -> tuple[Any, list[str]]:
    """The arrays, and the messages of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arrays = load(name, **options)
    return arrays, [str(one.message) for one in caught]


@pytest.mark.parametrize("name", ["house_numbers", "grey", "pets", "deep"])
def test_images_and_labels_are_those_that_were_written(name: str, folder: Path) -> None:
    arrays, _ = loaded(f"tfds:{name}", data_dir=folder)
    expected = np.stack(images(name))
    if SMALL[name].dtype == "uint16":
        expected = np.round(expected / 65535 * 255)
    np.testing.assert_array_equal(arrays.images, expected)
    np.testing.assert_array_equal(arrays.labels, np.arange(12) % 3)
    assert len(arrays.test_labels) == 6
    assert (arrays.mean, arrays.std) == (None, None)
    assert arrays.class_names == (tuple(PETS) if name == "pets" else ("0", "1", "2"))


def test_splits_that_are_not_parts_are_left_out_and_reported(folder: Path) -> None:
    arrays, lines = loaded("tfds:house_numbers", data_dir=folder)
    assert len(arrays.labels) == 12
    assert lines == ["dataset 'house_numbers': splits that are left out: extra"]
    assert loaded("tfds:grey", data_dir=folder)[1] == []


def test_a_validation_part_is_used_as_such(folder: Path) -> None:
    arrays = load("tfds:pets", data_dir=folder)
    parts = split(arrays, Split(), get_dataset("tfds:pets"))
    assert [len(part) for part in parts] == [12, 6, 6]
    np.testing.assert_array_equal(parts.validation.images, np.stack(images("pets", "val")))


def test_missing_parts_are_drawn(folder: Path) -> None:
    arrays = load("tfds:both/tiny?label=coarse", data_dir=folder)
    assert arrays.test_images is None
    assert arrays.class_names == ("fish", "fur")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [len(part) for part in split(arrays, Split(), get_dataset("tfds:both/tiny?label=coarse"))] == [9, 1, 2]


def test_of_several_labels_one_must_be_chosen(folder: Path) -> None:
    with pytest.raises(InputError) as caught:
        load("tfds:both/tiny", data_dir=folder)
    assert "has several label features, coarse, fine" in str(caught.value)
    name = re.search(r"'(tfds:\S+)'", str(caught.value))
    assert name is not None
    assert load(name[1], data_dir=folder).class_names == ("fish", "fur")  # the name in the error works
    fine = load("tfds:both/tiny?label=fine", data_dir=folder)
    assert fine.class_names == tuple(PETS)
    np.testing.assert_array_equal(fine.labels, np.arange(12) % 3)


def test_what_the_dataset_declares_is_used_and_reported(folder: Path) -> None:
    arrays, lines = loaded("tfds:declared", data_dir=folder)
    assert arrays.class_names == ("fish", "fur")
    assert lines == ["dataset 'declared': label feature 'coarse' is taken, not fine (?label=...)"]
    assert loaded("tfds:declared?label=fine", data_dir=folder)[1] == []


def test_what_the_catalogue_declares_is_not_reported(folder: Path) -> None:
    arrays, lines = loaded("cifar100", data_dir=folder)
    assert (arrays.class_names, lines) == (tuple(PETS), [])


@pytest.mark.parametrize("name", ["odd", "odd_records"])
def test_images_of_several_sizes_are_scaled_as_those_of_folders(name: str, folder: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=r"different sizes \(the first 5x6x3, another 6x7x3\): set image_size"):
        load(f"tfds:{name}", data_dir=folder)
    arrays, lines = loaded(f"tfds:{name}", data_dir=folder, image_size=8)
    np.testing.assert_array_equal(arrays.images, [resize(image, 8) for image in images(name)])
    assert [line.partition("1.0.0': ")[2] for line in lines] == [
        "images of 3 sizes, 5x6 to 7x8, are scaled to 8x8; their proportions are not kept"
    ]
    assert loaded(f"tfds:{name}", data_dir=folder, image_size=6)[0].images.shape[1:3] == (6, 6)
    assert len(list((cache / "datasets").glob(f"{name}-1.0.0-*px"))) == 2


@pytest.mark.parametrize(
    ("shapes", "line"),
    [
        ({(50, 100)}, ["x: images of 50x100 are scaled to 32x32; their proportions are not kept"]),
        ({(32, 32), (64, 64)}, ["x: images of 2 sizes, 32x32 to 64x64, are scaled to 32x32"]),
        ({(64, 64)}, []),
    ],
)
def test_a_scaling_is_reported_if_it_changes_proportions_or_sizes_differ(
    shapes: set[tuple[int, ...]], line: list[str]
) -> None:
    assert _Changes(shapes).notes("x", 32) == line


def test_images_of_one_size_are_scaled_too(folder: Path) -> None:
    assert load("tfds:grey", data_dir=folder, image_size=5).images.shape == (12, 5, 5, 1)


def test_classes_without_a_training_image_and_parts_without_labels_are_left_out(folder: Path) -> None:
    arrays, lines = loaded("tfds:half_labelled", data_dir=folder)
    assert arrays.class_names == tuple(PETS)
    assert lines[0] == "dataset 'half_labelled': splits that are left out: unlabelled"
    assert lines[1].endswith("classes without a training image are left out: fox")


def test_images_of_16_bits_are_reported_as_scaled(folder: Path) -> None:
    assert any("have 16 bits a channel, scaled to 8" in line for line in loaded("tfds:deep", data_dir=folder)[1])


def test_corrupted_test_images_are_trained_on_the_clean_ones(folder: Path) -> None:
    arrays = load("cifar10-c/fog_3", data_dir=folder)
    np.testing.assert_array_equal(arrays.images, np.stack(images("cifar10")))
    np.testing.assert_array_equal(arrays.test_images, np.stack(images("cifar10_corrupted", "test")))
    clean = load("cifar10", data_dir=folder)
    assert (arrays.mean, arrays.fingerprint != clean.fingerprint) == (clean.mean, True)
    corrupted = {dataset.name: dataset for dataset in available(folder)}["cifar10-c"]
    assert (corrupted.present, corrupted.detail) == (True, f"{folder}: cifar10-c/fog_3")
    with pytest.raises(InputError, match=r"'cifar10-c': name a configuration; .* cifar10_corrupted/fog_3"):
        load("cifar10-c", data_dir=folder)


def test_the_error_for_missing_data_names_the_command_that_downloads_it(tmp_path: Path, nowhere: Path) -> None:
    with pytest.raises(InputError, match="`kzoo data get tfds:eurosat/rgb`"):
        load("tfds:eurosat/rgb")
    with pytest.raises(
        InputError, match=r"name a configuration, as cifar10-c/fog_3; .*`kzoo data get cifar10-c/fog_3`"
    ):
        load("cifar10-c")
    with pytest.raises(InputError) as caught:
        load("tfds:a?label=b", data_dir=tmp_path)
    assert f"`kzoo data get 'tfds:a?label=b' --data-dir {tmp_path}`" in str(caught.value)


def test_only_a_test_part_is_nothing_to_train_on(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "cifar10_corrupted", tmp_path / "foggy")
    for file in list((tmp_path / "foggy/fog_3/1.0.0").glob("cifar10_corrupted-*")):
        file.rename(file.with_name(file.name.replace("cifar10_corrupted", "foggy")))
    with pytest.raises(InputError, match=r"it has no train part \(there is test\)"):
        load("tfds:foggy/fog_3", data_dir=tmp_path)
    with pytest.raises(InputError, match=r"'tfds:foggy': name a configuration; in .* there are foggy/fog_3"):
        load("tfds:foggy", data_dir=tmp_path)


def test_a_stand_in_of_the_cache_is_of_the_same_features(folder: Path, nowhere: Path) -> None:
    for name in ("tfds:both/tiny?label=fine", "tfds:both/tiny?label=coarse"):
        expected = load(name, data_dir=folder).fingerprint
        assert load(name).fingerprint == expected


# --- names


def test_one_dataset_has_one_name() -> None:
    for name, dataset in {
        "tfds:cifar10": "cifar10",
        "tfds:emnist/balanced": "emnist",
        "tfds:svhn_cropped": "svhn",
    }.items():
        assert get_dataset(name) is get_dataset(dataset)
        recipes = [Recipe("a/b", model="vgg08", dataset=one) for one in (name, dataset)]
        assert recipes[0].resolved().dataset == dataset
        assert recipes[0].digest() == recipes[1].digest()
        assert names_data(recipes[1])


def test_another_configuration_inherits_what_holds_for_it() -> None:
    letters = get_dataset("tfds:emnist/letters")
    assert (letters.name, letters.transpose, letters.classes, letters.mean) == ("emnist/letters", True, None, None)
    assert get_dataset("emnist/letters") == letters
    assert get_dataset("imagenette/320px-v2").augmentation == get_dataset("imagenette").augmentation
    fog = get_dataset("cifar10-c/fog_3")
    assert (fog.prepared, fog.mean, fog.trained_on) == (
        "cifar10_corrupted/fog_3",
        get_dataset("cifar10").mean,
        "cifar10",
    )
    assert not names_data(Recipe("a/b", model="vgg08", dataset="tfds:grey"))


@pytest.mark.parametrize(
    "dataset", [dataset for dataset in DATASETS if dataset.trained_on is not None], ids=lambda dataset: dataset.name
)
def test_datasets_trained_on_another_have_its_statistics(dataset: Any) -> None:
    other = get_dataset(dataset.trained_on)
    assert (dataset.mean, dataset.std, dataset.classes) == (other.mean, other.std, other.classes)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tfds:", "must be of the form tfds:NAME"),
        ("tfds:a b", "must be of the form tfds:NAME"),
        ("tfds:../mnist", "must be of the form tfds:NAME"),
        ("tfds:mnist:3.0.1", "a version cannot be chosen"),
        ("tfds:mnist?", "'' must be image=FEATURE or label=FEATURE"),
        ("tfds:mnist?split=test", "'split=test' must be image=FEATURE or label=FEATURE"),
        ("tfds:mnist?label=a&label=b", "'label=b' must be image=FEATURE or label=FEATURE, each once"),
    ],
)
def test_invalid_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        get_dataset(name)


def test_classes_in_between_without_training_images_are_left_out() -> None:
    images = np.zeros((4, 2, 2, 1), np.uint8)
    parts = {"train": (images, np.array([0, 2, 3, 2])), "test": (images, np.array([3, 0, 2, 3]))}
    names, notes = _without_empty_classes(parts, ("a", "b", "c", "d"), "dataset x")
    assert names == ("a", "c", "d")
    assert notes == ["dataset x: classes without a training image are left out: b"]
    assert [labels.tolist() for _, labels in parts.values()] == [[0, 1, 2, 1], [2, 0, 1, 2]]
    parts = {"train": (images, np.array([0, 2, 3, 2])), "test": (images, np.array([3, 1, 2, 3]))}
    with pytest.raises(InputError, match="dataset x has test images of class 'b' but no training ones"):
        _without_empty_classes(parts, ("a", "b", "c", "d"), "dataset x")
    assert _without_empty_classes({"train": (images, np.array([0, 1, 2, 2]))}, ("a", "b", "c"), "x") == (
        tuple("abc"),
        [],
    )


# --- descriptions, which need no TensorFlow


def described(folder: Path, features: dict[str, Any], **options: Any) -> Any:
    """Write a dataset's directory and return its description."""
    shards = [{"name": "train", "shardLengths": ["3"], "numBytes": "9"}]
    (folder / "dataset_info.json").write_text(json.dumps({"splits": shards}))
    (folder / "features.json").write_text(json.dumps({"featuresDict": {"features": features}}))
    return describe(folder, called="a", **options)


IMAGE = {"image": {"shape": {"dimensions": ["8", "8", "1"]}, "dtype": "uint8"}}
LABEL = {"classLabel": {"numClasses": "3"}}
NUMBER = {"tensor": {"shape": {}, "dtype": "int64"}}
TEXT = {"pythonClassName": "tensorflow_datasets.core.features.text_feature.Text", "text": {}}
SEVERAL = {"sequence": {"feature": LABEL}}


def test_features_are_found_inside_others_but_not_in_sequences(tmp_path: Path) -> None:
    inner = {"featuresDict": {"features": {"kind": LABEL}}}
    chosen = described(tmp_path, {"photo": IMAGE, "about": inner, "all": SEVERAL})
    assert (chosen.image, chosen.label, chosen.varying, chosen.notes) == ("photo", "about/kind", False, ())


def test_a_whole_number_is_a_label_if_requested(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no label feature.* with \?label=\.\.\.: number"):
        described(tmp_path, {"image": IMAGE, "number": NUMBER})
    assert described(tmp_path, {"image": IMAGE, "number": NUMBER}, label="number").label == "number"


@pytest.mark.parametrize(
    ("features", "options", "message"),
    [
        ({"text": {"text": {}}}, {}, "has no image feature, so it is not for image classification: it has text"),
        (
            {"left": IMAGE, "right": IMAGE, "label": LABEL},
            {},
            "several image features, left, right: choose one, as in ",
        ),
        ({"image": IMAGE, "label": LABEL}, {"label": "kind"}, "has no label feature 'kind': allowed are label"),
        ({"image": IMAGE, "label": LABEL}, {"image": "label"}, "has no image feature 'label': allowed are image"),
        ({"image": IMAGE, "labels": SEVERAL}, {}, "has no label feature"),
        ({"image": IMAGE, "kind": TEXT}, {}, "it is not for image classification: it has image, kind (Text)"),
        ({"image": IMAGE, "kind": TEXT}, {"label": "kind"}, "allowed are none; it has image, kind (Text)"),
    ],
)
def test_features_of_something_else_are_one_error(
    tmp_path: Path, features: dict[str, Any], options: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        described(tmp_path, features, **options)


@pytest.mark.parametrize(
    ("splits", "parts", "left_out"),
    [
        (["train", "test", "extra"], {"train": "train", "test": "test"}, ("extra",)),
        (["train", "val"], {"train": "train", "validation": "val"}, ()),
        (["train", "test", "test_images"], {"train": "train", "test": "test"}, ("test_images",)),
        (["train", "eval"], {"train": "train", "test": "eval"}, ()),
        (["train", "eval", "test"], {"train": "train", "validation": "eval", "test": "test"}, ()),
        (["training", "unlabelled"], {"train": "training"}, ("unlabelled",)),
    ],
)
def test_splits_are_parts_by_their_usual_names(splits: list[str], parts: dict[str, str], left_out: Any) -> None:
    assert parts_of(splits, "a") == (parts, left_out)


def test_two_splits_for_one_part_are_refused() -> None:
    with pytest.raises(InputError, match="several splits for the validation part: val, dev"):
        parts_of(["train", "val", "dev"], "a")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # as a user sees them
@pytest.mark.usefixtures("eagerly")
def test_a_run_on_the_clean_images_is_scored_on_the_corrupted_ones(folder: Path, tmp_path: Path, command: Any) -> None:
    import kzoo

    changes: dict[str, Any] = {"epochs": 1, "split.validation": 3, "split.stratified": True, "diagnostics": False}
    changes["image_size"] = 8  # the size of the small images
    run = kzoo.train("mlp", dataset="cifar10", data_dir=folder, directory=tmp_path / "run", progress=False, **changes)
    code, output, errors = command("evaluate", run.directory, "--dataset", "cifar10-c/fog_3", "--json")
    assert code == 0, errors
    assert "warning: images of 'cifar10-c/fog_3' are scaled from 32x32 to 8x8\n" in errors
    corrupted = np.stack(images("cifar10_corrupted", "test"))
    labels = np.array([example(SMALL["cifar10_corrupted"], "test", index)["label"] for index in range(len(corrupted))])
    answers = run.model.predict(corrupted, verbose=0).argmax(-1)
    assert json.loads(output)["accuracy"] == pytest.approx(np.mean(answers == labels))

    # No configuration is named, or the classes differ.
    code, _, errors = command("evaluate", run.directory, "--dataset", "cifar10-c")
    assert (code, errors.count("\n")) == (2, 1)
    assert "name a configuration" in errors
    code, _, errors = command("evaluate", run.directory, "--dataset", "tfds:pets")
    assert (code, errors.count("\n")) == (2, 1)
    assert "has other classes than run" in errors
