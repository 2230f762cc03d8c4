"""Versions of what kzoo writes to files, and fields that were added after the first one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field

from kzoo.errors import InputError


def check_version(fields: Mapping[str, Any], what: str, supported: int) -> None:
    """Refuse data written under a schema that this version of kzoo does not know."""
    version = fields.get("schema_version", supported)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise InputError(f"schema_version of a {what} must be a positive integer, not {version!r}")
    if version > supported:
        raise InputError(
            f"{what} has schema_version {version}, newer than {supported}, the newest this kzoo reads: upgrade kzoo"
        )


def later(default: Any, **options: Any) -> Any:
    """A field that a schema gained after its first release: `identity_fields` leaves it out at its default.

    So a recipe that does not use the field keeps the digest it had before the field existed. The default must
    never change afterwards: it stands for what was done before. `options` are those of `pydantic.Field`.
    """
    return Field(default, json_schema_extra={"later": True}, **options)


def identity_fields(model: BaseModel) -> dict[str, Any]:
    """A model's fields as JSON-ready data, without the `later` ones that hold their default, at every depth."""
    kept = {}
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("later") and value == field.get_default(call_default_factory=True):
            continue
        kept[name] = value
    dumped = model.model_dump(mode="json", include=set(kept))
    return {name: _nested(value, dumped[name]) for name, value in kept.items()}


def _nested(value: Any, dumped: Any) -> Any:
    """`dumped`, with the models inside `value` reduced to their identity."""
    if isinstance(value, BaseModel):
        return identity_fields(value)
    if isinstance(value, tuple | list):
        return [_nested(*pair) for pair in zip(value, dumped, strict=True)]
    return dumped
