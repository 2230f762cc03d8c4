"""A pool's jobs and events, and what all pools share: the queue, and one writer per directory (no Keras).

It also contains the simplest pool, which trains one job after another in this process.
"""

from __future__ import annotations

import contextlib
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from kzoo.errors import InputError, InUse, NotWritten, RunFailed, in_one_line
from kzoo.interrupts import interruptible
from kzoo.locks import in_use
from kzoo.references import load_function

INTERVAL = 0.5
"""Longest time in seconds that `Pool.wait` waits if nothing happens."""
WAIT = 2.0
"""Seconds between two checks of a directory that another process holds."""
DEATHS = 3
"""A job fails when its process has died this many times."""

Kind = Literal["started", "died", "elsewhere", "done", "failed", "refused", "unwritten"]


@dataclass(frozen=True)
class Job:
    """A run to train.

    Attributes:
        key: identifies it within the pool.
        function: trains the run: ``module:function`` or, for a pool in this process (`Pool.here`), any callable.
        arguments: keyword arguments of the function: JSON data or, for a pool in this process, any objects.
        directory: directory that it writes; only one process at a time may hold its lock.
        record: a file that exists once the job has ended, whichever process trained it.
        log: a file to which the output of its process is appended.
    """

    key: str
    function: str | Callable[..., Any]
    arguments: Mapping[str, Any]
    directory: Path
    record: Path
    log: Path


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Attributes:
        kind: ``"started"``; ``"died"`` (its process died; the job starts again); ``"elsewhere"`` (another process holds
            its directory, which is checked again later); or its end: ``"done"``, ``"failed"`` (the run failed, or its
            process died too often), ``"refused"`` (its input is bad, so similar jobs would end in the same way),
            ``"unwritten"`` (its files cannot be written; it may resume once they can).
        job: the job.
        reason: why it died, failed or was refused.
        where: the process in which it started.
    """

    kind: Kind
    job: Job
    reason: str = ""
    where: str = ""

    @property
    def final(self) -> bool:
        """Whether the job is over."""
        return self.kind in ("done", "failed", "refused", "unwritten")


class Pool:
    """Trains jobs; a context manager. This base class keeps the queue; `kzoo.pool` describes its use.

    Within the context, SIGINT and SIGTERM to this process make jobs in other processes write checkpoints, and `wait`
    raises KeyboardInterrupt when they have ended. A second signal has its usual effect.

    Attributes:
        here: whether jobs run in this process, so that their arguments can be any objects.
        slots: number of jobs that run at a time.
    """

    here = False

    def __init__(self, slots: int) -> None:
        """Start without jobs."""
        self.slots = slots
        self._jobs: dict[str, Job] = {}  # jobs that have not ended
        self._queue: deque[Job] = deque()  # jobs that are not running
        self._look_again: dict[str, float] = {}  # when to check the directories that other processes hold
        self._elsewhere: set[str] = set()
        self._events: list[Event] = []
        self._stack = contextlib.ExitStack()
        self._interrupted: Callable[[], bool] = lambda: False

    def __enter__(self) -> Self:
        if not self.here:
            self._interrupted = self._stack.enter_context(interruptible())
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        finally:
            self._stack.close()

    def stop(self) -> None:
        """Let all jobs write checkpoints, and end all processes."""

    @property
    def running(self) -> tuple[str, ...]:
        """Keys of the jobs that have not ended."""
        return tuple(self._jobs)

    @property
    def free(self) -> int:
        """Number of further jobs that could run now; jobs beyond that wait."""
        return self.slots - len(self._jobs)

    def submit(self, job: Job) -> None:
        """Take a job.

        Raises:
            InputError: a job with the same key has not ended yet.
        """
        if job.key in self._jobs:
            raise InputError(f"job {job.key!r} is in the pool already")
        self._jobs[job.key] = job
        self._queue.append(job)

    def wait(self, seconds: float = INTERVAL) -> list[Event]:
        """The events since the last call; if there are none, waits up to `seconds` for one.

        Raises:
            KeyboardInterrupt: after SIGINT or SIGTERM; checkpoints were written.
        """
        raise NotImplementedError

    def _next(self) -> Job | None:
        """The first job in the queue that can start now."""
        for _ in range(len(self._queue)):
            job = self._queue.popleft()
            if job.record.exists():
                self._end("done", job)
            elif time.monotonic() < self._look_again.get(job.key, 0.0):
                self._queue.append(job)
            elif in_use(job.directory):
                self._later(job)
            else:
                self._elsewhere.discard(job.key)
                return job
        return None

    def _later(self, job: Job) -> None:
        """Put a job back into the queue, because another process holds its directory."""
        self._look_again[job.key] = time.monotonic() + WAIT
        self._queue.append(job)
        if job.key not in self._elsewhere:
            self._elsewhere.add(job.key)
            self._events.append(Event("elsewhere", job))

    def _end(self, kind: Kind, job: Job, reason: str = "") -> None:
        del self._jobs[job.key]
        self._events.append(Event(kind, job, reason))

    def _ended(self, job: Job, kind: str, reason: str) -> None:
        """Record how a call of `perform` ended."""
        if kind == "elsewhere":
            self._later(job)
        else:
            self._end(kind, job, reason)  # type: ignore[arg-type]

    def _taken(self) -> list[Event]:
        """The events so far, unless a signal ends the pool."""
        if self._interrupted():
            self.stop()
            raise KeyboardInterrupt("interrupted; the same command resumes it")
        events, self._events = self._events, []
        return events


class Here(Pool):
    """Trains in this process. `wait` reports a job as started, and trains it when it is called again.

    The peak memory in a run's record then covers all runs so far: to compare memory, use separate processes.
    """

    here = True

    def __init__(self) -> None:
        """Take one job at a time."""
        super().__init__(1)
        self._current: Job | None = None

    def wait(self, seconds: float = INTERVAL) -> list[Event]:
        """See `Pool.wait`; it returns when the job that it trains has ended."""
        if self._current is not None:
            job, self._current = self._current, None
            self._ended(job, *perform(job.function, job.arguments))
            return self._taken()

        self._current = self._next()
        if self._current is not None:
            self._events.append(Event("started", self._current))
        elif self._queue and not self._events:
            time.sleep(WAIT)
        return self._taken()


def perform(function: str | Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[str, str]:
    """Call a job's function in this process.

    Returns:
        How it ended (``"done"``, ``"failed"``, ``"refused"``, ``"unwritten"`` or ``"elsewhere"``), and why. A traceback
        is printed if the error is not one of kzoo's.

    Raises:
        KeyboardInterrupt: the job was interrupted.
    """
    try:
        call = load_function(function, "job") if isinstance(function, str) else function
        call(**arguments)
    except InUse:
        return "elsewhere", ""
    except InputError as error:
        return "refused", str(error)
    except RunFailed as error:
        return "unwritten" if isinstance(error, NotWritten) else "failed", str(error)
    except Exception as error:
        traceback.print_exc()
        return "failed", in_one_line(error)
    return "done", ""
