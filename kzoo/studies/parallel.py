"""A study's runs side by side on one machine, each in a child process of its own (no Keras here).

A run's directory has one writer, by its lock. Beside that, the process that looks after a run's child holds a second
lock, the claim: so two studies at once, or one that was killed and its successor, share the runs between them.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import filelock

from kzoo.errors import InputError, KzooError
from kzoo.files import write_atomically
from kzoo.studies.results import read
from kzoo.studies.running import WAIT, Runner, Task, Tell
from kzoo.workers import Event, Job, run_jobs
from kzoo.workers.supervisor import BAD_INPUT

FOLDER = ".workers"
"""Beside the runs: recipes for the children, their logs, and the claims."""


def side_by_side(workers: int, *, restarts: int = 3, delay: float = 1.0, grace: float = 60.0) -> Runner:
    """A runner that trains several runs at a time; the cores are divided between them.

    Args:
        workers: runs at a time.
        restarts: how often a run whose process dies is taken up again from its checkpoint.
        delay: seconds before the first restart, doubled for each further one.
        grace: seconds that a child has to write a checkpoint when the study is interrupted.

    Raises:
        InputError: `workers` is not a positive integer; or, once all runs are over, the input of some was bad.
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers must be a positive integer, not {workers!r}")

    def run(tasks: Sequence[Task], data_dir: Path | None, tell: Tell) -> None:
        crew = _Crew(tasks, data_dir, tell)
        try:
            run_jobs(
                [crew.job(task) for task in tasks],
                workers,
                watch=crew.watch,
                ready=crew.ready,
                again=crew.again,
                retry=crew.retry,
                restarts=restarts,
                delay=delay,
                grace=grace,
            )
        finally:
            crew.release()
        if crew.refused:
            raise InputError("; ".join(f"{', '.join(names)}: {text}" for text, names in crew.refused.items()))

    return run


class _Crew:
    """The tasks of one call, their claims, and what to do when something happens to a child."""

    def __init__(self, tasks: Sequence[Task], data_dir: Path | None, tell: Tell) -> None:
        self.tasks = {task.digest: task for task in tasks}
        self.data_dir, self.tell = data_dir, tell
        self.claims = {task.digest: filelock.FileLock(_beside(task, ".lock")) for task in tasks}
        self.look_again = dict.fromkeys(self.tasks, 0.0)
        self.elsewhere: set[str] = set()
        self.refused: dict[str, list[str]] = defaultdict(list)  # tasks by what was wrong with their input

    def job(self, task: Task) -> Job:
        """The command that trains a task."""
        argv = [sys.executable, "-m", "kzoo", "train", str(_beside(task, ".json"))]
        argv += ["--directory", str(task.directory)]
        if self.data_dir is not None:
            argv += ["--data-dir", str(self.data_dir)]
        # Modules of the user's own (module:function) are found where this process finds them.
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        return Job(task.digest, argv, _beside(task, ".log"), {"PYTHONPATH": path})

    def ready(self, job: Job) -> bool | None:
        """Claim a run for a child of ours; not while another process works on it."""
        task, claim = self.tasks[job.key], self.claims[job.key]
        if time.monotonic() < self.look_again[task.digest]:
            return False
        try:
            claim.acquire(timeout=0)
        except filelock.Timeout:
            return self._later(task)
        except OSError as error:
            raise InputError(f"directory {str(task.directory.parent)!r} cannot be written: {error.strerror}") from None
        if in_use(task.directory):  # by a child that outlives its supervisor for a moment, or by kzoo train
            claim.release()
            return self._later(task)
        if (task.directory / "result.json").exists():
            return None
        text = task.recipe.to_json().encode()
        write_atomically(_beside(task, ".json"), lambda stream: stream.write(text))
        return True

    def _later(self, task: Task) -> bool:
        self.look_again[task.digest] = time.monotonic() + WAIT
        if task.digest not in self.elsewhere:
            self.elsewhere.add(task.digest)
            self.tell(task, "elsewhere", "")
        return False

    def retry(self, event: Event) -> bool:
        """Whether a dead child's run may end better if it is taken up again."""
        return event.code != BAD_INPUT and not (self.tasks[event.key].directory / "result.json").exists()

    def again(self, event: Event) -> bool:
        """Whether a run failed only because another process took it just before our child did."""
        task = self.tasks[event.key]
        if event.code != BAD_INPUT or not in_use(task.directory):
            return False
        self.claims[event.key].release()
        self._later(task)
        return True

    def watch(self, event: Event) -> None:
        """Tell what has become of a task."""
        task = self.tasks[event.key]
        if event.kind == "started":
            self.tell(task, "running", "")
        elif event.kind == "died":
            self.tell(task, "cut off", f"{event.reason}; it is taken up again")
        elif event.kind == "stopped":
            self.tell(task, "cut off", "")
        else:
            self._end(task, event)
        if event.final:
            self.claims[event.key].release()

    def _end(self, task: Task, event: Event) -> None:
        """Say how a task has ended, by its record if it has one."""
        record = task.directory / "result.json"
        reason = event.reason
        if record.exists():
            try:
                result = read(record).record
            except KzooError as error:
                reason = str(error)
            else:
                failed = result.status == "failed"
                self.tell(task, "failed" if failed else "recorded", result.reason or "")
                return
        if event.code == BAD_INPUT:
            lines = [line for line in event.tail.splitlines() if line.startswith("error: ")]
            reason = lines[-1].removeprefix("error: ") if lines else reason
            self.refused[reason].append(task.name)
        self.tell(task, "failed", reason or f"it left no record (log: {_beside(task, '.log')})")

    def release(self) -> None:
        """Give all claims back."""
        for claim in self.claims.values():
            claim.release()


def in_use(directory: Path) -> bool:
    """Whether a process trains in a run's directory at this moment."""
    if not directory.is_dir():
        return False
    lock = filelock.FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except OSError:
        return False  # the child will say what is wrong with the directory
    lock.release()
    return False


def _beside(task: Task, suffix: str) -> Path:
    """A file of ours for a run, beside its directory: within it, there is nothing before training starts."""
    folder = task.directory.parent / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"directory {str(folder)!r} cannot be made: {error.strerror}") from None
    return folder / f"{task.directory.name}{suffix}"
