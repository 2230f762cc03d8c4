"""How kzoo prints: text as it is, on whatever encoding the output has."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console


def plain_console(**options: Any) -> Console:
    """A console that prints names, paths and classes as they are: square brackets are no markup, colons no emoji.

    Args:
        **options: of `rich.console.Console`.
    """
    replace_what_cannot_be_written()
    # A notebook's cell keeps all that is written: no bar that is drawn anew, and no HTML for each line.
    if in_notebook():
        options = {"force_jupyter": False, "force_terminal": False, **options}
    return Console(markup=False, emoji=False, highlight=False, **options)


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook, whose output stays on the page."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


def replace_what_cannot_be_written() -> None:
    """Have standard output and error print a question mark for a character that their encoding lacks.

    Else ASCII, Latin-1 or a Windows code page would end a finished run in an error while its result is printed.
    """
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and getattr(stream, "errors", None) in (None, "strict", "surrogateescape"):
            reconfigure(errors="replace")


def console_for(progress: bool | Console) -> Console | None:
    """The console that a `progress` argument stands for: the one given, a plain one for True, None for False."""
    return progress if isinstance(progress, Console) else plain_console() if progress else None


def say(console: Console, text: str) -> None:
    """Print text as it is and unwrapped on any console, a user's own included."""
    console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)


err = plain_console(stderr=True)


def complain(kind: str, message: str) -> None:
    """Print an ``"error"`` or ``"warning"`` on standard error."""
    err.print(f"{kind}: {message}", style="red" if kind == "error" else "yellow", soft_wrap=True)
