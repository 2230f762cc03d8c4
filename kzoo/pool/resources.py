"""The cores, threads and GPU that each of N workers may use."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kzoo.backend import usable_cores, visible_gpus

# OpenMP (PyTorch, oneDNN), the BLAS libraries and TensorFlow read these when they start.
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
        cores: numbers of the cores that it is bound to, if the system can bind processes.
        environment: variables that limit libraries to this share.
    """

    cores: tuple[int, ...]
    environment: Mapping[str, str]


def divide(cores: Sequence[int], workers: int) -> list[tuple[int, ...]]:
    """Neighbouring cores for each worker, as equally as possible; with more workers than cores, some share one."""
    edges = [i * len(cores) // workers for i in range(workers + 1)]
    return [tuple(cores[a : max(b, a + 1)]) for a, b in itertools.pairwise(edges)]


def shares(workers: int, environment: Mapping[str, str] | None = None) -> list[Share]:
    """Divide this process's cores and GPUs between workers.

    A lower limit on threads that is already in `environment` (by default this process's) is kept.
    """
    environment = os.environ if environment is None else environment
    gpus = visible_gpus(environment)
    result = []
    for index, cores in enumerate(divide(usable_cores(), workers)):
        variables = {name: _lower(environment.get(name), len(cores)) for name in THREADS}
        if len(cores) == 1 and not hasattr(os, "sched_setaffinity"):
            # XLA counts the cores that it is bound to; if binding is impossible, a flag limits it.
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


def _lower(present: str | None, count: int) -> str:
    return str(min(int(present), count)) if present and present.isdigit() and int(present) > 0 else str(count)


def default_workers() -> int | None:
    """The default number of workers: one per visible GPU if there are several, otherwise None."""
    gpus = visible_gpus(os.environ)
    return len(gpus) if len(gpus) > 1 else None
