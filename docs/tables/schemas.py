"""Tables of pydantic schemas: the fields of a recipe and its parts, the kinds of optimizers, schedules, etc."""

from __future__ import annotations

import importlib
import json
import types
import typing
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from tables.text import attributes, markdown, summary


def type_name(annotation: Any) -> str:
    """Describe the type and limits of a field in a few words."""
    if annotation is type(None):
        return "null"
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        base, *notes = parts
        if any(getattr(note, "discriminator", None) for note in notes):
            return "a kind"
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        notes = [inner for note in notes for inner in getattr(note, "metadata", [note])]
        limits = [f"{signs[key]} {getattr(n, key)}" for n in notes for key in signs if hasattr(n, key)]
        return f"{type_name(base)} {', '.join(limits)}".strip()
    if origin is Literal:
        return " or ".join(f'`"{value}"`' for value in parts)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(part) for part in parts)
    if origin is tuple:
        inner = [type_name(part) for part in parts if part is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in parts else f"list of {len(parts)}: {', '.join(inner)}"
    names = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if origin is dict:
        return "object"
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def field_type(schema: type[BaseModel], name: str) -> str:
    """Return `type_name` of a pydantic field; pydantic stores the field's limits separately from its annotation."""
    field = schema.model_fields[name]
    limits = [note for note in field.metadata if any(hasattr(note, key) for key in ("ge", "gt", "le", "lt"))]
    if field.discriminator:
        return "a kind"
    return type_name(typing.Annotated[field.annotation, *limits] if limits else field.annotation)


def default(schema: type[BaseModel], name: str) -> str:
    """Return a field's default as JSON; a schema without changed fields is ``{}``."""
    field = schema.model_fields[name]
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        changed = value.model_dump(mode="json", exclude_defaults=True)
        return f'`"{value.kind}"`' if hasattr(value, "kind") else f"`{json.dumps(changed)}`"
    return f"`{json.dumps(value)}`"


def fields(module: str, name: str) -> str:
    """Return a table with one row per field of a schema of this module."""
    schema = getattr(importlib.import_module(module), name)
    texts = attributes(schema)
    rows = [
        (f"`{field}`", field_type(schema, field), default(schema, field), texts.get(field, ""))
        for field in schema.model_fields
    ]
    return markdown("field | type | default | meaning", rows)


def kinds(module: str, name: str) -> str:
    """Return a table with one row per kind of a discriminated union: its fields with defaults, and its summary."""
    union = getattr(importlib.import_module(module), name)
    if get_origin(union) is typing.Annotated:
        union = get_args(union)[0]
    rows = []
    for kind in get_args(union):
        options = [f"`{n}` {default(kind, n)}" for n in kind.model_fields if n != "kind"]
        rows.append((f"`{kind.model_fields['kind'].default}`", ", ".join(options) or "-", summary(kind)))
    return markdown("kind | fields and defaults | meaning", rows)
