"""Models in ``.keras`` files."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from pathlib import Path

import keras

from kzoo.errors import InputError, first_line
from kzoo.files import user_path


def load_keras_file(path: str | Path, *, compiled: bool = False) -> keras.Model:
    """Load a model from a file; code in the file (of a Lambda layer) is refused.

    Args:
        path: of the file.
        compiled: whether to load its optimizer and loss too, if Keras can find their classes.

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
    if compiled:
        # The optimizer alone may be of an unknown class, or have lost its moments, which causes a warning.
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            return keras.saving.load_model(path, compile=True, safe_mode=True)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # for a damaged file or another version's class, Keras raises anything
        raise InputError(f"file {str(path)!r} is not a Keras model that can be loaded: {first_line(error)}") from None
