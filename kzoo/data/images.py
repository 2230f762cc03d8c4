"""Image files to arrays, and resizing (Pillow)."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from kzoo.errors import InputError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""File names that count as images, in lower case."""

_GREY = ("1", "L", "LA")


def read_image(path: str | Path | BinaryIO, *, channels: int | None = None) -> np.ndarray:
    """One image file, upright.

    Args:
        path: a file that Pillow can read, or its content as a stream; of an animation, the first frame is taken.
        channels: 1 for grey, 3 for RGB, or None for what the file holds (palettes become RGB, transparency is
            dropped).

    Returns:
        uint8 (H, W, 1) or (H, W, 3).

    Raises:
        InputError: the file is missing, broken, or of more than 8 bits a channel.
    """
    name = f"image {str(path)!r}" if isinstance(path, str | Path) else "image"
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            if upright.mode.startswith(("I", "F")):
                raise InputError(f"{name} has more than 8 bits a channel (Pillow mode {upright.mode})")
            grey = channels == 1 if channels else upright.mode in _GREY
            pixels = np.asarray(upright.convert("L" if grey else "RGB"))
    except InputError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:  # what Pillow's decoders raise
        raise InputError(f"cannot read {name}: {error}") from None
    return pixels[..., None] if pixels.ndim == 2 else pixels


def resize(image: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """One image scaled to size x size, bilinearly and without aliasing; the aspect ratio is not kept.

    Args:
        image: uint8 (H, W, C).
        size: pixels a side, or (height, width).
    """
    height, width = (size, size) if isinstance(size, int) else size
    if image.shape[:2] == (height, width):
        return image
    # Channel by channel, since Pillow knows only a few channel counts and treats a fourth as transparency.
    scaled = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), Image.Resampling.BILINEAR))
        for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(scaled, axis=2)


def resize_all(images: np.ndarray, size: int) -> np.ndarray:
    """Every image of uint8 (N, H, W, C) scaled to size x size: see `resize`."""
    result = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    for index, image in enumerate(images):
        result[index] = resize(image, size)
    return result
