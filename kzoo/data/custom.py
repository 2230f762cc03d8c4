"""An augmentation made by a custom function."""

from __future__ import annotations

from typing import Any, ClassVar

from kzoo.custom import CustomPart
from kzoo.data.augmentation import UNIT, Augmentation, Normalization
from kzoo.errors import InputError, shown
from kzoo.lazy import np


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
        dtype = getattr(result, "shape", None) == images.shape and getattr(result, "dtype", None)
        if not dtype or not np.issubdtype(dtype, np.number) or np.issubdtype(dtype, np.complexfloating):
            raise InputError(
                f"augmentation {self.kind!r} must return images of shape {images.shape} as numbers, not {shown(result)}"
            )
        return result

    def draw(
        self, count: int, shape: tuple[int, int, int], rng: np.random.Generator, normalization: Normalization = UNIT
    ) -> Any:
        """Not possible: the function draws and applies at once."""
        raise InputError(f"augmentation {self.kind!r} is a function, which draws and applies at once")
