"""From what a browser sends to what a network takes."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, UnidentifiedImageError

from kzoo.data.images import WHITE, Colour, read_image
from kzoo.errors import InputError

LARGEST = 8_000_000
"""Bytes of a picture that is sent."""
MOST_PIXELS = 40_000_000
"""Pixels of a picture: a small file can hold a large one."""
MARGIN = 1 / 14
"""What a drawing keeps free around it, of its side: two of EMNIST's 28 pixels."""


def decoded(content: bytes, channels: int, background: Colour | None = WHITE) -> np.ndarray:
    """A picture, upright: uint8 (H, W, channels).

    Args:
        content: of an image file.
        channels: 1 or 3.
        background: RGB, 0-255, that a transparent picture is laid over; None drops the transparency.

    Raises:
        InputError: it is none, too large, or damaged.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            width, height = picture.size
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InputError("this is no picture: PNG, JPEG, GIF, WebP, BMP and TIFF are understood") from None
    if width * height > MOST_PIXELS:
        raise InputError(f"this picture has {width} x {height} pixels: up to {MOST_PIXELS:,} are taken")
    try:
        return read_image(io.BytesIO(content), channels=channels, background=background)
    except InputError as error:
        raise InputError(f"this picture is damaged or of a kind that is not understood ({error})") from None


def centered(drawing: np.ndarray) -> np.ndarray:
    """A light drawing on black as data of handwriting has it: cut out, centred, with a small margin.

    Args:
        drawing: uint8 (H, W, C).

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
    """uint8 (H, W, 1 or 3) as a PNG in a ``data:`` address."""
    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
