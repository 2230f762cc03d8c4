"""Datasets prepared by tensorflow-datasets: found without TensorFlow, decoded with it once, then cached."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kzoo.backend import quiet_import
from kzoo.data import cache
from kzoo.data.arrays import Arrays, checked
from kzoo.errors import InputError, some
from kzoo.files import home, user_path

PARTS = ("train", "test")
FORMATS: dict[str, tuple[str, ...]] = {"tfrecord": (), "array_record": ("array-record",)}
"""Formats of prepared files, each with the packages it needs beside tensorflow-datasets."""


def data_folder(data_dir: str | Path | None) -> tuple[Path, bool]:
    """Where prepared datasets are looked for, and whether the user said so.

    The argument, else ``$KZOO_DATA_DIR``, else ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.

    Raises:
        InputError: it starts with a home directory that there is not.
    """
    named = data_dir or os.environ.get("KZOO_DATA_DIR") or os.environ.get("TFDS_DATA_DIR")
    if named:
        return user_path(named), True
    return (home() or Path("~")) / "tensorflow_datasets", False  # without a home, a name for messages


def find(name: str, folder: Path) -> Path | None:
    """The folder of the newest prepared version of `name` (``dataset`` or ``dataset/config``), or None."""
    versions = [path for path in folder.joinpath(*name.split("/")).glob("*/dataset_info.json") if _version(path)]
    return max(versions, key=_version).parent if versions else None


def instructions(name: str, folder: Path) -> str:
    """How to get a dataset that is not in `folder`."""
    return f"prepare it with `tfds build {name} --data_dir {folder}`, or name the folder it is in (--data-dir)"


def load_prepared(
    name: str, data_dir: str | Path | None, *, class_names: tuple[str, ...] | None = None, transpose: bool = False
) -> Arrays:
    """A prepared dataset's train and test split.

    The first time it is decoded by tensorflow-datasets, which needs TensorFlow, and cached; see `located`.

    Args:
        name: ``dataset`` or ``dataset/config``, as tensorflow-datasets calls it.
        data_dir: see `data_folder`.
        class_names: used where the prepared dataset only numbers its classes.
        transpose: swap rows and columns of each image (EMNIST's files hold them mirrored and turned).

    Raises:
        InputError: not prepared there, not readable, or TensorFlow is missing and nothing is cached.
    """
    found = located(name, data_dir)
    if found.entry is not None:
        arrays = cache.read(found.entry)
        if arrays is not None:
            return arrays
    prepared = found.prepared
    if prepared is None:
        raise InputError(f"dataset {name!r}: the cache entry {str(found.entry)!r} is gone")
    key = f"{_prefix(name)}{_identity(prepared)}"
    return cache.cached(key, lambda: _decode(name, prepared, class_names, transpose))


class Located(NamedTuple):
    """Where a dataset is: prepared files, an entry of the cache that holds it decoded, or both."""

    prepared: Path | None
    entry: Path | None

    def description(self) -> str:
        """The place as text."""
        return str(self.prepared) if self.prepared is not None else f"{self.entry} (cache)"


def located(name: str, data_dir: str | Path | None) -> Located:
    """Where a prepared dataset can be read from, as far as can be told without reading it.

    The cache entry belongs to the prepared files; where no folder was named and the default one lacks them, an entry
    stands in.

    Raises:
        InputError: it is not there, damaged, or needs a package that is not installed.
    """
    folder, named = data_folder(data_dir)
    prepared = find(name, folder)
    if prepared is None:
        stand_ins = [] if named else list(cache.entries(_prefix(name)))
        if len(stand_ins) == 1:
            return Located(None, stand_ins[0])
        several = f", and the cache holds {len(stand_ins)} versions of it" if stand_ins else ""
        raise InputError(f"dataset {name!r} is not in {str(folder)!r}{several}: {instructions(name, folder)}")
    try:
        root = cache.cache_folder()
        entry = None if root is None else root / "datasets" / f"{_prefix(name)}{_identity(prepared)}"
        if entry is not None and cache.read(entry) is not None:
            return Located(prepared, entry)
        _check(name, prepared)
    except OSError as error:
        raise InputError(f"dataset {name!r} in {str(prepared)!r} cannot be read: {error.strerror or error}") from None
    return Located(prepared, None)


def _prefix(name: str) -> str:
    return name.replace("/", "-") + "-"


def _identity(prepared: Path) -> str:
    """A key of what was prepared: its description, which counts images and bytes, and the files' sizes."""
    digest = hashlib.sha256((prepared / "dataset_info.json").read_bytes())
    for file in sorted(prepared.iterdir()):
        digest.update(f"{file.name}:{file.stat().st_size};".encode())
    return f"{prepared.name}-{digest.hexdigest()[:12]}"


def _check(name: str, prepared: Path) -> None:
    """Refuse what cannot be decoded: packages that are missing, a damaged description, files missing or cut short."""
    what = f"cannot read dataset {name!r} in {str(prepared)!r}"
    try:
        described = json.loads((prepared / "dataset_info.json").read_text(encoding="utf-8"))
        form = described.get("fileFormat", "tfrecord")
        splits = {split["name"]: split for split in described["splits"]}
        lengths = {part: [int(length) for length in splits[part]["shardLengths"]] for part in PARTS}
        size = {part: int(splits[part].get("numBytes", 0)) for part in PARTS}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{what}: its dataset_info.json is damaged ({why})") from None
    if form not in FORMATS:
        raise InputError(f"{what}: it is in format {form!r}: formats that are read are {', '.join(FORMATS)}")
    for package in ("tensorflow", "tensorflow-datasets", *FORMATS[form]):
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            raise InputError(
                f"reading dataset {name!r} the first time needs {package}, which is not installed: "
                f"install it, or copy a cache folder from where it was read (here {cache.described()})"
            )

    # TFRecord adds 16 bytes to each record (two checksums and a length), so its files have a known size.
    missing = [] if (prepared / "features.json").is_file() else ["features.json"]
    for part in PARTS:
        count = len(lengths[part])
        files = [prepared / f"{name.split('/')[0]}-{part}.{form}-{i:05d}-of-{count:05d}" for i in range(count)]
        missing += [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(f"{what}: {some(missing)} not there")
        expected = size[part] + 16 * sum(lengths[part])
        there = sum(file.stat().st_size for file in files)
        if there < (expected if form == "tfrecord" else 1):
            raise InputError(f"{what}: its {part} files are cut short, {there:,} of {expected:,} bytes")


def _decode(name: str, prepared: Path, class_names: tuple[str, ...] | None, transpose: bool) -> Arrays:
    what = f"dataset {name!r} in {str(prepared)!r}"
    content: dict[str, Any] = {}
    with quiet_import():
        try:
            import tensorflow_datasets as tfds

            builder = tfds.builder_from_directory(prepared)
            names = tuple(builder.info.features["label"].names)
            for part in PARTS:
                images, labels = _examples(builder, part)
                if len(labels) != builder.info.splits[part].num_examples:
                    raise ValueError(f"{len(labels)} {part} images of {builder.info.splits[part].num_examples}")
                prefix = "" if part == "train" else f"{part}_"
                content[f"{prefix}images"] = np.ascontiguousarray(images.swapaxes(1, 2)) if transpose else images
                content[f"{prefix}labels"] = labels
        except Exception as error:  # TensorFlow's errors share no base class with anything importable here
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise InputError(f"cannot read {what}: {reason}") from None
    numbered = names == tuple(map(str, range(len(names))))
    content["class_names"] = class_names if numbered and class_names else names
    return checked(content, what)


def _examples(builder: Any, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W, C) and labels int64 (N,) of a part, in the files' order."""
    import tensorflow_datasets as tfds

    if builder.info.file_format.value != "array_record":
        read = tfds.as_numpy(builder.as_dataset(split=part, batch_size=-1, shuffle_files=False))
        return read["image"], read["label"]
    # ArrayRecord gives access to single examples, and TensorFlow reads no such files.
    examples = list(builder.as_data_source(split=part))
    images = np.stack([np.asarray(example["image"], np.uint8) for example in examples])
    return images, np.array([example["label"] for example in examples], np.int64)


def _version(info: Path) -> tuple[int, ...]:
    version = info.parent.name
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", version) else ()
