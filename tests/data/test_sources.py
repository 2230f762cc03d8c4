"""Digits, .npz files and folders of images, as `load` gives them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kzoo.data import channel_statistics, dataset, load
from kzoo.errors import InputError


def test_digits_are_scikit_learns_scaled_to_bytes() -> None:
    arrays = load("digits")
    original = load_digits()
    assert arrays.images.shape == (1797, 8, 8, 1)
    for image, given in zip(arrays.images[:50], original.images, strict=False):
        np.testing.assert_array_equal(image[..., 0], [[round(value * 255 / 16) for value in row] for row in given])
    np.testing.assert_array_equal(arrays.labels, original.target)
    assert (arrays.images.min(), arrays.images.max()) == (0, 255)
    assert channel_statistics(arrays.images) == (dataset("digits").mean, dataset("digits").std)
    assert arrays.test_images is None


# --- .npz


@pytest.fixture
def content() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {"x": rng.integers(0, 256, (12, 6, 6), np.uint8), "y": np.arange(12) % 3}


def save(path: Path, **arrays: Any) -> str:
    np.savez_compressed(path, **arrays)
    return f"npz:{path}"


def test_npz_with_train_and_test(tmp_path: Path, content: dict[str, Any]) -> None:
    x, y = content["x"], content["y"]
    arrays = load(
        save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3], class_names=["r", "g", "b"])
    )
    np.testing.assert_array_equal(arrays.images[..., 0], x)
    np.testing.assert_array_equal(arrays.test_labels, y[:3])
    assert arrays.class_names == ("r", "g", "b")
    assert arrays.mean is None
    again = load(save(tmp_path / "b.npz", images=x, labels=y))
    assert again.test_images is None
    assert again.class_names == ("0", "1", "2")
    assert load(f"npz:{tmp_path}/b.npz", classes=(2, 0), image_size=9).images.shape == (8, 9, 9, 1)


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text", "npy", "missing", "keys", "pickled"])
def test_a_damaged_npz_is_refused(tmp_path: Path, content: dict[str, Any], damage: str) -> None:
    path = tmp_path / "set.npz"
    save(path, images=content["x"], labels=content["y"])
    whole = path.read_bytes()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped":
        path.write_bytes(whole[:100] + bytes(byte ^ 255 for byte in whole[100:160]) + whole[160:])
    elif damage == "text":
        path.write_text("images,labels\n")
    elif damage == "npy":
        with path.open("wb") as file:
            np.save(file, content["x"])
    elif damage == "missing":
        path.unlink()
    elif damage == "keys":
        save(path, pictures=content["x"], labels=content["y"])
    else:
        save(path, images=np.array([{}], object), labels=content["y"])
    with pytest.raises(InputError, match=r"set\.npz"):
        load(f"npz:{path}")


def test_npz_images_in_the_unit_range_are_refused_with_advice(tmp_path: Path, content: dict[str, Any]) -> None:
    name = save(tmp_path / "set.npz", images=content["x"] / 255, labels=content["y"])
    with pytest.raises(InputError, match=r"must be uint8 in 0-255, not float64.*multiply by 255"):
        load(name)


# --- folders


def draw(path: Path, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def cats_and_dogs(tmp_path: Path) -> Path:
    root = tmp_path / "pets"
    for index in range(3):
        draw(root / "dog" / f"{index}.png", (8, 8, 3), index)
        draw(root / "cat" / "more" / f"{index}.PNG", (8, 8, 3), 10 + index)
    (root / "cat" / "notes.txt").write_text("not an image")
    (root / ".hidden").mkdir()
    return root


def test_a_folder_of_classes(cats_and_dogs: Path) -> None:
    arrays = load(f"folder:{cats_and_dogs}")
    assert arrays.class_names == ("cat", "dog")
    np.testing.assert_array_equal(arrays.labels, [0, 0, 0, 1, 1, 1])
    assert arrays.images.shape == (6, 8, 8, 3)
    expected = np.random.default_rng(11).integers(0, 256, (8, 8, 3), np.uint8)
    np.testing.assert_array_equal(arrays.images[1], expected)
    assert arrays.test_images is None


def test_a_folder_with_train_and_test(tmp_path: Path) -> None:
    for index in range(4):
        draw(tmp_path / "set" / "train" / "ab"[index % 2] / f"{index}.png", (5, 5), index)
    shown = draw(tmp_path / "set" / "test" / "b" / "x.png", (5, 5), 9)
    arrays = load(f"folder:{tmp_path / 'set'}")
    assert arrays.images.shape == (4, 5, 5, 1)
    np.testing.assert_array_equal(arrays.labels, [0, 0, 1, 1])
    np.testing.assert_array_equal(arrays.test_images, shown[None, ..., None])
    np.testing.assert_array_equal(arrays.test_labels, [1])


def test_one_coloured_image_makes_all_of_them_rgb(cats_and_dogs: Path) -> None:
    grey = draw(cats_and_dogs / "cat" / "a.png", (8, 8), 5)
    images = load(f"folder:{cats_and_dogs}").images
    assert images.shape == (7, 8, 8, 3)
    np.testing.assert_array_equal(images[0], grey[..., None].repeat(3, axis=2))


def test_sizes_may_differ_when_they_are_made_one(cats_and_dogs: Path) -> None:
    draw(cats_and_dogs / "dog" / "large.png", (20, 10, 3))
    with pytest.raises(InputError, match=r"is 8x8, .*large\.png' is 20x10: set image_size"):
        load(f"folder:{cats_and_dogs}")
    assert load(f"folder:{cats_and_dogs}", image_size=6).images.shape == (7, 6, 6, 3)


def test_decoded_folders_are_cached_until_a_file_changes(cats_and_dogs: Path) -> None:
    name = f"folder:{cats_and_dogs}"
    first = load(name)
    assert isinstance(load(name).images, np.memmap)
    file = cats_and_dogs / "dog" / "0.png"
    draw(file, (8, 8, 3), 77)
    os.utime(file, ns=(1, 1))
    assert load(name).fingerprint != first.fingerprint


@pytest.mark.parametrize("damage", ["absent", "empty", "no class", "empty class", "broken", "validation", "only test"])
def test_a_wrong_folder_is_refused(cats_and_dogs: Path, damage: str) -> None:
    root, expected = cats_and_dogs, damage
    if damage == "absent":
        root, expected = root / "birds", "does not exist"
    elif damage == "empty":
        root, expected = root / ".hidden", "has no class folders"
    elif damage == "no class":
        root, expected = root / "dog", "has no class folders"
    elif damage == "empty class":
        (root / "bird").mkdir()
        expected = "bird' has no images"
    elif damage == "broken":
        file = root / "dog" / "1.png"
        file.write_bytes(file.read_bytes()[:100])
        expected = r"cannot read image .*dog/1\.png"
    elif damage == "validation":
        (root / "train").mkdir()
        (root / "val").mkdir()
        expected = "has train/ and also 'cat'"
    else:
        (root / "test").mkdir()
        expected = "has test/ but no train/"
    with pytest.raises(InputError, match=expected):
        load(f"folder:{root}")


def test_test_classes_must_be_known_from_training(tmp_path: Path) -> None:
    for place in ("train/a/1.png", "train/b/1.png", "test/c/1.png"):
        draw(tmp_path / "set" / place, (5, 5))
    with pytest.raises(InputError, match=r"test/c' has no counterpart"):
        load(f"folder:{tmp_path / 'set'}")
