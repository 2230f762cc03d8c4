"""A table of progress: redrawn on a terminal, printed as plain lines elsewhere (no Keras)."""

from __future__ import annotations

import contextlib
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from kzoo.console import say


class LiveTable:
    """Base of the displays of many runs in training; a context manager. Subclasses define `table`.

    Attributes:
        console: shows the table; None shows nothing.
        interval: seconds between redraws.
        in_lines: whether to print lines instead of the table, because the console is not a terminal.
    """

    transient = False
    """Whether the table is removed from the terminal at the end."""

    def __init__(self, console: Console | None, interval: float = 1.0) -> None:
        """Show on `console`, unless it is None."""
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
        """The table in its present state."""
        raise NotImplementedError

    def line(self, text: str) -> None:
        """Print a line if lines replace the table."""
        if self.console is not None and self.in_lines:
            say(self.console, text)
