"""Models in ``.keras`` files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from kzoo.errors import InputError
from kzoo.files import user_path


def load_keras_file(path: str | Path) -> keras.Model:
    """Load a model from a file, without its optimizer; code in the file (of a Lambda layer) is refused.

    Raises:
        InputError: the file does not exist, or contains no model that can be loaded.
    """
    path = user_path(path)
    if not path.is_file():
        raise InputError(f"file {str(path)!r} does not exist")
    if path.suffix != ".keras":
        raise InputError(f"file {str(path)!r}: Keras loads a model only if its file's name ends in '.keras': rename it")
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"file {str(path)!r} is not a Keras model that can be loaded: it is not a zip archive, or is damaged"
        )
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # for a damaged file or another version's class, Keras raises anything
        first = str(error).strip().partition("\n")[0]
        raise InputError(f"file {str(path)!r} is not a Keras model that can be loaded: {first}") from None
