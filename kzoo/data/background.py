"""The colour that transparent images are laid over."""

from __future__ import annotations

from typing import Any

from kzoo.checks import is_whole
from kzoo.errors import InputError, shown

Colour = tuple[int, int, int]
"""Red, green and blue, 0-255."""
WHITE: Colour = (255, 255, 255)


def checked_colour(background: Any) -> Colour | None:
    """The colour as integers, or None for no colour.

    Raises:
        InputError: `background` is neither a colour nor None.
    """
    if background is None:
        return None
    values = background if isinstance(background, list | tuple) else ()
    if len(values) != 3 or not all(is_whole(value, 0) and value <= 255 for value in values):
        raise InputError(f"background must be (red, green, blue), each 0-255, or None, not {shown(background)}")
    red, green, blue = map(int, values)
    return red, green, blue
