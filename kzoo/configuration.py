"""The user's permanent settings: a small JSON file in the platform's configuration directory."""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from kzoo.errors import InputError
from kzoo.files import home, user_path, write_json

DATA_DIR = "data_dir"
"""Field: the directory in which tensorflow-datasets prepares data."""
_FIELDS = (DATA_DIR,)


def configuration_file() -> Path | None:
    r"""``config.json`` in ``$KZOO_CONFIG``, or in the platform's directory; None without a home directory.

    That is ``$XDG_CONFIG_HOME/kzoo`` or ``~/.config/kzoo``, ``~/Library/Application Support/kzoo`` on macOS and
    ``%APPDATA%\kzoo`` on Windows.
    """
    named = os.environ.get("KZOO_CONFIG")
    if named:
        return user_path(named) / "config.json"
    if sys.platform == "win32" and os.environ.get("APPDATA"):
        return Path(os.environ["APPDATA"]) / "kzoo" / "config.json"
    if sys.platform != "darwin" and os.environ.get("XDG_CONFIG_HOME"):
        return Path(os.environ["XDG_CONFIG_HOME"]) / "kzoo" / "config.json"
    folder = home()
    inside = Path("Library", "Application Support") if sys.platform == "darwin" else Path(".config")
    return None if folder is None else folder / inside / "kzoo" / "config.json"


def configured(field: str) -> str | None:
    """The value of a field in the user's configuration; None where it is not set.

    Raises:
        InputError: the file is damaged.
    """
    value = _read(configuration_file()).get(field)
    return None if value is None else str(value)


def configure(field: str, value: str) -> Path:
    """Save a value in the user's configuration, and return the file.

    Raises:
        InputError: the file is damaged.
        OSError: its directory cannot be created, or there is no home directory for it.
        RunFailed: the file cannot be written.
    """
    file = configuration_file()
    if file is None:
        raise OSError("there is no home directory: set KZOO_CONFIG to a directory for it")
    content = {**_read(file), field: value}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, content)
    return file


def _read(file: Path | None) -> dict[str, Any]:
    try:
        content = {} if file is None else json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        warnings.warn(f"configuration {str(file)!r} cannot be read: {error.strerror or error}", stacklevel=3)
        return {}
    except ValueError as error:
        raise InputError(f"configuration {str(file)!r} is damaged ({error}): repair or delete it") from None
    if not isinstance(content, dict) or not all(isinstance(content.get(field, ""), str) for field in _FIELDS):
        raise InputError(f"configuration {str(file)!r} must be a JSON object with text values: repair or delete it")
    return content
