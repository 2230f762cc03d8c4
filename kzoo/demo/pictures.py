"""Converts pictures between a browser and a network."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from kzoo.data.background import WHITE, Colour
from kzoo.data.images import read_image
from kzoo.errors import InputError

LARGEST = 8_000_000
"""Largest size of a picture file, in bytes."""
MOST_PIXELS = 40_000_000
"""Largest number of pixels of a picture; a small file can hold many."""
MARGIN = 1 / 14
"""Margin around a drawing, relative to the side of the picture: two of EMNIST's 28 pixels."""


def decoded(content: bytes, channels: int | None, background: Colour | None = WHITE) -> np.ndarray:
    """Decode a picture, upright: uint8 (H, W, channels).

    Raises:
        InputError: the content is not a picture, too large, or damaged.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError("this is not a picture: PNG, JPEG, GIF, WebP, BMP and TIFF are supported") from None
    if width * height > MOST_PIXELS:
        raise InputError(f"this picture has {width} x {height} pixels: at most {MOST_PIXELS:,} are allowed")
    try:
        return read_image(io.BytesIO(content), channels=channels, background=background)
    except InputError as error:
        raise InputError(f"this picture is damaged or of an unsupported kind ({error})") from None


def centered(drawing: np.ndarray) -> np.ndarray:
    """Crop and centre a light drawing on black, with a small margin, as in datasets of handwriting.

    Raises:
        InputError: nothing was drawn.
    """
    ink = drawing.max(-1) > 32
    if not ink.any():
        raise InputError("nothing is drawn yet")
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    cut = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = round(max(cut.shape[:2]) / (1 - 2 * MARGIN))
    square = np.zeros((side, side, drawing.shape[2]), np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return square


def as_data(image: np.ndarray) -> str:
    """An image, uint8 (H, W, 1 or 3), as a PNG in a ``data:`` URL."""
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
