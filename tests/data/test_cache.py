"""The cache: written once, mapped into memory, whole or absent."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
import uuid
from pathlib import Path

import numpy as np
import pytest

from kzoo.cache_folder import folder_for
from kzoo.data.arrays import Arrays, checked
from kzoo.data.cache import cached, entries, read


def built(value: int = 3) -> Arrays:
    images = np.full((20, 4, 4, 1), value, np.uint8)
    content = {"images": images, "labels": np.arange(20) % 2, "class_names": ("no", "yes")}
    return checked({**content, "test_images": images[:4], "test_labels": np.zeros(4, int)}, "built")


def never() -> Arrays:
    raise AssertionError("built although it is cached")


def test_the_second_reading_builds_nothing(cache: Path) -> None:
    first, second = cached("key", built), cached("key", never)
    for arrays in (first, second):
        assert isinstance(arrays.images, np.memmap)
        assert not arrays.images.flags.writeable
        np.testing.assert_array_equal(arrays.images, built().images)
        np.testing.assert_array_equal(arrays.labels, built().labels)
        np.testing.assert_array_equal(arrays.test_images, built().test_images)
        assert arrays.class_names == ("no", "yes")
        assert arrays.fingerprint == built().fingerprint
    assert [folder.name for folder in entries("k")] == ["key"]
    assert [folder.name for folder in (cache / "datasets").iterdir()] == ["key"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_other_users_may_read_an_entry(cache: Path) -> None:
    before = os.umask(0o022)
    try:
        cached("key", built)
    finally:
        os.umask(before)
    assert (cache / "datasets" / "key").stat().st_mode & 0o777 == 0o755


def test_sets_without_test_images_are_stored_too() -> None:
    content = {"images": built().images, "labels": built().labels}
    cached("key", lambda: checked(content, "built"))
    assert cached("key", never).test_images is None


@pytest.mark.parametrize("damage", ["truncate", "remove", "garble", "header", "version", "other shape"])
def test_a_damaged_entry_is_built_again(cache: Path, damage: str) -> None:
    cached("key", built)
    folder = cache / "datasets" / "key"
    images, meta = folder / "images.npy", folder / "meta.json"
    if damage == "truncate":
        os.truncate(images, images.stat().st_size // 2)
    elif damage == "remove":
        (folder / "labels.npy").unlink()
    elif damage == "garble":
        meta.write_text("{")
    elif damage == "header":
        images.write_bytes(images.read_bytes().replace(b"(2", b"((", 1))  # NumPy's tokenizer refuses this
    elif damage == "version":
        meta.write_text(meta.read_text().replace('"version": 1', '"version": 0'))
    else:
        np.save(images, np.zeros((3, 4, 4, 1), np.uint8))
    assert read(folder) is None
    assert list(entries("key")) == []
    assert cached("key", lambda: built(9)).images[0, 0, 0, 0] == 9
    assert cached("key", never).images[0, 0, 0, 0] == 9


def test_a_failed_build_leaves_nothing(cache: Path) -> None:
    with pytest.raises(AssertionError, match="built although"):
        cached("key", never)
    assert not list(cache.rglob("*.npy"))


def test_what_killed_processes_left_is_removed_after_a_day(cache: Path) -> None:
    datasets = cache / "datasets"
    left = {age: datasets / f".key-{uuid.uuid4().hex}" for age in ("old", "new")}
    for folder in left.values():
        folder.mkdir(parents=True)
        (folder / "images.npy").write_bytes(b"half")
    (datasets / ".mine").mkdir()
    for folder in (left["old"], datasets / ".mine"):
        os.utime(folder, (time.time() - 90000,) * 2)
    cached("key", built)
    assert sorted(path.name for path in datasets.iterdir()) == sorted([left["new"].name, ".mine", "key"])


def test_data_is_loaded_without_a_cache_that_cannot_be_written_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("")
    monkeypatch.setenv("KZOO_CACHE", str(occupied))
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"nothing is kept in the cache: cannot write to .*KZOO_CACHE"):
            assert cached("key", built).fingerprint == built().fingerprint
    assert list(entries("k")) == []
    with pytest.warns(UserWarning, match="nothing is kept in the cache"):
        scratch = folder_for("weights", "x")
    assert scratch.is_dir()
    assert occupied.read_text() == ""


def test_a_cache_below_the_home_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KZOO_CACHE", "~/x")
    cached("key", built)
    assert (tmp_path / "home" / "x" / "datasets" / "key" / "meta.json").is_file()
    assert not Path("~").exists()
    monkeypatch.setenv("KZOO_CACHE", "~nobody-of-that-name/x")
    with pytest.warns(UserWarning, match=r"KZOO_CACHE='~nobody-of-that-name/x': there is no such home directory"):
        cached("key", built)


def test_parts_and_notes_are_stored() -> None:
    content = {"images": built().images, "labels": built().labels}
    validation = {"validation_images": built().images[:4], "validation_labels": np.zeros(4, int)}
    original = dataclasses.replace(checked({**content, **validation}, "built"), notes=("left out: caf\u00e9",))
    cached("key", lambda: original)
    again = cached("key", never)
    assert again.notes == original.notes
    np.testing.assert_array_equal(again.validation_images, original.validation_images)
    np.testing.assert_array_equal(again.validation_labels, original.validation_labels)
    assert again.fingerprint == original.fingerprint != checked(content, "built").fingerprint


def _fill(barrier: multiprocessing.synchronize.Barrier, index: int) -> None:
    barrier.wait()
    for number in range(20):
        assert len(cached(f"key{number}", built).images) == 20, index


def test_processes_may_write_one_entry_at_a_time(cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    children = [context.Process(target=_fill, args=(barrier, index)) for index in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert len(list((cache / "datasets").iterdir())) == 20
