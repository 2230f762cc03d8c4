"""Arrays from .npz files."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from kzoo.data.arrays import Arrays, checked, with_repeats
from kzoo.errors import InputError, some
from kzoo.files import user_path


def npz(path: str) -> Arrays:
    """Arrays from an .npz file.

    Args:
        path: a file with ``x_train`` and ``y_train`` (or ``train_images`` and ``train_labels``, ``images`` and
            ``labels``), optionally the same of ``val`` and ``test``, and ``class_names``: see `kzoo.data.array_names`.

    Raises:
        InputError: the file is missing, truncated, not an .npz file, or holds other arrays.
    """
    source = f"npz file {path!r}"
    file = npz_file(path)

    # Read every array; those that hold Python objects are refused by name.
    content, objects = {}, []
    try:
        with np.load(file, allow_pickle=False) as stored:
            for key in stored.files:
                try:
                    content[key] = stored[key]
                except ValueError as error:
                    if "pickle" not in str(error):
                        raise
                    objects.append(key)
    # TypeError, AttributeError: a lone .npy file gives an array, which is no context manager. NotImplementedError,
    # RuntimeError: an archive compressed or encrypted as NumPy does not. SyntaxError: the header of an array.
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, RuntimeError, SyntaxError) as error:
        raise _damaged(source, error) from None
    except (MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(source, error) from None
    if objects:
        raise InputError(
            f"{source}: {some(map(repr, objects))} holds Python objects (dtype object), which are not read: give "
            "numbers, or text for class_names, and images of one size"
        )
    return with_repeats(checked(content, source), source)


def npz_file(path: str) -> Path:
    """The file that a user names.

    Raises:
        InputError: it does not exist.
    """
    file = user_path(path)
    if not os.path.isfile(file):
        raise InputError(f"npz file {path!r} does not exist")
    return file


def _damaged(source: str, error: Exception) -> InputError:
    return InputError(f"{source} is damaged or not an .npz archive: {' '.join(str(error).split())[:200]}")
