"""Datasets prepared by tensorflow-datasets: found without TensorFlow, decoded with it once, then cached."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from kzoo.backend import quiet_import
from kzoo.data import cache
from kzoo.data.arrays import Arrays, checked
from kzoo.errors import InputError


def data_folder(data_dir: str | Path | None) -> tuple[Path, bool]:
    """Where prepared datasets are looked for, and whether the user said so.

    The argument, else ``$KZOO_DATA_DIR``, else ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.
    """
    named = data_dir or os.environ.get("KZOO_DATA_DIR") or os.environ.get("TFDS_DATA_DIR")
    if named:
        return Path(named).expanduser(), True
    return Path.home() / "tensorflow_datasets", False


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

    The first time it is decoded by tensorflow-datasets, which needs TensorFlow, and cached. The cache entry
    belongs to the prepared files; where no folder was named and the default one lacks them, an entry stands in.

    Args:
        name: ``dataset`` or ``dataset/config``, as tensorflow-datasets calls it.
        data_dir: see `data_folder`.
        class_names: used where the prepared dataset only numbers its classes.
        transpose: swap rows and columns of each image (EMNIST's files hold them mirrored and turned).

    Raises:
        InputError: not prepared there, not readable, or TensorFlow is missing and nothing is cached.
    """
    folder, named = data_folder(data_dir)
    prefix = name.replace("/", "-") + "-"
    prepared = find(name, folder)
    if prepared is None:
        stand_ins = [] if named else list(cache.entries(prefix))
        if len(stand_ins) == 1 and (arrays := cache.read(stand_ins[0])) is not None:
            return arrays
        raise InputError(f"dataset {name!r} is not in {str(folder)!r}: {instructions(name, folder)}")
    return cache.cached(prefix + _identity(prepared), lambda: _decode(name, prepared, class_names, transpose))


def _identity(prepared: Path) -> str:
    """A key of what was prepared: its description, which counts images and bytes, and the files' sizes."""
    digest = hashlib.sha256((prepared / "dataset_info.json").read_bytes())
    for file in sorted(prepared.iterdir()):
        digest.update(f"{file.name}:{file.stat().st_size};".encode())
    return f"{prepared.name}-{digest.hexdigest()[:12]}"


def _decode(name: str, prepared: Path, class_names: tuple[str, ...] | None, transpose: bool) -> Arrays:
    for module in ("tensorflow", "tensorflow_datasets"):
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"reading dataset {name!r} the first time needs {module.replace('_', '-')}, which is not installed: "
                f"install it, or copy a cache folder from where it was read (here {str(cache.cache_folder())!r})"
            )
    with quiet_import():
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(prepared)
        try:
            splits: dict[str, Any] = {
                split: tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1, shuffle_files=False))
                for split in ("train", "test")
            }
        except Exception as error:  # TensorFlow's errors share no base class with anything importable here
            raise InputError(f"cannot read dataset {name!r} in {str(prepared)!r}: {str(error)[:300]}") from None
    content: dict[str, Any] = {}
    for prefix, split in (("", "train"), ("test_", "test")):
        images = splits[split]["image"]
        content[f"{prefix}images"] = np.ascontiguousarray(images.swapaxes(1, 2)) if transpose else images
        content[f"{prefix}labels"] = splits[split]["label"]
    names = tuple(builder.info.features["label"].names)
    numbered = names == tuple(map(str, range(len(names))))
    content["class_names"] = class_names if numbered and class_names else names
    return checked(content, f"dataset {name!r} in {str(prepared)!r}")


def _version(info: Path) -> tuple[int, ...]:
    version = info.parent.name
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", version) else ()
