"""What is shown while a search runs: a live table on a terminal, else plain lines (no Keras)."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from kzoo.console import say
from kzoo.pool.progress import read_progress
from kzoo.search.records import ENDED, Record, Trial
from kzoo.search.results import SearchResult
from kzoo.search.search import Search
from kzoo.search.tables import cell, in_words, rich_table

SHOWN = 30
"""Trials in the live table: the best, and all that are not over."""


class SearchProgress:
    """Shows a search's trials; a context manager whose `show` is called with each new record."""

    def __init__(
        self, console: Console | None, search: Search, directory: Path, record: Record, interval: float = 1.0
    ) -> None:
        """Show on `console`, if there is one; the trials that `record` has as over were shown before."""
        self.console, self.search, self.interval = console, search, interval
        self.result = SearchResult(directory, record)
        self._live: Live | None = None
        self._shown = {trial.number: trial.status for trial in record.trials if trial.status in ENDED}

    def __enter__(self) -> Self:
        if self.console is not None and self.console.is_terminal:
            self._live = Live(
                get_renderable=self.table, console=self.console, refresh_per_second=1 / self.interval, transient=True
            )
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, record: Record) -> None:
        """Show the search as it stands now."""
        self.result = SearchResult(self.result.directory, record)
        if self.console is None or self._live is not None:
            return
        for trial in record.trials:
            if self._shown.get(trial.number) != trial.status:
                self._shown[trial.number] = trial.status
                values = ", ".join(f"{name}={cell(value)}" for name, value in trial.values.items())
                text = f"trial {trial.number}: {in_words(trial, self.result.objective)}; {values}"
                say(self.console, text)

    def table(self) -> Table:
        """The best trials and those that run."""
        result = self.result
        chosen = {trial.number for trial in result.ranked()[:SHOWN]}
        chosen |= {trial.number for trial in result.trials if trial.status not in ENDED}
        budget = self.search.budget
        done = sum(trial.status in ("completed", "failed") for trial in result.trials)
        title = f"{self.search.name}: {done}{f' of {budget}' if budget else ''} trials, {self.search.tuner}"
        trials = [trial for trial in result.trials if trial.number in chosen]
        return rich_table(result, trials, title=title, epochs=self._epochs)

    def _epochs(self, trial: Trial) -> str:
        """How far a trial has come, with its last validation accuracy: read from its run's directory."""
        if trial.outcome is not None:
            return str(trial.outcome.epochs)
        so_far = read_progress(self.result.directory / trial.directory, self.search.base.epochs)
        return str(so_far.epoch) if so_far.val_accuracy is None else f"{so_far.epoch} ({so_far.val_accuracy:.4f})"
