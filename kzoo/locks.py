"""Who may write to a directory: one process at a time. The system frees its lock when that process dies."""

from pathlib import Path

import filelock

from kzoo.errors import InUse

NAME = ".lock"
"""The file in the directory; it stays there when the lock is free."""
MOMENT = 0.3
"""Seconds to wait for a process that is about to leave a directory, or that checks whether it is in use."""


def lock(directory: Path, doing: str, seconds: float = MOMENT) -> filelock.BaseFileLock:
    """Take a directory's lock.

    Args:
        directory: an existing directory.
        doing: what a process does there, for the message: ``"trains"``.
        seconds: how long to wait for another process.

    Raises:
        InUse: another process holds it.
        OSError: the directory is missing or cannot be written.
    """
    taken = filelock.FileLock(directory / NAME)
    try:
        taken.acquire(timeout=max(0.0, seconds), poll_interval=0.02 if seconds <= MOMENT else 1.0)
    except filelock.Timeout:
        raise InUse(f"directory {str(directory)!r} is in use: another process {doing} there") from None
    return taken


def in_use(directory: Path) -> bool:
    """Whether a process holds a directory's lock at this moment; a directory without a lock file gets none."""
    if not (directory / NAME).is_file():
        return False
    try:
        lock(directory, "writes", seconds=0).release()
    except InUse:
        return True
    except OSError:
        return False  # writing there reports what is wrong with the directory
    return False
