"""Versions of what kzoo writes to files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
