"""Arrays from .npz files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from kzoo.data.arrays import Arrays, checked, with_repeats
from kzoo.errors import InputError, some
from kzoo.files import user_path


def npz(path: str) -> Arrays:
    """Arrays from an .npz file.

    Args:
        path: a file with ``x_train`` and ``y_train`` (or ``train_images`` and ``train_labels``, ``images`` and
            ``labels``), optionally the same for ``val`` and ``test``, and ``class_names``: see `kzoo.data.array_names`.

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
    except Exception as error:  # a damaged archive, or a lone .npy file, makes zipfile and NumPy raise nearly anything
        text = " ".join(str(error).split())[:200] or type(error).__name__
        if "pickle" in text:  # NumPy takes any file that is none of its own for a pickled object
            raise InputError(f"{source} is damaged or not an .npz archive: write one with numpy.savez") from None
        raise InputError(f"{source} is damaged or not an .npz archive: {text}") from None
    if objects:
        raise InputError(
            f"{source}: {some(map(repr, objects))} holds Python objects (dtype object), which are not read: give "
            "numbers, or text for class_names, and images of one size"
        )
    return with_repeats(checked(content, source), source)


def npz_file(path: str) -> Path:
    """The file that a user names.

    Raises:
        InputError: the file does not exist or is a folder.
    """
    file = user_path(path)
    if not os.path.isfile(file):
        raise InputError(f"npz file {path!r} {'is a folder' if os.path.isdir(file) else 'does not exist'}")
    return file
