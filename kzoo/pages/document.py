"""From a template to one HTML file that stands alone, written whole or not at all."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import markupsafe

from kzoo._version import __version__
from kzoo.errors import InputError
from kzoo.files import write_text
from kzoo.pages.charts import themes
from kzoo.pages.scripts import for_script

MARK = '<meta name="generator" content="kzoo page'


@dataclass(frozen=True)
class Absent:
    """A part of a page that cannot be shown, and why: a sentence."""

    why: str


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: says what it holds.
        header: names of the columns.
        rows: cells by row; the first names the row.
        numeric: places of the columns that are set flush right.
        groups: headings over columns, each with the number of columns it spans; together they span all.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kzoo.pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["absent"] = lambda value: isinstance(value, Absent)
    environment.filters["number"] = "{:,}".format
    return environment


@functools.cache
def _plotly() -> markupsafe.Markup:
    import plotly.offline

    return markupsafe.Markup(plotly.offline.get_plotlyjs().replace("</script", "<\\/script"))


def check_place(path: str | Path) -> Path:
    """The path of a page that may be written: nothing is there, or an earlier page of kzoo's.

    Raises:
        InputError: no such folder, or something else is there.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise InputError(f"page {str(path)!r}: folder {str(path.parent)!r} does not exist")
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

    Args:
        path: of the HTML file; an earlier page of kzoo's is replaced, nothing else.
        template: its name, e.g. ``"run.html"``.
        **context: what it shows.

    Returns:
        The path.

    Raises:
        InputError: see `check_place`.
        RunFailed: the file cannot be written; an earlier one is intact.
    """
    path = check_place(path)
    text = (
        _environment()
        .get_template(template)
        .render(
            context, mark=markupsafe.Markup(MARK), version=__version__, plotly=_plotly(), themes=for_script(themes())
        )
    )
    write_text(path, text)
    return path
