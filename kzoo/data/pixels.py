"""Pixel values of users' arrays: converted to uint8 if that is safe, explained in an error message if not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

DARK = 63
"""Images without a brighter pixel may have a range other than 0-255, such as four to six bits."""


def whole_pixels(images: np.ndarray) -> np.ndarray:
    """Images as uint8 if they are whole numbers in 0-255, not just 0 and 1; otherwise unchanged (refused later)."""
    if images.dtype.kind not in "iuf" or images.dtype == np.uint8 or images.ndim < 3 or not images.size:
        return images
    low, high = images.min(), images.max()
    whole = low >= 0 and 1 < high <= 255 and bool((images == np.floor(images)).all())
    return images.astype(np.uint8) if whole else images


def range_hint(images: np.ndarray) -> str:
    """The end of an error message: the values of images that are not pixels in 0-255, and how to convert them."""
    if images.dtype.kind == "b":
        return " (multiply by 255)"
    if images.dtype.kind not in "iuf" or not images.size:
        return ""
    low, high = images.min(), images.max()
    if not np.isfinite([low, high]).all():
        return " with values that are not finite"
    held = f" from {low:g} to {high:g}"
    if low < 0:
        return f"{held} (scale them to 0-255 and round)"
    if high <= 1:
        return f"{held} (multiply by 255 and round)"
    return f"{held} (round them)" if high <= 255 else f"{held} (16 bits? divide by 257 and round)"


def dark_parts(source: str, parts: Mapping[str, np.ndarray | None]) -> tuple[str, ...]:
    """A line for each part without a bright pixel: a mask, images in [0, 1] cut to integers, scikit-learn's 0-16."""
    lines = []
    for name, images in parts.items():
        if images is None or images[0].max() > DARK or (white := max(1, images.max())) > DARK:
            continue
        scaled = "multiply by 255 before converting to integers" if white == 1 else f"multiply by 255 / {white}"
        text = f"no pixel of its {name} images is above {white}, where 255 is white: {scaled}, if {white} means white"
        lines.append(f"{source}: {text}")
    return tuple(lines)
