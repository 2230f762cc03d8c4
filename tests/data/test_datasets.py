"""Declared datasets, registration and custom loaders; what importing kzoo.data loads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kzoo.data import datasets
from kzoo.data.augmentation.spec import Flip, PadCrop
from kzoo.data.datasets import DATASETS, get_dataset, list_datasets, register_dataset
from kzoo.data.loading import available, load
from kzoo.data.splits import Split, split
from kzoo.errors import InputError


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Unregisters the test's datasets."""
    before = dict(datasets.REGISTRY.added)
    yield
    datasets.REGISTRY.added.clear()
    datasets.REGISTRY.added.update(before)


def squares(data_dir: str | None = None) -> dict[str, Any]:
    """A loader as a user writes it; the number of images depends on the data folder."""
    count = 40 if data_dir is None else 80
    images = np.random.default_rng(0).integers(0, 256, (count, 6, 6), np.uint8)
    return {"images": images, "labels": np.arange(count) % 4, "class_names": ["a", "b", "c", "d"]}


class Plain:
    """Content as attributes."""

    def __init__(self, data_dir: str | None) -> None:
        self.images, self.labels = squares()["images"], squares()["labels"]


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_datasets_are_complete(dataset: datasets.Dataset) -> None:
    assert get_dataset(dataset.name) is dataset
    assert dataset.classes is not None
    assert (dataset.mean is None) == (dataset.std is None)
    if dataset.mean is not None and dataset.std is not None:
        assert dataset.image_shape is not None
        assert len(dataset.mean) == len(dataset.std) == dataset.image_shape[2]
    assert dataset.class_names is None or len(dataset.class_names) == dataset.classes
    assert bool(dataset.loader) != bool(dataset.prepared)
    assert (dataset.test is not None) == (dataset.name in ("digits", "imagenette"))
    # characters turn into others when mirrored, 8x8 digits do not survive a crop, and hearts are on the left
    as_they_are = {"digits", "mnist", "emnist", "svhn", "kmnist", "pneumoniamnist"}
    assert (dataset.augmentation == ()) == (dataset.name in as_they_are)


def test_datasets_have_the_published_sizes() -> None:
    pooled = {dataset.name: dataset.published for dataset in DATASETS if dataset.published is not None}
    per_class = {"emnist": (2400, 400), "cifar10": (5000, 1000), "cifar100": (500, 100)}
    assert pooled == {
        name: tuple(get_dataset(name).classes * count for count in counts) for name, counts in per_class.items()
    }
    # The datasets that the docstring of `Split` names.
    at_once = [dataset.name for dataset in DATASETS if not dataset.stratified]
    assert at_once == ["mnist", "emnist", "cifar10", "cifar100", "cifar10-c"]
    assert [dataset.name for dataset in DATASETS if dataset.transpose] == ["emnist"]


def test_default_augmentation_is_mirrored_half_of_the_time_and_moved_by_an_eighth() -> None:
    augmentations = {dataset.name: dataset.augmentation for dataset in DATASETS if dataset.augmentation}
    flip = Flip(horizontal=0.5, vertical=0.0)
    sides = {"cifar10": 32, "cifar100": 32, "stl10": 96, "cifar10-c": 32}
    expected = {name: (PadCrop(padding=side // 8), flip) for name, side in sides.items()}
    assert augmentations == {**expected, "fashion-mnist": (PadCrop(padding=4), flip), "imagenette": (flip,)}


def test_names_are_listed_and_the_nearest_is_suggested() -> None:
    assert list_datasets()[:5] == ["digits", "mnist", "emnist", "cifar10", "cifar100"]
    with pytest.raises(InputError, match="did you mean 'cifar100'"):
        get_dataset("cifar-100")
    for name in ("", "folder:", "npz:", ":squares"):
        with pytest.raises(InputError, match="unknown dataset"):
            get_dataset(name)


def test_a_registered_dataset_is_like_a_built_in_one() -> None:
    dataset = register_dataset(
        "squares", squares, mean=(0.5,), std=(0.3,), augmentation=[Flip()], validation=8, class_names=tuple("wxyz")
    )
    assert get_dataset("squares") is dataset
    assert list_datasets()[-1] == "squares"
    assert available()[-1].present
    assert "squares" in available()[-1].detail
    arrays = load("squares", classes=("y", "w"), image_size=5)
    assert arrays.images.shape == (20, 5, 5, 1)
    assert (arrays.mean, arrays.std, arrays.class_names) == ((0.5,), (0.3,), ("y", "w"))
    assert [len(part) for part in split(arrays, Split(), dataset)] == [8, 8, 4]
    assert len(load("squares", data_dir="somewhere").labels) == 80


@pytest.mark.parametrize("loader", [squares, Plain, lambda data_dir: squares(), lambda data_dir: load("digits")])
def test_a_loader_may_return_a_mapping_or_attributes(loader: Any) -> None:
    register_dataset("own", loader)
    arrays = load("own")
    assert len(arrays.class_names) in (4, 10)
    assert len(arrays.fingerprint) == 64


def test_a_loader_named_in_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "from kzoo.data.sources import digits\nclass Here:\n    load = staticmethod(lambda data_dir: digits())\n"
    (tmp_path / "my_own_data.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    dataset = get_dataset("my_own_data:Here.load")
    assert (dataset.validation, dataset.test, dataset.augmentation) == (0.1, 0.2, ())
    assert load(dataset.name).fingerprint == load("digits").fingerprint
    register_dataset("lazily", "my_own_data:Here.load")
    assert load("lazily").images.shape == (1797, 8, 8, 1)
    for name in ("my_own_data:load", "my_other_data:load", "my_own_data:digits.__name__"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            load(name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "cifar10"}, "taken by another dataset"),
        ({"name": "npz:mine"}, "must be non-empty text without a colon"),
        ({"name": ""}, "must be non-empty text"),
        ({"loader": 3}, "must be callable"),
        ({"loader": "module.function"}, "must be callable or 'module:function'"),
        ({"mean": (0.5,)}, "both mean and std"),
        ({"mean": (0.5,), "std": (np.nan,)}, "dataset 'own': std=.* finite numbers"),
        ({"name": 3}, "must be non-empty text"),
        ({"validation": -5}, "dataset 'own': validation must be a share from 0 to below 1 or a whole number"),
        ({"validation": None}, "validation must be a share"),
        ({"test": 1.5}, "test must be a share"),
        ({"class_names": ["a", "b", "c", "a"]}, "dataset 'own': class_names holds a name twice"),
        ({"class_names": "abcd"}, "class_names must be a list of names"),
    ],
)
def test_impossible_registrations_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        register_dataset(**{"name": "own", "loader": squares, **options})


def test_lists_and_numbers_of_numpy_are_declared_as_they_are_meant() -> None:
    options: dict[str, Any] = {"image_shape": [6, 6, 1], "class_names": list("abcd"), "validation": np.int64(3)}
    dataset = register_dataset("own", squares, **options)
    assert load("own").class_names == ("a", "b", "c", "d")
    assert len(split(load("own"), Split(), dataset).validation) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 5}, "has classes 4, not 5 as declared"),
        ({"image_shape": (6, 6, 3)}, r"has image_shape \(6, 6, 1\), not \(6, 6, 3\) as declared"),
        ({"class_names": ("a", "b")}, "has 4 classes, not 2 as declared"),
        (
            {"class_names": ("b", "a", "c", "d")},
            "has the classes a, b, c, d, in this order, not b, a, c, d as declared",
        ),
        ({"mean": (0.5,) * 3, "std": (0.2,) * 3}, "has channels 1, not 3 as declared"),
        ({"mean": (0.5,), "std": (0.2, 0.2)}, "has channels 1, not 2 as declared"),
        ({"loader": lambda data_dir: None}, "must give 'images' and 'labels'"),
        ({"loader": lambda: None}, "loader of dataset 'own' is called with one argument, .*: too many positional"),
        ({"loader": lambda data_dir: {"images": 3, "labels": 4}}, "dataset 'own': images must have shape"),
    ],
)
def test_a_loader_must_return_what_its_dataset_declares(options: dict[str, Any], message: str) -> None:
    register_dataset(**{"name": "own", "loader": squares, **options})
    with pytest.raises(InputError, match=message):
        load("own")


@pytest.mark.parametrize("size", [0, -3, 2.5, True])
def test_an_impossible_image_size_is_refused(size: Any) -> None:
    with pytest.raises(InputError, match="image_size"):
        load("digits", image_size=size)


def test_loading_data_needs_no_keras_and_importing_no_heavy_library() -> None:
    code = (
        "import sys, kzoo.data\n"
        "heavy = ('keras', 'tensorflow', 'tensorflow_datasets', 'jax', 'torch')\n"
        "print([name for name in (*heavy, 'scipy', 'sklearn') if name in sys.modules])\n"
        "kzoo.data.load('digits'), kzoo.data.available('/nowhere'), kzoo.data.list_datasets()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]"]
