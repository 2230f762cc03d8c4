"""Gets a dataset on request: tensorflow-datasets downloads and prepares it. No other data module downloads."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kzoo.backend import quiet_import
from kzoo.configuration import DATA_DIR, configure
from kzoo.data.arrays import channel_statistics
from kzoo.data.datasets import Dataset, get_dataset, list_datasets
from kzoo.data.loading import load
from kzoo.data.tfds.names import PREFIX
from kzoo.data.tfds.prepared import data_folder, find
from kzoo.errors import InputError, KzooError, RunFailed
from kzoo.files import user_path


@dataclasses.dataclass(frozen=True)
class Got:
    """A dataset that is prepared now.

    Attributes:
        dataset: its declaration.
        directory: the prepared files.
        fresh: whether this call prepared them.
    """

    dataset: Dataset
    directory: Path
    fresh: bool


def get(name: str, data_dir: str | Path | None = None) -> list[Got]:
    """Download and prepare a dataset, showing tensorflow-datasets' progress; existing files stay.

    Args:
        name: its name in recipes or in tensorflow-datasets.
        data_dir: the folder to write to; see `kzoo.data.tfds.prepared.data_folder`.

    Returns:
        The dataset, preceded by the one that provides its training images, if there is one.

    Raises:
        InputError: the name is unknown, or the dataset does not come from tensorflow-datasets.
        RunFailed: downloading or preparing failed.
    """
    folder, _ = data_folder(data_dir)
    return [_get(dataset, folder) for dataset in _wanted(name)]


def summary(dataset: Dataset, data_dir: str | Path | None = None) -> str:
    """What a prepared dataset holds, in one line; this decodes it into the cache."""
    try:
        arrays = load(dataset.name, data_dir=data_dir)
    except InputError as error:
        return str(error)
    if dataset.mean is not None:
        return repr(arrays)
    mean, std = (", ".join(f"{value:g}" for value in values) for values in channel_statistics(arrays.images))
    return f"{arrays!r}; mean {mean} and standard deviation {std} were measured on its training images"


def remember(data_dir: str | Path) -> Path:
    """Store a data directory in the user's configuration, for all commands, and return the configuration file.

    Raises:
        InputError: the configuration is damaged.
        OSError, RunFailed: there is no such directory, or the configuration cannot be written.
    """
    folder = user_path(data_dir)
    if not folder.is_dir():
        raise OSError(f"{str(data_dir)!r} is not a directory")
    return configure(DATA_DIR, str(folder.resolve()))


def _wanted(name: str) -> Iterator[Dataset]:
    try:
        dataset = get_dataset(name)
    except InputError as error:
        # Not known here; tensorflow-datasets may know it.
        if ":" in name or difflib.get_close_matches(name, list_datasets(), n=1, cutoff=0.8):
            raise
        try:
            dataset = get_dataset(PREFIX + name)
        except InputError:
            raise error from None
    if dataset.prepared is None:
        where = "comes with scikit-learn" if dataset.name == "digits" else "is a custom dataset"
        raise InputError(f"dataset {name!r} {where}: there is nothing to get")
    if dataset.trained_on is not None:
        yield get_dataset(dataset.trained_on)
    yield dataset


def _get(dataset: Dataset, folder: Path) -> Got:
    name = str(dataset.prepared)
    existing = find(name, folder)
    if existing is not None:
        return Got(dataset, existing, fresh=False)
    with quiet_import():
        try:
            import tensorflow_datasets as tfds
        except ImportError as error:
            raise InputError(f"getting dataset {name!r} needs tensorflow-datasets, which is not installed") from error
    builder = _builder(tfds, dataset, folder)
    try:
        builder.download_and_prepare()
    except Exception as error:  # of the network, the disk, the archive or the builder
        raise _failed(name, error) from None
    return Got(dataset, Path(builder.data_dir), fresh=True)


def _builder(tfds: Any, dataset: Dataset, folder: Path) -> Any:
    name = str(dataset.prepared)
    base, _, config = name.partition("/")
    try:
        known = tfds.builder_cls(base)
    except ImportError as error:  # of the builder's module
        raise _failed(name, error) from None
    except Exception:  # DatasetNotFoundError
        near = difflib.get_close_matches(base, tfds.list_builders(with_community_datasets=False), n=1)
        hint = f": did you mean {near[0]!r}?" if near else ""
        raise InputError(f"tensorflow-datasets has no dataset {base!r}{hint}") from None

    # Its configuration, which some datasets must be named with.
    configs = [one.name for one in known.BUILDER_CONFIGS]
    if configs and config not in configs:
        near = difflib.get_close_matches(config, configs, n=1) or configs[:1]
        problem = f"has no configuration {config!r}" if config else f"comes in {len(configs)} configurations"
        form = dataset.name.partition("/")[0].partition("?")[0]
        raise InputError(f"dataset {base!r} {problem}: name one, as {form}/{near[0]}; {_few(configs)}")
    if config and not configs:
        raise InputError(f"dataset {base!r} has no configurations: leave /{config} out")
    try:
        return tfds.builder(name, data_dir=folder)
    except Exception as error:
        raise _failed(name, error) from None


def _few(configs: list[str]) -> str:
    return f"there are {', '.join(configs[:8])}" + (f" and {len(configs) - 8} more" if len(configs) > 8 else "")


def _failed(name: str, error: Exception) -> KzooError:
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    if isinstance(error, ImportError):
        return InputError(f"preparing dataset {name!r} needs a package that is not installed: {reason}")
    return RunFailed(f"dataset {name!r} could not be downloaded or prepared: {reason}")
