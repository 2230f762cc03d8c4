"""How much memory the active backend's own convolution takes, measured in a process of its own.

    python -m benchmarks.convolution.framework_memory '{"batch": 8, "channels": 16, ...}'

NumPy's memory is counted by `tracemalloc`; a backend's is not its to see. So a child process makes the arrays,
convolves a tiny image, so that libraries are loaded, and takes its largest resident size during one forward pass, and
one forward and backward pass, less its size before.
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
    """This process's resident size in bytes, now and at its largest."""
    found = {}
    for line in STATUS.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key in ("VmRSS", "VmHWM"):
            found[key] = 1024 * int(value.split()[0])
    return found


def measure_here(point: dict[str, Any]) -> dict[str, int]:
    """Extra bytes at the peak in this process, results included, of ``forward`` and ``total`` (with backward)."""
    from kzoo.backend import quiet_import

    with quiet_import():
        from benchmarks.convolution.framework import Framework
    from benchmarks.convolution.points import Point

    place = Point(**point)
    tiny = Point(batch=1, channels=1, size=place.kernel * place.dilation, kernel=place.kernel, dilation=place.dilation)
    framework = Framework(padding="same", dilation=place.dilation)
    found = {}
    for name in ("forward", "total"):
        call = framework.forward if name == "forward" else framework.gradients
        count = 3 if name == "forward" else 4
        call(*framework.tensors(*tiny.arrays()[:count]))
        tensors = framework.tensors(*place.arrays()[:count])
        CLEAR.write_text("5")  # the largest size starts again from the present one
        before = _resident()["VmRSS"]
        result = call(*tensors)
        found[name] = _resident()["VmHWM"] - before
        del result, tensors
    return found


def measure(point: dict[str, Any]) -> dict[str, int] | None:
    """The same in a child process; None where the system does not tell the largest resident size (not Linux).

    Raises:
        RunFailed: the child failed.
    """
    if not os.access(CLEAR, os.W_OK) or not STATUS.exists():
        return None
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.convolution.framework_memory", json.dumps(point)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise RunFailed(f"the process that measures the backend's memory failed: {last}")
    found: dict[str, int] = json.loads(child.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(measure_here(json.loads(sys.argv[1]))))
