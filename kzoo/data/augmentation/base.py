"""What every augmentation shares: a schema that draws random parameters and applies them to a batch.

Drawing and applying are separate, so that drawn parameters can be checked and applied again by other code.
Images are (B, H, W, C), uint8 or float32, in units of 0-255.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

from pydantic import ConfigDict

from kzoo.custom import CustomPart
from kzoo.errors import InputError, shown
from kzoo.lazy import np
from kzoo.schemas import Validated


class Normalization(NamedTuple):
    """Per-channel mean and standard deviation of the pixels, in units of pixels / 255 (one value or C of them)."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


CHUNK = 16
"""Images changed at a time by changes that need many temporary arrays. Small arrays are reused; large ones are fetched
from the system page by page each time, which takes longer than the arithmetic."""

UNIT = Normalization((0.0,), (1.0,))
"""No normalization: a network that sees pixels / 255."""


class Augmentation(Validated):
    """A random change of each image of a batch; its fields are its schema, also in JSON.

    Attributes:
        gives_float: whether uint8 images come out as float32.
        mixes: whether targets are changed too, by `mix(images, targets, rng)`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)
    gives_float: ClassVar[bool] = False
    mixes: ClassVar[bool] = False

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> Any:
        """Random parameters for `count` images of `shape` (H, W, C)."""
        raise NotImplementedError

    def apply(self, images: np.ndarray, drawn: Any) -> np.ndarray:
        """The images changed as drawn; the input is not changed."""
        raise NotImplementedError

    def __call__(self, images: np.ndarray, rng: np.random.Generator, normalization: Normalization = UNIT) -> np.ndarray:
        """Draw and apply.

        Args:
            images: (B, H, W, C), uint8 or float32 in 0-255.
            rng: source of the random parameters.
            normalization: what the network subtracts and divides by, for changes in the network's units.

        Returns:
            New images of the same shape, of the same dtype unless `gives_float`.
        """
        return self.apply(images, self.draw(len(images), images.shape[1:], rng, normalization))


class CustomAugmentation(CustomPart, Augmentation):
    """``function(images, rng, **options)``, see `kzoo.register_augmentation`."""

    field: ClassVar[str] = "augmentation"
    gives_float: ClassVar[bool] = True

    def __call__(self, images: np.ndarray, rng: np.random.Generator, normalization: Normalization = UNIT) -> np.ndarray:
        """Call the function; see `Augmentation.__call__`.

        Raises:
            InputError: the function does not return numbers in the images' shape.
        """
        result = self.function()(images, rng, **self.options)
        dtype = getattr(result, "dtype", None)  # of JAX's arrays too
        numbers = isinstance(dtype, np.dtype) and np.issubdtype(dtype, np.number)
        if not numbers or result.shape != images.shape or np.issubdtype(dtype, np.complexfloating):
            raise InputError(
                f"augmentation {self.kind!r} must return images of shape {images.shape} as numbers, not {shown(result)}"
            )
        # With other integer types, later changes would cut fractions off instead of rounding them.
        return result if result.dtype == np.uint8 else np.asarray(result, np.float32)

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> Any:
        """Not possible: the function draws and applies at once."""
        raise InputError(f"augmentation {self.kind!r} is a function, which draws and applies at once")


def as_dtype(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values as `dtype`; for integers, rounded to the nearest (halves to even) and clipped to 0-255."""
    if np.issubdtype(dtype, np.integer):
        return np.clip(np.rint(values), 0, min(np.iinfo(dtype).max, 255)).astype(dtype)
    return values.astype(dtype, copy=False)
