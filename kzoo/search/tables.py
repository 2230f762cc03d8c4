"""A search's results in tables (no Keras)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.table import Table

from kzoo.search.importance import Importance
from kzoo.search.records import Trial
from kzoo.search.results import SearchResult
from kzoo.studies.tables import markdown_table

STYLES = {"completed": "", "running": "bold", "failed": "red", "rejected": "dim", "waiting": "yellow"}


def cell(value: Any) -> str:
    """A value as tables show it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def in_words(trial: Trial, objective: str) -> str:
    """A trial's status and what came of it."""
    if trial.score is not None:
        assert trial.outcome is not None
        more = ", stopped early" if trial.outcome.stopped else ""
        more += ", resumed" if trial.outcome.resumed else ""
        return f"{objective} {trial.score:.4f} (epoch {trial.outcome.best_epoch} of {trial.outcome.epochs}{more})"
    return f"{trial.status}{': ' + trial.reason if trial.reason else ''}"


def columns(result: SearchResult) -> list[str]:
    """Titles of the columns."""
    return ["trial", *result.fields, result.objective, "epochs", "parameters", "seconds", "status"]


def row(result: SearchResult, trial: Trial, epochs: str | None = None) -> list[str]:
    """A trial's cells, with the epochs of its outcome if no text stands for them."""
    outcome = trial.outcome
    score = "" if trial.score is None else f"{trial.score:.4f}"
    parameters = f"{outcome.parameters:,}" if outcome and outcome.parameters is not None else ""
    seconds = f"{outcome.seconds:,.0f}" if outcome and outcome.seconds else ""
    if epochs is None:
        epochs = str(outcome.epochs) if outcome and outcome.epochs else ""
    name = f"{trial.number} (the recipe's values)" if trial.number == result.record.baseline else trial.number
    values = [cell(trial.values.get(field)) for field in result.fields]
    status: str = trial.status
    if outcome is not None and trial.score is not None:
        status = "stopped early" if outcome.stopped else status
        status += ", resumed" if outcome.resumed else ""
    elif trial.reason:
        status = f"{status}: {trial.reason}"
    return [name, *values, score, epochs, parameters, seconds, status]


def rich_table(
    result: SearchResult,
    trials: Sequence[Trial] | None = None,
    *,
    title: str | None = None,
    epochs: Callable[[Trial], str | None] = lambda trial: None,
) -> Table:
    """Trials, by default all with the best first, as a table for a terminal; `epochs` gives text for `row`."""
    table = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for column in columns(result):
        side = "right" if column in _numbers(result) else "left"
        table.add_column(_short(column), justify=side, overflow="fold")  # type: ignore[arg-type]
    for trial in result.ordered() if trials is None else trials:
        table.add_row(*row(result, trial, epochs(trial)), style=STYLES[trial.status])
    return table


def markdown(result: SearchResult) -> str:
    """All trials, the best first, as a Markdown table."""
    titles = columns(result)
    align = "".join("r" if title in _numbers(result) else "l" for title in titles)
    return markdown_table(titles, [row(result, trial) for trial in result.ordered()], align)


def _numbers(result: SearchResult) -> set[str]:
    return {result.objective, "epochs", "parameters", "seconds"}


def confirmed(result: SearchResult) -> str:
    """Runs with other seeds, as a Markdown table."""
    names = {"best": "the best trial's values", "recipe": "the recipe's values"}
    lines = []
    for item in sorted(result.record.confirmed, key=lambda item: (item.which, item.seed)):
        scores = ("" if score is None else f"{score:.4f}" for score in (item.val_accuracy, item.test_accuracy))
        lines.append((names[item.which], str(item.seed), *scores, f"{item.parameters:,}"))
    return markdown_table(["values", "seed", "validation accuracy", "test accuracy", "parameters"], lines, "lrrrr")


def _short(column: str) -> str:
    """A field's last part, as a terminal has little room."""
    return column.rpartition(".")[2] if column.startswith("model_options.") else column


def summary(result: SearchResult) -> str:
    """How the search went, in one or two lines."""
    counts = {status: sum(trial.status == status for trial in result.trials) for status in STYLES}
    parts = [f"{count} {status}" for status, count in counts.items() if count]
    text = f"{result.record.name}: {len(result.trials)} trials ({', '.join(parts) or 'none yet'})"
    text += f", {result.record.seconds:,.0f} s"
    if result.status != "running" and result.reason:
        text += f"; ended because {result.reason}" if result.status == "completed" else f"; {result.reason}"
    if result.record.skipped:
        text += f"\n{result.record.skipped} proposed configurations had been tried before, and were skipped"
    if result.ranked():
        best = result.best
        text += f"\nbest: trial {best.number}, {in_words(best, result.objective)}"
        default = next((trial for trial in result.trials if trial.number == result.record.baseline), best)
        if default.number != best.number:
            text += f"; the recipe's values: {in_words(default, result.objective)}"
    return text


def importance_table(importances: Sequence[Importance]) -> Table:
    """What mattered, as a table for a terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("field")
    table.add_column("importance", justify="right")
    for item in importances:
        table.add_row(item.field, f"{item.importance:.3f} ± {item.deviation:.3f}")
    return table


def fit_in_words(fit: float) -> str:
    """How far importances can be believed."""
    text = f"loss of R² when a field is shuffled; the forest's R² on unseen trials is {fit:.2f}"
    return text if fit > 0.2 else f"{text}: these trials are too few, or too much alike, to tell"
