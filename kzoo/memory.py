"""The memory of this process: measured and limited."""

from __future__ import annotations

import sys


def peak_memory() -> int | None:
    """The largest resident size of this process so far, in bytes; None if the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def limit_memory(gib: float) -> None:
    """Limit the memory that this process can allocate; does nothing on systems without such limits.

    The limit is on private writable memory (RLIMIT_DATA), not on address space: backends reserve far more addresses.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
