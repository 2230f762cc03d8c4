"""A study's runs on a Ray cluster: one task per run, retried by Ray, resumed from the shared run directory.

Every machine of the cluster must have kzoo installed and see the run directories under the same path. Ray is
imported here and nowhere else.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kzoo.errors import InputError, InUse, RunFailed
from kzoo.files import write_atomically
from kzoo.interrupts import interruptible
from kzoo.recipes.schema import Recipe
from kzoo.studies.parallel import FOLDER
from kzoo.studies.running import WAIT, Runner, Task, Tell
from kzoo.workers.resources import THREADS, usable_cores, visible_gpus

# What a run depends on and a cluster's machines may have set otherwise.
PASSED_ON = ("KERAS_BACKEND", "KZOO_DATA_DIR", "KZOO_CACHE", "KERAS_HOME", "XLA_FLAGS")
STORE = 100 * 2**20
"""Bytes of Ray's object store: what goes through it is a few kilobytes a run."""


@dataclass(frozen=True)
class _Order:
    """One run, as it is sent to another machine; paths are absolute."""

    recipe: str
    directory: str
    started: str
    data_dir: str | None
    folder: str
    path: tuple[str, ...]
    environment: Mapping[str, str]


def on_ray(address: str, *, workers: int | None = None, retries: int = 3, patience: float = 60.0) -> Runner:
    """A runner that hands each run to a Ray cluster as one task.

    Args:
        address: ``"auto"`` for the cluster that this machine belongs to, ``"local"`` for one that is started on this
            machine for the time being, ``"host:port"`` of a cluster's head as seen from one of its machines, or
            ``"ray://host:port"`` from elsewhere.
        workers: runs at a time; the cluster's cores are divided between them. If not given, one run a GPU, or, where
            there is none, one run a machine.
        retries: how often Ray starts a run again whose process or machine died; it goes on from its checkpoint.
        patience: seconds that a task waits for a run's directory that another process still holds.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(f"--on {address} needs Ray, which is not installed: pip install 'kzoo[ray]'")
    if not re.fullmatch(r"auto|local|(ray://)?[^/:\s]+:\d+", address):
        raise InputError(f"--on takes auto, local, HOST:PORT or ray://HOST:PORT, not {address!r}")
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise InputError(f"workers must be a positive integer, not {workers!r}")

    def run(tasks: Sequence[Task], data_dir: Path | None, tell: Tell) -> None:
        with _connected(address) as ray:
            cores, gpus = _resources(ray.nodes(), workers)
            remote = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=retries, max_calls=1)(_train)
            orders = {task.digest: _order(task, data_dir, max(int(cores), 1)) for task in tasks}
            with interruptible() as interrupted:
                _follow(ray, remote, {task.digest: task for task in tasks}, orders, patience, tell, interrupted)

    return run


def _follow(
    ray: Any, remote: Any, tasks: dict[str, Task], orders: dict[str, _Order], patience: float, tell: Tell, stop: Any
) -> None:
    """Submit tasks, tell what becomes of them, submit those again that another process holds."""
    for order in orders.values():
        Path(order.started).unlink(missing_ok=True)
    waiting = {remote.remote(asdict(order), patience): digest for digest, order in orders.items()}
    seen: dict[str, str] = {}
    while waiting:
        done, _ = ray.wait(list(waiting), timeout=0.5)
        for digest in waiting.values():
            started = _read(orders[digest].started)
            if started != seen.get(digest, ""):
                tell(tasks[digest], "running", f"taken up again ({started})" if digest in seen else "")
                seen[digest] = started
        if stop():
            _cancel(ray, list(waiting))
            for digest in waiting.values():
                if digest in seen:
                    tell(tasks[digest], "cut off", "")
            raise KeyboardInterrupt("interrupted; the same command goes on where it stopped")
        for reference in done:
            digest = waiting.pop(reference)
            try:
                status, reason = ray.get(reference)
            except ray.exceptions.RayError as error:
                status, reason = "failed", str(error).strip().splitlines()[-1]
            tell(tasks[digest], status, reason)
            if status == "elsewhere":
                waiting[remote.remote(asdict(orders[digest]), patience)] = digest


def _cancel(ray: Any, references: list[Any], grace: float = 60.0) -> None:
    """Interrupt tasks, so that they write checkpoints; a KeyboardInterrupt meanwhile ends the waiting."""
    for reference in references:
        ray.cancel(reference, force=False)
    ray.wait(references, num_returns=len(references), timeout=grace)


def _train(order: dict[str, Any], patience: float) -> tuple[str, str]:
    """Train one run, in a process of its own on some machine of the cluster.

    Returns:
        ``"recorded"``, ``"failed"`` or ``"elsewhere"``, and why.
    """
    os.environ.update(order["environment"])
    if os.path.isdir(order["folder"]):
        os.chdir(order["folder"])
    sys.path.extend(entry for entry in order["path"] if entry not in sys.path)
    # The line differs from one start to the next.
    line = f"{socket.gethostname()}, process {os.getpid()}, {time.strftime('%H:%M:%S')}"
    write_atomically(Path(order["started"]), lambda stream: stream.write(line.encode()))
    from kzoo.backend import quiet_import

    with quiet_import():
        from kzoo.training.run import train
    deadline = time.monotonic() + patience
    while True:
        try:
            train(
                Recipe.from_json(order["recipe"]),
                data_dir=order["data_dir"],
                directory=order["directory"],
                progress=False,
            )
        except InUse:  # the process of a machine that was cut off may hold it a little longer
            if time.monotonic() > deadline:
                return "elsewhere", ""
            time.sleep(WAIT)
        except (InputError, RunFailed) as error:
            return "failed", str(error)
        else:
            return "recorded", ""


def _order(task: Task, data_dir: Path | None, threads: int) -> _Order:
    place = task.directory.resolve()
    folder = place.parent / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"directory {str(folder)!r} cannot be made: {error.strerror}") from None
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= dict.fromkeys(THREADS, str(threads))
    return _Order(
        recipe=json.dumps(task.recipe.model_dump(mode="json")),
        directory=str(place),
        started=str(folder / f"{place.name}.started"),
        data_dir=str(data_dir.resolve()) if data_dir else None,
        folder=os.getcwd(),
        path=tuple(entry or os.getcwd() for entry in sys.path),
        environment=environment,
    )


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _resources(nodes: list[dict[str, Any]], workers: int | None) -> tuple[float, float]:
    """Cores and GPUs of one run."""
    machines = [node["Resources"] for node in nodes if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    if not machines:
        raise InputError("the Ray cluster has no machine with a free core")
    cores = sum(machine["CPU"] for machine in machines)
    gpus = sum(machine.get("GPU", 0) for machine in machines)
    smallest = min(machine["CPU"] for machine in machines)
    if workers is None:
        each = [machine["CPU"] // max(machine.get("GPU", 0), 1) for machine in machines]
        return max(min(each), 1), 1 if gpus else 0
    share = min(max(cores // workers, 1), smallest)
    # Ray takes a part of a GPU as one over a whole number.
    return share, 0 if not gpus else 1 if workers <= gpus else 1 / -(-workers // gpus)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, connected; a connection that is not ours stays open."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # By default a task that was stopped for want of memory is retried without end.
    os.environ.setdefault("RAY_task_oom_retries", "3")
    import ray

    if ray.is_initialized():
        yield ray
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address == "local":
        gpus = len(visible_gpus(os.environ))
        own: dict[str, Any] = {"num_cpus": len(usable_cores()), "num_gpus": gpus, "include_dashboard": False}
        ray.init(address, object_store_memory=STORE, **own, **quiet)
    else:
        if address != "auto":
            _check_reachable(address)
        try:
            ray.init(address, **quiet)
        except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise InputError(f"no Ray cluster at {address!r} ({first}): start one with ray start --head") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_reachable(address: str) -> None:
    """Tell within seconds what Ray tells after minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {address!r} ({error}): start one with ray start --head") from None
