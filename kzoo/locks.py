"""Locks that let one process at a time write to a directory. The system frees the lock when the process dies."""

from pathlib import Path

import filelock

from kzoo.errors import InUse

NAME = ".lock"
"""The lock file in the directory; it stays there when the lock is free."""
MOMENT = 0.3
"""Seconds to wait for a process that is about to leave a directory, or only checks whether the directory is in use."""


def lock(directory: Path, doing: str, seconds: float = MOMENT) -> filelock.BaseFileLock:
    """Take a directory's lock.

    Args:
        directory: an existing directory.
        doing: what a process does there, for the message: ``"trains"``.
        seconds: how long to wait for another process.

    Raises:
        InUse: another process holds the lock.
        OSError: the directory is missing or cannot be written.
    """
    taken = filelock.FileLock(directory / NAME)
    try:
        taken.acquire(timeout=max(0.0, seconds), poll_interval=0.02 if seconds <= MOMENT else 1.0)
    except filelock.Timeout:
        raise InUse(f"directory {str(directory)!r} is in use: another process {doing} there") from None
    return taken


def in_use(directory: Path) -> bool:
    """Whether a process holds a directory's lock; does not create a lock file where there is none."""
    if not (directory / NAME).is_file():
        return False
    try:
        lock(directory, "writes", seconds=0).release()
    except InUse:
        return True
    except OSError:
        return False  # an attempt to write there reports the problem
    return False
