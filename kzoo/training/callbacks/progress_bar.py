"""The progress bar of a run: images per second, time left, one line per epoch (in a notebook, ten lines per run)."""

from __future__ import annotations

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from kzoo.console import in_notebook, say

IN_A_CELL = 10
"""Lines per run, so that training does not flood a notebook's cell."""
LONG = 180.0
"""Seconds of training that are worth advice on how to shorten it."""


class ProgressBar(keras.callbacks.Callback):
    """A bar for the whole run, and a line for each finished epoch."""

    def __init__(
        self, console: Console, epochs: int, steps: int, images: int, batch_size: int, advice: str | None = None
    ) -> None:
        """Show `epochs` epochs of `steps` steps and `images` images each.

        `advice` is printed after the first epoch if the others will take longer than `LONG`.
        """
        super().__init__()
        self.console, self.epochs, self.steps = console, epochs, steps
        self.images, self.batch_size = images, batch_size
        self.advice = advice
        self.first_step = 0
        self._every = -(-epochs // IN_A_CELL) if in_notebook() else 1
        self._bar: Progress | None = None
        self._task: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        """Show the bar if the output is a terminal."""
        if not self.console.is_terminal:
            return
        columns = (
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            TextColumn("loss {task.fields[loss]:.4f}  {task.fields[speed]:,.0f} images/s"),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self.console, transient=True)
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin an epoch."""
        self._start, self._seen, self._epoch, self._shown = time.monotonic(), 0, epoch, 0.0
        if self._bar is None:
            return
        if self._task is None:
            # The total is that of the whole run, so the time left is too.
            self._task = self._bar.add_task(
                "", total=self.epochs * self.steps, epoch=epoch + 1, epochs=self.epochs, loss=0.0, speed=0.0
            )
        self._bar.update(self._task, epoch=epoch + 1, completed=epoch * self.steps + self.first_step)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Move the bar, at most ten times per second."""
        self._seen = batch + 1
        now = time.monotonic()
        if self._bar is not None and now - self._shown > 0.1:
            self._shown = now
            speed = self._seen * self.batch_size / max(now - self._start, 1e-9)
            done = self._epoch * self.steps + self.first_step + self._seen
            self._bar.update(self._task, completed=done, loss=float(logs["loss"]), speed=speed)

    def on_test_begin(self, logs: Any = None) -> None:
        """Note when validation starts, so that it does not count as training time."""
        self._trained = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Print the epoch's line."""
        if self.advice and (self.epochs - epoch - 1) * (time.monotonic() - self._start) > LONG:
            say(self.console, self.advice)
        self.advice = None
        if (epoch + 1) % self._every and epoch + 1 < self.epochs:
            self.first_step = 0
            return
        seconds = getattr(self, "_trained", time.monotonic()) - self._start
        images = min(self._seen * self.batch_size, self.images)
        text = f"epoch {epoch + 1:3d}/{self.epochs}  loss {logs['loss']:.4f}  accuracy {logs['accuracy']:.4f}"
        if "val_loss" in logs:
            text += f"  val_loss {logs['val_loss']:.4f}  val_accuracy {logs['val_accuracy']:.4f}"
        self.console.print(f"{text}  {images / max(seconds, 1e-9):,.0f} images/s", highlight=False, soft_wrap=True)
        self.first_step = 0

    def close(self) -> None:
        """Remove the bar from the screen, even after an error."""
        if self._bar is not None:
            self._bar.stop()
