"""Every dataset as one row: size, classes, statistics, how it is split and augmented by default, its loader."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

from kzoo.data.augmentation import Augmentation
from kzoo.data.geometry import Flip, PadCrop
from kzoo.errors import InputError, shown, unknown
from kzoo.registry import Registry

Loader = Callable[[str | None], Any]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A dataset's row.

    Attributes:
        name: as recipes name it.
        classes: number of classes; None where only loading tells.
        image_shape: (H, W, C); None where only loading tells.
        mean: per channel, in units of pixels / 255; None where nobody has said.
        std: likewise.
        augmentation: used where a recipe names none.
        validation: default validation images: a share (below 1) or a count of the training images.
        test: share held out for testing where the dataset has no test split of its own; else None.
        loader: a callable ``loader(data_dir) -> {"images", "labels", ...}`` (see `register_dataset`), or
            ``module:function`` naming one; None for what is prepared by tensorflow-datasets.
        prepared: its name in tensorflow-datasets, or None.
        transpose: whether the prepared images are stored with rows and columns swapped.
        class_names: names of the classes; None where the data tell them.
        published: training and test images of the published dataset, where its classes are of equal size; else None.
    """

    name: str
    classes: int | None = None
    image_shape: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    augmentation: tuple[Augmentation, ...] = ()
    validation: float | int = 0.1
    test: float | None = None
    loader: Loader | str | None = None
    prepared: str | None = None
    transpose: bool = False
    class_names: tuple[str, ...] | None = None
    published: tuple[int, int] | None = None

    @property
    def stratified(self) -> bool:
        """Whether parts are drawn class by class by default; published datasets are split as was published."""
        return self.prepared is None


TEN_DIGITS = tuple("0123456789")
PAD_CROP_FLIP = (PadCrop(padding=4), Flip(horizontal=0.5))

DATASETS = (
    Dataset(
        "digits",
        classes=10,
        image_shape=(8, 8, 1),
        # computed over all 1,797 images
        mean=(0.3053,),
        std=(0.3759,),
        # 1,222 / 216 / 359 images: flips make other digits of them, a crop by 4 leaves little of 8 pixels
        validation=0.15,
        test=0.2,
        loader="kzoo.data.sources:digits",
        class_names=TEN_DIGITS,
    ),
    Dataset(
        "mnist",
        classes=10,
        image_shape=(28, 28, 1),
        # the figures commonly published for the 60,000 training images
        mean=(0.1307,),
        std=(0.3081,),
        validation=5000,
        prepared="mnist",
        class_names=TEN_DIGITS,
    ),
    Dataset(
        "emnist",
        classes=47,
        image_shape=(28, 28, 1),
        # computed over 90,605 training images in the classes of EMNIST Balanced, 9,120 of them from its training set
        mean=(0.1724,),
        std=(0.331,),
        validation=0.12,
        prepared="emnist/balanced",
        transpose=True,
        # Cohen et al. 2017: letters whose two cases look alike share a class
        class_names=tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
        published=(112_800, 18_800),
    ),
    Dataset(
        "cifar10",
        classes=10,
        image_shape=(32, 32, 3),
        # published, and the same when computed over the 50,000 training images
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.247, 0.2435, 0.2616),
        augmentation=PAD_CROP_FLIP,
        validation=5000,
        prepared="cifar10",
        published=(50_000, 10_000),
    ),
    Dataset(
        "cifar100",
        classes=100,
        image_shape=(32, 32, 3),
        # published, and the same when computed over the 50,000 training images
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        augmentation=PAD_CROP_FLIP,
        validation=2500,
        prepared="cifar100",
        published=(50_000, 10_000),
    ),
)

REGISTRY = Registry("dataset", lambda: DATASETS)
DEFAULT_TEST = 0.2
"""Share held out for testing of an own dataset without a test split."""


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
    """Add a custom dataset. Its name must be new; registering the same again is allowed.

    Args:
        name: how recipes will name it; no colon.
        loader: ``loader(data_dir)``, or ``module:function`` naming it. It gets the data folder the user named
            (or None) and returns a mapping, or an object with attributes: ``images`` uint8 (N, H, W, C) or
            (N, H, W) in 0-255, ``labels`` integers (N,) from 0, and optionally ``test_images``, ``test_labels``
            and ``class_names``.
        classes, image_shape, mean, std, augmentation, validation, test, class_names: see `Dataset`.

    Returns:
        The new row.

    Raises:
        InputError: the name is taken by another dataset or not possible, or the loader is not callable.
    """
    if not name or ":" in name:
        raise InputError(f"dataset name {name!r} must not be empty or hold a colon")
    if not callable(loader) and not (isinstance(loader, str) and ":" in loader):
        raise InputError(f"loader of dataset {name!r} must be callable or 'module:function', not {loader!r}")
    if (mean is None) != (std is None):
        raise InputError(f"dataset {name!r}: give both mean and std, or neither")
    row = Dataset(
        name,
        classes=classes,
        image_shape=image_shape,
        mean=mean,
        std=std,
        augmentation=tuple(augmentation),
        validation=validation,
        test=test,
        loader=loader,
        class_names=class_names,
    )
    return REGISTRY.add(row)


def get_dataset(name: str) -> Dataset:
    """The row of a dataset.

    Args:
        name: a built-in or registered name, or ``module:function`` (a loader), ``folder:PATH`` or ``npz:PATH``, whose
            rows hold defaults: one tenth for validation, a fifth for testing if there is no test split.

    Raises:
        InputError: the name is unknown, or no name.
    """
    if not isinstance(name, str):
        raise _unknown(name)
    row = REGISTRY.find(name)
    if row is not None:
        return row
    kind, colon, place = name.partition(":")
    if colon and kind and place:
        return Dataset(name, test=DEFAULT_TEST, loader=None if kind in ("folder", "npz") else name)
    raise _unknown(name)


def _unknown(name: Any) -> InputError:
    if not isinstance(name, str):
        return InputError(
            f"dataset must be a name, not {shown(name)}: save arrays with numpy.savez and name them npz:PATH, or give "
            "them a name with kzoo.register_dataset"
        )
    for kind, there in (("folder", os.path.isdir(name)), ("npz", os.path.isfile(name))):
        if there and (kind == "folder" or name.endswith(".npz")):
            return InputError(f"unknown dataset {name!r}: did you mean '{kind}:{name}', the {kind} of that name?")
    hint = "One's own: folder:PATH, npz:PATH, module:function, or register_dataset."
    return unknown("dataset", name, REGISTRY.names(), hint=hint)


def list_datasets() -> list[str]:
    """The names of all datasets: the built-in ones, then the registered ones in alphabetical order."""
    return REGISTRY.names()
