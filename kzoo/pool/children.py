"""A pool of child processes on this machine, supervised: restarted when they die, never left behind (no Keras)."""

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
from pathlib import Path
from typing import Self

from kzoo.errors import InputError
from kzoo.interrupts import interruptible
from kzoo.pool.jobs import DEATHS, INTERRUPTED, INTERVAL, Event, Job, Pool
from kzoo.pool.resources import Share, shares

TAIL = 64 * 1024
"""Bytes of a log in which the last line of a dead process is looked for."""


class _Worker:
    """A share of the machine, and the process that has it, if any."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.process: subprocess.Popen[bytes] | None = None
        self.answers = -1  # what the process writes to, as read here
        self.job: Job | None = None
        self.log_start = 0


class Children(Pool):
    """Trains each job in a child process that has a share of the cores and GPUs.

    Within the context, SIGINT and SIGTERM to this process let the children write checkpoints, and `wait` raises
    KeyboardInterrupt when they have ended; a second signal kills them at once.
    """

    def __init__(
        self, workers: int, *, reuse: bool = False, deaths: int = DEATHS, delay: float = 1.0, grace: float = 60.0
    ) -> None:
        """Divide the cores.

        Args:
            workers: jobs at a time.
            reuse: whether a process runs several jobs, one after another.
            deaths: a job fails when its process has died so often.
            delay: seconds before a job's first restart, doubled for each further one.
            grace: seconds that a child has to write a checkpoint before it is killed.

        Raises:
            InputError: this system has no such processes.
        """
        if os.name != "posix":
            raise InputError("workers need Linux or macOS")
        super().__init__(workers)
        self.reuse, self.deaths, self.delay, self.grace = reuse, deaths, delay, grace
        self._workers = [_Worker(share) for share in shares(workers)]
        self._environment = dict(os.environ)  # what the caller changes later is meant for itself
        self._deaths: Counter[str] = Counter()
        self._leaving: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        self._interrupted = self._stack.enter_context(interruptible())
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.stop()
        finally:
            self._stack.close()

    def wait(self, seconds: float = INTERVAL) -> list[Event]:
        """See `Pool.wait`."""
        # Give free workers what may start now.
        for worker in self._workers:
            if worker.job is None and (job := self._next()) is not None:
                self._start(worker, job)

        # Wait for an answer or a death (which closes the pipe), unless there is something to report already.
        pipes = {worker.answers: worker for worker in self._workers if worker.process is not None}
        ready = _readable(list(pipes), 0.0 if self._events else seconds)
        for pipe, worker in pipes.items():
            if pipe in ready:
                self._read(worker)
            elif worker.process is not None and worker.process.poll() is not None and not _readable([pipe], 0.0):
                self._died(worker)  # a process that it started holds the pipe open
        for process in self._leaving:
            if process.poll() is not None:
                _kill_group(process)
        self._leaving = [process for process in self._leaving if process.returncode is None]

        if self._interrupted():
            self.stop()
            raise KeyboardInterrupt(INTERRUPTED)
        return self._taken()

    def stop(self) -> None:
        """End all processes: SIGTERM, and SIGKILL for those that take longer than `grace` seconds."""
        workers = [worker for worker in self._workers if worker.process is not None]
        processes = [*self._leaving, *(worker.process for worker in workers if worker.process is not None)]
        try:
            for process in processes:
                process.terminate()
            deadline = time.monotonic() + self.grace
            for process in processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(max(deadline - time.monotonic(), 0))
        finally:
            for process in processes:
                _kill_group(process)
                process.wait()
            for worker in workers:
                self._close(worker)

    def _start(self, worker: _Worker, job: Job) -> None:
        """Send a job to a worker's process, which is made if there is none."""
        try:
            job.log.parent.mkdir(parents=True, exist_ok=True)
            with open(job.log, "ab") as log:
                when = time.strftime("%Y-%m-%d %H:%M:%S")
                log.write(f"--- {when} {job.function} in {job.directory}\n".encode())
                worker.log_start = log.tell()
        except OSError as error:
            raise InputError(f"log {str(job.log)!r} cannot be written: {error.strerror}") from None

        if worker.process is None:
            self._spawn(worker, job.log)
        assert worker.process is not None
        assert worker.process.stdin is not None
        worker.job = job
        order = {"function": job.function, "arguments": dict(job.arguments), "log": str(job.log)}
        with contextlib.suppress(OSError):  # it has just died, which its answers will tell
            worker.process.stdin.write((json.dumps(order) + "\n").encode())
            worker.process.stdin.flush()
        self._events.append(Event("started", job, where=f"process {worker.process.pid}"))

    def _spawn(self, worker: _Worker, log: Path) -> None:
        worker.answers, theirs = os.pipe()
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)  # custom modules are found there too
        environment = {**self._environment, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path, **worker.share.environment}
        with open(log, "ab") as output:
            worker.process = subprocess.Popen(
                [sys.executable, "-m", "kzoo.pool.child", str(theirs), str(self.grace)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs],
                env=environment,
                start_new_session=True,  # the terminal's Ctrl-C reaches this process alone, which passes it on
            )
        os.close(theirs)
        if hasattr(os, "sched_setaffinity"):
            with contextlib.suppress(OSError):  # the system may not allow it
                os.sched_setaffinity(worker.process.pid, worker.share.cores)

    def _read(self, worker: _Worker) -> None:
        """Take in a worker's answer, or its death."""
        text = b""
        while not text.endswith(b"\n"):
            part = os.read(worker.answers, TAIL)
            if not part:  # killed, perhaps in the middle of its answer
                self._died(worker)
                return
            text += part
        job, worker.job = worker.job, None
        assert job is not None
        kind, reason = json.loads(text)
        if kind == "failed" and not job.record.exists():
            reason = f"{reason} (log: {job.log})"
        self._ended(job, kind, reason)
        if not self.reuse:
            process = worker.process
            self._close(worker)
            if process is not None:
                self._leaving.append(process)

    def _died(self, worker: _Worker) -> None:
        process, job, worker.job = worker.process, worker.job, None
        assert process is not None
        _kill_group(process)
        code = process.wait()
        self._close(worker)
        if job is None:  # it had nothing to do
            return
        self._deaths[job.key] += 1
        deaths = self._deaths[job.key]
        reason = _reason(code, job.log, worker.log_start, deaths)
        if job.record.exists():
            self._end("done", job)
        elif deaths >= self.deaths:
            self._end("failed", job, reason, code)
        else:
            self._look_again[job.key] = time.monotonic() + self.delay * 2 ** (deaths - 1)
            self._queue.appendleft(job)
            self._events.append(Event("died", job, reason, code=code))

    def _close(self, worker: _Worker) -> None:
        """Let go of a process, which ends by itself if it has not yet."""
        assert worker.process is not None
        assert worker.process.stdin is not None
        with contextlib.suppress(OSError):
            worker.process.stdin.close()
        os.close(worker.answers)
        worker.process, worker.answers = None, -1


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a child and of the processes that it started."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


def _readable(pipes: list[int], seconds: float) -> list[int]:
    """Those of the pipes that can be read, as soon as there are any."""
    return select.select(pipes, [], [], seconds)[0]


def _reason(code: int, log: Path, start: int, deaths: int) -> str:
    """Why a process died, in one line: exit status or signal, the last thing that it printed, where all of it is."""
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    times = f", for the {deaths}. time" if deaths > 1 else ""
    lines: list[str] = []
    with contextlib.suppress(OSError), open(log, "rb") as stream:  # somebody may have deleted it
        stream.seek(max(start, log.stat().st_size - TAIL))
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines() if line.strip()]
    last = f": {lines[-1]}" if lines else ""
    return f"its process died ({how}){times}{last} (log: {log})"
