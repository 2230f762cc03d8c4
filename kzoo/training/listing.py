"""Lists the runs of a directory, finished or not, as a table, and tells how far a run has come (no Keras)."""

from __future__ import annotations

import datetime
import fnmatch
import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kzoo import notebook
from kzoo.errors import InputError, counted
from kzoo.files import user_path
from kzoo.recipes.schema import Recipe
from kzoo.training.records import METRICS, read_history, read_result

State = Literal["finished", "failed", "unfinished"]
COLUMNS = ("run", "model", "data", "budget", "best", "test", "when", "state")


@dataclass(frozen=True)
class RunSummary:
    """One run in a line.

    Attributes:
        directory: of the run.
        name, model, dataset, seed: of its recipe.
        budget: what was trained on, e.g. ``"5 of 100 epochs, 10,000 images"``.
        best: the best validation accuracy so far, or None.
        test: the test accuracy, None until the end.
        when: when it began; for an unfinished run, when it last wrote something.
        state: ``"finished"``, ``"failed"`` or ``"unfinished"`` (running, or cut off).
        curve: validation accuracy by epoch, or training accuracy without a validation part.
    """

    directory: Path
    name: str
    model: str
    dataset: str
    seed: int
    budget: str
    best: float | None
    test: float | None
    when: datetime.datetime
    state: State
    curve: tuple[float, ...]

    def cells(self) -> tuple[str, ...]:
        """As text, by `COLUMNS`."""
        numbers = ("-" if value is None else f"{value:.4f}" for value in (self.best, self.test))
        when = self.when.astimezone().strftime("%Y-%m-%d %H:%M")
        return (str(self.directory), self.model, self.dataset, self.budget, *numbers, when, self.state)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        fields = {**asdict(self), "directory": str(self.directory), "when": self.when.isoformat()}
        return {**fields, "curve": list(self.curve)}


class RunList(list[RunSummary]):
    """Runs, the newest first; a notebook shows them as a table.

    Attributes:
        problems: one sentence for each directory that holds a run which cannot be read.
    """

    def __init__(self, rows: Iterable[RunSummary] = (), problems: Iterable[str] = ()) -> None:
        """Hold `rows`."""
        super().__init__(rows)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [COLUMNS, *(run.cells() for run in self)]
        widths = [max(len(line[index]) for line in lines) for index in range(len(COLUMNS))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def __repr__(self) -> str:
        return f"RunList of {counted(len(self), 'run')}"

    def _repr_html_(self) -> str:
        rows = [(*run.cells(), notebook.curve(run.curve)) for run in self]
        problems = "".join(notebook.heading("left out", problem) for problem in self.problems)
        return notebook.table((*COLUMNS, "accuracy"), rows, left=(0, 1, 2, 3, 6, 7)) + problems


def runs(pattern: str = "*", directory: str | Path = "runs") -> RunList:
    """The runs in a directory, the newest first.

    Args:
        pattern: text or wildcard on the recipe's name, the model, or the run's directory within `directory`.
        directory: where the runs' directories are, each with a ``recipe.json``.

    Raises:
        InputError: the directory does not exist.

    Example:
        >>> kzoo.runs("lenet1*", run.directory.parent)[0].state
        'finished'
    """
    folder = user_path(directory)
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist: kzoo train makes it"
        raise InputError(f"directory of runs {str(folder)!r} {problem}")
    chosen, problems = [], []
    for path in sorted(folder.glob("*/recipe.json")):
        try:
            run = summary(path.parent)
        except InputError as error:
            problems.append(str(error))
            continue
        texts = (run.name, run.model, run.directory.name)
        if pattern in texts or any(fnmatch.fnmatchcase(text, pattern) for text in texts):
            chosen.append(run)
    return RunList(sorted(chosen, key=lambda run: run.when, reverse=True), problems)


def summary(directory: Path) -> RunSummary:
    """A run in a line.

    Raises:
        InputError: its recipe or record is damaged.
    """
    # State, history and scores: from the record, or from what the run has written so far.
    recipe = Recipe.from_file(directory / "recipe.json")
    state: State = "unfinished"
    best = test = None
    if (directory / "result.json").exists():
        record = read_result(directory / "result.json")
        state = "finished" if record.status == "completed" else "failed"
        history, epochs = record.history, record.epochs
        best, test = (None if score is None else score.accuracy for score in (record.best, record.test))
        # The segments of a run that this one extends are among its own.
        first = record.extends["epochs"] if record.extends else 0
        own = [segment for segment in record.segments if segment.first_epoch > first] or record.segments
        started = [datetime.datetime.fromisoformat(segment.started) for segment in own]
    else:
        started = []
        history = read_history(directory)
        epochs = len(history.get("loss", ()))

    # Without a record, use the files' times.
    if not started:
        files = [path for path in (directory / METRICS, directory / "recipe.json") if path.exists()]
        started = [datetime.datetime.fromtimestamp(max(path.stat().st_mtime for path in files), datetime.UTC)]

    # The curve and the best score so far.
    curve = tuple(history.get("val_accuracy") or history.get("accuracy") or ())
    if best is None and history.get("val_accuracy"):
        best = max(value for value in (*history["val_accuracy"], -math.inf) if value == value)

    # What was trained on, in words.
    images = f", {recipe.train_size:,} images" if recipe.train_size else ""
    count = f"{recipe.epochs:,}" if epochs == recipe.epochs else f"{epochs:,} of {recipe.epochs:,}"
    return RunSummary(
        directory=directory,
        name=recipe.name,
        model=recipe.model,
        dataset=recipe.dataset,
        seed=recipe.seed,
        budget=f"{count} {'epoch' if recipe.epochs == 1 else 'epochs'}{images}",
        best=best if best is None or math.isfinite(best) else None,
        test=test,
        when=min(started),
        state=state,
        curve=curve,
    )


@dataclass(frozen=True)
class Progress:
    """How far a run has come.

    Attributes:
        epoch: epochs done.
        val_accuracy: of the last of them.
        seconds_left: estimated from the epochs so far; None before the first is done.
    """

    epoch: int = 0
    val_accuracy: float | None = None
    seconds_left: float | None = None


def read_progress(directory: Path, epochs: int) -> Progress:
    """How far the run in a directory has come, of `epochs` epochs, read from its metrics.csv."""
    try:
        since = time.time() - (directory / METRICS).stat().st_mtime
    except OSError:
        return Progress()
    if not (history := read_history(directory)):
        return Progress()
    epoch, accuracy = int(history["epoch"][-1]), history.get("val_accuracy")
    each = statistics.median(history["seconds"][-5:])
    left = max((epochs - epoch) * each - min(since, each), 0.0)
    return Progress(epoch, accuracy[-1] if accuracy else None, left)
