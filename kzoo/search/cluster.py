"""A search on one machine, side by side: one chief and N workers, supervised (no Keras here)."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kzoo.errors import InputError, RunFailed
from kzoo.search.addresses import Address, free_port
from kzoo.workers import Event, Job, Supervisor
from kzoo.workers.resources import visible_gpus
from kzoo.workers.supervisor import BAD_INPUT

FOLDER = ".workers"
"""In a search's directory: logs of chief and workers, and where its chief is."""
CHIEF = "chief"
WAIT = 300.0
"""Seconds that a worker waits for the chief, which starts with it and loads the same libraries."""
LAST = 10.0
"""Seconds that the others have to end by themselves once the search is over."""

Tell = Callable[[str], object]


def default_workers(environment: Mapping[str, str] | None = None) -> int | None:
    """How many workers there are if nobody says: one a visible GPU where there are several, else None."""
    gpus = visible_gpus(os.environ if environment is None else environment)
    return len(gpus) if len(gpus) > 1 else None


def run_cluster(
    words: Sequence[str],
    directory: Path,
    workers: int,
    *,
    program: Sequence[str] | None = None,
    timeout: float | None = None,
    tell: Tell | None = None,
    restarts: int = 5,
    delay: float = 1.0,
    grace: float = 60.0,
) -> None:
    """Start and supervise the processes of a search until it is over.

    A worker that dies is started again under its own name and goes on with its trial; one that dies too often is
    given up, and the others finish its trial. The chief is started again too; its workers go on meanwhile.

    Args:
        words: of the command line that every process gets: ``["search", FILE, ...]``.
        directory: the search's.
        workers: how many; cores and GPUs are divided between them.
        program: what the words are given to; this Python's kzoo if not given.
        timeout: seconds after which the chief takes a silent worker for dead; its default if not given.
        tell: called with a line about what has happened.
        restarts: how often a process that dies is started again.
        delay: seconds before the first restart of a process, doubled for each further one.
        grace: seconds that a worker has to write a checkpoint when it is told to end.

    Raises:
        InputError: chief or workers say that the input is bad.
        RunFailed: the chief stopped the search, or no worker is left.
        KeyboardInterrupt: after SIGINT or SIGTERM; checkpoints were written.
    """
    if timeout is not None and not timeout > 0:
        raise InputError(f"timeout of workers must be a positive number of seconds, not {timeout!r}")
    command = [*(program or [sys.executable, "-m", "kzoo"]), *words, "--directory", str(directory)]
    crew = _Crew(command, directory, workers, tell or (lambda text: None), timeout)
    options = {"restarts": restarts, "delay": delay, "grace": grace}
    with Supervisor(workers, retry=crew.retry, **options) as supervisor:  # type: ignore[arg-type]
        for job in crew.jobs():
            supervisor.start(job)
        while not crew.over:
            if supervisor.interrupted:
                supervisor.stop([key for key in supervisor.running if key != CHIEF])
                supervisor.stop()
                raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")
            for event in supervisor.poll():
                crew.note(event)
            crew.report_dead()
            time.sleep(0.1)
        if crew.chief is None or crew.chief.kind == "failed":
            supervisor.stop([key for key in supervisor.running if key != CHIEF])
    crew.check()


class _Crew:
    """What has become of the processes of one search."""

    def __init__(self, command: list[str], directory: Path, workers: int, tell: Tell, timeout: float | None) -> None:
        self.command, self.directory, self.tell, self.timeout = command, directory, tell, timeout
        self.place: Address = free_port()
        self.running = {f"w{i + 1}" for i in range(workers)}
        self.ends: dict[str, Event] = {}
        self.chief: Event | None = None  # its end
        self.silent: dict[str, float] = {}  # workers of whose end the chief has not heard, and when to tell it
        self.since: float | None = None  # when there was nothing left to do but to wait for the rest

    def jobs(self) -> list[Job]:
        """The chief, which only waits and gets no cores and no GPU, and the workers."""
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        logs = self.directory / FOLDER
        without = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
        argv = [*self.command, "--role", "chief", "--bind", str(self.place)]
        argv += ["--worker-timeout", f"{self.timeout:g}"] if self.timeout is not None else []
        jobs = [Job(CHIEF, argv, logs / "chief.log", {"PYTHONPATH": path, **without}, share=False)]
        for name in sorted(self.running, key=lambda name: int(name[1:])):
            argv = [
                *self.command,
                "--role",
                "worker",
                "--chief",
                str(self.place),
                "--name",
                name,
                "--wait",
                f"{WAIT:g}",
            ]
            jobs.append(Job(name, argv, logs / f"{name}.log", {"PYTHONPATH": path}))
        return jobs

    def retry(self, event: Event) -> bool:
        """Whether a process that died is started again: not a chief that ended the search on purpose."""
        if event.key == CHIEF:
            return event.code not in (1, BAD_INPUT)
        return event.code != BAD_INPUT

    def note(self, event: Event) -> None:
        """Take in what has happened to a process."""
        if event.kind == "died":
            self.tell(f"{event.key}: {event.reason}; it is started again")
        elif event.kind == "started" and event.starts > 1:
            self.tell(f"{event.key}: started again")
        if not event.final:
            return
        if event.key == CHIEF:
            self.chief = event
            return
        self.running.discard(event.key)
        self.ends[event.key] = event
        if event.kind == "failed" and self.chief is None:
            self.tell(f"{event.key}: {event.reason}; it is given up")
            self.silent[event.key] = 0.0

    def report_dead(self) -> None:
        """Tell the chief which workers will not be back, until it has heard it."""
        from kzoo.search.link import say_left

        for name, when in list(self.silent.items()):
            if time.monotonic() >= when:
                if say_left(self.place, name, "", "died"):
                    del self.silent[name]
                else:
                    self.silent[name] = time.monotonic() + 1.0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for."""
        if self.chief is not None and (self.chief.kind != "completed" or not self.running):
            return True
        if not self.running and all(end.kind != "completed" for end in self.ends.values()):
            return True
        if self.chief is None and self.running:
            return False
        # The chief has ended, or a worker that it sent home has; the rest may need a moment.
        self.since = self.since or time.monotonic()
        return time.monotonic() - self.since > LAST

    def check(self) -> None:
        """Raise if the search did not get to its end."""
        if self.chief is not None and self.chief.kind == "completed":
            return
        if self.chief is None and any(end.kind == "completed" for end in self.ends.values()):
            return  # it was killed when all was done, and has nobody to tell
        ends = [self.chief] if self.chief is not None else [self.ends[name] for name in sorted(self.ends)]
        said = list(dict.fromkeys(_said(end) for end in ends))
        if all(end.code == BAD_INPUT for end in ends):
            raise InputError("; ".join(said))
        raise RunFailed("; ".join(said))


def _said(event: Event) -> str:
    """What a process said last, if it ended with an error of ours, else how it died."""
    lines = [line for line in event.tail.splitlines() if line.startswith("error: ")]
    return lines[-1].removeprefix("error: ") if lines else f"{event.key}: {event.reason}"
