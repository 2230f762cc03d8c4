"""Image files that a user names: files and folders, read as far as they can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kzoo.data.images import SUFFIXES, read_image
from kzoo.errors import InputError


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths stand for: a folder for the image files in it and below, in the order of their names.

    Raises:
        InputError: a folder holds no image file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        if not inside:
            raise InputError(f"folder {str(path)!r} holds no image file ({', '.join(SUFFIXES)})")
        found += inside
    return found


class Unreadable(list[InputError]):
    """The errors of files that could not be read, while the others were worked on."""

    def readable(self, files: Sequence[Path], channels: int | None) -> Iterator[tuple[Path, np.ndarray]]:
        """Every file that can be read with its image, uint8 (H, W, C); the errors of the others are kept."""
        for file in files:
            try:
                yield file, read_image(file, channels=channels)
            except InputError as error:
                self.append(error)

    def check(self, total: int) -> None:
        """Say that files could not be read, when the others are done.

        Raises:
            InputError: there were such files; of one the error is its own, of more the first is told.
        """
        if len(self) == 1:
            raise self[0]
        if self:
            raise InputError(f"{len(self)} of {total} images cannot be read; the first: {self[0]}")
