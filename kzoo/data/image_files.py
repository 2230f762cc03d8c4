"""Image files that a user names, directly or by folder. Unreadable files do not stop the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kzoo.data.background import WHITE, Colour
from kzoo.data.folder_walk import files_below
from kzoo.data.images import Remarks, UnreadableImage, all_broken, decode, is_image
from kzoo.data.left_out import OTHER_FILES
from kzoo.errors import InputError


def image_files(paths: Sequence[Path]) -> list[Path]:
    """The files that paths name; a folder stands for its image files at any depth, in the order of their names.

    One warning for each folder counts its other files.

    Raises:
        InputError: a folder holds no image file.
    """
    result: list[Path] = []
    for path in paths:
        if not path.is_dir():
            result.append(path)
            continue
        files, left_out = files_below(path)
        inside = []
        for file in files:
            if is_image(file):
                inside.append(file)
            else:
                left_out.add(OTHER_FILES, file)
        if not inside:
            raise InputError(f"folder {str(path)!r} holds no image file")
        for line in left_out.line():
            warnings.warn(line, stacklevel=2)
        result += inside
    return result


class Unreadable(list[UnreadableImage]):
    """The errors of files that could not be read, collected while the others are used."""

    def __init__(self) -> None:
        super().__init__()
        self._remarks = Remarks()

    def readable(
        self, files: Sequence[Path], channels: int | None, background: Colour | None = WHITE
    ) -> Iterator[tuple[Path, np.ndarray]]:
        """Each readable file with its image, uint8 (H, W, C); the errors of the others are kept."""
        for file in files:
            try:
                decoded = decode(file, channels=channels, background=background)
            except UnreadableImage as error:
                self.append(error)
            else:
                self._remarks.add(file, decoded)
                yield file, decoded.pixels

    def check(self, total: int) -> None:
        """When all files are done, warn about how files were read, and report those that could not be read.

        Raises:
            InputError: some files could not be read; the first ten are named.
        """
        for line in self._remarks.lines():
            warnings.warn(line, stacklevel=2)
        if self:
            raise all_broken(self, total)
