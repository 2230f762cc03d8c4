"""What each of N workers may use: its cores, its number of threads, its GPU."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Read by OpenMP (PyTorch, oneDNN), the BLAS libraries and TensorFlow when they start.
THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


@dataclass(frozen=True)
class Share:
    """One worker's part of the machine.

    Attributes:
        cores: numbers of the cores it is bound to, where the system can bind.
        environment: variables that tell libraries to keep to it.
    """

    cores: tuple[int, ...]
    environment: Mapping[str, str]


def usable_cores() -> tuple[int, ...]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def divide(cores: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """Neighbouring cores for each worker, as equally as possible; with more workers than cores, some share one."""
    edges = [i * len(cores) // workers for i in range(workers + 1)]
    return [tuple(cores[a : max(b, a + 1)]) for a, b in itertools.pairwise(edges)]


def shares(workers: int, environment: Mapping[str, str] | None = None) -> list[Share]:
    """Divide this process's cores and GPUs between workers.

    A limit on threads that `environment` (by default this process's) already holds is kept where it is lower.
    """
    environment = os.environ if environment is None else environment
    gpus = visible_gpus(environment)
    result = []
    for index, cores in enumerate(divide(usable_cores(), workers)):
        variables = {name: _lower(environment.get(name), len(cores)) for name in THREADS}
        if len(cores) == 1 and not hasattr(os, "sched_setaffinity"):
            # XLA counts the cores it is bound to; where nothing can be bound, a flag says so.
            flags = environment.get("XLA_FLAGS", "")
            variables["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
        if gpus:
            variables["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
            together = math.ceil(workers / len(gpus))
            if together > 1:
                variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 / together:.2f}"
                variables["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        result.append(Share(cores, variables))
    return result


def visible_gpus(environment: Mapping[str, str]) -> list[str]:
    """Names of the NVIDIA GPUs that a process with this environment sees."""
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [gpu for gpu in (part.strip() for part in named.split(",")) if gpu and gpu != "-1"]
    files = [path for path in Path("/dev").glob("nvidia[0-9]*") if path.name.removeprefix("nvidia").isdigit()]
    # CUDA counts the GPUs of a container from 0, whatever the numbers of their device files are.
    return [str(index) for index in range(len(files))]


def _lower(present: str | None, count: int) -> str:
    return str(min(int(present), count)) if present and present.isdigit() and int(present) > 0 else str(count)


def default_workers() -> int | None:
    """How many workers there are if nobody says: one a visible GPU where there are several, else None."""
    gpus = visible_gpus(os.environ)
    return len(gpus) if len(gpus) > 1 else None


@contextlib.contextmanager
def without_gpus() -> Iterator[None]:
    """Within it, a backend that is used for the first time sees no GPU: a process that only waits must not take one."""
    hidden = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"} if visible_gpus(os.environ) else {}
    before = {name: os.environ.get(name) for name in hidden}
    os.environ.update(hidden)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
