"""Datasets prepared by tensorflow-datasets: located without TensorFlow, decoded with it once, then cached."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kzoo.cache_folder import cache_folder, described
from kzoo.configuration import DATA_DIR, configured
from kzoo.data import cache
from kzoo.data.arrays import Arrays
from kzoo.data.datasets import Dataset
from kzoo.data.part_names import TEST, TRAIN
from kzoo.data.tfds.description import Damaged, Description, describe
from kzoo.errors import InputError, some
from kzoo.files import home, user_path

FORMATS: dict[str, tuple[str, ...]] = {"tfrecord": (), "array_record": ("array-record",)}
"""Formats of prepared files, each with the packages it needs in addition to tensorflow-datasets."""


def data_folder(data_dir: str | Path | None) -> tuple[Path, bool]:
    """The directory of prepared datasets, and whether the user named it.

    The argument, else ``$KZOO_DATA_DIR``, else the user's configuration (``kzoo data --data-dir DIRECTORY``), else
    ``$TFDS_DATA_DIR``, else ``~/tensorflow_datasets``.

    Raises:
        InputError: the path starts with a home directory that does not exist, or the configuration is damaged.
    """
    named = data_dir or os.environ.get("KZOO_DATA_DIR") or configured(DATA_DIR) or os.environ.get("TFDS_DATA_DIR")
    if named:
        return user_path(named), True
    return (home() or Path("~")) / "tensorflow_datasets", False  # without a home directory, a name for messages


def find(name: str, folder: Path) -> Path | None:
    """The folder of the newest prepared version of `name` (``dataset`` or ``dataset/config``), or None."""
    versions = [path for path in folder.joinpath(*name.split("/")).glob("*/dataset_info.json") if _version(path)]
    return max(versions, key=_version).parent if versions else None


def configurations(name: str, folder: Path) -> list[str]:
    """The configurations of `name` (``dataset``) that are prepared in `folder`, as ``dataset/config``."""
    return sorted({f"{name}/{path.parts[-3]}" for path in folder.glob(f"{name}/*/*/dataset_info.json")})


def instructions(dataset: Dataset, data_dir: str | Path | None) -> str:
    """The command that gets a missing dataset."""
    name = dataset.name if dataset.configuration is None else f"{dataset.name}/{dataset.configuration}"
    options = "" if data_dir is None else f" --data-dir {shlex.quote(str(data_dir))}"
    return f"get it with `kzoo data get {shlex.quote(name)}{options}`"


def load_prepared(dataset: Dataset, data_dir: str | Path | None, image_size: int | None = None) -> Arrays:
    """A prepared dataset's parts.

    The first call decodes it with tensorflow-datasets, which needs TensorFlow, and caches it; see `located`.

    Raises:
        InputError: it is not prepared there or not readable, or TensorFlow is missing and nothing is cached.
    """
    location = located(dataset, data_dir, image_size)
    arrays = None if location.entry is None else cache.read(location.entry)
    if arrays is not None:
        return arrays
    prepared = location.prepared
    if prepared is None or location.description is None:
        raise InputError(f"dataset {dataset.prepared!r}: the cache entry {str(location.entry)!r} is gone")
    description = location.description

    def build() -> Arrays:
        from kzoo.data.tfds.decoding import decoded

        return decoded(dataset, prepared, description, image_size)

    return cache.cached(_key(dataset, prepared, image_size if description.varying else None), build)


class Located(NamedTuple):
    """Where a dataset is: prepared files with their description, an entry of the cache that holds it, or both."""

    prepared: Path | None
    entry: Path | None
    description: Description | None = None

    def described(self) -> str:
        """The location as text."""
        return str(self.prepared) if self.prepared is not None else f"{self.entry} (cache)"


def located(dataset: Dataset, data_dir: str | Path | None, image_size: int | None = None) -> Located:
    """Where a prepared dataset can be read from, judged without reading it.

    The cache entry belongs to the prepared files. If no folder was named and the default one lacks them, a cache
    entry alone is enough.

    Raises:
        InputError: it is missing, damaged, not for image classification, or needs a package that is not installed.
    """
    name = str(dataset.prepared)
    folder, named = data_folder(data_dir)
    prepared = find(name, folder)
    if prepared is None:
        cached_versions = [] if named else list(_cached_versions(dataset, image_size))
        if len(cached_versions) == 1:
            return Located(None, cached_versions[0])
        several = f", and the cache holds {len(cached_versions)} versions of it" if cached_versions else ""
        present = [] if "/" in name else configurations(name, folder)
        if present:
            raise InputError(
                f"dataset {dataset.name!r}: name a configuration; in {str(folder)!r} there are {some(present)}"
            )
        if dataset.configuration is not None:
            form = f"{dataset.name}/{dataset.configuration}"
            raise InputError(
                f"dataset {dataset.name!r}: name a configuration, as {form}; {instructions(dataset, data_dir)}"
            )
        raise InputError(f"dataset {name!r} is not in {str(folder)!r}{several}: {instructions(dataset, data_dir)}")

    # The cache entry of these files, else the files.
    try:
        root = cache_folder()
        for size in dict.fromkeys((image_size, None)):
            entry = None if root is None else root / "datasets" / _key(dataset, prepared, size)
            if entry is not None and cache.read(entry) is not None:
                return Located(prepared, entry)
        return Located(prepared, None, _checked(dataset, prepared))
    except OSError as error:
        raise InputError(f"dataset {name!r} in {str(prepared)!r} cannot be read: {error.strerror or error}") from None


def _cached_versions(dataset: Dataset, image_size: int | None) -> Iterator[Path]:
    """Entries of the cache that hold the dataset in any version."""
    for size in dict.fromkeys((image_size, None)):
        pattern = re.compile(
            rf"{re.escape(_prefix(dataset))}\d+\.\d+\.\d+-[0-9a-f]{{12}}{re.escape(_suffix(dataset, size))}"
        )
        found = [entry for entry in cache.entries(_prefix(dataset)) if pattern.fullmatch(entry.name)]
        # Entries of early versions have other names for the same content.
        yield from {arrays.fingerprint: entry for entry in found if (arrays := cache.read(entry))}.values()


def _key(dataset: Dataset, prepared: Path, image_size: int | None) -> str:
    """The name of a cache entry; it contains `image_size` if images of varying sizes were scaled to it."""
    return f"{_prefix(dataset)}{_identity(prepared)}{_suffix(dataset, image_size)}"


def _prefix(dataset: Dataset) -> str:
    return str(dataset.prepared).replace("/", "-") + "-"


def _suffix(dataset: Dataset, image_size: int | None) -> str:
    features = (
        ""
        if dataset.features == (None, None)
        else f"-{hashlib.sha256(repr(dataset.features).encode()).hexdigest()[:8]}"
    )
    return features + ("" if image_size is None else f"-{image_size}px")


def _identity(prepared: Path) -> str:
    """A key of the prepared files by content, because a corrected label changes neither sizes nor the description."""
    digest = hashlib.sha256()
    for file in sorted(prepared.iterdir()):
        if file.is_file():
            status = file.stat()
            digest.update(os.fsencode(file.name) + _content(file, status.st_size, status.st_mtime_ns, status.st_ino))
    return f"{prepared.name}-{digest.hexdigest()[:12]}"


@functools.lru_cache(maxsize=1024)
def _content(file: Path, *_status: int) -> bytes:
    """A digest of a file, computed once as long as its status stays the same."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def _checked(dataset: Dataset, prepared: Path) -> Description:
    """The description of a prepared dataset, after checking that its parts can be decoded.

    Raises:
        InputError: packages are missing, the description is damaged, files are missing or cut short.
    """
    name = str(dataset.prepared)
    failure = f"cannot read dataset {name!r} in {str(prepared)!r}"
    again = f". Delete this folder, then: kzoo data get {dataset.name}"
    image, label = dataset.features
    try:
        description = describe(prepared, called=name, image=image, label=label)
    except Damaged as error:
        raise InputError(f"{failure}: {error}{again}") from None
    form = description.file_format
    if form not in FORMATS:
        raise InputError(f"{failure}: it is in format {form!r}; supported formats are {', '.join(FORMATS)}")
    needed = [TEST] if dataset.trained_on is not None else [TRAIN] if dataset.test is not None else [TRAIN, TEST]
    for part in needed:
        if part not in description.splits:
            present = some(description.lengths) or "no split"
            raise InputError(f"{failure}: it has no {part} part (there is {present})")
    for package in ("tensorflow", "tensorflow-datasets", *FORMATS[form]):
        if importlib.util.find_spec(package.replace("-", "_")) is None:
            raise InputError(
                f"reading dataset {name!r} the first time needs {package}, which is not installed: "
                f"install it, or copy the cache folder of a machine that has read it (here {described()})"
            )

    # TFRecord adds 16 bytes to each record (two checksums and a length), so its files have a known size.
    for split in description.splits.values():
        lengths = description.lengths[split]
        count = len(lengths)
        files = [prepared / f"{name.split('/')[0]}-{split}.{form}-{i:05d}-of-{count:05d}" for i in range(count)]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(f"{failure}: missing {some(missing)}{again}")
        expected = description.sizes[split] + 16 * sum(lengths)
        actual = sum(file.stat().st_size for file in files)
        if actual < (expected if form == "tfrecord" else 1):
            raise InputError(f"{failure}: its {split} files are cut short, {actual:,} of {expected:,} bytes{again}")
    return description


def _version(info: Path) -> tuple[int, ...]:
    version = info.parent.name
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+\.\d+\.\d+", version) else ()
