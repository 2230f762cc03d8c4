"""Markdown and texts of docstrings, for the tables that `docs/generate.py` writes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from kzoo.studies.rendering import markdown_table


def markdown(header: str, rows: Iterable[Iterable[object]], align: str = "") -> str:
    """Return a Markdown table; `header` and `align` (l or r per column) as in ``"name | size"`` and ``"lr"``."""
    return f"\n{markdown_table(header.split(' | '), rows, align)}\n"


def times(shape: tuple[int, ...] | None) -> str:
    """Format a shape as ``32x32x3``."""
    return "x".join(map(str, shape)) if shape else "as loaded"


def plain(text: str) -> str:
    """Return a docstring's text on one line, with Markdown's backticks instead of reStructuredText's."""
    return " ".join(text.split()).replace("``", "`")


def summary(item: Any) -> str:
    """Return the first paragraph of a docstring."""
    return plain((inspect.getdoc(item) or "").split("\n\n")[0])


def descriptions(item: Any, section: str) -> dict[str, str]:
    """Return the descriptions in one section of a Google-style docstring, by name."""
    _, _, text = inspect.cleandoc(item.__doc__ or "").partition(f"{section}:\n")
    entries = [entry.partition(":") for entry in re.split(r"\n(?=    \S)", text.split("\n\n")[0])]
    return {name.strip(): plain(text) for names, colon, text in entries if colon for name in names.split(",")}


def attributes(schema: type) -> dict[str, str]:
    """Return the descriptions of a class's attributes, including those of its bases."""
    texts: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        texts |= descriptions(base, "Attributes")
    return texts
