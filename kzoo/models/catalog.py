"""Every model variant: the one table that defines what a name means.

The registry, the builders named after a variant (`VGG38`, `ResNet24`), the command line, the docs and
the tests read these variants. Imports no Keras. Parameter counts are computed from the models, never kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_CIFAR = (32, 32, 3)
_EMNIST = (28, 28, 1)


@dataclass(frozen=True)
class Variant:
    """One named model.

    Attributes:
        name: the argument of `kzoo.create_model`; has no slash (recipes have one) and no colon.
        builder: ``"module:function"`` or a callable, called with `options` and the caller's options.
        options: keyword arguments of the builder that make this variant.
        classes: default number of classes; None if unknown (a ``module:function`` as a name).
        input_shape: default (height, width, channels); None if unknown.
        recipe: name of the recipe that trains this variant by default (with its model replaced by this one), or
            None.
    """

    name: str
    builder: str | Callable[..., Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: int | None = None
    input_shape: tuple[int, ...] | None = None
    recipe: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", dict(self.options))  # the caller's dict may change later


def _vgg(name: str, **options: Any) -> Variant:
    """Reports a and b: VGG-08 and VGG-38 on CIFAR-100."""
    return Variant(name, "kzoo.models.vgg:VGG", options, 100, _CIFAR, "rescue/vgg38")


def _vgg_ade(column: str, convs: tuple[int, ...], batch_norm: bool) -> Variant:
    """Report c: columns A, D and E of Simonyan and Zisserman (2015), cut to their first three stages."""
    options = {"convs": convs, "filters": (64, 128, 256, 512), "stages": 3, "batch_norm": batch_norm}
    name = f"vgg-{column}-bn" if batch_norm else f"vgg-{column}"
    return Variant(name, "kzoo.models.vgg_ade:VGGADE", options, 10, _CIFAR, f"depth/vgg-{column}")


def _resnet(name: str, blocks: tuple[int, ...], channels: tuple[int, ...]) -> Variant:
    """Report e, table 1."""
    options = {"blocks": blocks, "channels": channels}
    return Variant(name, "kzoo.models.resnet:ResNet", options, 10, _CIFAR, f"resnet/{name}")


def _densenet(name: str, depth: int, growth_rate: int, **options: Any) -> Variant:
    """Huang et al. (2017), named as in the paper: depth, growth rate, and BC for bottlenecks with compression."""
    options = {"depth": depth, "growth_rate": growth_rate, **options}
    return Variant(name, "kzoo.models.densenet:DenseNet", options, 10, _CIFAR, f"densenet/{name}")


def _fastnet(size: str, **options: Any) -> Variant:
    """Jordan (2024): the networks that reach 94, 95 and 96% on CIFAR-10."""
    return Variant(f"fastnet-{size}", "kzoo.models.fastnet:FastNet", options, 10, _CIFAR, f"fast/cifar10-{FAST[size]}")


FAST = {"s": 94, "m": 95, "l": 96}
"""Percent on CIFAR-10 that each size of FastNet is meant for."""


def _lenet(layers: int, reduction: str) -> Variant:
    """Report d, with 32 filters."""
    name = f"lenet{layers}-{reduction}"
    options = {"layers": layers, "filters": 32, "reduction": reduction}
    return Variant(name, "kzoo.models.lenet:LeNet", options, 47, _EMNIST, f"reduction/{name}")


VARIANTS: tuple[Variant, ...] = (
    _vgg("vgg08", blocks=0),
    _vgg("vgg08-bn", blocks=0, batch_norm=True),
    _vgg("vgg38", blocks=5),
    _vgg("vgg38-bn", blocks=5, batch_norm=True),
    _vgg("vgg38-res", blocks=5, residual=True),
    _vgg("vgg38-bn-res", blocks=5, batch_norm=True, residual=True),
    *(
        _vgg_ade(column, convs, batch_norm)
        for column, convs in {"a": (1, 1, 2, 2), "d": (2, 2, 3, 3), "e": (2, 2, 4, 4)}.items()
        for batch_norm in (False, True)
    ),
    _resnet("resnet10", (1, 1, 1, 1), (64, 128, 256, 512)),
    _resnet("resnet16", (2, 1, 2, 2), (64, 128, 256, 256)),
    _resnet("resnet24", (3, 3, 2, 3), (64, 128, 128, 256)),
    _resnet("resnet48", (8, 5, 5, 5), (64, 128, 128, 128)),
    _densenet("densenet-40-12", 40, 12, bottleneck=False, compression=1.0),
    # For comparison with VGG-38 with BatchNorm: within 10% of its parameters, multiply-adds and depth.
    _densenet("densenet-bc-40-16", 40, 16),
    _densenet("densenet-bc-100-12", 100, 12),
    *(_lenet(layers, reduction) for layers in (1, 2, 3, 4) for reduction in ("max", "average", "strided", "dilated")),
    _fastnet("s", widths=(64, 256, 256)),
    _fastnet("m", widths=(128, 384, 384)),
    _fastnet("l", widths=(128, 384, 512), convs=3, residual=True),
    Variant("mlp", "kzoo.models.mlp:MLP", {}, 10, _CIFAR, "fully-connected/mlp"),
)

BUILDERS = {
    "vgg": ("VGG", "VGG08", "VGG38"),
    "vgg_ade": ("VGGADE", "VGGA", "VGGD", "VGGE"),
    "resnet": ("ResNet", "ResNet10", "ResNet16", "ResNet24", "ResNet48"),
    "densenet": ("DenseNet",),
    "lenet": ("LeNet",),
    "fastnet": ("FastNet", "FastNetS", "FastNetM", "FastNetL"),
    "mlp": ("MLP",),
}
"""Names of the builders, by the module of `kzoo.models` that has them: `kzoo`, `kzoo.models` and the docs read this."""

_BY_NAME = {variant.name: variant for variant in VARIANTS}


def find(name: str) -> Variant:
    """The variant of that name; for kzoo's own code, since an unknown name raises KeyError."""
    return _BY_NAME[name]
