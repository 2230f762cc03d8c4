"""The convolutions of the comparison: the fields along which they grow, and their base values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from kzoo.convolution.geometry import Geometry, of_convolution
from kzoo.seeds import generator


@dataclass(frozen=True)
class Point:
    """One convolution: stride 1, padding "same", as many filters as channels, float32.

    Attributes:
        batch: images.
        channels: of input and output.
        size: height and width of the images.
        kernel: height and width of the kernel.
        dilation: pixels from tap to tap.
    """

    batch: int = 8
    channels: int = 16
    size: int = 32
    kernel: int = 3
    dilation: int = 1

    @property
    def geometry(self) -> Geometry:
        """The shapes of the convolution."""
        shapes = ((self.batch, self.size, self.size, self.channels), (self.kernel, self.kernel, *2 * (self.channels,)))
        return of_convolution(*shapes, 1, "same", self.dilation)

    def arrays(self, batch: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return random input, kernel, bias and output gradient, of the whole batch or its first images."""
        geometry, random = self.geometry, generator(0, "compare-convolution")
        shapes = (geometry.input_shape, geometry.kernel_shape, (self.channels,), geometry.output_shape)
        x, kernel, bias, gradient = (random.standard_normal(shape, np.float32) for shape in shapes)
        return x[:batch], kernel, bias, gradient[:batch]

    def to_dict(self) -> dict[str, int]:
        """Return the fields."""
        return dataclasses.asdict(self)


BASE = Point()
# Many layers of VGG-38 on CIFAR are like this one.
STANDARD = Point(batch=32, channels=32)
SMALL = Point(batch=1, channels=1, size=8)


@dataclass(frozen=True)
class Series:
    """Points that differ in one field.

    Attributes:
        name: of the series.
        field: the field.
        base: the other fields.
        values: of the field, growing.
    """

    name: str
    field: str
    base: Point
    values: tuple[int, ...]

    @property
    def points(self) -> tuple[Point, ...]:
        """The points in order."""
        return tuple(dataclasses.replace(self.base, **{self.field: value}) for value in self.values)


def _series(*rows: tuple[str, str, Point, tuple[int, ...]]) -> Mapping[str, Series]:
    return MappingProxyType({row[0]: Series(*row) for row in rows})


FULL = _series(
    ("batch", "batch", BASE, (1, 2, 4, 8, 16, 32, 64)),
    ("channels", "channels", BASE, (1, 2, 4, 8, 16, 32, 64)),
    ("size", "size", BASE, (8, 16, 32, 64, 128)),
    ("kernel", "kernel", BASE, (1, 3, 5, 7, 9, 11, 15, 21)),
    ("dilation", "dilation", BASE, (1, 2, 4, 8)),
    ("small", "channels", SMALL, (1, 2, 4, 8, 16)),
    ("standard", "batch", STANDARD, (32,)),
)
QUICK = _series(
    ("batch", "batch", BASE, (1, 4, 16)),
    ("channels", "channels", BASE, (4, 8, 16)),
    ("size", "size", BASE, (8, 16, 32)),
    ("kernel", "kernel", BASE, (3, 7, 11, 15)),
    ("dilation", "dilation", BASE, (1, 2, 4)),
    ("small", "channels", SMALL, (1, 2, 4)),
    ("standard", "batch", STANDARD, (32,)),
)
TITLES = MappingProxyType(
    {
        "batch": "images in the batch",
        "channels": "channels, in and out",
        "size": "height and width of the images",
        "kernel": "height and width of the kernel",
        "dilation": "dilation",
        "small": "channels of one 8x8 image",
        "standard": "batch 32, 32 channels, 32x32",
    }
)
