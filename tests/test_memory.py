"""Memory: measured in bytes as the system counts it, limited in GiB."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from kzoo import memory

resource = pytest.importorskip("resource", reason="Windows has none")


@pytest.mark.skipif(sys.platform != "linux", reason="compared with Linux's own count")
def test_the_peak_is_the_systems(monkeypatch):
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert memory.peak_memory() == pytest.approx(int(kilobytes) * 1024, rel=0.05)
    monkeypatch.setattr(memory, "Path", lambda path: Path("nowhere"))  # as on other systems
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert memory.peak_memory() == pytest.approx(largest * 1024, rel=0.05)
    monkeypatch.setattr(sys, "platform", "darwin")  # macOS counts in bytes
    assert memory.peak_memory() == pytest.approx(largest, rel=0.05)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_the_peak_starts_again():
    block = np.ones(2**26)  # 512 MiB
    assert (before := memory.peak_memory()) > block.nbytes
    del block
    memory.reset_peak()
    assert memory.peak_memory() < before - 2**28


def test_a_limit_is_in_gib(monkeypatch):
    limits = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: limits.append(limit))
    memory.limit_memory(1.5)
    assert limits == [(resource.RLIMIT_DATA, (1610612736, 1610612736))]
