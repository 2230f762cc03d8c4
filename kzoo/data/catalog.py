"""Declarations of the datasets: size, classes, statistics, default split and augmentation, loader."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from kzoo.data.augmentation.base import Augmentation
from kzoo.data.augmentation.geometry import Flip, PadCrop

Loader = Callable[[str | None], Any]


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The declaration of a dataset.

    Attributes:
        name: its name in recipes.
        classes: number of classes; None if only loading the data shows it.
        image_shape: (H, W, C); None if only loading the data shows it.
        mean: per channel, in units of pixels / 255; None if unknown.
        std: likewise.
        augmentation: the default in recipes.
        validation: default validation images: a share (below 1) or a count of the training images.
        test: share held out for testing if the dataset has no test split; otherwise None.
        loader: a callable ``loader(data_dir) -> {"images", "labels", ...}`` (see `register_dataset`), or
            ``module:function`` naming one; None if tensorflow-datasets prepares the data or the name locates it.
        prepared: its name in tensorflow-datasets, or None.
        transpose: whether the prepared images are stored with rows and columns swapped.
        class_names: names of the classes; None if the data contain them.
        published: training and test images of the published dataset, if its classes have equal size; otherwise None.
        features: the image and the label feature to read from the prepared data; a None is looked up.
        trained_on: another dataset that provides the training images, mean and std if the prepared data are only a
            test part.
        configuration: an example of a configuration, if the prepared data must be named with one.
        stratified: whether parts are drawn class by class if the recipe does not say.
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
    features: tuple[str | None, str | None] = (None, None)
    trained_on: str | None = None
    configuration: str | None = None
    stratified: bool = True


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
        # 1,222 / 216 / 359 images; flips would change the digit, and a crop by 4 would leave little of 8 pixels
        validation=0.15,
        test=0.2,
        loader="kzoo.data.sources:digits",
        class_names=TEN_DIGITS,
    ),
    Dataset(
        "mnist",
        classes=10,
        image_shape=(28, 28, 1),
        # the values commonly published for the 60,000 training images
        mean=(0.1307,),
        std=(0.3081,),
        validation=5000,
        prepared="mnist",
        stratified=False,
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
        stratified=False,
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
        stratified=False,
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
        stratified=False,
        published=(50_000, 10_000),
    ),
    # The datasets below have no mean and std: these are measured on the training images when they are read.
    Dataset(
        # Netzer et al. 2011, digits cut out; the "extra" images are left out. No augmentation, as in DeVries and Taylor
        # 2017, whose code (github.com/uoguelph-mlrg/Cutout) trains on SVHN without flips and crops
        "svhn",
        classes=10,
        image_shape=(32, 32, 3),
        validation=5000,
        prepared="svhn_cropped",
    ),
    Dataset(
        # Xiao et al. 2017; cropped (padding 4) and flipped as in Zhong et al. 2017
        # (github.com/zhunzhong07/Random-Erasing, fashionmnist.py)
        "fashion-mnist",
        classes=10,
        image_shape=(28, 28, 1),
        augmentation=PAD_CROP_FLIP,
        validation=5000,
        prepared="fashion_mnist",
    ),
    Dataset(
        # Clanuwat et al. 2018, whose benchmark (github.com/rois-codh/kmnist) uses no augmentation
        "kmnist",
        classes=10,
        image_shape=(28, 28, 1),
        validation=5000,
        prepared="kmnist",
    ),
    Dataset(
        # Coates et al. 2011, without its unlabelled images; mirrored and cropped, as in DeVries and Taylor 2017. The
        # padding is an eighth of the side, as for CIFAR
        "stl10",
        classes=10,
        image_shape=(96, 96, 3),
        augmentation=(PadCrop(padding=12), Flip(horizontal=0.5)),
        validation=0.1,
        prepared="stl10",
    ),
    Dataset(
        # Ten classes of ImageNet, images of many sizes; a validation part and no test part. Flipped as in its authors'
        # script (github.com/fastai/fastai, nbs/examples/train_imagenette.py). The script also crops at random sizes,
        # from 35% of the area up (`RandomResizedCrop`). kzoo got these later; the default stays, for the runs' digests
        "imagenette",
        classes=10,
        augmentation=(Flip(horizontal=0.5),),
        test=0.2,
        prepared="imagenette/160px-v2",
    ),
    Dataset(
        # From MedMNIST (Yang et al. 2023), which defines the validation part; its benchmark uses no augmentation
        # (github.com/MedMNIST/experiments)
        "pneumoniamnist",
        classes=2,
        image_shape=(28, 28, 1),
        prepared="pneumonia_mnist",
    ),
    Dataset(
        # Hendrycks and Dietterich 2019: trained on CIFAR-10, with its statistics and augmentation, and tested on one
        # corruption at one severity
        "cifar10-c",
        classes=10,
        image_shape=(32, 32, 3),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.247, 0.2435, 0.2616),
        augmentation=PAD_CROP_FLIP,
        validation=5000,
        prepared="cifar10_corrupted",
        trained_on="cifar10",
        configuration="fog_3",
        stratified=False,
    ),
)
