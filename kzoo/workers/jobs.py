"""What a supervisor is given and what it tells: jobs and events."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TAIL = 20


@dataclass(frozen=True)
class Job:
    """A command to run as a child process.

    Attributes:
        key: its identity, kept over restarts.
        argv: program and arguments.
        log: file that the child's output is appended to.
        environment: variables added to this process's, over those that divide the cores.
        directory: working directory; this process's if not given.
        share: whether it gets a share of the cores; a process that only waits (a chief) needs none.
    """

    key: str
    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None
    share: bool = True


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    Attributes:
        kind: ``"started"``; ``"died"`` (it will be started again); or the end: ``"completed"`` (exit status 0),
            ``"failed"`` or ``"stopped"`` (by its supervisor).
        key: the job's.
        pid: number of the process.
        starts: how often it was started so far.
        code: exit status, negative for a signal; None while it runs.
        reason: why it died or failed, in words.
        tail: the last lines of what this start of it printed, if it died or failed.
    """

    kind: Literal["started", "died", "completed", "failed", "stopped"]
    key: str
    pid: int
    starts: int
    code: int | None = None
    reason: str = ""
    tail: str = ""

    @property
    def final(self) -> bool:
        """Whether the job is over."""
        return self.kind in ("completed", "failed", "stopped")


def reason(code: int, job: Job, starts: int, tail: str) -> str:
    """Why a job's process ended, in one line: exit status or signal, the last thing it said, where all of it is."""
    how = f"exit status {code}"
    if code < 0:
        how = f"killed by {signal.Signals(-code).name}"
    times = f" at start {starts}" if starts > 1 else ""
    last = f": {tail.splitlines()[-1].strip()}" if tail else ""
    return f"{how}{times}{last} (log: {job.log})"


def log_tail(log: Path, start: int) -> str:
    """The last lines that were printed since a place in the log, blank ones left out."""
    with open(log, "rb") as stream:
        stream.seek(max(start, log.stat().st_size - 64 * 1024))
        lines = stream.read().decode(errors="replace").splitlines()
    return "\n".join([line for line in lines if line.strip()][-TAIL:])
