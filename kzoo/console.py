"""Prints text unchanged, whatever the encoding of the output."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console


def plain_console(**options: Any) -> Console:
    """A console that prints names, paths and classes unchanged: brackets are not markup, colons are not emoji."""
    replace_what_cannot_be_written()
    # A notebook's cell keeps all output: do not redraw progress bars, and do not write HTML for each line.
    if in_notebook():
        options = {"force_jupyter": False, "force_terminal": False, **options}
    return Console(markup=False, emoji=False, highlight=False, **options)


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel, where all output stays on the page."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def replace_what_cannot_be_written() -> None:
    """Make standard output and standard error print a question mark for each character that their encoding lacks.

    Otherwise printing the result of a finished run would raise an error under ASCII, Latin-1 or a Windows code page.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and getattr(stream, "errors", None) in (None, "strict", "surrogateescape"):
            reconfigure(errors="replace")


def console_for(progress: bool | Console) -> Console | None:
    """The console that a `progress` argument selects: itself, a plain one for True, None for False."""
    return progress if isinstance(progress, Console) else plain_console() if progress else None


def say(console: Console, text: str) -> None:
    """Print text unchanged and unwrapped on any console, including a user's."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


err = plain_console(stderr=True)


def complain(kind: str, message: str) -> None:
    """Print a message on standard error after its kind, such as ``"error"`` or ``"warning"``."""
    err.print(f"{kind}: {message}", style="red" if kind == "error" else "yellow", soft_wrap=True)
