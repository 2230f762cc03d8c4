"""Arrays kept as .npy files below the cache folder, memory-mapped when read.

An entry is written to a temporary folder and renamed when complete. So it is whole or absent, even if two processes
write it at once or one is killed.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.cache_folder import cache_folder, described, nothing_kept
from kzoo.data.arrays import Arrays

VERSION = 1
ABANDONED = 86400.0
"""Age, in seconds, above which an unfinished entry counts as left behind by a killed process."""
_PARTS = ("images", "labels", "test_images", "test_labels", "validation_images", "validation_labels")


def cached(key: str, build: Callable[[], Arrays]) -> Arrays:
    """The entry `key`, built and stored first if it is missing or damaged.

    If the cache cannot be written to, nothing is stored, and a warning says so.

    Args:
        key: determines the content, and is safe as a folder's name.
        build: returns the content; its `mean` and `std` are not stored.
    """
    root = cache_folder()
    if root is None:
        nothing_kept(described())
        return build()
    folder = root / "datasets" / key
    stored = read(folder)
    if stored is not None:
        return stored
    arrays = build()
    try:
        _write(folder, arrays)
    except OSError as error:
        nothing_kept(f"cannot write to {str(folder)!r} ({error.strerror or error}); set KZOO_CACHE to another folder")
        return arrays
    return read(folder) or arrays


def read(folder: Path) -> Arrays | None:
    """The entry in `folder`, its images memory-mapped; None if it is missing or damaged."""
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
            **parts,
            class_names=tuple(meta["class_names"]),
            mean=None,
            std=None,
            fingerprint=meta["fingerprint"],
            notes=tuple(meta.get("notes", ())),
        )
    except Exception:  # a damaged file makes NumPy raise nearly anything
        return None


def entries(prefix: str) -> Iterator[Path]:
    """The folders of all readable entries whose key starts with `prefix`."""
    root = cache_folder()
    try:
        folders = [] if root is None else sorted((root / "datasets").iterdir())
    except OSError:  # missing or unreadable
        folders = []
    yield from (folder for folder in folders if folder.name.startswith(prefix) and read(folder))


def _remove_unfinished(parent: Path) -> None:
    """Remove unfinished entries that are old enough to be left behind by killed processes."""
    for left in parent.glob(f".*-{'[0-9a-f]' * 32}"):
        try:
            if time.time() - left.stat().st_mtime > ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
        except OSError:  # another process has removed it
            continue


def _write(folder: Path, arrays: Arrays) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(folder.parent)
    # The leading dot keeps a killed process's unfinished entry from being read. A folder made by `tempfile.mkdtemp`
    # would stay closed to other users of the cache.
    scratch = folder.with_name(f".{folder.name}-{uuid.uuid4().hex}")
    scratch.mkdir()
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
            "notes": arrays.notes,
        }
        (scratch / "meta.json").write_text(json.dumps(meta), encoding="utf-8")

        # Put it where it belongs, unless another process was faster.
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
