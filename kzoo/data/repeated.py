"""Images that occur more than once in a user's dataset: a sign of training on held-out images or of wrong labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import numpy as np

Name = Callable[[str, int], str]
"""The name of an image in messages, by its part and index."""


def repeated(parts: Mapping[str, tuple[np.ndarray, np.ndarray]], name: Name, source: str) -> tuple[str, ...]:
    """A line on the images that repeat an earlier one pixel by pixel; none if no image does.

    Args:
        parts: by part, the training part first: images uint8 (N, H, W, C) and labels int64 (N,).
        name: names an image.
        source: where the images come from.
    """
    first: dict[bytes, tuple[str, int]] = {}
    again: list[str] = []
    other_part = other_class = 0
    for part, (images, labels) in parts.items():
        for index, image in enumerate(images):
            original, number = first.setdefault(_digest(image), (part, index))
            if (original, number) == (part, index):
                continue
            again.append(f"{name(part, index)} is {name(original, number)}")
            other_part += part != original
            other_class += labels[index] != parts[original][1][number]
    if not again:
        return ()
    repeat = "images repeat" if len(again) > 1 else "image repeats"
    text = f"{source}: {len(again):,} {repeat} an earlier one (e.g. {again[0]})"
    text += f", {other_part} of them across parts" if other_part else ""
    return (text + (f", {other_class} of them in another class" if other_class else ""),)


def _digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
