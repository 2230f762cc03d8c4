"""Digits, .npz files and folders of images, as `load` returns them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kzoo.data import Arrays, channel_statistics, get_dataset, load, read_image
from kzoo.errors import InputError


def test_digits_are_scikit_learns_scaled_to_bytes() -> None:
    arrays = load("digits")
    original = load_digits()
    assert arrays.images.shape == (1797, 8, 8, 1)
    for image, values in zip(arrays.images[:50], original.images, strict=False):
        np.testing.assert_array_equal(image[..., 0], [[round(value * 255 / 16) for value in row] for row in values])
    np.testing.assert_array_equal(arrays.labels, original.target)
    assert (arrays.images.min(), arrays.images.max()) == (0, 255)
    assert channel_statistics(arrays.images) == (get_dataset("digits").mean, get_dataset("digits").std)
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
    messages = {
        "missing": "does not exist",
        "text": r"not an \.npz archive: write one with numpy",
        "keys": "'pictures'",
        "pickled": "'images' holds Python objects",
    }
    with pytest.raises(InputError) as caught:
        load(f"npz:{path}")
    assert "set.npz" in str(caught.value)
    assert re.search(messages.get(damage, r"is damaged or not an \.npz archive: ."), str(caught.value))


def test_a_folder_is_no_npz_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"npz file '.*' is a folder"):
        load(f"npz:{tmp_path}")


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


def test_sizes_may_differ_if_the_images_are_resized(cats_and_dogs: Path) -> None:
    draw(cats_and_dogs / "dog" / "large.png", (20, 10, 3))
    with pytest.raises(InputError, match=r"is 8x8, .*large\.png' is 20x10: set image_size"):
        load(f"folder:{cats_and_dogs}")
    assert load(f"folder:{cats_and_dogs}", image_size=6).images.shape == (7, 6, 6, 3)


def test_images_that_lose_their_proportions_are_reported(
    cats_and_dogs: Path, tmp_path: Path, content: dict[str, Any]
) -> None:
    draw(cats_and_dogs / "dog" / "large.png", (20, 10, 3))
    with pytest.warns(UserWarning, match=r"1 image that is not square is scaled to 6x6, without .*large\.png"):
        load(f"folder:{cats_and_dogs}", image_size=6)
    name = save(tmp_path / "set.npz", images=content["x"][:, :4], labels=content["y"])
    with pytest.warns(UserWarning, match="12 images that are not square are scaled to 6x6"):
        load(name, image_size=6)


def test_duplicate_images_are_reported(tmp_path: Path, content: dict[str, Any]) -> None:
    root = make(tmp_path / "set", "train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    draw(root / "test" / "a" / "seen.png", (5, 5), 0)
    draw(root / "train" / "b" / "also.png", (5, 5), 0)
    twice = (
        r"2 images repeat an earlier one \(e\.g\. 'train/b/also\.png' is 'train/a/1\.png'\), 1 of them across parts, "
        "1 of them in another class"
    )
    with pytest.warns(UserWarning, match=twice):
        load(f"folder:{root}")
    x, y = content["x"], content["y"]
    same_class = r"3 images repeat an earlier one \(e\.g\. test image 0 is train image 0\), 3 of them across parts$"
    with pytest.warns(UserWarning, match=same_class):
        load(save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3]))


def test_classes_whose_names_differ_only_in_case_are_reported(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "Cat/1.png", "cat/2.png", "dog/3.png")
    with pytest.warns(UserWarning, match="'Cat' and 'cat' differ only in case or white space"):
        assert load(f"folder:{root}").class_names == ("Cat", "cat", "dog")


def test_decoded_folders_are_cached_until_a_file_changes(cats_and_dogs: Path) -> None:
    name = f"folder:{cats_and_dogs}"
    first = load(name)
    assert isinstance(load(name).images, np.memmap)
    file = cats_and_dogs / "dog" / "0.png"
    draw(file, (8, 8, 3), 77)
    os.utime(file, ns=(1, 1))
    assert load(name).fingerprint != first.fingerprint


@pytest.mark.parametrize("damage", ["absent", "empty", "no class", "no images", "broken", "validation", "only test"])
def test_a_wrong_folder_is_refused(cats_and_dogs: Path, damage: str) -> None:
    root, expected = cats_and_dogs, damage
    if damage == "absent":
        root, expected = root / "birds", "does not exist"
    elif damage == "empty":
        root, expected = root / ".hidden", "has no class folders"
    elif damage == "no class":
        root, expected = root / "dog", "has no class folders"
    elif damage == "no images":
        root, expected = root / "cat" / "more", "has no class folders"
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
    for name in ("train/a/1.png", "train/b/1.png", "test/c/1.png"):
        draw(tmp_path / "set" / name, (5, 5))
    with pytest.raises(InputError, match=r"test/c' has no counterpart"):
        load(f"folder:{tmp_path / 'set'}")


# --- parts under any of their names


def make(root: Path, *files: str) -> Path:
    """Write a different small image to each file."""
    for index, file in enumerate(files):
        draw(root / file, (5, 5), index)
    return root


def taken(root: Path, arrays: Arrays) -> dict[str, list[str]]:
    """The files whose images each part contains, identified by their pixels."""
    there = [file for file in root.rglob("*.png") if file.is_file() and not file.is_symlink()]
    files = {read_image(file).tobytes(): file.relative_to(root).as_posix() for file in there}
    parts = {"train": arrays.images, "validation": arrays.validation_images, "test": arrays.test_images}
    return {
        part: sorted(files[image.tobytes()] for image in images) for part, images in parts.items() if images is not None
    }


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("Training", None, "Testing"),
        ("Train", None, "Test"),
        ("TRAIN", "VAL", None),
        ("training", "validation", None),
        ("seg_train", None, "seg_test"),
        ("train", "val", "test"),
        ("train", "valid", "test"),
        ("train_images", "val_images", "test_images"),
        ("Training Set", "Validation Set", "Test Set"),
        ("trainset", "devset", "testset"),
        ("images-train", "images-dev", "images-eval"),
        ("train2017", "val2017", None),
        ("pets_TRAIN", "pets_Val", "pets_hold-out"),
        ("train", "eval", "test"),
        ("TrainImages", "ValidImages", "TestImages"),
        ("train", None, None),
        ("trainval", None, "test"),
    ],
)
@pytest.mark.filterwarnings("ignore:image folder .* is used as")
def test_parts_by_their_usual_names(tmp_path: Path, train: str, validation: str | None, test: str | None) -> None:
    parts = {"train": train, "validation": validation, "test": test}
    named = {part: name for part, name in parts.items() if name}
    root = make(
        tmp_path / "set", *(f"{name}/{kind}/{i}.png" for name in named.values() for kind in "ab" for i in (1, 2))
    )
    arrays = load(f"folder:{root}")
    assert arrays.class_names == ("a", "b")
    assert taken(root, arrays) == {
        part: [f"{name}/{kind}/{i}.png" for kind in "ab" for i in (1, 2)] for part, name in named.items()
    }


def test_files_beside_the_inner_folder_of_a_part_are_reported(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "train/train/a/1.png", "train/train/b/1.png", "train/loose.png")
    with pytest.warns(UserWarning, match=r"left out 1 images outside of class folders \(e\.g\. 'train/loose\.png'\)"):
        assert load(f"folder:{root}").class_names == ("a", "b")


@pytest.mark.parametrize("names", [("test_tube", "flask"), ("development", "sleep"), ("fold", "crease"), ("a1", "b2")])
def test_words_of_parts_within_names_of_classes_do_no_harm(tmp_path: Path, names: tuple[str, str]) -> None:
    if names[0] == "development":  # at the top it looks like a part: below train/ it is a class
        root = make(tmp_path / "set", *(f"train/{name}/1.png" for name in names))
        with pytest.raises(InputError, match=r"has development/ but no train/.*put all class folders into a folder"):
            load(f"folder:{root / 'train'}")
    else:
        root = make(tmp_path / "set", *(f"{name}/1.png" for name in names))
    assert load(f"folder:{root}").class_names == tuple(sorted(names))


def test_a_part_wrapped_in_itself_and_unlabelled_images(tmp_path: Path) -> None:
    root = make(
        tmp_path / "set",
        *(f"seg_{part}/seg_{part}/{kind}/1.png" for part in ("train", "test") for kind in "ab"),
        "seg_pred/seg_pred/7.png",
    )
    with pytest.warns(UserWarning, match=r"left out 1 folders of images without classes \(e\.g\. 'seg_pred'\)"):
        arrays = load(f"folder:{root}")
    assert arrays.class_names == ("a", "b")
    assert arrays.test_images is not None
    assert (len(arrays.images), len(arrays.test_images)) == (2, 2)


def test_a_folder_named_unlabelled_next_to_classes_is_a_reported_class(tmp_path: Path) -> None:
    root = make(tmp_path / "set", *(f"{kind}/1.png" for kind in ("cat", "dog", "unlabelled")))
    with pytest.warns(UserWarning, match="unlabelled/ is used as a class, because there is no train/"):
        assert load(f"folder:{root}").class_names == ("cat", "dog", "unlabelled")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([f"fold{i}/{kind}/1.png" for i in range(1, 6) for kind in "ab"], r"has folds \(fold1, fold2, fold3"),
        ([f"split_{i}/{kind}/1.png" for i in range(3) for kind in "ab"], "has folds"),
        ([f"fold_{i}/{kind}/1.png" for i in "AB" for kind in "ab"], r"has folds \(fold_A, fold_B\)"),
        ([f"part{i}/{kind}/1.png" for i in range(2) for kind in "ab"], "has part0, part1, each with the folders a, b"),
        ([f"data_batch_{i}/{kind}/1.png" for i in range(2) for kind in "ab"], "look like shares of one dataset"),
        (["train/fold1/a/1.png", "train/fold2/a/1.png"], "has folds"),
        (["train/a/1.png", "Training/a/1.png"], "both named as a train part"),
        (["train/a/1.png", "val/a/1.png", "dev/b/2.png"], "both named as a validation part"),
        (["train/a/1.png", "train/b/1.png", "extra/a/1.png"], "has train/ and also 'extra'"),
        (["Train/a/1.png", "Test/a/1.png", "boat/1.png"], "has (Train|Test)/ and also 'boat'"),
        (["test/a/1.png", "test/b/1.png"], "has test/ but no train/"),
        (["val/a/1.png", "test/b/1.png"], "but no train/"),
        (
            ["train_cat/1.png", "train_dog/1.png", "test_cat/1.png", "test_dog/1.png"],
            "look like parts of several kinds",
        ),
        (
            ["cat/train/1.png", "cat/test/2.png", "dog/train/1.png"],
            r"parts inside of classes \(cat/test\): the parts must be outside, test/cat$",
        ),
        (["images/train/1.png", "masks/train/1.png"], "parts inside of classes"),
        (
            ["photos/a/1.png", "photos/b/1.png"],
            r"has only one folder, 'photos', with a, b in it: did you mean 'folder:",
        ),
        (["photos/train/a/1.png", "photos/test/a/1.png"], "did you mean 'folder:"),
        (["data/raw/a/1.png", "data/raw/b/1.png"], r"only one folder, 'data/raw', with a, b in it: .*/set/data/raw'"),
        (["train/a/1.png", "train/b/1.png", "test/1.png"], "test' has no class folders"),
        (["train/a/1.png", "train/b/1.png", "val/A/1.png"], r"val/A' has no counterpart below train/, which has a, b"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_looks_like_parts_and_cannot_be_read_so_is_refused(
    tmp_path: Path, files: list[str], expected: str
) -> None:
    root = make(tmp_path / "set", *files)
    with pytest.raises(InputError, match=expected) as caught:
        load(f"folder:{root}")
    assert "\n" not in str(caught.value)


def test_classes_that_all_hold_the_same_folders_are_reported(tmp_path: Path) -> None:
    root = make(tmp_path / "set", *(f"{site}/{kind}/1.png" for site in ("north", "south") for kind in ("cat", "dog")))
    with pytest.warns(UserWarning, match=r"classes are north, south; each holds the folders cat, dog"):
        assert load(f"folder:{root}").class_names == ("north", "south")
    digits = make(tmp_path / "digits", *(f"{digit}/{hand}/1.png" for digit in range(2) for hand in ("hsf_0", "hsf_1")))
    with pytest.warns(UserWarning, match=r"classes are 0, 1; each holds the folders hsf_0, hsf_1"):
        assert load(f"folder:{digits}").class_names == ("0", "1")
    parts = make(tmp_path / "machine", "part1/1.png", "part2/1.png")  # with images directly inside: classes
    assert load(f"folder:{parts}").class_names == ("part1", "part2")


# --- files that are left out


TOOLS = [
    "RECYCLER/x.png",
    "#recycle/x.png",
    "@Recycle/x.png",
    ".ipynb_checkpoints/1-checkpoint.png",
    "__MACOSX/a/._1.png",
    "@eaDir/1.png/SYNOPHOTO.png",
    ".git/x.png",
]


@pytest.mark.filterwarnings("error")
def test_files_that_tools_leave_behind_are_neither_classes_nor_images(tmp_path: Path) -> None:
    root = make(tmp_path / "set", *(f"train/{kind}/{i}.png" for kind in "ab" for i in (1, 2)))
    for depth in ("", "train", "train/a", "train/a/deeper"):
        for junk in TOOLS:
            draw(root / depth / junk, (5, 5))
        for junk in (".DS_Store", "Thumbs.db", "desktop.ini", "._1.png", "Icon\r"):
            (root / depth / junk).write_bytes(b"\0\5\x16\7")
    arrays = load(f"folder:{root}")
    assert arrays.class_names == ("a", "b")
    assert arrays.images.shape == (4, 5, 5, 1)


@pytest.mark.parametrize("name", ["recycle", "Recycle", "recycler"])
def test_classes_of_waste_are_classes(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", *(f"{kind}/{i}.png" for kind in ("compost", name) for i in (1, 2)))
    assert sorted(load(f"folder:{root}").class_names) == sorted(["compost", name])


def test_whatever_else_is_left_out_is_reported_in_one_line(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a/1.png", "a/deep/2.png", "b/1.png", "loose.png", ".mine/1.png")
    (root / "a" / "notes.txt").write_text("not an image")
    (root / "b" / "boxes.xml").write_text("<a/>")
    (root / "b" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "b" / "round.png").symlink_to("round.png")
    (root / "a" / "back").symlink_to(root)
    (root / "empty").mkdir()
    make(root, "texts/x/1.png")
    (root / "texts" / "x" / "1.png").write_text("a text")
    (root / "texts" / "x" / "1.png").rename(root / "texts" / "x" / "1.txt")
    os.mkfifo(root / "a" / "pipe.png")
    for _ in range(2):  # decoded and from the cache
        with pytest.warns(UserWarning, match="left out") as caught:
            arrays = load(f"folder:{root}")
        assert taken(root, arrays) == {"train": ["a/1.png", "a/deep/2.png", "b/1.png"]}
        (message,) = (str(warning.message) for warning in caught)
        for part in (
            "1 images outside of class folders (e.g. 'loose.png')",
            "1 hidden files and folders (e.g. '.mine')",
            "4 files of other kinds (e.g. 'a/pipe.png')",
            "1 links to folders already read (e.g. 'a/back')",
            "2 links that lead nowhere (e.g. 'b/gone.png')",
            "2 folders without images (e.g. 'empty')",
        ):
            assert part in message
        assert "\n" not in message


def test_linked_folders_and_files_are_followed(tmp_path: Path) -> None:
    store = make(tmp_path / "store", "dogs/1.png", "one.png")
    root = make(tmp_path / "set", "cat/1.png", "cat/2.png")
    (root / "dog").symlink_to(store / "dogs")
    (root / "cat" / "3.png").symlink_to(store / "one.png")
    (root / "cat" / "up").symlink_to(tmp_path)
    with pytest.warns(UserWarning, match="links to folders already read"):
        arrays = load(f"folder:{root}")
    assert np.bincount(arrays.labels).tolist() == [3, 1]
    (root / "hund").symlink_to(store / "dogs")
    with pytest.raises(InputError, match=r"dog' and .*hund' are the same folder"):
        load(f"folder:{root}")


def test_one_folder_that_leads_back_is_not_suggested(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "cat/1.png")
    (root / "cat" / "back").symlink_to(root / "cat")
    with pytest.raises(InputError, match="there must be at least two classes, not 1"):
        load(f"folder:{root}")
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "up").symlink_to(tmp_path / "up")
    with pytest.raises(InputError, match=r"has no images: its folders \(up\) hold none"):
        load(f"folder:{tmp_path / 'up'}")


def test_images_are_recognised_by_content(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a/1.png", "a/2.png", "b/1.png")
    (root / "a" / "2.png").rename(root / "a" / "no-ending")
    (root / "b" / "1.png").rename(root / "b" / "named.txt")
    Image.new("L", (5, 5), 3).save(root / "b" / "photo.jfif", "JPEG")
    arrays = load(f"folder:{root}")
    assert np.bincount(arrays.labels).tolist() == [2, 2]


def test_all_broken_files_of_a_folder_are_named(tmp_path: Path) -> None:
    root = make(tmp_path / "set", *(f"{kind}/{i:02}.png" for kind in "ab" for i in range(8)))
    for i in range(6):
        (root / "a" / f"{i:02}.png").write_bytes(b"" if i else b"\x89PNG")
        (root / "b" / f"{i:02}.png").write_text("a text")
    (root / "b" / "07.png").rename(root / "b" / "cut")
    (root / "b" / "cut").write_bytes((root / "b" / "cut").read_bytes()[:60])
    with pytest.raises(InputError, match=r"13 images cannot be read: '.*a/00\.png' \(.* and 3 more") as caught:
        load(f"folder:{root}")
    assert str(caught.value).count(".png'") == 10


def test_names_that_are_not_utf_8_and_names_written_in_two_ways(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "train/x/1.png", "train/cafe\u0301/1.png", "test/caf\u00e9/1.png")
    try:
        os.rename(root / "train" / "x", os.fsencode(root / "train") + b"/na\xefve")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    arrays = load(f"folder:{root}")
    assert arrays.class_names == ("caf\u00e9", "na\\xefve")
    assert arrays.test_labels is not None
    assert arrays.test_labels.tolist() == [0]


def test_transparent_images_of_a_folder(tmp_path: Path) -> None:
    for kind in "ab":
        (tmp_path / "set" / kind).mkdir(parents=True)
        Image.new("RGBA", (5, 5), (0, 0, 0, 0)).save(tmp_path / "set" / kind / "1.png")
    name = f"folder:{tmp_path / 'set'}"
    assert (load(name).images == 255).all()
    assert (load(name, background=(0, 0, 9)).images == (0, 0, 9)).all()
    assert (load(name, background=None).images == 0).all()


def test_other_pixels_under_the_same_names_sizes_and_times_are_other_data(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a/1.bmp", "b/1.bmp")
    first = load(f"folder:{root}")
    file = root / "a" / "1.bmp"
    before = file.stat()
    draw(file, (5, 5), 99)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size
    assert load(f"folder:{root}").fingerprint != first.fingerprint


def test_missing_home_directories_and_inaccessible_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("folder", "npz"):
        with pytest.raises(InputError, match="there is no such home directory"):
            load(f"{kind}:~nobody-of-that-name/x")
    root = make(tmp_path / "set", "a/1.png", "b/1.png")
    scandir = os.scandir

    def refused(path: Any) -> Any:
        if str(path).endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refused)
        with pytest.raises(InputError, match=r"folder '.*/b' cannot be read: Permission denied"):
            load(f"folder:{root}")

    # A folder that can be listed, but not entered (chmod 744).
    status = os.stat

    def hidden(path: Any, **options: Any) -> Any:
        if str(path).endswith("/b/1.png"):
            raise PermissionError(13, "Permission denied")
        return status(path, **options)

    monkeypatch.setattr(os, "stat", hidden)
    with pytest.raises(InputError, match=r"'.*/b/1.png' cannot be read: Permission denied"):
        load(f"folder:{root}")


# --- names and labels of .npz files


def test_class_names_that_are_numbers_are_names(tmp_path: Path) -> None:
    root = make(tmp_path / "set", *(f"{number}/1.png" for number in range(12)))
    for classes in ([10, 11], ["10", "11"]):
        arrays = load(f"folder:{root}", classes=classes)
        assert arrays.class_names == ("10", "11")
        assert taken(root, arrays) == {"train": ["10/1.png", "11/1.png"]}
    with pytest.raises(InputError, match=r"unknown class 12.*named by numbers"):
        load(f"folder:{root}", classes=[10, 12])
    zeros = make(tmp_path / "zeros", *(f"{number}/1.png" for number in ("01", "1", "001")))
    assert load(f"folder:{zeros}", classes=[1, "001"]).class_names == ("1", "001")
    signs = make(tmp_path / "signs", *(f"{number}/1.png" for number in (-1, 0, 1)))
    assert load(f"folder:{signs}", classes=[-1, 1]).class_names == ("-1", "1")
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4)
    name = save(tmp_path / "a.npz", images=images, labels=[0, 1, 2], class_names=[7, 1, 2])
    kept = load(name, classes=[7, 2])
    assert kept.class_names == ("7", "2")
    np.testing.assert_array_equal(kept.images[..., 0], images[[0, 2]])


MEDMNIST = ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels")
KERAS = ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test")


@pytest.mark.parametrize(
    "keys",
    [
        MEDMNIST,
        KERAS,
        ("X_train", "y_train", "X_valid", "y_valid", "X_test", "y_test"),
        ("images", "labels", "validation_images", "validation_labels", "test_images", "test_labels"),
        ("trainX", "trainY", "devX", "devY", "testX", "testY"),
        ("train_data", "train_targets", "valid_data", "valid_targets", "eval_data", "eval_targets"),
    ],
)
def test_arrays_by_their_usual_names(tmp_path: Path, content: dict[str, Any], keys: tuple[str, ...]) -> None:
    x, y = content["x"], content["y"]
    column = y[:, None].astype(np.uint8)
    name = save(
        tmp_path / "set.npz", **dict(zip(keys, (x, column, x[:6], column[:6], x[3:6], column[3:6]), strict=True))
    )
    arrays = load(name)
    np.testing.assert_array_equal(arrays.images[..., 0], x)
    np.testing.assert_array_equal(arrays.labels, y)
    np.testing.assert_array_equal(arrays.validation_images[..., 0], x[:6])  # type: ignore[index]
    np.testing.assert_array_equal(arrays.validation_labels, y[:6])
    np.testing.assert_array_equal(arrays.test_images[..., 0], x[3:6])  # type: ignore[index]
    np.testing.assert_array_equal(arrays.test_labels, y[3:6])
    small = load(name, image_size=3, classes=[1, 2])
    assert small.validation_images is not None
    assert small.validation_images.shape == (4, 3, 3, 1)


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x_vall": 0}, "holds 'x_vall', which is not understood: allowed are images and labels"),
        ({"extra": 0, "more": 1}, "holds 'extra', 'more', which is not understood"),
        ({"images": np.zeros((12, 6, 6), np.uint8)}, "holds 'x_train' and 'images', which mean the same"),
        ({"x_val": np.zeros((3, 6, 6), np.uint8)}, "gives validation images or validation labels without the other"),
        ({"x_val": np.zeros((3, 6, 6), np.uint8), "y_val": [0, 1]}, "3 validation images but 2 validation labels"),
        ({"x_val": np.zeros((2, 5, 6), np.uint8), "y_val": [0, 1]}, r"validation images have shape \(5, 6, 1\)"),
        ({"x_val": np.zeros((2, 6, 6), np.uint8), "y_val": [0, 3]}, "validation label 3 is out of range"),
        ({"class_names": np.array([["a", "b", "c"]])}, r"class_names must have shape \(classes,\), not \(1, 3\)"),
    ],
)
def test_arrays_that_are_not_understood_are_named(
    tmp_path: Path, content: dict[str, Any], arrays: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        load(save(tmp_path / "set.npz", x_train=content["x"], y_train=content["y"], **arrays))


def test_a_guessed_part_is_reported_and_objects_are_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    x, y = content["x"], content["y"]
    for also, part in (({}, "test"), ({"x_test": x[:3], "y_test": y[:3]}, "validation")):
        name = save(tmp_path / "set.npz", x_train=x, y_train=y, x_eval=x[:6], y_eval=y[:6], **also)
        with pytest.warns(UserWarning, match=f"'x_eval', 'y_eval' used as the {part} part"):
            images = getattr(load(name), f"{part}_images")
        assert len(images) == 6
    name = save(tmp_path / "set.npz", x_train=x, y_train=y, class_names=np.array(["a", "b", "c"], object))
    with pytest.raises(InputError, match="'class_names' holds Python objects") as caught:
        load(name)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    "labels",
    [
        [0.0, 1.0, 2.0, 0.0],
        [[0], [1], [2], [0]],
        np.eye(3)[[0, 1, 2, 0]],
        np.eye(3, dtype=bool)[[0, 1, 2, 0]],
    ],
    ids=["whole floats", "column", "one-hot", "one-hot of bools"],
)
def test_labels_in_other_forms(tmp_path: Path, content: dict[str, Any], labels: Any) -> None:
    name = save(tmp_path / "set.npz", images=content["x"][:4], labels=labels)
    assert load(name).labels.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0.0, 1.5, 2.0, 0.0], r"labels must be whole numbers, but one is 1\.5"),
        ([0.0, np.nan, 2.0, 0.0], "labels must be whole numbers, but one is nan"),
        (np.array([[1, 1, 0]] * 4), "must be one-hot.*several labels per image"),
        (["cat", "dog", "cat", "dog"], r"must be whole numbers, not <U3 \(number the classes from 0"),
        ([0, -1, 2, 0], "must be 0 or more"),
    ],
)
def test_labels_that_cannot_be_read(tmp_path: Path, content: dict[str, Any], labels: Any, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        load(save(tmp_path / "set.npz", images=content["x"][:4], labels=labels))


def test_images_with_channels_first_are_refused(tmp_path: Path) -> None:
    images = np.zeros((4, 3, 8, 8), np.uint8)
    with pytest.raises(InputError, match=r"look like \(N, C, H, W\): give \(N, H, W, C\)"):
        load(save(tmp_path / "set.npz", images=images, labels=[0, 1, 0, 1]))


def test_class_names_in_any_form(tmp_path: Path, content: dict[str, Any]) -> None:
    for names in (["a", "b", "c"], np.array([b"a", b"b", b"c"]), np.array([["a"], ["b"], ["c"]])):
        arrays = load(save(tmp_path / "set.npz", images=content["x"], labels=content["y"], class_names=names))
        assert arrays.class_names == ("a", "b", "c")
    numbers = load(save(tmp_path / "set.npz", images=content["x"], labels=content["y"], label_names=[3.0, 5.0, 8.0]))
    assert numbers.class_names == ("3", "5", "8")


# --- names that are not datasets


def test_a_folder_or_file_of_that_name_is_suggested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "photos", "a/1.png")
    (tmp_path / "set.npz").write_bytes(b"")
    for name, meant in (("photos", "folder:photos"), ("./photos", "folder:./photos"), ("set.npz", "npz:set.npz")):
        with pytest.raises(InputError, match=rf"unknown dataset '{name}': did you mean '{meant}'"):
            load(name)


def test_an_array_is_not_a_name() -> None:
    with pytest.raises(InputError, match=r"must be a name, not ndarray of shape \(50, 8, 8\)") as caught:
        load(np.zeros((50, 8, 8)))  # type: ignore[arg-type]
    assert len(str(caught.value)) < 250
