"""Markdown, and what docstrings say, for the tables that `docs/generate.py` writes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

from kzoo.studies.rendering import markdown_table


def markdown(header: str, rows: Iterable[Iterable[object]], align: str = "") -> str:
    """A Markdown table; `header` and `align` (l or r per column) as in ``"name | size"`` and ``"lr"``."""
    return f"\n{markdown_table(header.split(' | '), rows, align)}\n"


def times(shape: tuple[int, ...] | None) -> str:
    """A shape as ``32x32x3``."""
    return "x".join(map(str, shape)) if shape else "as loaded"


def plain(text: str) -> str:
    """A docstring's text on one line, with Markdown's backticks for reStructuredText's."""
    return " ".join(text.split()).replace("``", "`")


def summary(thing: Any) -> str:
    """A docstring's first paragraph."""
    return plain((inspect.getdoc(thing) or "").split("\n\n")[0])


def described(thing: Any, section: str) -> dict[str, str]:
    """What one section of a Google-style docstring says of each name."""
    _, _, text = inspect.cleandoc(thing.__doc__ or "").partition(f"{section}:\n")
    entries = [entry.partition(":") for entry in re.split(r"\n(?=    \S)", text.split("\n\n")[0])]
    return {name.strip(): plain(text) for names, colon, text in entries if colon for name in names.split(",")}


def attributes(schema: type) -> dict[str, str]:
    """What a class's docstring and those of its bases say of each attribute."""
    found: dict[str, str] = {}
    for base in reversed(schema.__mro__):
        found |= described(base, "Attributes")
    return found
