"""Lists the folders and files below a folder, in the order of their names, and what is left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from kzoo.data.images import suffixes
from kzoo.data.left_out import AGAIN, DEAD_LINKS, HIDDEN, LOOSE, OLD_BIN, OTHER_FILES, TOOLS, LeftOut
from kzoo.errors import InputError


def files_below(folder: Path) -> tuple[list[Path], LeftOut]:
    """All files in a folder, at any depth, following links but without files of tools; and what is left out."""
    walk = FolderWalk(folder)
    return walk.files(folder), walk.left_out


class FolderWalk:
    """Reads folders below a root and follows links, but not twice to the same folder.

    Attributes:
        left_out: what was not read.
    """

    def __init__(self, root: Path) -> None:
        """Read below `root`."""
        self.root = root
        self.left_out = LeftOut(root)
        self._above = {identity(folder) for folder in [root.resolve(), *root.resolve().parents]}

    def is_above(self, folder: Path) -> bool:
        """Whether a folder is the root or one of its ancestors, so that a link to it is a cycle."""
        return identity(folder) in self._above

    def folders(self, folder: Path) -> list[Path]:
        """The folders in a folder."""
        return [Path(entry.path) for entry in self._entries(folder, quietly=True) if _is_folder(entry.path)]

    def files(self, folder: Path) -> list[Path]:
        """All files in a folder, at any depth."""
        return self._files(folder, self._above | {identity(ancestor) for ancestor in (folder, *folder.parents)})

    def has_images(self, folder: Path) -> bool:
        """Whether a folder has images, judged by their names; nothing is noted as left out."""
        return any(file.suffix.lower() in suffixes() for file in FolderWalk(self.root).files(folder))

    def leave_out_files(self, folder: Path) -> None:
        """Note the files in a folder that should hold only folders."""
        for entry in self._entries(folder):
            if not _is_folder(entry.path):
                looks = Path(entry.name).suffix.lower() in suffixes()
                self.left_out.add(
                    LOOSE if looks else DEAD_LINKS if _is_dead_link(entry) else OTHER_FILES, Path(entry.path)
                )

    def _files(self, folder: Path, seen: set[tuple[int, int]]) -> list[Path]:
        """All files in a folder, at any depth, except in the folders `seen`."""
        files: list[Path] = []
        for entry in self._entries(folder):
            path = Path(entry.path)
            if _is_folder(entry.path):
                if identity(path) in seen:
                    self.left_out.add(AGAIN, path)
                    continue
                seen.add(identity(path))
                files += self._files(path, seen)
            elif os.path.isfile(path):
                files.append(path)
            else:  # neither: a socket, a pipe, a device
                self.left_out.add(DEAD_LINKS if _is_dead_link(entry) else OTHER_FILES, path)
        return files

    def _entries(self, folder: Path, *, quietly: bool = False) -> Iterable[os.DirEntry[str]]:
        """The entries of a folder in the order of their names, without files of tools."""
        try:
            with os.scandir(folder) as entries:
                in_order = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            raise InputError(f"folder {str(folder)!r} cannot be read: {error.strerror}") from None
        for entry in in_order:
            name = entry.name.lower()
            if TOOLS.fullmatch(name) or entry.name == OLD_BIN:
                continue
            if not name.startswith("."):
                yield entry
            elif not quietly:
                self.left_out.add(HIDDEN, Path(entry.path))


def identity(folder: Path) -> tuple[int, int]:
    """The folder's device and inode, which are the same for every link to it.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        status = os.stat(folder)
    except OSError as error:
        raise InputError(f"folder {str(folder)!r} cannot be read: {error.strerror}") from None
    return status.st_dev, status.st_ino


def _is_folder(path: str) -> bool:
    """Whether a path is a folder or a link to one.

    Raises:
        InputError: the folder that contains it lets nobody look.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:
        raise InputError(f"{path!r} cannot be read: {error.strerror}") from None
    except OSError:  # a dead link
        return False


def _is_dead_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)
