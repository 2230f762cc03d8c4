"""Loaders of datasets that need no TensorFlow: scikit-learn's digits, .npz files, folders of images."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.data.arrays import Arrays, checked
from kzoo.data.cache import cached
from kzoo.data.images import SUFFIXES, read_image, resize
from kzoo.errors import InputError


def digits(data_dir: str | None = None) -> dict[str, Any]:
    """Scikit-learn's 1,797 handwritten digits, 8x8x1, their 0..16 scaled to 0..255 (UCI, Alpaydin and Kaynak 1998)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("dataset 'digits' comes with scikit-learn, which is not installed: install it") from None
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    return {"images": images, "labels": bunch.target, "class_names": tuple(map(str, range(10)))}


def npz(path: str) -> Arrays:
    """Arrays from an .npz file.

    Args:
        path: a file with ``x_train``, ``y_train`` and optionally ``x_test``, ``y_test``, or with ``images`` and
            ``labels``; optionally ``class_names``. Images uint8 (N, H, W, C) or (N, H, W).

    Raises:
        InputError: missing, truncated, not an .npz file, or without these arrays.
    """
    source = f"npz file {path!r}"
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"{source} does not exist")
    try:
        with np.load(file, allow_pickle=False) as stored:
            content = {key: stored[key] for key in stored.files}
    # TypeError: a lone .npy file gives an array, which is no context manager.
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{source} is damaged or not an .npz archive: {error}") from None
    names = {"x_train": "images", "y_train": "labels", "x_test": "test_images", "y_test": "test_labels"}
    if "x_train" in content or "y_train" in content:
        content = {names.get(key, key): value for key, value in content.items()}
    if "images" not in content or "labels" not in content:
        held = ", ".join(sorted(content)) or "nothing"
        raise InputError(f"{source} must hold x_train and y_train, or images and labels; it holds {held}")
    return checked(content, source)


def folder(path: str, image_size: int | None = None) -> Arrays:
    """Images sorted into one folder per class, decoded once and cached.

    Args:
        path: a folder with ``train/<class>/`` and optionally ``test/<class>/``, or with ``<class>/``. Class names
            are the folders' names, in alphabetical order.
        image_size: scale every image to this many pixels a side.

    Returns:
        Arrays with one channel if all images are grey, else three.

    Raises:
        InputError: no such folder, no images, a broken one (named), or images of several sizes and no `image_size`.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(f"image folder {path!r} does not exist")
    parts = {"": root}
    if (root / "train").is_dir():
        parts = {"": root / "train", "test_": root / "test"}
        others = sorted(entry.name for entry in _folders(root) if entry.name not in ("train", "test"))
        if others:
            raise InputError(
                f"image folder {path!r} has train/ and also {others[0]!r}: only train/ and test/ are read "
                "(validation images are drawn from train/)"
            )
        if not parts["test_"].is_dir():
            del parts["test_"]
    elif (root / "test").is_dir():
        raise InputError(f"image folder {path!r} has test/ but no train/")
    files = {part: _files_by_class(place) for part, place in parts.items()}
    names = sorted(files[""])
    for name in files.get("test_", {}):
        if name not in names:
            raise InputError(f"class folder {str(root / 'test' / name)!r} has no counterpart below train/")

    # Size and times stand for the content; tools that copy set the time of the content, but not that of the entry.
    listing = hashlib.sha256(f"{root.resolve()};{image_size};".encode())
    for file in (file for part in files.values() for group in part.values() for file in group):
        status = file.stat()
        listing.update(f"{file.relative_to(root)}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns};".encode())

    def decode() -> Arrays:
        content: dict[str, Any] = {"class_names": tuple(names)}
        order = [(part, name, file) for part, group in files.items() for name in group for file in group[name]]
        images = _alike([file for _, _, file in order], image_size)
        for part in files:
            chosen = [index for index, (owner, _, _) in enumerate(order) if owner == part]
            content[f"{part}images"] = images[chosen]
            content[f"{part}labels"] = np.array([names.index(order[index][1]) for index in chosen], np.int64)
        return checked(content, f"image folder {path!r}")

    return cached(f"folder-{listing.hexdigest()[:16]}", decode)


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files_by_class(root: Path) -> dict[str, list[Path]]:
    classes = {
        entry.name: sorted(
            file
            for file in entry.rglob("*")
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
        for entry in _folders(root)
    }
    if not classes:
        raise InputError(f"image folder {str(root)!r} has no class folders: put each class's images into one")
    for name, files in classes.items():
        if not files:
            raise InputError(
                f"class folder {str(root / name)!r} has no images (files that end in {', '.join(SUFFIXES)})"
            )
    return classes


def _alike(files: list[Path], image_size: int | None) -> np.ndarray:
    """The images of all files as uint8 (N, H, W, 1 or 3)."""
    images: list[np.ndarray] = []
    for file in files:
        image = read_image(file)
        images.append(resize(image, image_size) if image_size else image)
        if images[-1].shape[:2] != images[0].shape[:2]:
            (height, width), (other_height, other_width) = images[0].shape[:2], images[-1].shape[:2]
            raise InputError(
                f"images have different sizes: {str(files[0])!r} is {height}x{width}, {str(file)!r} is "
                f"{other_height}x{other_width}: set image_size to scale all of them to one"
            )
    if any(image.shape[2] == 3 for image in images):
        images = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in images]
    return np.stack(images)
