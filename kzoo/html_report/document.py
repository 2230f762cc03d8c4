"""Fills a template and writes it as one standalone HTML file, completely or not at all."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from kzoo._version import __version__
from kzoo.errors import InputError
from kzoo.files import user_path, write_text

MARK = '<meta name="generator" content="kzoo page'


@dataclass(frozen=True)
class Absent:
    """A part of a page that cannot be shown, with the reason as a sentence."""

    why: str


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: description of the content.
        header: names of the columns.
        rows: cells by row; the first cell names the row.
        numeric: indices of the right-aligned columns.
        groups: headings above several columns, each with the number of columns that it spans; together they span all.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()


def for_script(data: Any) -> markupsafe.Markup:
    """JSON data, escaped so that no ``<`` in it can end its script element."""
    text = json.dumps(data, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return markupsafe.Markup(text)


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kzoo.html_report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["absent"] = lambda value: isinstance(value, Absent)
    return environment


def check_page(path: str | Path) -> Path:
    """Check that a page can be written to a path: the path is free or holds an earlier page of kzoo's.

    Raises:
        InputError: the name does not end in .html or .htm, the directory does not exist, or something else is there.
    """
    path = user_path(path)
    if path.suffix.lower() not in (".html", ".htm") and not path.is_dir():
        raise InputError(f"page {str(path)!r}: the name of a page must end in .html")
    if not path.parent.is_dir():
        raise InputError(f"page {str(path)!r}: directory {str(path.parent)!r} does not exist")
    if path.is_dir():
        raise InputError(f"page {str(path)!r} is a directory: name a file")
    if path.exists():
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                ours = MARK in stream.read(2000)
        except OSError as error:
            raise InputError(f"page {str(path)!r} cannot be read: {error.strerror}") from None
        if not ours:
            raise InputError(f"page {str(path)!r} exists and is not a page of kzoo's: choose another name (--output)")
    return path


def write_page(path: str | Path, template: str, **context: Any) -> Path:
    """Fill a template and write the page.

    Returns:
        The path.

    Raises:
        InputError: see `check_page`.
        RunFailed: the file cannot be written; an earlier file is kept.
    """
    path = check_page(path)
    template_ = _environment().get_template(template)
    text = template_.render(context, mark=markupsafe.Markup(MARK), version=__version__)
    write_text(path, text)
    return path
