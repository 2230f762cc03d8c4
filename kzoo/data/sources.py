"""Loaders that need no TensorFlow: scikit-learn's digits and folders of images (for .npz files: `kzoo.data.npz`)."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.data.arrays import Arrays, checked
from kzoo.data.background import WHITE, Colour
from kzoo.data.cache import cached
from kzoo.data.images import Remarks, UnreadableImage, all_broken, decode, resize
from kzoo.data.layout import Layout, layout
from kzoo.data.left_out import EMPTY, OTHER_FILES
from kzoo.data.part_names import TRAIN
from kzoo.data.repeated import repeated
from kzoo.errors import InputError
from kzoo.files import user_path

DECODING = 4
"""Increased when decoding changes, so that cached files are decoded again."""


def digits(data_dir: str | None = None) -> dict[str, Any]:
    """Scikit-learn's 1,797 handwritten digits, 8x8x1, with 0..16 scaled to 0..255 (UCI, Alpaydin and Kaynak 1998)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError("dataset 'digits' comes with scikit-learn, which is not installed: install it") from None
    images, labels = _digits(load_digits)
    return {"images": images.copy(), "labels": labels.copy(), "class_names": tuple(map(str, range(10)))}


@functools.cache
def _digits(read: Callable[[], Any]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, read once per process: reading their text file takes longer than copying arrays."""
    bunch = read()
    return np.rint(bunch.images * (255 / 16)).astype(np.uint8), bunch.target


def existing(path: str) -> Path:
    """The folder of images that a user names.

    Raises:
        InputError: the folder does not exist or is a file.
    """
    root = user_path(path)
    if not os.path.isdir(root):
        raise InputError(f"image folder {path!r} does not exist" if not os.path.exists(root) else f"{path!r} is a file")
    return root


def folder(path: str, image_size: int | None = None, background: Colour | None = WHITE) -> Arrays:
    """Images sorted into one folder per class, decoded once and cached.

    Args:
        path: a folder with ``<class>/``, or with ``train/<class>/`` and optionally ``validation/<class>/`` and
            ``test/<class>/``; parts can have any of their usual names (`kzoo.data.part_names`). Class names are the
            folders' names, in alphabetical order.
        image_size: scale every image to this many pixels a side.
        background: RGB, 0-255, that transparent images are laid over; None drops the transparency.

    Returns:
        Arrays with one channel if all images are grey, else three. Its notes say what was left out or guessed.

    Raises:
        InputError: the folder is missing, has no images, broken ones (which are named), several sizes without
            `image_size`, unclear parts, or folds.
    """
    root = existing(path)
    tree = layout(path, root)
    return cached(
        f"folder-{_listing(root, tree, image_size, background)}",
        lambda: _decoded(f"image folder {path!r}", root, tree, image_size, background),
    )


def _listing(root: Path, tree: Layout, *options: Any) -> str:
    """A key that changes with any file: size and times represent the content, as in make and rsync."""
    listing = hashlib.sha256(f"{DECODING};{options};".encode())
    for line in (str(root.resolve()), *tree.left_out.line(), *tree.remarks):
        listing.update(os.fsencode(line) + b";")
    for part, classes in tree.parts.items():
        for name, files in classes.items():
            listing.update(f"{part}:{name};".encode())
            for file in files:
                try:
                    status = file.stat()
                except OSError:  # deleted since, or unreadable: reading it raises the error
                    continue
                times = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"
                listing.update(os.fsencode(file.relative_to(root)) + f":{times};".encode())
    return listing.hexdigest()[:16]


def _decoded(source: str, root: Path, tree: Layout, image_size: int | None, background: Colour | None) -> Arrays:
    # Read every file once and record other files and broken images.
    images: list[np.ndarray] = []
    shown: list[Path] = []
    labels: dict[str, list[tuple[str, int]]] = {}
    broken, uneven, remarks = [], list[Path](), Remarks()
    for part, classes in tree.parts.items():
        labels[part] = []
        for name, files in classes.items():
            for file in files:
                try:
                    decoded = decode(file, background=background)
                except UnreadableImage as error:
                    if error.foreign:
                        tree.left_out.add(OTHER_FILES, file)
                    else:
                        broken.append(error)
                    continue
                remarks.add(file, decoded)
                labels[part].append((name, len(images)))
                height, width, _ = decoded.pixels.shape
                if image_size and height != width:
                    uneven.append(file)
                images.append(resize(decoded.pixels, image_size) if image_size else decoded.pixels)
                shown.append(file)
    if broken:
        raise all_broken(broken)

    # A folder without images is not a class.
    names = sorted({name for name, _ in labels[TRAIN]})
    for part, classes in tree.parts.items():
        with_images = {name for name, _ in labels[part]}
        for name, files in classes.items():
            if name not in with_images:
                tree.left_out.add(EMPTY, files[0].parent)
    if not names:
        raise InputError(f"{source} has no images: {'; '.join(tree.left_out.line())}")
    number = {name: index for index, name in enumerate(names)}
    pixels = _alike(images, shown)
    content: dict[str, Any] = {"class_names": tuple(names)}
    for part, chosen in labels.items():
        prefix = "" if part == TRAIN else f"{part}_"
        for name in {name for name, _ in chosen} - set(names):
            raise InputError(f"{source} has {part} images of class {name!r} but no training ones")
        content[f"{prefix}images"] = pixels[[index for _, index in chosen]]
        content[f"{prefix}labels"] = np.array([number[name] for name, _ in chosen], np.int64)
    arrays = checked(content, source)

    # What was left out, guessed, changed or is doubtful.
    lines = remarks.lines()
    if uneven:
        lines.append(f"{scaled_uneven(len(uneven), image_size)} (e.g. {str(uneven[0])!r})")
    notes = (*tree.left_out.line(), *tree.remarks, *(f"{source}: {line}" for line in lines), *arrays.notes)
    names_of = {part: [str(shown[index].relative_to(root)) for _, index in chosen] for part, chosen in labels.items()}
    notes += repeated(arrays.parts(), lambda part, index: repr(names_of[part][index]), source)
    return dataclasses.replace(arrays, notes=notes)


def scaled_uneven(count: int, size: int | None) -> str:
    """In words: how many images lose their proportions."""
    what = "images that are not square are" if count > 1 else "image that is not square is"
    return f"{count:,} {what} scaled to {size}x{size}, without keeping the proportions"


def _alike(images: list[np.ndarray], files: list[Path]) -> np.ndarray:
    """All images as uint8 (N, H, W, 1 or 3); `files` are their paths."""
    for image, file in zip(images, files, strict=True):
        if image.shape[:2] != images[0].shape[:2]:
            (height, width), (other_height, other_width) = images[0].shape[:2], image.shape[:2]
            raise InputError(
                f"images have different sizes: {str(files[0])!r} is {height}x{width}, {str(file)!r} is "
                f"{other_height}x{other_width}: set image_size to scale all of them to one"
            )
    if any(image.shape[2] == 3 for image in images):
        images = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in images]
    return np.stack(images)
