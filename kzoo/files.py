"""Files that are whole or not there at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from kzoo.errors import InputError, RunFailed


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Give `path` new content, whole or not at all, that survives a crash from here on.

    Raises:
        RunFailed: the file cannot be written (a full disk, say); an earlier file of that name is untouched.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RunFailed(
            f"cannot write {str(path)!r}: {error.strerror or error}; what was there before is intact"
        ) from None


def user_path(text: str | Path) -> Path:
    """A path as a user writes it, with ``~`` and ``~name`` filled in.

    Raises:
        InputError: there is no home directory to fill in.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"path {str(text)!r}: there is no such home directory, write the path in full") from None


def home() -> Path | None:
    """The user's home directory; None where there is none, as in a container with a user id of its own."""
    try:
        return Path.home()
    except RuntimeError:
        return None
