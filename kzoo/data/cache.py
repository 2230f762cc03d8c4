"""Arrays kept as .npy files below the cache folder, memory-mapped when read.

An entry is written to a temporary folder and renamed when complete, so it is whole or absent, also when two
processes write it at a time or one is killed.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.data.arrays import Arrays
from kzoo.errors import InputError

VERSION = 1
_PARTS = ("images", "labels", "test_images", "test_labels")


def cache_folder() -> Path:
    """``$KZOO_CACHE``, else ``~/.cache/kzoo``."""
    return Path(os.environ.get("KZOO_CACHE") or Path.home() / ".cache" / "kzoo")


def cached(key: str, build: Callable[[], Arrays]) -> Arrays:
    """The entry `key`, built and stored first where it is missing or damaged.

    Args:
        key: a name that is safe as a folder's, and that determines the content.
        build: gives the content; its `mean` and `std` are not stored.

    Raises:
        InputError: the cache folder cannot be written to.
    """
    folder = cache_folder() / "datasets" / key
    found = read(folder)
    if found is not None:
        return found
    arrays = build()
    try:
        _write(folder, arrays)
    except OSError as error:
        raise InputError(f"cannot write to the cache folder {str(folder)!r} (set KZOO_CACHE): {error}") from None
    return read(folder) or arrays


def read(folder: Path) -> Arrays | None:
    """The entry in `folder`, its images memory-mapped; None where it is missing or damaged."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        if meta["version"] != VERSION:
            return None
        parts: dict[str, Any] = dict.fromkeys(_PARTS)
        for part, shape in meta["shapes"].items():
            parts[part] = np.load(folder / f"{part}.npy", mmap_mode="r" if part.endswith("images") else None)
            if parts[part].shape != tuple(shape):
                return None
        return Arrays(
            parts["images"],
            parts["labels"],
            parts["test_images"],
            parts["test_labels"],
            tuple(meta["class_names"]),
            None,
            None,
            meta["fingerprint"],
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def entries(prefix: str) -> Iterator[Path]:
    """The folders of all readable entries whose key starts with `prefix`."""
    root = cache_folder() / "datasets"
    if root.is_dir():
        yield from (folder for folder in sorted(root.iterdir()) if folder.name.startswith(prefix) and read(folder))


def _write(folder: Path, arrays: Arrays) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The leading dot keeps an unfinished entry, left by a killed process, from being taken for one.
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        shapes = {}
        for part in _PARTS:
            array = getattr(arrays, part)
            if array is not None:
                np.save(scratch / f"{part}.npy", array)
                shapes[part] = array.shape
        meta = {
            "version": VERSION,
            "shapes": shapes,
            "class_names": arrays.class_names,
            "fingerprint": arrays.fingerprint,
        }
        (scratch / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
        if folder.exists() and read(folder) is None:
            shutil.rmtree(folder)
        if not folder.exists():
            try:
                scratch.rename(folder)
            except OSError:
                if read(folder) is None:  # else another process was faster, with the same content
                    raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
