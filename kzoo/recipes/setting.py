"""What all parts of a recipe share (plain data, no Keras)."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Setting(BaseModel):
    """Base of recipe data: immutable, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
