"""Datasets prepared by tensorflow-datasets: decoded once, then read without TensorFlow."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kzoo.backend import _configured_backend
from kzoo.data import datasets
from kzoo.data.arrays import channel_statistics
from kzoo.data.datasets import get_dataset, register_dataset
from kzoo.data.loading import available, load
from kzoo.data.splits import Split, split
from kzoo.data.tfds.prepared import find
from kzoo.errors import InputError

WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = sys.modules["tensorflow_datasets"] = None
from kzoo.data import load
from kzoo.errors import InputError
try:
    arrays = load("mnist", data_dir=sys.argv[1] or None)
    print(arrays.images.shape, int(arrays.images.sum()), arrays.fingerprint)
except InputError as error:
    print("InputError:", error)
print([name for name in ("keras", "jax", "torch") if name in sys.modules])
"""


def pixels(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 1), np.uint8)


def prepare(folder: Path, name: str, config: str | None, classes: int, file_format: str = "tfrecord") -> None:
    """Write a small dataset of random pixels as tensorflow-datasets does."""
    tf = pytest.importorskip("tensorflow", reason="preparing a dataset needs TensorFlow")
    tfds: Any = pytest.importorskip("tensorflow_datasets", reason="preparing a dataset needs it")
    tfds.disable_progress_bar()

    def part(count: int, seed: int) -> Any:
        labels = np.arange(count) % classes
        return tf.data.Dataset.from_tensor_slices({"image": pixels(count, seed), "label": labels})

    features = {
        "image": tfds.features.Image(shape=(28, 28, 1)),
        "label": tfds.features.ClassLabel(num_classes=classes),
    }
    tfds.dataset_builders.TfDataBuilder(
        name=name,
        config=config,
        version="3.0.1",
        data_dir=folder,
        split_datasets={"train": part(94, 0), "test": part(20, 1)},
        features=tfds.features.FeaturesDict(features),
        disable_shuffling=True,
    ).download_and_prepare(file_format=file_format)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a small mnist and a small emnist/balanced of random pixels."""
    folder = tmp_path_factory.mktemp("tfds")
    prepare(folder, "mnist", None, 10)
    prepare(folder, "emnist", "balanced", 47)
    return folder


@pytest.fixture
def prepared(small: Path, tmp_path: Path) -> Path:
    """A copy that a test can change."""
    return Path(shutil.copytree(small, tmp_path / "data"))


def child(data_dir: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, data_dir],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_prepared_images_come_back_pixel_for_pixel(prepared: Path) -> None:
    arrays = load("mnist", data_dir=prepared)
    np.testing.assert_array_equal(arrays.images, pixels(94, 0))
    np.testing.assert_array_equal(arrays.labels, np.arange(94) % 10)
    np.testing.assert_array_equal(arrays.test_images, pixels(20, 1))
    assert arrays.images.dtype == np.uint8
    assert arrays.labels.dtype == np.int64
    assert (arrays.mean, arrays.std) == ((0.1307,), (0.3081,))


def test_emnist_is_turned_upright_and_its_classes_are_characters(prepared: Path) -> None:
    arrays = load("emnist", data_dir=str(prepared))
    np.testing.assert_array_equal(arrays.images, pixels(94, 0).transpose(0, 2, 1, 3))
    assert "".join(arrays.class_names) == "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"
    ten = load("emnist", data_dir=prepared, classes=tuple("0123456789"))
    assert ten.class_names == tuple("0123456789")
    assert len(ten.labels) == 20
    assert load("emnist", data_dir=prepared, classes=range(10)).fingerprint == ten.fingerprint


def test_the_cache_needs_no_tensorflow_and_returns_the_same(prepared: Path, nowhere: Path) -> None:
    assert child(str(prepared))[0].startswith("InputError: reading dataset 'mnist' the first time needs tensorflow")
    arrays = load("mnist", data_dir=prepared)
    expected = f"{arrays.images.shape} {arrays.images.sum()} {arrays.fingerprint}"
    assert child(str(prepared)) == [expected, "[]"]
    assert child("", KZOO_DATA_DIR=str(prepared)) == [expected, "[]"]


def test_a_cache_alone_stands_in_for_a_default_folder_only(prepared: Path, nowhere: Path, tmp_path: Path) -> None:
    expected = load("mnist", data_dir=prepared).fingerprint
    assert load("mnist").fingerprint == expected
    with pytest.raises(InputError, match="is not in"):
        load("mnist", data_dir=tmp_path / "elsewhere")


def test_other_prepared_content_is_another_entry(prepared: Path, cache: Path) -> None:
    load("mnist", data_dir=prepared)
    info = prepared / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "description": "another one"}))
    load("mnist", data_dir=prepared)
    assert len(list((cache / "datasets").iterdir())) == 2


def test_content_of_the_same_size_that_is_prepared_again_is_read_again(prepared: Path, cache: Path) -> None:
    """As if labels were corrected: the size and the description stay the same."""
    load("emnist", data_dir=prepared)
    first, again = next((prepared / "emnist").rglob("*train*")), next((prepared / "mnist").rglob("*train*"))
    assert first.stat().st_size == again.stat().st_size
    shutil.copyfile(again, first)
    with pytest.raises(InputError, match="there is no image of 10"):
        load("emnist", data_dir=prepared)


def test_folders_are_tried_in_order(prepared: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = nowhere / "tensorflow_datasets"
    shutil.copytree(prepared, home)
    assert {row.name: row.detail for row in available()}["mnist"].startswith(str(home))
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert {row.name: row.detail for row in available()}["mnist"].startswith(str(prepared))
    monkeypatch.setenv("KZOO_DATA_DIR", str(nowhere))
    assert not {row.name: row.present for row in available()}["mnist"]
    assert {row.name: row.present for row in available(prepared)}["mnist"]


def test_missing_data_say_what_where_and_how(nowhere: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load("emnist", data_dir=tmp_path)
    assert "'emnist/balanced'" in str(caught.value)
    assert f"`kzoo data get emnist --data-dir {tmp_path}`" in str(caught.value)
    with pytest.raises(InputError, match="tensorflow_datasets"):
        load("cifar10")


VERSION = Path("mnist") / "3.0.1"


def damage(prepared: Path, how: str) -> str:
    """Damage a prepared mnist; returns what the error must say."""
    info, folder = prepared / VERSION / "dataset_info.json", prepared / VERSION
    record = next(folder.glob("*train*"))
    if how == "cut short":
        record.write_bytes(record.read_bytes()[: record.stat().st_size // 2])
        return r"its train files are cut short, [\d,]+ of [\d,]+ bytes"
    if how == "shard gone":
        record.unlink()
        return r"missing mnist-train\.tfrecord-00000-of-00001"
    if how == "no features":
        (folder / "features.json").unlink()
        return r"its features\.json is missing"
    if how == "no json":
        info.write_text("{")
        return r"its dataset_info\.json is damaged"
    described = json.loads(info.read_text())
    if how == "no test":
        described["splits"] = described["splits"][:1]
        expected = "it has no test part .there is train"
    elif how == "odd json":
        described["splits"][0]["name"] = [1]
        expected = r"its (dataset_info\.json|description) is damaged .*Delete this folder, then: kzoo data get mnist"
    elif how == "other json":
        described, expected = [], r"its dataset_info\.json is damaged"
    else:
        described["fileFormat"], expected = "riegeli", "it is in format 'riegeli'; supported formats are tfrecord"
    info.write_text(json.dumps(described))
    return expected


@pytest.mark.parametrize(
    "how", ["cut short", "shard gone", "no features", "no json", "no test", "odd json", "other json", "other format"]
)
def test_damaged_data_are_refused_and_not_listed_as_available(prepared: Path, how: str) -> None:
    expected = damage(prepared, how)
    with pytest.raises(InputError, match=f"cannot read dataset 'mnist' in .*{expected}") as caught:
        load("mnist", data_dir=prepared)
    assert "\n" not in str(caught.value)
    row = {row.name: row for row in available(prepared)}["mnist"]
    assert (row.present, row.detail) == (False, str(caught.value))
    assert {row.name: row.present for row in available(prepared)}["emnist"]


@pytest.mark.parametrize("part", ["contents", "features"])
def test_damage_that_only_reading_shows_is_one_error(prepared: Path, part: str) -> None:
    record = next(prepared.glob(f"{VERSION}/*train*")) if part == "contents" else prepared / VERSION / "features.json"
    content = bytearray(record.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    record.write_bytes(content)
    with pytest.raises(InputError, match="cannot read dataset 'mnist'") as caught:
        load("mnist", data_dir=prepared)
    assert "\n" not in str(caught.value)


def test_array_record_has_checksums_so_damage_is_no_other_image(tmp_path: Path) -> None:
    module = pytest.importorskip("array_record.python.array_record_module", reason="it reads ArrayRecord files")
    rng, path = np.random.default_rng(0), str(tmp_path / "set.array_record")
    records = [rng.bytes(2000) for _ in range(10)]
    writer = module.ArrayRecordWriter(path, "group_size:1")
    for record in records:
        writer.write(record)
    writer.close()
    content, noticed = Path(path).read_bytes(), 0
    for position in range(100, 20_000, 997):  # within the records, before the padding
        Path(path).write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        try:
            reader = module.ArrayRecordReader(path, "")
            decoded = [reader.read([index])[0] for index in range(reader.num_records())]
        except Exception:  # the module's errors have no base class
            noticed += 1
            continue
        assert decoded == records
    assert noticed > 10


def test_array_record_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("array_record", reason="writing ArrayRecord files needs it")
    prepare(tmp_path, "mnist", None, 10, "array_record")
    with monkeypatch.context() as patch:
        find_spec = importlib.util.find_spec
        patch.setattr(importlib.util, "find_spec", lambda name: None if name == "array_record" else find_spec(name))
        assert not {row.name: row.present for row in available(tmp_path)}["mnist"]
        with pytest.raises(InputError, match="needs array-record, which is not installed: install it"):
            load("mnist", data_dir=tmp_path)
    assert {row.name: row.present for row in available(tmp_path)}["mnist"]
    arrays = load("mnist", data_dir=tmp_path)
    np.testing.assert_array_equal(arrays.images, pixels(94, 0))
    np.testing.assert_array_equal(arrays.labels, np.arange(94) % 10)
    np.testing.assert_array_equal(arrays.test_images, pixels(20, 1))
    record = next(tmp_path.glob(f"{VERSION}/*train*"))
    record.write_bytes(record.read_bytes()[: record.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot read dataset 'mnist'") as caught:
        load("mnist", data_dir=tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_listed_as_available_can_be_loaded_from_the_cache(prepared: Path, nowhere: Path, cache: Path) -> None:
    load("mnist", data_dir=prepared)
    row = {row.name: row for row in available()}["mnist"]
    assert row.present
    assert row.detail.endswith("(cache)")
    load("mnist")
    # If a folder is named, the cache does not count. Of two versions in the cache, neither is chosen.
    assert not {row.name: row.present for row in available(nowhere)}["mnist"]
    (entry,) = (cache / "datasets").glob("mnist-*")
    other = shutil.copytree(entry, entry.with_name(f"{entry.name[:-12]}{'0' * 12}"))
    load("mnist")  # two entries of the same content
    meta = json.loads((other / "meta.json").read_text())
    (other / "meta.json").write_text(json.dumps({**meta, "fingerprint": "0" * 64}))
    assert "the cache holds 2 versions of it" in {row.name: row.detail for row in available()}["mnist"]
    with pytest.raises(InputError, match="the cache holds 2 versions"):
        load("mnist")


@pytest.mark.parametrize(
    ("module", "why"),
    [("no_such_module", "there is no module"), ("fails_on_import", "ModuleNotFoundError: No module named 'missing'")],
)
def test_loaders_that_cannot_be_imported_are_not_available(
    module: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fails_on_import.py").write_text("import missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    register_dataset("mine", f"{module}:load")
    try:
        row = {row.name: row for row in available()}["mine"]
        assert (row.present, why in row.detail) == (False, True)
    finally:
        datasets.REGISTRY.added.pop("mine")


def test_without_a_home_directory_nothing_is_cached_and_all_works(monkeypatch: pytest.MonkeyPatch) -> None:
    pwd = pytest.importorskip("pwd", reason="home directories are looked up there")

    def nobody(number: int) -> Any:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for variable in ("HOME", "KERAS_HOME", "KZOO_CACHE", "KZOO_DATA_DIR", "TFDS_DATA_DIR"):
        monkeypatch.delenv(variable, raising=False)
    assert _configured_backend() is None
    rows = {row.name: row for row in available()}
    assert rows["digits"].present
    assert rows["mnist"].detail.startswith("dataset 'mnist' is not in '~/tensorflow_datasets'")
    with pytest.warns(UserWarning, match="nothing is kept in the cache: no home directory: set KZOO_CACHE"):
        assert load("digits", image_size=5).images.shape == (1797, 5, 5, 1)
    assert not list(Path.cwd().iterdir())


def test_the_newest_version_is_taken(tmp_path: Path) -> None:
    for version in ("2.0.0", "10.0.0", "9.9.9", "incomplete_11.0.0"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
        (tmp_path / "mnist" / version / "dataset_info.json").write_text("{}")
    (tmp_path / "mnist" / "12.0.0").mkdir()
    assert find("mnist", tmp_path) == tmp_path / "mnist" / "10.0.0"
    assert find("cifar10", tmp_path) is None


def test_resized_images_are_cached(prepared: Path, cache: Path) -> None:
    first = load("mnist", data_dir=prepared, image_size=8)
    assert first.images.shape == (94, 8, 8, 1)
    assert first.test_images is not None
    assert first.test_images.shape == (20, 8, 8, 1)
    assert len(list((cache / "datasets").glob("resized-*-8"))) == 1
    again = load("mnist", data_dir=prepared, image_size=8)
    assert isinstance(again.images, np.memmap)
    assert again.fingerprint == first.fingerprint != load("mnist", data_dir=prepared).fingerprint


@pytest.fixture(scope="session")
def kept_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.data
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "emnist"])
def test_real_data_match_their_declarations(
    name: str, data_dir: str, kept_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KZOO_CACHE", str(kept_cache))
    dataset, arrays = get_dataset(name), load(name, data_dir=data_dir)
    assert arrays.images.shape[1:] == dataset.image_shape
    assert len(arrays.class_names) == dataset.classes
    assert arrays.test_labels is not None
    per_class = np.bincount(arrays.test_labels)
    assert per_class.min() == per_class.max() > 0
    assert dataset.mean is not None
    assert dataset.std is not None
    mean, std = channel_statistics(arrays.images)
    np.testing.assert_allclose(mean, dataset.mean, atol=1.01e-4)
    np.testing.assert_allclose(std, dataset.std, atol=1.01e-4)


@pytest.mark.data
def test_real_splits_have_the_reports_proportions(
    data_dir: str, kept_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KZOO_CACHE", str(kept_cache))
    cifar = split(load("cifar100", data_dir=data_dir), Split(), get_dataset("cifar100"))
    assert tuple(map(len, cifar)) == (47_500, 2_500, 10_000)
    emnist = load("emnist", data_dir=data_dir)
    total = len(emnist.labels) + 18_800
    sizes = tuple(map(len, split(emnist, Split(validation=0.12, test=0.12), get_dataset("emnist"))))
    assert sum(sizes) == total
    np.testing.assert_allclose(np.array(sizes) / total, (0.76, 0.12, 0.12), atol=1e-5)


@pytest.mark.data
def test_real_emnist_digits_stand_upright(data_dir: str, kept_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KZOO_CACHE", str(kept_cache))
    arrays = load("emnist", data_dir=data_dir, classes=("1", "7", "L", "T"))
    ink = [arrays.images[arrays.labels == label, ..., 0].mean(axis=0, dtype=float) for label in range(4)]
    one, seven, ell, tee = ink
    assert one.sum(axis=0).max() > 2 * one.sum(axis=1).max()  # a vertical stroke
    for top_heavy in (seven, tee):
        assert top_heavy[:14].sum() > 1.2 * top_heavy[14:].sum()
    assert ell[14:].sum() > 1.2 * ell[:14].sum()
    assert ell[:, :14].sum() > ell[:, 14:].sum()  # and not mirrored
