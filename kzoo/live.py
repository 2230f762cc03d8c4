"""A table that follows what happens: drawn again and again on a terminal, plain lines elsewhere (no Keras)."""

from __future__ import annotations

import contextlib
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from kzoo.console import say


class LiveTable:
    """Base of what is shown while many runs train; a context manager. Subclasses give the `table`.

    Attributes:
        console: shows it; nothing is shown without one.
        interval: seconds between two drawings.
        in_lines: whether lines are printed instead of the table, as on no terminal.
    """

    transient = False
    """Whether the table is gone from the terminal afterwards."""

    def __init__(self, console: Console | None, interval: float = 1.0) -> None:
        """Show on `console`, if there is one."""
        self.console, self.interval = console, interval
        self.in_lines = console is not None and not console.is_terminal
        self._shown = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.console is not None and not self.in_lines:
            live = Live(
                get_renderable=self.table,
                console=self.console,
                refresh_per_second=1 / self.interval,
                transient=self.transient,
            )
            self._shown.enter_context(live)
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.close()

    def table(self) -> Table:
        """The table as it is now."""
        raise NotImplementedError

    def line(self, text: str) -> None:
        """Print a line, where no table is shown."""
        if self.console is not None and self.in_lines:
            say(self.console, text)
