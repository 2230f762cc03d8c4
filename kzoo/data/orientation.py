"""Turns pixels upright by the orientation that a camera recorded in the image file (EXIF)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np

ORIENTATION, SHORT = 0x0112, 3
"""The tag, and the type of its value (TIFF 6.0)."""

# How stored pixels become the upright image.
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: np.rot90,
}


def upright(pixels: np.ndarray, file: Any) -> np.ndarray:
    """Pixels (H, W, C) of an open image file (Pillow), turned as its orientation says, if that can be read."""
    turn = _TURNS.get(_orientation(file))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _orientation(file: Any) -> int:
    try:
        value = file.getexif().get(ORIENTATION)
    except Exception:  # damaged metadata, for which Pillow raises nearly anything
        value = None
    if value is None:  # Pillow stops reading at the first entry whose value is missing
        value = _entry(file.info.get("exif"))
    return value if isinstance(value, int) else 1


def _entry(block: Any) -> int | None:
    """The orientation in the first directory of an EXIF block, whatever the other entries are."""
    if not isinstance(block, bytes):
        return None
    block = block.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for index in range(count):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", block, start + 2 + 12 * index)
            if (tag, kind) == (ORIENTATION, SHORT):
                return int(value)
    except struct.error:  # the block ends too early, or it is not EXIF
        pass
    return None
