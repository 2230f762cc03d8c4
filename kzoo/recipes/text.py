"""A recipe's fields as text."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from kzoo.recipes.nested import flat

if TYPE_CHECKING:
    from kzoo.recipes.schema import Recipe


def write(value: Any) -> str:
    """A field's value, short: ``pad_crop(padding=4), flip()`` for a list of kinds."""
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(write, value))
    if isinstance(value, Mapping):
        value = dict(value)
        kind = value.pop("kind", "")
        if kind and isinstance(value.get("options"), Mapping):  # of a custom function
            value = {**value.pop("options"), **{key: entry for key, entry in value.items() if entry is not None}}
        inner = ", ".join(f"{key}={write(entry)}" for key, entry in value.items())
        return f"{kind}({inner})" if inner else kind
    return value if isinstance(value, str) else json.dumps(value)


def differing_fields(one: Recipe, other: Recipe) -> list[str]:
    """The fields in which two recipes differ, except their names."""
    names = [name for name in type(one).model_fields if name != "name"]
    differing = [name for name in names if getattr(one, name) != getattr(other, name)]
    if list(one.rate_multipliers) != list(other.rate_multipliers) and "rate_multipliers" not in differing:
        differing.append("rate_multipliers")  # their order counts
    return differing


def difference_in_words(name: str, there: Recipe, here: Recipe) -> str:
    """How a field differs, for example ``"optimizer.learning_rate is 0.1 there and 0.01 here"``."""
    shown = reprlib.Repr()
    shown.maxstring = shown.maxother = 60
    old, new = (getattr(recipe, name) for recipe in (there, here))
    if isinstance(old, BaseModel) and isinstance(new, BaseModel):
        # For settings, name the kind or the entries that differ.
        entries = [flat(setting.model_dump(mode="json"), f"{name}.") for setting in (old, new)]
        keys = [key for key in entries[0] | entries[1] if entries[0].get(key) != entries[1].get(key)]
        keys = [f"{name}.kind"] if f"{name}.kind" in keys else keys
        values = ((key, *(shown.repr(fields.get(key)) for fields in entries)) for key in keys)
        return "; ".join(f"{key} is {before} there and {now} here" for key, before, now in values)
    return f"{name} is {shown.repr(old)} there and {shown.repr(new)} here"
