"""Tables of a search's trials, while it runs and afterwards (no Keras)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kzoo.errors import counted
from kzoo.live import LiveTable
from kzoo.search.results import ENDED, Outcome, SearchRecord, SearchResult, Trial
from kzoo.search.search import Search
from kzoo.studies.rendering import markdown_table
from kzoo.training.listing import read_progress

SHOWN = 30
"""How many of the best trials the live table shows, besides all that have not ended."""
STYLES = {"completed": "", "running": "bold", "failed": "red", "rejected": "dim", "waiting": "yellow"}


def cell(value: Any) -> str:
    """A value as tables show it."""
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)


def in_words(trial: Trial, objective: str) -> str:
    """A trial's status and result."""
    if trial.outcome is None or trial.score is None:
        return _status(trial)
    epochs = f"epoch {trial.outcome.best_epoch} of {trial.outcome.epochs}"
    return f"{objective} {trial.score:.4f} ({', '.join([epochs, *_remarks(trial.outcome)])})"


def _status(trial: Trial) -> str:
    if trial.outcome is None or trial.score is None:
        return f"{trial.status}: {trial.reason}" if trial.reason else trial.status
    return ", ".join([*([] if trial.outcome.stopped else ["completed"]), *_remarks(trial.outcome)])


def _remarks(outcome: Outcome) -> list[str]:
    return [text for text, so in {"stopped early": outcome.stopped, "resumed": outcome.resumed}.items() if so]


def columns(result: SearchResult) -> list[str]:
    """Titles of the columns."""
    return ["trial", *result.fields, result.objective, "epochs", "parameters", "seconds", "status"]


def row(result: SearchResult, trial: Trial, epochs: str | None = None) -> list[str]:
    """A trial's cells; `epochs` replaces the number of epochs in its outcome."""
    outcome = trial.outcome
    score = "" if trial.score is None else f"{trial.score:.4f}"
    parameters = f"{outcome.parameters:,}" if outcome and outcome.parameters is not None else ""
    seconds = f"{outcome.seconds:,.0f}" if outcome and outcome.seconds else ""
    if epochs is None:
        epochs = str(outcome.epochs) if outcome and outcome.epochs else ""
    name = f"{trial.number} (the recipe's values)" if trial.number == result.record.baseline else trial.number
    values = [cell(trial.values.get(field)) for field in result.fields]
    return [name, *values, score, epochs, parameters, seconds, _status(trial)]


def rich_table(
    result: SearchResult,
    trials: Sequence[Trial] | None = None,
    *,
    title: str | None = None,
    epochs: Callable[[Trial], str | None] = lambda trial: None,
) -> Table:
    """Trials as a table for a terminal, by default all, the best first; `epochs` returns the text for `row`."""
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for column, side in zip(columns(result), _sides(result), strict=True):
        # The last part of an option's name saves space on a terminal.
        table.add_column(column.removeprefix("model_options."), justify=side, overflow="fold")  # type: ignore[arg-type]
    for trial in result.ordered() if trials is None else trials:
        table.add_row(*row(result, trial, epochs(trial)), style=STYLES[trial.status])
    return table


def markdown(result: SearchResult) -> str:
    """All trials, the best first, as a Markdown table."""
    align = "".join(side[0] for side in _sides(result))
    return markdown_table(columns(result), [row(result, trial) for trial in result.ordered()], align)


def _sides(result: SearchResult) -> list[str]:
    numbers = (result.objective, "epochs", "parameters", "seconds")
    return ["right" if column in numbers else "left" for column in columns(result)]


def summary(result: SearchResult) -> str:
    """The result of a search in one or two lines."""
    counts = {status: sum(trial.status == status for trial in result.trials) for status in STYLES}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    text = f"{result.record.name}: {counted(len(result.trials), 'trial')} ({', '.join(parts) or 'none yet'})"
    text += f", {result.record.seconds:,.0f} s"
    if result.status != "running" and result.reason:
        text += f"; ended because {result.reason}" if result.status == "completed" else f"; {result.reason}"
    if result.record.skipped:
        text += f"\nproposed configurations skipped, because they had been tried before: {result.record.skipped}"
    if result.ranked():
        best = result.best
        text += f"\nbest: trial {best.number}, {in_words(best, result.objective)}"
        default = next((trial for trial in result.trials if trial.number == result.record.baseline), best)
        if default.number != best.number:
            text += f"; the recipe's values: {in_words(default, result.objective)}"
    return text


class SearchProgress(LiveTable):
    """Shows a search's trials; a context manager whose `show` is called with each new record."""

    transient = True

    def __init__(self, console: Console | None, search: Search, directory: Path, record: SearchRecord) -> None:
        """Show on `console`, if there is one; trials that have ended in `record` are not reported again."""
        super().__init__(console)
        self.search, self.result = search, SearchResult(directory, record)
        self._reported = {trial.number: trial.status for trial in record.trials if trial.status in ENDED}

    def show(self, record: SearchRecord) -> None:
        """Show the current state of the search."""
        self.result = SearchResult(self.result.directory, record)
        for trial in record.trials:
            if self._reported.get(trial.number) != trial.status:
                self._reported[trial.number] = trial.status
                values = ", ".join(f"{name}={cell(value)}" for name, value in trial.values.items())
                self.line(f"trial {trial.number}: {in_words(trial, self.result.objective)}; {values}")

    def table(self) -> Table:
        """The best trials and those that are running."""
        result, budget = self.result, self.search.budget
        best = {trial.number for trial in result.ranked()[:SHOWN]}
        trials = [trial for trial in result.trials if trial.number in best or trial.status not in ENDED]
        done = sum(trial.status in ("completed", "failed") for trial in result.trials)
        title = f"{self.search.name}: {done}{f' of {budget}' if budget else ''} trials, {self.search.tuner}"
        return rich_table(result, trials, title=title, epochs=self._epochs)

    def _epochs(self, trial: Trial) -> str:
        """A trial's progress and its last validation accuracy, read from its run's directory."""
        if trial.outcome is not None:
            return str(trial.outcome.epochs)
        so_far = read_progress(self.result.directory / trial.directory, self.search.base.epochs)
        return str(so_far.epoch) if so_far.val_accuracy is None else f"{so_far.epoch} ({so_far.val_accuracy:.4f})"
