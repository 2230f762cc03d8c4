"""Datasets by name: built-in ones, registered ones, and those that a name itself locates."""

from __future__ import annotations

import dataclasses
import os
from numbers import Real
from typing import Any

from kzoo.checks import of_unit_pixels, share_or_count
from kzoo.data.augmentation.base import Augmentation
from kzoo.data.catalog import DATASETS, Dataset, Loader
from kzoo.data.tfds.names import PREFIX, parse
from kzoo.errors import InputError, shown, unknown
from kzoo.registry import Registry

__all__ = ["DATASETS", "Dataset", "get_dataset", "is_built_in", "list_datasets", "register_dataset"]

REGISTRY = Registry("dataset", lambda: DATASETS)
LOCATIONS = ("folder", "npz", "arrays")
"""Prefixes, before a colon, of names that give the location of the images."""
DEFAULT_TEST = 0.2
"""Share held out for testing of a custom dataset without a test split."""


def register_dataset(
    name: str,
    loader: Loader | str,
    *,
    classes: int | None = None,
    image_shape: tuple[int, int, int] | None = None,
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    augmentation: tuple[Augmentation, ...] = (),
    validation: float | int = 0.1,
    test: float | None = DEFAULT_TEST,
    class_names: tuple[str, ...] | None = None,
) -> Dataset:
    """Add a custom dataset. Its name must be new; registering the same dataset again is allowed.

    Args:
        name: its name in recipes, without a colon.
        loader: ``loader(data_dir)``, or ``module:function`` naming it. It gets the user's data folder (or None) and
            returns a mapping, or an object with attributes: ``images`` uint8 (N, H, W, C) or (N, H, W) in 0-255,
            ``labels`` integers (N,) from 0, and optionally ``test_images``, ``test_labels`` and ``class_names``.
        classes, image_shape, mean, std, augmentation, validation, test, class_names: see `Dataset`.

    Returns:
        The new declaration.

    Raises:
        InputError: the name is taken by another dataset or not allowed, the loader is neither callable nor
            ``module:function``, or another argument is not as `Dataset` describes it.

    Example:
        >>> def noise(data_dir):
        ...     rng = np.random.default_rng(0)
        ...     return {"images": rng.integers(0, 256, (40, 8, 8), np.uint8), "labels": np.arange(40) % 2}
        >>> kzoo.register_dataset("noise", noise, classes=2).name
        'noise'
    """
    if not isinstance(name, str) or not name or ":" in name:
        raise InputError(f"dataset name {name!r} must be non-empty text without a colon")
    if not callable(loader) and not (isinstance(loader, str) and ":" in loader):
        raise InputError(f"loader of dataset {name!r} must be callable or 'module:function', not {loader!r}")
    if (mean is None) != (std is None):
        raise InputError(f"dataset {name!r}: give both mean and std, or neither")
    for option, values in (("mean", mean), ("std", std)):
        of_unit_pixels(f"dataset {name!r}: {option}", () if values is None else values)
        if isinstance(values, Real):
            raise InputError(f"dataset {name!r}: {option} must hold a number for each channel, not {values!r}")
    from kzoo.data.labels import texts  # needs NumPy, which the import of kzoo does without

    names = texts(class_names, f"dataset {name!r}")
    if names is not None and len(set(names)) < len(names):
        raise InputError(f"dataset {name!r}: class_names holds a name twice")

    # Register the declaration with tuples: a list would never equal the shape of the data.
    shape: Any = None if image_shape is None else tuple(image_shape)
    dataset = Dataset(
        name,
        classes=classes,
        image_shape=shape,
        mean=None if mean is None else tuple(mean),
        std=None if std is None else tuple(std),
        augmentation=tuple(augmentation),
        validation=share_or_count(validation, f"dataset {name!r}: validation "),
        test=None if test is None else share_or_count(test, f"dataset {name!r}: test "),
        loader=loader,
        class_names=names,
    )
    return REGISTRY.add(dataset)


def get_dataset(name: str) -> Dataset:
    """The declaration of a dataset.

    Args:
        name: a built-in or registered name, ``NAME/CONFIG`` for a configuration of a built-in one, or
            ``tfds:NAME[/CONFIG]`` (see `kzoo.data.tfds.names`), ``module:function`` (a loader), ``folder:PATH`` or
            ``npz:PATH``, declared with defaults: one tenth for validation, a fifth for testing if there is no test
            split. A name in tensorflow-datasets that a built-in dataset uses returns that dataset.

    Raises:
        InputError: the name is unknown or not text.

    Example:
        >>> kzoo.get_dataset("cifar10").published
        (50000, 10000)
    """
    if not isinstance(name, str):
        raise _unknown(name)
    dataset = REGISTRY.find(name)
    if dataset is not None:
        return dataset
    kind, colon, location = name.partition(":")
    if kind == "tfds" and colon:
        return _prepared(location)
    if colon and kind and location:
        return Dataset(name, test=DEFAULT_TEST, loader=None if kind in LOCATIONS else name)
    base, slash, config = name.partition("/")
    if slash and base in REGISTRY.builtin and REGISTRY.builtin[base].prepared is not None:
        builder = str(REGISTRY.builtin[base].prepared).partition("/")[0]
        return _prepared(f"{builder}/{config}")
    raise _unknown(name)


def is_built_in(name: str) -> bool:
    """Whether a name means a built-in dataset or a configuration of one."""
    base = name.partition("/")[0]
    return name in REGISTRY.builtin or (name not in REGISTRY.added and ":" not in name and base in REGISTRY.builtin)


def _prepared(text: str) -> Dataset:
    """The dataset that tensorflow-datasets calls ``NAME[/CONFIG]``: built-in, derived from a built-in one, or new."""
    name, image, label = parse(text)
    builder = name.partition("/")[0]
    matching = [
        dataset
        for dataset in DATASETS
        if dataset.prepared is not None and dataset.prepared.partition("/")[0] == builder
    ]
    if not matching:
        return Dataset(PREFIX + text, test=DEFAULT_TEST, prepared=name, features=(image, label))
    dataset = matching[0]
    if (image, label) == (None, None) and dataset.prepared == name:
        return dataset

    # Another configuration, or other features: the measured and counted values do not apply to it.
    new_name = f"{dataset.name}{name[len(builder) :]}" if (image, label) == (None, None) else PREFIX + text
    dataset = dataclasses.replace(dataset, name=new_name, prepared=name, features=(image, label), configuration=None)
    if dataset.trained_on is not None:
        return dataset
    unmeasured: dict[str, Any] = {"classes": None, "image_shape": None, "mean": None, "std": None, "class_names": None}
    return dataclasses.replace(
        dataset, **unmeasured, published=None, validation=0.1, test=DEFAULT_TEST, stratified=True
    )


def _unknown(name: Any) -> InputError:
    if not isinstance(name, str):
        return InputError(
            f"dataset must be a name, not {shown(name)}: kzoo.train(recipe, dataset=(images, labels)) takes arrays; "
            "elsewhere save them with numpy.savez and name them npz:PATH, or use kzoo.register_dataset"
        )
    for kind, exists in (("folder", os.path.isdir(name)), ("npz", os.path.isfile(name))):
        if exists and (kind == "folder" or name.endswith(".npz")):
            return InputError(f"unknown dataset {name!r}: did you mean '{kind}:{name}', the {kind} of that name?")
    hint = "Others: tfds:NAME of tensorflow-datasets, folder:PATH, npz:PATH, module:function, or register_dataset."
    return REGISTRY.of_another_kind(name) or unknown("dataset", name, REGISTRY.names(), hint=hint)


def list_datasets() -> list[str]:
    """The names of all datasets: the built-in ones, then the registered ones in alphabetical order.

    Example:
        >>> kzoo.list_datasets()[:3]
        ['digits', 'mnist', 'emnist']
    """
    return REGISTRY.names()
