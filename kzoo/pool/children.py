"""A pool of child processes on this machine, supervised: restarted when they die, and never orphaned (no Keras)."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kzoo.errors import InputError
from kzoo.pool.jobs import DEATHS, INTERVAL, Event, Job, Pool
from kzoo.pool.resources import Share, shares

TAIL = 64 * 1024
"""Bytes at the end of a log that are searched for the last line of a dead process."""


@dataclass
class _Child:
    """A process and the pipes to and from it, which must be closed."""

    process: subprocess.Popen[bytes]
    orders: IO[bytes]
    answers: IO[bytes]

    def release(self) -> None:
        """Close the pipes, so that the process ends if it has not ended yet."""
        with contextlib.suppress(OSError):
            self.orders.close()
        self.answers.close()

    def kill(self) -> int:
        """Kill the process and all processes that it started; returns its exit status."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait()


@dataclass
class _Worker:
    """A share of the machine, the process that uses it, and the job that the process performs, if any."""

    share: Share
    child: _Child | None = None
    job: Job | None = None
    log_start: int = 0


class Children(Pool):
    """Trains each job in a child process with a share of the cores and GPUs; a second signal kills all at once."""

    def __init__(
        self, workers: int, *, reuse: bool = False, deaths: int = DEATHS, delay: float = 1.0, grace: float = 60.0
    ) -> None:
        """Divide the cores.

        Args:
            workers: jobs at a time.
            reuse: whether a process runs several jobs, one after another.
            deaths: a job fails when its process has died this many times.
            delay: seconds before a job's first restart, doubled for each further restart.
            grace: seconds in which a child can write a checkpoint before it is killed.

        Raises:
            InputError: this operating system is not supported.
        """
        if os.name != "posix":
            raise InputError("workers need Linux or macOS")
        super().__init__(workers)
        self.reuse, self.deaths, self.delay, self.grace = reuse, deaths, delay, grace
        self._workers = [_Worker(share) for share in shares(workers)]
        self._environment = dict(os.environ)  # later changes by the caller do not apply to the children
        self._deaths: Counter[str] = Counter()
        self._leaving: list[_Child] = []

    def wait(self, seconds: float = INTERVAL) -> list[Event]:
        """See `Pool.wait`."""
        # Give jobs that can start to free workers.
        for worker in self._workers:
            if worker.job is None and (job := self._next()) is not None:
                self._start(worker, job)

        # Wait for an answer or a death (which closes the pipe), unless there is already something to report.
        living = [(worker, worker.child) for worker in self._workers if worker.child is not None]
        ready = _readable([child.answers for _, child in living], 0.0 if self._events else seconds)
        for worker, child in living:
            if child.answers in ready:
                self._read(worker, child)
            elif child.process.poll() is not None and not _readable([child.answers], 0.0):
                self._died(worker, child)  # a process that the child started keeps the pipe open
        for child in self._leaving:
            if child.process.poll() is not None:
                child.kill()
        self._leaving = [child for child in self._leaving if child.process.returncode is None]
        return self._taken()

    def stop(self) -> None:
        """End all processes with SIGTERM, and with SIGKILL if they take longer than `grace` seconds."""
        children = [*self._leaving, *(worker.child for worker in self._workers if worker.child is not None)]
        try:
            for child in children:
                child.process.terminate()
            deadline = time.monotonic() + self.grace
            for child in children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.process.wait(max(deadline - time.monotonic(), 0))
        finally:
            for child in children:
                child.kill()
                child.release()
            for worker in self._workers:
                worker.child = None

    def _start(self, worker: _Worker, job: Job) -> None:
        """Send a job to a worker's process, and start the process if needed."""
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            with open(job.log, "ab") as log:
                when = time.strftime("%Y-%m-%d %H:%M:%S")
                log.write(f"--- {when} {job.function} in {job.directory}\n".encode())
                worker.log_start = log.tell()
        except OSError as error:  # this job alone: another one's log may be elsewhere
            self._end("unwritten", job, f"log {str(job.log)!r} cannot be written: {error.strerror}")
            return

        worker.job, worker.child = job, worker.child or self._spawn(worker.share, job.log)
        order = {"function": job.function, "arguments": dict(job.arguments), "log": str(job.log)}
        with contextlib.suppress(OSError):  # the process has just died; reading its answers will show that
            worker.child.orders.write((json.dumps(order) + "\n").encode())
            worker.child.orders.flush()
        self._events.append(Event("started", job, where=f"process {worker.child.process.pid}"))

    def _spawn(self, share: Share, log: Path) -> _Child:
        ours, theirs = os.pipe()
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # custom modules may be there too
        with open(log, "ab") as output:
            process = subprocess.Popen(
                # -P: without it, a file of the working directory would come before a library's module of that name.
                [sys.executable, "-P", "-m", "kzoo.pool.child", str(theirs), str(self.grace)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                env={**self._environment, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path, **share.environment},
                start_new_session=True,  # the terminal's Ctrl-C reaches only this process, which passes it on
            )
        os.close(theirs)
        if hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # the system may forbid it
                os.sched_setaffinity(process.pid, share.cores)
        assert process.stdin is not None
        return _Child(process, process.stdin, os.fdopen(ours, "rb"))

    def _read(self, worker: _Worker, child: _Child) -> None:
        """Handle a worker's answer, or its death."""
        text = child.answers.readline()
        if not text.endswith(b"\n"):  # killed, perhaps while it wrote its answer
            self._died(worker, child)
            return
        job, worker.job = worker.job, None
        assert job is not None
        kind, reason = json.loads(text)
        if kind == "failed" and not job.record.exists():
            reason = f"{reason} (log: {job.log})"
        self._ended(job, kind, reason)
        if not self.reuse:
            child.release()
            worker.child = None
            self._leaving.append(child)

    def _died(self, worker: _Worker, child: _Child) -> None:
        job, worker.job, worker.child = worker.job, None, None
        child.release()
        code = child.kill()
        if job is None:
            return
        deaths = self._deaths[job.key] = self._deaths[job.key] + 1
        reason = why_it_died(code, job.log, worker.log_start, deaths)
        if job.record.exists():
            self._end("done", job)
        elif deaths >= self.deaths:
            self._end("failed", job, reason)
        else:
            self._look_again[job.key] = time.monotonic() + self.delay * 2 ** (deaths - 1)
            self._queue.appendleft(job)
            self._events.append(Event("died", job, reason))


def _readable(pipes: list[IO[bytes]], seconds: float) -> list[IO[bytes]]:
    """The pipes that can be read, as soon as there are any."""
    return select.select(pipes, [], [], seconds)[0]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def why_it_died(code: int, log: Path, start: int, deaths: int) -> str:
    """Why a process died, in one line: exit status or signal, its last line of output, and the path of its log."""
    times = f", {deaths} times so far" if deaths > 1 else ""
    lines: list[str] = []
    with contextlib.suppress(OSError), open(log, "rb") as stream:  # the log may have been deleted
        stream.seek(max(start, log.stat().st_size - TAIL))
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    how = f"killed by {_signal_name(-code)}" if code < 0 else f"exit status {code}"
    if code == -signal.SIGKILL or (code < 0 and ("alloc" in last or "memory" in last)):
        how += ", perhaps out of memory"
    return f"its process died ({how}){times}{last} (log: {log})"
