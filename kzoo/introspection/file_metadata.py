"""Metadata of an exported file: class names, recipe, inputs and outputs. Imports no Keras.

A SavedModel holds it in ``assets.extra/kzoo.json`` (TensorFlow's directory for additional files), ONNX in
``metadata_props``, one property per field. LiteRT and Keras files hold ``kzoo.json`` in a zip archive: a Keras file is
one itself, and a LiteRT file has one appended (where LiteRT's own metadata keeps associated files).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kzoo.errors import InputError
from kzoo.schemas import check_version

SCHEMA_VERSION = 1
FILE = "kzoo.json"
LABELS = "labels.txt"


def write_to_folder(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Write metadata into a SavedModel's folder."""
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    for name, text in _texts(metadata).items():
        (extra / name).write_text(text, encoding="utf-8")


def write_inside(path: Path, metadata: Mapping[str, Any]) -> None:
    """Append metadata to a LiteRT or Keras file as members of a zip archive."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in _texts(metadata).items():
            archive.writestr(name, text)


def as_properties(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Metadata as ONNX properties: text as it is, unless it could be read as JSON, and other values as JSON."""
    return {
        name: value if isinstance(value, str) and _parsed(value) is value else json.dumps(value)
        for name, value in metadata.items()
    }


def from_properties(properties: Mapping[str, str]) -> dict[str, Any]:
    """The reverse of `as_properties`."""
    return {name: _parsed(text) for name, text in properties.items()}


def _parsed(text: str) -> Any:
    """The value of a JSON text; any other text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a SavedModel's folder, a LiteRT file or a Keras file; empty if there is none.

    Raises:
        InputError: the metadata is damaged, or was written by a newer kzoo.
    """
    text: str | None = None
    try:
        if path.is_dir():
            file = path / "assets.extra" / FILE
            text = file.read_text(encoding="utf-8") if file.is_file() else None
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                text = archive.read(FILE).decode() if FILE in archive.namelist() else None
        return checked({} if text is None else json.loads(text), path)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"file {str(path)!r}: its metadata cannot be read ({error})") from None


def checked(metadata: Any, path: Path) -> dict[str, Any]:
    """Return the metadata if this version of kzoo can read it."""
    if not isinstance(metadata, dict):
        raise InputError(f"file {str(path)!r}: its metadata must be a mapping")
    check_version(metadata, f"metadata of file {str(path)!r}", SCHEMA_VERSION)
    return metadata


def _texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    texts = {FILE: json.dumps(metadata, indent=1) + "\n"}
    if metadata.get("class_names"):
        # One line for each class, even if a name has several.
        texts[LABELS] = "".join(f"{' '.join(str(name).split())}\n" for name in metadata["class_names"])
    return texts
