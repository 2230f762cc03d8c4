"""Images of the data for a page, as data URLs of PNG files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

SMALL, GAP, ROW_GAP = 64, 3, 10  # pixels


def png(image: np.ndarray) -> str:
    """An image as the data URL of a PNG file.

    Args:
        image: (H, W, C), values 0 to 255; floats are rounded. Unless C is 1 or 3, only the first channel is shown.
    """
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8) if image.dtype != np.uint8 else image
    if pixels.shape[-1] != 3:
        pixels = pixels[..., :1]
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def sheet(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of images (n, H, W, C) as one uint8 image on grey; small images are enlarged by an integer factor."""
    times = max(1, -(-SMALL // max(rows[0].shape[1:3])))
    images = [np.clip(np.rint(row), 0, 255).astype(np.uint8).repeat(times, 1).repeat(times, 2) for row in rows]
    count, height, width, channels = images[0].shape
    shape = (len(rows) * (height + ROW_GAP) - ROW_GAP, count * (width + GAP) - GAP, channels)
    whole = np.full(shape, 127, np.uint8)
    for i, row in enumerate(images):
        for j, image in enumerate(row):
            top, left = i * (height + ROW_GAP), j * (width + GAP)
            whole[top : top + height, left : left + width] = image
    return whole
