"""Ends the children of a supervisor that is gone, however it went. Run as a script by `kzoo.workers.supervisor`.

It reads numbers of processes from its standard input, one a line, negative for one that has ended. At the end of the
input (the supervisor has closed it, or the system has) it sends SIGTERM to those that are left, waits, then SIGKILL
to their process groups. It works on every POSIX system, and does not depend on what the children watch or ignore.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time


def main(grace: float) -> None:
    """Read until the supervisor is gone, then end what it left; `grace` in seconds."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    children: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        if line.endswith("\n"):  # the last line may be cut off
            pid = int(line)
            children.add(pid) if pid > 0 else children.discard(-pid)
    for pid in children:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while any(_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in children:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(float(sys.argv[1]))
