"""Where kzoo keeps what it downloads and prepares: ``$KZOO_CACHE``, or the user's cache folder."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from pathlib import Path

from kzoo.errors import InputError
from kzoo.files import home, user_path


def cache_folder() -> Path | None:
    """``$KZOO_CACHE``, else ``~/.cache/kzoo``; None if the home directory that the path needs does not exist."""
    named = os.environ.get("KZOO_CACHE")
    try:
        if named:
            return user_path(named)
    except InputError:
        return None
    home_directory = home()
    return None if home_directory is None else home_directory / ".cache" / "kzoo"


def described() -> str:
    """The cache folder for messages, or why there is none."""
    folder, named = cache_folder(), os.environ.get("KZOO_CACHE")
    if folder is not None:
        return repr(str(folder))
    return f"KZOO_CACHE={named!r}: there is no such home directory" if named else "no home directory: set KZOO_CACHE"


def folder_for(*names: str) -> Path:
    """A folder in the cache, created if needed; if that fails, a temporary folder, with a warning."""
    root = cache_folder()
    if root is not None:
        folder = root.joinpath(*names)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
            nothing_kept(f"cannot write to {str(folder)!r}")
        except OSError as error:
            nothing_kept(f"cannot write to {str(folder)!r} ({error.strerror or error})")
    else:
        nothing_kept(described())
    scratch = tempfile.mkdtemp(prefix="kzoo-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    return Path(scratch)


def nothing_kept(why: str) -> None:
    """Warn that the cache is not used."""
    warnings.warn(f"nothing is kept in the cache: {why}", stacklevel=3)
