"""The memory of this process: measured and limited."""

from __future__ import annotations

import contextlib
import re
import sys
from pathlib import Path


def reset_peak() -> None:
    """Let `peak_memory` start from what the process uses now; on systems other than Linux, it cannot."""
    with contextlib.suppress(OSError):  # a container may forbid it
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory() -> int | None:
    """The largest resident size of this process in bytes since `reset_peak`, or since its start.

    Returns:
        None if the system does not tell.
    """
    # Linux carries the other number, ru_maxrss, over from the process that started this one.
    with contextlib.suppress(OSError):
        if found := re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii")):
            return int(found[1]) * 1024
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
