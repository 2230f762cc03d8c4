"""Measure the memory of the active backend's convolution in a separate process.

    python -m benchmarks.convolution.framework_memory '{"batch": 8, "channels": 16, ...}'

`tracemalloc` counts NumPy's memory, but not the backend's. A child process therefore convolves a tiny image,
so that libraries are loaded, creates the arrays, and measures how far its resident size grows during one forward pass,
and during one forward and backward pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from kzoo.errors import RunFailed

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _resident() -> dict[str, int]:
    """Return this process's current and largest resident size in bytes."""
    sizes = {}
    for line in STATUS.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "VmHWM"):
            sizes[key] = 1024 * int(value.split()[0])
    return sizes


def measure_here(fields: dict[str, Any]) -> dict[str, int]:
    """Return the extra bytes at the peak, including results, of ``forward`` and ``total`` (with backward)."""
    from kzoo.backend import quiet_import

    with quiet_import():
        from benchmarks.convolution.framework import Framework
    from benchmarks.convolution.points import Point

    point = Point(**fields)
    tiny = Point(batch=1, channels=1, size=point.kernel * point.dilation, kernel=point.kernel, dilation=point.dilation)
    framework = Framework(padding="same", dilation=point.dilation)
    extra = {}
    for name in ("forward", "total"):
        call = framework.forward if name == "forward" else framework.gradients
        count = 3 if name == "forward" else 4
        call(*framework.tensors(*tiny.arrays()[:count]))
        tensors = framework.tensors(*point.arrays()[:count])
        CLEAR.write_text("5")  # resets the largest size to the current one
        before = _resident()["VmRSS"]
        result = call(*tensors)
        extra[name] = _resident()["VmHWM"] - before
        del result, tensors
    return extra


def measure(fields: dict[str, Any]) -> dict[str, int] | None:
    """Run `measure_here` in a child process; return None if the system does not report resident sizes (not Linux).

    Raises:
        RunFailed: the child failed.
    """
    if not os.access(CLEAR, os.W_OK) or not STATUS.exists():
        return None
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.convolution.framework_memory", json.dumps(fields)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunFailed(f"the process that measures the backend's memory failed: {last}")
    extra: dict[str, int] = json.loads(child.stdout.splitlines()[-1])
    return extra


if __name__ == "__main__":
    print(json.dumps(measure_here(json.loads(sys.argv[1]))))
