"""Base class and types of all parts of a recipe (plain data, no Keras)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Channel = Annotated[int, Field(ge=0, le=255)]


def _three(value: Any) -> Any:
    return (value, value, value) if isinstance(value, int) and not isinstance(value, bool) else value


Background = Annotated[tuple[Channel, Channel, Channel], BeforeValidator(_three)]
"""A colour, red, green and blue; a single value is grey."""


class Setting(BaseModel):
    """Base of recipe data: immutable, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
