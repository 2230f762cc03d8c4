"""The progress of a study: a live table on a terminal, plain lines elsewhere (no Keras)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.table import Table

from kzoo.live import LiveTable
from kzoo.studies.running import Status, Task
from kzoo.training.listing import read_progress

STYLES = {"recorded": "green", "failed": "red", "running": "bold", "cut off": "yellow"}


class StudyProgress(LiveTable):
    """Shows tasks while they run: a context manager whose `tell` is called with every change of a status."""

    def __init__(self, console: Console, title: str, tasks: Sequence[Task], interval: float = 1.0) -> None:
        """Show `tasks` on `console`, refreshed every `interval` seconds."""
        super().__init__(console, interval)
        self.title, self.tasks = title, list(tasks)
        self.states: dict[str, Status] = {task.digest: task.status for task in tasks}
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._printed: dict[str, int] = {}

    def __enter__(self) -> Self:
        if self.in_lines:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        super().__exit__(*error)

    def tell(self, task: Task, status: Status, reason: str = "") -> None:
        """Show a new status."""
        self.states[task.digest] = status
        if self.in_lines and status != "running":
            self._epochs(task)
        self.line(f"{task.name}: {status}{': ' + reason if reason else ''}")

    def table(self) -> Table:
        """One row for each run."""
        table = Table(title=self.title, box=None, pad_edge=False, title_justify="left")
        for column, side in (("run", "left"), ("seed", "right"), ("status", "left"), ("epoch", "right")):
            table.add_column(column, justify=side)  # type: ignore[arg-type]
        table.add_column("val accuracy", justify="right")
        table.add_column("time left", justify="right")
        for task in self.tasks:
            status = self.states[task.digest]
            so_far = read_progress(task.directory, task.recipe.epochs)
            left = _clock(so_far.seconds_left) if status == "running" else ""
            accuracy = "" if so_far.val_accuracy is None else f"{so_far.val_accuracy:.4f}"
            epoch = f"{so_far.epoch}/{task.recipe.epochs}" if so_far.epoch or status != "recorded" else ""
            row = (", ".join(task.labels), str(task.recipe.seed), status, epoch, accuracy, left)
            table.add_row(*row, style=STYLES.get(status, "dim"))
        return table

    def _watch(self) -> None:
        while not self._over.wait(self.interval):
            for task in self.tasks:
                if self.states[task.digest] == "running":
                    self._epochs(task)

    def _epochs(self, task: Task) -> None:
        """Print the progress of a run, at most ten times."""
        so_far = read_progress(task.directory, task.recipe.epochs)
        each = max(task.recipe.epochs // 10, 1)
        if so_far.epoch // each > self._printed.get(task.digest, 0) // each:
            self._printed[task.digest] = so_far.epoch
            text = f"{task.name}: epoch {so_far.epoch}/{task.recipe.epochs}"
            if so_far.val_accuracy is not None:
                text += f", val accuracy {so_far.val_accuracy:.4f}"
            if so_far.epoch < task.recipe.epochs:
                text += f", {_clock(so_far.seconds_left)} left"
            self.line(text)


def _clock(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
