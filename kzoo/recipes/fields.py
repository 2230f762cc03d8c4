"""Types of single values in recipes: numbers within bounds, and colours (plain data, no Keras)."""

from __future__ import annotations

from numbers import Integral
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from kzoo.errors import shown

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Channel = Annotated[int, Field(ge=0, le=255)]


def _red_green_blue(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise ValueError(f"must be red, green and blue, or one grey value, 0-255, or null for none, not {shown(value)}")
    return (value, value, value)


Background = Annotated[tuple[Channel, Channel, Channel], BeforeValidator(_red_green_blue)]
"""A colour, red, green and blue; a single value is grey."""
