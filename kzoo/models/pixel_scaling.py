"""How a network scales its pixels before its first layer: the constants of the `Rescaling` layers at its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kzoo.models.structure import IDLE

Scaling = tuple[np.ndarray, np.ndarray]
"""Factor and summand, each a number or one per channel."""


def pixel_scaling(entries: Sequence[Mapping[str, Any]]) -> Scaling:
    """The scaling that the layers at the input of a structure amount to, one after the other."""
    scale, offset = np.array(1.0), np.array(0.0)
    pixels: list[int | None] = [None]
    for index, entry in enumerate(entries):
        if len(entry["inputs"]) != 1 or entry["inputs"][0] not in pixels:
            continue
        if entry["class"] == "Rescaling":
            factor = np.asarray(entry["config"]["scale"], float)
            scale, offset = scale * factor, offset * factor + np.asarray(entry["config"]["offset"], float)
        if entry["class"] in ("Rescaling", *IDLE):
            pixels.append(index)
    return scale, offset


def same_scaling(one: Scaling, other: Scaling) -> bool:
    """Whether two scalings agree, up to rounding."""
    try:
        return all(np.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(one, other, strict=True))
    except ValueError:  # of other numbers of channels
        return False


def in_words(scaling: Scaling) -> str:
    """``"times 0.0039 plus -0.5"``, or ``"as they are"``."""
    scale, offset = (", ".join(f"{value:.4g}" for value in np.unique(part)) for part in scaling)
    if (scale, offset) == ("1", "0"):
        return "as they are"
    return f"times {scale}" if offset == "0" else f"times {scale} plus {offset}"
