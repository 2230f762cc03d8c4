"""A supervisor keeps named child processes running, restarts those that die, and leaves none behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, Self

from kzoo.errors import InputError, unknown
from kzoo.interrupts import interruptible
from kzoo.workers.jobs import Event, Job, log_tail, reason
from kzoo.workers.resources import Share, shares

BAD_INPUT = 2  # the exit status of a child that would end the same way again


class _Child:
    """A job that has been started, and its process unless that has died."""

    def __init__(self, job: Job, slot: int | None) -> None:
        self.job, self.slot = job, slot
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = self.deaths = self.log_start = self.pid = 0
        self.due = 0.0


class Supervisor:
    """Starts jobs, tells what happens to them, restarts those that die. A context manager: leaving it ends all.

    Within it, SIGINT and SIGTERM to this process set `interrupted`; the caller then leaves. If this process itself is
    killed, a guard process ends the children: SIGTERM first, SIGKILL after `grace` seconds.

    Attributes:
        free: how many more jobs with a share of the cores can be started now.
        running: keys of the jobs that are not over.
    """

    def __init__(
        self,
        workers: int,
        *,
        restarts: int = 3,
        delay: float = 1.0,
        grace: float = 60.0,
        retry: Callable[[Event], bool] | None = None,
    ) -> None:
        """Divide the cores between as many jobs at a time.

        Args:
            workers: jobs with a share of the cores that may run at once.
            restarts: how often a job that dies is started again before it counts as failed.
            delay: seconds before the first restart of a job, doubled for each further one.
            grace: seconds that a child has between SIGTERM and SIGKILL.
            retry: told of a death, says whether a restart may help; by default it may unless the exit status is 2.
        """
        if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
            raise InputError(f"workers must be a positive integer, not {workers!r}")
        if os.name != "posix":
            raise InputError("workers need Linux or macOS")
        self._shares: list[Share] = shares(workers)
        self.restarts, self.delay, self.grace = restarts, delay, grace
        self._retry = retry or (lambda event: event.code != BAD_INPUT)
        self._children: dict[str, _Child] = {}
        self._events: list[Event] = []

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._interrupted = self._stack.enter_context(interruptible())
        script = Path(__file__).with_name("guard.py")
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(script), str(self.grace)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        finally:
            assert self._guard.stdin is not None
            self._guard.stdin.close()
            self._guard.wait()
            self._stack.close()

    @property
    def interrupted(self) -> bool:
        """Whether SIGINT or SIGTERM has come."""
        return self._interrupted()

    @property
    def running(self) -> tuple[str, ...]:
        """Keys of the jobs that are not over, those that wait for a restart among them."""
        return tuple(self._children)

    @property
    def free(self) -> int:
        """How many more jobs with a share of the cores can be started now."""
        return len(self._shares) - len(self._used())

    def start(self, job: Job) -> None:
        """Start a job.

        Raises:
            InputError: its key is in use, no worker is free, or its program cannot be started.
        """
        if job.key in self._children:
            raise InputError(f"job {job.key!r} is running already")
        if job.share and not self.free:
            raise InputError(f"job {job.key!r} cannot be started: all {len(self._shares)} workers are busy")
        slot = min(set(range(len(self._shares))) - self._used()) if job.share else None
        child = _Child(job, slot)
        self._spawn(child)
        self._children[job.key] = child

    def poll(self) -> list[Event]:
        """What has happened since the last call; restarts what is due. Does not wait."""
        for child in list(self._children.values()):
            if child.process is None:
                if time.monotonic() >= child.due:
                    self._spawn(child)
            elif (code := child.process.poll()) is not None:
                self._ended(child, code)
        return self._taken()

    def restart(self, key: str) -> None:
        """End a job's process and start it anew under the same identity; that does not count as a death.

        Raises:
            InputError: no such job is running.
        """
        child = self._children.get(key)
        if child is None:
            raise unknown("running job", key, self._children)
        self._end([child], self.grace)
        self._spawn(child)

    def stop(self, keys: Iterable[str] | None = None, *, grace: float | None = None) -> list[Event]:
        """End some jobs, or all: SIGTERM, then SIGKILL for those that take longer than `grace` seconds.

        Those that are over already are passed over. A KeyboardInterrupt meanwhile kills them at once. Gives the events
        since the last call of `poll`.
        """
        wanted = self._children if keys is None else keys
        children = [self._children[key] for key in wanted if key in self._children]
        try:
            self._end(children, self.grace if grace is None else grace)
        finally:
            for child in children:
                code = child.process.returncode if child.process else None
                # One that got to its end in the meantime is not called stopped.
                self._settle(child, "completed" if code == 0 else "stopped", code)
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _used(self) -> set[int]:
        return {child.slot for child in self._children.values() if child.slot is not None}

    def _spawn(self, child: _Child) -> None:
        job = child.job
        share = self._shares[child.slot].environment if child.slot is not None else {}
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with open(job.log, "ab") as log:
            started = time.strftime("%Y-%m-%d %H:%M:%S")
            command = shlex.join(job.argv).replace("\n", "\\n")  # on one line
            log.write(f"--- {started} start {child.starts + 1}: {command}\n".encode())
            log.flush()
            child.log_start = log.tell()
            try:
                child.process = subprocess.Popen(
                    list(job.argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=job.directory,
                    env={**os.environ, "PYTHONUNBUFFERED": "1", **share, **job.environment},
                    start_new_session=True,  # the terminal's Ctrl-C reaches the supervisor alone, which passes it on
                )
            except OSError as error:
                raise InputError(f"job {job.key!r}: {job.argv[0]!r} cannot be started: {error.strerror}") from None
        child.pid = child.process.pid
        self._tell_guard(child.pid)
        if child.slot is not None and hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # it may be over already, or the system may not allow it
                os.sched_setaffinity(child.pid, self._shares[child.slot].cores)
        child.starts += 1
        self._events.append(Event("started", job.key, child.pid, child.starts))

    def _ended(self, child: _Child, code: int) -> None:
        self._forget(child)
        tail = log_tail(child.job.log, child.log_start) if code else ""
        why = reason(code, child.job, child.starts, tail)
        event = Event("died", child.job.key, child.pid, child.starts, code, why, tail)
        if code == 0:
            self._settle(child, "completed", code)
        elif child.deaths >= self.restarts or not self._retry(event):
            self._settle(child, "failed", code, event.reason, tail)
        else:
            child.process, child.due = None, time.monotonic() + self.delay * 2**child.deaths
            child.deaths += 1
            self._events.append(event)

    def _settle(
        self,
        child: _Child,
        kind: Literal["completed", "failed", "stopped"],
        code: int | None,
        reason: str = "",
        tail: str = "",
    ) -> None:
        del self._children[child.job.key]
        self._events.append(Event(kind, child.job.key, child.pid, child.starts, code, reason, tail))

    def _end(self, children: Sequence[_Child], grace: float) -> None:
        processes = [child.process for child in children if child.process is not None]
        try:
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + grace
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(deadline - time.monotonic(), 0))
        finally:
            for child in children:
                if child.process is not None:
                    self._forget(child)
                    child.process.wait()

    def _forget(self, child: _Child) -> None:
        """Kill what is left of a child and of those that it started itself."""
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
        self._tell_guard(-child.pid)

    def _tell_guard(self, number: int) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError):  # someone killed the guard: go on without
            self._guard.stdin.write(f"{number}\n".encode())
            self._guard.stdin.flush()
