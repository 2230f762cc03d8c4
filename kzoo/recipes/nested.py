"""Nested fields of recipes by dotted names, such as ``optimizer.learning_rate`` (no Keras)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from kzoo.errors import InputError


def flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields as ``{"optimizer.learning_rate": 0.001, ...}``; lists are kept whole."""
    flattened: dict[str, Any] = {}
    for key, value in fields.items():
        if isinstance(value, Mapping) and value:
            flattened.update(flat(value, f"{prefix}{key}."))
        elif not isinstance(value, Mapping):
            flattened[prefix + key] = value
    return flattened


def flat_recipe(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`flat` of a recipe's fields, equal if their identities are: the order of rate multipliers counts.

    Multipliers in another than alphabetical order are kept whole, as a list of names and values.
    """
    multipliers = fields.get("rate_multipliers") or {}
    if list(multipliers) == sorted(multipliers):
        return flat(fields)
    return flat({**fields, "rate_multipliers": [{name: value} for name, value in multipliers.items()]})


def value_of(fields: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name in nested fields; None if there is no such entry."""
    value: Any = fields
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def parts_of(name: str) -> list[str]:
    """The parts of a field's dotted name; the names of classes and of variables (with a slash) can contain dots."""
    field, _, entry = name.partition(".")
    if field == "class_weights" and entry:
        return [field, entry]
    start, _, last = entry.rpartition(".")
    if field == "rate_multipliers" and start:
        return [field, entry] if "/" in last else [field, start, last]
    return name.split(".")


def assign(fields: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a possibly nested entry, turning the settings that contain it into plain data."""
    head, rest = path[0], path[1:]
    if not rest:
        fields[head] = value
        return
    inner = fields.get(head, {})
    if isinstance(inner, BaseModel):
        inner = inner.model_dump()
    if isinstance(inner, str):
        inner = {"kind": inner}  # a kind's name alone
    if not isinstance(inner, dict):
        raise InputError(f"field {head!r} has no entries, so {'.'.join(path)!r} cannot be set")
    kind = inner.get("kind")
    if len(rest) > 1 and rest[0] == kind:
        rest = rest[1:]  # optimizer.adam.learning_rate, as errors write it
    if len(rest) > 1 and kind is not None and rest[0] not in inner:
        raise InputError(
            f"{'.'.join(path)!r} cannot be set: {head} is {kind!r}; to choose another kind, set {head}={rest[0]}"
        )
    fields[head] = inner = dict(inner)
    assign(inner, rest, value)
