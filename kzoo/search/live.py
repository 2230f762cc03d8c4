"""What is shown while a search runs: a live table on a terminal, else plain lines (no Keras).

It reads the search's directory alone, so it shows what any process does there.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from kzoo.errors import KzooError
from kzoo.search.records import ENDED, Record, Trial
from kzoo.search.results import SearchResult, read_search
from kzoo.search.search import Search
from kzoo.search.tables import cell, in_words, rich_table
from kzoo.studies.live import progress

SHOWN = 30
"""Rows of the live table: the best, and all that are not over."""


class SearchProgress:
    """Shows the trials in a search's directory while they run; a context manager."""

    def __init__(self, console: Console, search: Search, directory: Path, interval: float = 1.0) -> None:
        """Show on `console`, refreshed every `interval` seconds."""
        self.console, self.search, self.directory, self.interval = console, search, directory, interval
        self._over = threading.Event()
        self._live: Live | None = None
        self._told: dict[str, str] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._last = SearchResult(directory, Record(name=search.name, digest="", search=search.to_dict(), budget={}))

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(
                get_renderable=self.table, console=self.console, refresh_per_second=1 / self.interval, transient=True
            )
            self._live.start()
        else:
            for trial in self.read().trials:  # what is over is not told again
                self._told[trial.number] = trial.status
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._live is not None:
            self._live.stop()
        elif self._thread.is_alive():
            self._thread.join()
            self._tell()

    def read(self) -> SearchResult:
        """The search as it stands; as it stood, where a file cannot be read at this moment."""
        with contextlib.suppress(KzooError, OSError):
            self._last = read_search(self.directory)
        return self._last

    def table(self) -> Table:
        """The best trials and those that run."""
        result = self.read()
        chosen = {trial.number for trial in result.ranked()[:SHOWN]}
        chosen |= {trial.number for trial in result.trials if trial.status not in ENDED}
        budget = self.search.budget
        done = sum(trial.status in ("completed", "failed") for trial in result.trials)
        title = f"{self.search.name}: {done}{f' of {budget}' if budget else ''} trials, {self.search.tuner}"
        rows = [trial for trial in result.trials if trial.number in chosen]
        return rich_table(result, rows, title=title, epochs=self._epochs)

    def _epochs(self, trial: Trial) -> str:
        if trial.outcome is not None:
            return str(trial.outcome.epochs)
        far = progress(self.directory / trial.directory, self.search.base.epochs)
        accuracy = "" if far.val_accuracy is None else f" ({far.val_accuracy:.4f})"
        return f"{far.epoch}{accuracy}"

    def _watch(self) -> None:
        while not self._over.wait(self.interval):
            self._tell()

    def _tell(self) -> None:
        result = self.read()
        for trial in result.trials:
            if self._told.get(trial.number) == trial.status:
                continue
            self._told[trial.number] = trial.status
            values = ", ".join(f"{name}={cell(value)}" for name, value in trial.values.items())
            end = in_words(trial, result.objective)
            self.console.print(f"trial {trial.number}: {end}; {values}", highlight=False, markup=False, soft_wrap=True)
