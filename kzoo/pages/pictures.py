"""Pictures within a page: images of the data as PNG in data addresses."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

SMALL, GAP, ROW_GAP = 64, 3, 10  # pixels


def data_address(content: bytes, kind: str) -> str:
    """A file's content as an address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def png(image: np.ndarray) -> str:
    """An image as the address of a PNG.

    Args:
        image: (H, W, C) with 1 or 3 channels (of others the first is shown), of 0-255; floats are rounded.
    """
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8) if image.dtype != np.uint8 else image
    if pixels.shape[-1] != 3:
        pixels = pixels[..., :1]
    content = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(content, "PNG", optimize=True)
    return data_address(content.getvalue(), "image/png")


def sheet(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of images (n, H, W, C) side by side, uint8, on grey; small ones magnified by a whole number."""
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
