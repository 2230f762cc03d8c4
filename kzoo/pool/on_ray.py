"""A pool on a Ray cluster: one Ray task per job. Ray handles scheduling, retries and failing machines.

Every machine of the cluster must have kzoo installed and see the directories of the jobs under the same paths. Only
this module imports Ray (no Keras).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from kzoo.backend import ONEDNN, choose_backend, usable_cores, visible_gpus
from kzoo.errors import InputError, first_line
from kzoo.files import make_directory, write_text
from kzoo.pool.jobs import DEATHS, INTERVAL, WAIT, Event, Job, Pool, perform
from kzoo.pool.resources import THREADS

PASSED_ON = ("KERAS_BACKEND", "KZOO_DATA_DIR", "KZOO_CACHE", "KZOO_CONFIG", "KERAS_HOME", "XLA_FLAGS", ONEDNN)
"""Environment variables that a run depends on, and that may differ on a cluster's machines."""
STORE = 100 * 2**20
"""Bytes of Ray's object store, which transports a few kilobytes per job."""
GRACE = 60.0
"""Seconds in which interrupted jobs can write checkpoints."""


class OnRay(Pool):
    """Submits each job to a Ray cluster as one task."""

    def __init__(
        self,
        address: str,
        workers: int | None = None,
        *,
        reuse: bool = False,
        deaths: int = DEATHS,
        patience: float = 60.0,
    ) -> None:
        """Describe the cluster; entering the context connects to it.

        Args:
            address: ``"auto"`` for the cluster that this machine belongs to, ``"local"`` for a temporary one on this
                machine, ``"host:port"`` of a cluster's head as seen from one of its machines, or ``"ray://host:port"``
                from elsewhere.
            workers: jobs at a time; the cluster's cores are divided between them. By default one job per GPU or,
                without GPUs, one job per machine.
            reuse: whether a process may run several jobs, one after another (never if they use GPUs).
            deaths: a job fails when its process or machine has died this many times.
            patience: seconds that a task waits for a directory that another process still holds.

        Raises:
            InputError: Ray is not installed, or the address is invalid.
        """
        if not re.fullmatch(r"auto|local|(ray://)?[^/:\s]+:\d+", address):
            raise InputError(f"--on takes auto, local, HOST:PORT or ray://HOST:PORT, not {address!r}")
        if importlib.util.find_spec("ray") is None:
            raise InputError(f"--on {address} needs Ray, which is not installed: pip install 'kzoo[ray]'")
        super().__init__(workers or 1)
        self.address, self.workers, self.reuse, self.deaths, self.patience = address, workers, reuse, deaths, patience
        self._threads = 1
        self._tasks: dict[Any, Job] = {}  # by Ray's reference
        self._started: dict[str, str] = {}  # the line that each job's task wrote when it started

    def __enter__(self) -> Self:
        self._ray = self._stack.enter_context(_connected(self.address))
        cores, gpus, fitting = resources(self._ray.nodes(), self.workers)
        self.slots = self.workers or fitting
        options = {"num_cpus": cores, "num_gpus": gpus, "max_retries": self.deaths - 1}
        options["max_calls"] = 0 if self.reuse and not gpus else 1
        self._remote = self._ray.remote(**options)(_perform)
        self._threads = max(int(cores), 1)
        return super().__enter__()

    def wait(self, seconds: float = INTERVAL) -> list[Event]:
        """See `Pool.wait`."""
        # Ray has its own queue, which gets every job that can start.
        while (job := self._next()) is not None:
            _started_file(job).unlink(missing_ok=True)
            self._tasks[self._remote.remote(self._order(job), self.patience)] = job
        seconds = 0.0 if self._events else seconds
        done: list[Any] = []
        if self._tasks:
            done, _ = self._ray.wait(list(self._tasks), timeout=seconds)
        else:
            time.sleep(seconds)
        for job in self._tasks.values():
            self._look_for_start(job)
        for reference in done:
            job = self._tasks.pop(reference)
            self._started.pop(job.key, None)  # the job's next task is not a restart of this one
            try:
                kind, reason = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                kind, reason = "failed", str(error).strip().splitlines()[-1]
            self._ended(job, "done" if job.record.exists() else kind, reason)
        return self._taken()

    def _look_for_start(self, job: Job) -> None:
        """Report a job's start, and its restart by Ray."""
        try:
            text = _started_file(job).read_text(encoding="utf-8")
        except OSError:
            return
        before = self._started.get(job.key)
        if text != before:
            self._started[job.key] = text
            if before is not None:
                self._events.append(Event("died", job, "its process or machine died", where=before))
            self._events.append(Event("started", job, where=text))

    def stop(self) -> None:
        """See `Pool.stop`; a KeyboardInterrupt ends the wait."""
        references, self._tasks = list(self._tasks), {}
        for reference in references:
            self._ray.cancel(reference, force=False)
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=GRACE)

    def _order(self, job: Job) -> dict[str, Any]:
        """A job as it is sent to another machine, with absolute paths."""
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {
            "function": job.function,
            "arguments": dict(job.arguments),
            "record": str(job.record.absolute()),
            "started": str(_started_file(job).absolute()),
            "working_directory": os.getcwd(),
            "path": [entry or os.getcwd() for entry in sys.path],
            "environment": environment | dict.fromkeys(THREADS, str(self._threads)),
        }


def _perform(order: dict[str, Any], patience: float) -> tuple[str, str]:
    """Perform a job on a machine of the cluster; returns what `perform` returns."""
    if os.path.exists(order["record"]):  # a retry: the previous process died after it wrote the record
        return "done", ""
    os.environ.update(order["environment"])
    choose_backend()  # again: importing kzoo chose for the environment before the update
    if os.path.isdir(order["working_directory"]):
        os.chdir(order["working_directory"])
    sys.path.extend(entry for entry in order["path"] if entry not in sys.path)

    # The line differs from one start to the next.
    line = f"{socket.gethostname()}, process {os.getpid()}, {time.strftime('%H:%M:%S')}"
    write_text(Path(order["started"]), line)

    # The process of a disconnected machine may hold the directory a little longer.
    deadline = time.monotonic() + patience
    while True:
        kind, reason = perform(order["function"], order["arguments"])
        if kind != "elsewhere" or time.monotonic() > deadline:
            return kind, reason
        time.sleep(WAIT)


def _started_file(job: Job) -> Path:
    return make_directory(job.log.parent) / f"{job.log.stem}.started"


def resources(nodes: list[dict[str, Any]], workers: int | None) -> tuple[float, float, int]:
    """Cores and GPUs of one job, and the number of jobs that fit on a cluster's nodes.

    Raises:
        InputError: the cluster has no machine with a core.
    """
    machines = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    if not machines:
        raise InputError("the Ray cluster has no machine with a CPU core")
    cores = sum(machine["CPU"] for machine in machines)
    gpus = sum(machine.get("GPU", 0) for machine in machines)
    smallest = min(machine["CPU"] for machine in machines)
    if workers is None:
        each = [machine["CPU"] // max(machine.get("GPU", 0), 1) for machine in machines]
        return max(min(each), 1), 1 if gpus else 0, max(int(gpus), 1) if gpus else len(machines)
    share = min(max(cores // workers, 1), smallest)
    # A whole number of jobs shares each GPU, so a job takes one divided by that number.
    return share, 0 if not gpus else 1 if workers <= gpus else 1 / -(-workers // gpus), workers


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected; an existing connection stays open."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # By default, a task that was stopped for lack of memory is retried forever.
    os.environ.setdefault("RAY_task_oom_retries", "3")
    import ray

    if ray.is_initialized():
        yield ray
        return

    # Start Ray on this machine, or connect to the cluster.
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        machine: Any = {"num_cpus": len(usable_cores()), "num_gpus": len(visible_gpus(os.environ))}
        ray.init(address, object_store_memory=STORE, include_dashboard=False, **machine, **quiet)
    else:
        try:
            if address != "auto":  # report within seconds what Ray reports after minutes
                host, _, port = address.removeprefix("ray://").rpartition(":")
                socket.create_connection((host, int(port)), timeout=5).close()
            ray.init(address, **quiet)
        except (OSError, OverflowError, ValueError, RuntimeError) as error:
            raise InputError(
                f"no Ray cluster at {address!r} ({first_line(error)}): start one with ray start --head"
            ) from None
    try:
        yield ray
    finally:
        ray.shutdown()
