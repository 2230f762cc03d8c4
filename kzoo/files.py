"""Files that are written completely or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from kzoo.errors import InputError, NotWritten

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
"""Errors of a disk that is full, read-only or broken, whatever is written to it."""


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """A context in which a library writes to `path`.

    Raises:
        NotWritten: it could not.
    """
    try:
        yield
    except OSError as error:
        raise NotWritten(f"cannot write {str(path)!r}: {cause(error)}") from None


def cause(error: Exception) -> str:
    """The text of an error in one line, as the system words it if it does; libraries write several lines."""
    return getattr(error, "strerror", None) or " ".join(str(error).split())


def write_atomically(path: Path, write: Callable[[IO[bytes]], object], *, locked: bool = False) -> None:
    """Replace the content of `path`, completely or not at all. Once this returns, the content survives a crash.

    A symbolic link stays one, and its target gets the content; an existing file keeps its permissions.

    Args:
        path: of the file.
        write: writes the content to a stream.
        locked: whether a lock keeps other processes from writing the file. The temporary file then has always the same
            name, so that one left by a killed process is overwritten.

    Raises:
        NotWritten: the file cannot be written (a full disk, say); an earlier file of that name is kept.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{path.name}.tmp" if locked else f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        with open(temporary, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
        if os.name == "posix":
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise NotWritten(
            f"cannot write {str(path)!r}: {error.strerror or error}; what was there before is intact"
        ) from None
    finally:
        with contextlib.suppress(OSError):  # `path` may lie below a file
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, locked: bool = False) -> None:
    """Write a UTF-8 text file with `write_atomically`."""
    write_atomically(path, lambda stream: stream.write(text.encode()), locked=locked)


def write_json(path: Path, content: Any, *, indent: int | None = 1, locked: bool = False) -> None:
    """Write a JSON file with `write_atomically`, on one line if `indent` is None. It ends in a line break."""
    text = json.dumps(content, indent=indent, separators=None if indent else (",", ":"))
    write_text(path, text + "\n", locked=locked)


def finite(content: Any) -> Any:
    """JSON data with None in place of numbers that are not finite, because standard JSON has no NaN or infinity."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def read_json(path: Path, what: str = "file", advice: str = "") -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        what: content of the file, for the message.
        advice: what to do about a file that cannot be read.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{what} {str(path)!r} cannot be read ({error}){advice}") from None


def make_directory(path: Path) -> Path:
    """Create a directory and its parents if they do not exist.

    Returns:
        The path.

    Raises:
        InputError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"directory {str(path)!r} cannot be made: {error.strerror}") from None
    return path


def user_path(text: str | Path) -> Path:
    """Expand ``~`` and ``~name`` in a user's path.

    Raises:
        InputError: there is no such home directory.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise InputError(f"path {str(text)!r}: there is no such home directory, write the path in full") from None


def names_keras_file(target: str | Path) -> bool:
    """Whether a path has the suffix of a model's file, ``.keras`` in small or capital letters."""
    return Path(target).suffix.lower() == ".keras"


def full_path(text: str | Path | None) -> str | None:
    """A user's path as absolute text, the same in any directory and process; None if no path is given."""
    return str(user_path(text).absolute()) if text else None


def home() -> Path | None:
    """The user's home directory; None where there is none, as in a container with an arbitrary user id."""
    try:
        return Path.home()
    except RuntimeError:
        return None
