"""The structure of a folder of images: parts, classes and files, and what is left out. Decodes nothing."""

from __future__ import annotations

import dataclasses
import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from kzoo.data.folder_walk import FolderWalk, identity
from kzoo.data.left_out import AGAIN, EMPTY, NO_LABELS, LeftOut
from kzoo.data.part_names import (
    EVALUATION,
    TEST,
    TRAIN,
    UNLABELLED,
    VALIDATION,
    PartName,
    is_fold,
    is_numbered,
    part_name,
)
from kzoo.errors import InputError, some

Classes = dict[str, list[Path]]


@dataclasses.dataclass
class Layout:
    """A folder's images.

    Attributes:
        parts: by part (train, validation, test) and class: the files, in order of their names.
        left_out: what is not an image of a class, judged by names.
        remarks: what was guessed, a line each.
    """

    parts: dict[str, Classes]
    left_out: LeftOut
    remarks: list[str]


def layout(path: str, root: Path) -> Layout:
    """Read the structure of an image folder.

    Raises:
        InputError: the folder has no classes, unclear parts, or folds.
    """
    scan = _Scan(path, root)
    return Layout(scan.parts(), scan.left_out, scan.remarks)


class _Scan:
    def __init__(self, path: str, root: Path) -> None:
        self.name, self.root = f"image folder {path!r}", root
        self.walk = FolderWalk(root)
        self.left_out = self.walk.left_out
        self.remarks: list[str] = []

    def parts(self) -> dict[str, Classes]:
        """The files of each part by class."""
        folders = self.walk.folders(self.root)
        self.walk.leave_out_files(self.root)
        part_folders = self._part_folders(folders)
        if part_folders is None:
            return {TRAIN: self._alike_said(self._classes(self.root, folders))}
        classes = {part: self._classes(*self._unwrapped(part, folder)) for part, folder in part_folders.items()}
        for part, folder in part_folders.items():
            for name in classes[part]:
                if name not in classes[TRAIN]:
                    raise InputError(
                        f"class folder {str(folder / name)!r} has no counterpart below {part_folders[TRAIN].name}/, "
                        f"which has {some(classes[TRAIN])}"
                    )
        self._alike_said(classes[TRAIN])
        return classes

    def _alike_said(self, classes: Classes) -> Classes:
        """The classes, after a remark on names that differ only in case or white space."""
        alike: dict[str, list[str]] = {}
        for name in classes:
            alike.setdefault(" ".join(name.casefold().split()), []).append(name)
        doubtful = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
        if doubtful:
            self.remarks.append(f"{self.name}: {some(doubtful)} differ only in case or white space")
        return classes

    # --- which folder is which part

    def _part_folders(self, folders: list[Path]) -> dict[str, Path] | None:
        """The folder of each part; None if the folders are classes."""
        named = {folder: part_name(folder.name) for folder in folders}
        if sum(is_fold(folder.name) for folder in folders) >= 2:
            folds = [folder.name for folder in folders if is_fold(folder.name)]
            raise InputError(
                f"{self.name} has folds ({some(folds)}), which are not read: make train/, validation/ and test/ of "
                f"them{self._if_classes()}"
            )
        chosen = {folder: name.part for folder, name in named.items() if name.part and not name.rest}
        if not chosen:
            chosen = self._alike(named)
        if not set(chosen.values()) - {UNLABELLED}:
            for folder in chosen:
                self.remarks.append(f"{self.name}: {folder.name}/ is used as a class, because there is no train/")
            return None
        if TRAIN not in chosen.values():
            raise InputError(f"{self.name} has {next(iter(chosen)).name}/ but no train/{self._if_classes()}")
        self._check_others([folder for folder in folders if folder not in chosen], list(chosen))

        # One folder for each part.
        part_folders: dict[str, Path] = {}
        for folder, part in self._evaluation_decided(chosen).items():
            if part == UNLABELLED:
                self.left_out.add(NO_LABELS, folder)
            elif part in part_folders:
                names = f"{part_folders[part].name}/ and {folder.name}/"
                raise InputError(f"{self.name}: {names} are both named as a {part} part: put them into one folder")
            else:
                part_folders[part] = folder
        if len({identity(part_folder) for part_folder in part_folders.values()}) < len(part_folders):
            raise InputError(f"{self.name}: two of its parts are the same folder")
        return part_folders

    def _alike(self, named: Mapping[Path, PartName]) -> dict[Path, str]:
        """Folders that are parts because their names differ only in the part: seg_train and seg_test."""
        groups: dict[tuple[str, ...], dict[Path, str]] = {}
        for folder, (part, rest) in named.items():
            if part is None:
                return {}
            groups.setdefault(rest, {})[folder] = part
        if len(groups) == 1:
            (group,) = groups.values()
            return group if len(group) == 1 or len(set(group.values())) > 1 else {}
        if any(len(set(group.values())) > 1 for group in groups.values()):
            names = some(folder.name for folder in named)
            raise InputError(
                f"{self.name} has folders that look like parts of several kinds ({names}): make train/, validation/ "
                f"and test/ with a folder for each class in them{self._if_classes()}"
            )
        return {}

    def _check_others(self, others: list[Path], parts: list[Path]) -> None:
        """Refuse classes next to parts; folders without images are left out."""
        for folder in others:
            if self.walk.has_images(folder):
                raise InputError(
                    f"{self.name} has {parts[0].name}/ and also {folder.name!r}: classes cannot be next to parts "
                    f"(train, validation, test){self._if_classes()}"
                )
            self.left_out.add(EMPTY, folder)

    def _if_classes(self) -> str:
        return "; if these are names of classes, put all class folders into a folder train/"

    def _evaluation_decided(self, chosen: dict[Path, str]) -> dict[Path, str]:
        decided = dict(chosen)
        for folder, part in chosen.items():
            if part == EVALUATION:
                decided[folder] = VALIDATION if TEST in chosen.values() else TEST
                self.remarks.append(f"{self.name}: {folder.name}/ is used as the {decided[folder]} part")
        return decided

    def _unwrapped(self, part: str, folder: Path) -> tuple[Path, list[Path]]:
        """A part's folder and the folders in it: `seg_train/` may hold only another `seg_train/`."""
        folders = self.walk.folders(folder)
        while len(folders) == 1 and part_name(folders[0].name).part == part_name(folder.name).part:
            self.walk.leave_out_files(folder)
            folder = folders[0]
            folders = self.walk.folders(folder)
        return folder, folders

    # --- classes and their files

    def _classes(self, parent: Path, folders: list[Path]) -> Classes:
        """The files of each class folder of a part."""
        if parent != self.root:
            self.walk.leave_out_files(parent)
        if not folders:
            raise InputError(f"image folder {str(parent)!r} has no class folders: put each class's images into one")
        if sum(is_fold(folder.name) for folder in folders) >= 2:
            raise InputError(f"image folder {str(parent)!r} has folds ({some(f.name for f in folders)}), not classes")
        if parent == self.root:
            self._check_below(folders)

        # The files of each class; each folder is read once.
        classes: Classes = {}
        first_folders: dict[tuple[int, int], Path] = {}
        for folder in folders:
            if self.walk.is_above(folder):
                self.left_out.add(AGAIN, folder)
                continue
            first = first_folders.setdefault(identity(folder), folder)
            if first != folder:
                raise InputError(f"class folders {str(first)!r} and {str(folder)!r} are the same folder")
            files = self.walk.files(folder)
            name = _text(folder.name)
            if name in classes:
                raise InputError(f"class folder {str(folder)!r}: another class folder has the same name")
            if files:
                classes[name] = files
            else:
                self.left_out.add(EMPTY, folder)
        if not classes:
            raise InputError(
                f"image folder {str(parent)!r} has no images: its folders ({some(f.name for f in folders)}) hold none"
            )
        return classes

    def _check_below(self, folders: list[Path]) -> None:
        """Refuse parts inside classes; remark on classes that all hold the same folders."""
        inner = {folder: [below.name for below in self.walk.folders(folder)] for folder in folders}
        first = inner[folders[0]]
        if len(folders) == 1:
            alone, below = folders[0], first
            seen: set[tuple[int, int]] = set()
            while len(below) == 1 and identity(alone) not in seen and not self.walk.is_above(alone):
                seen.add(identity(alone))
                alone = alone / below[0]
                below = [folder.name for folder in self.walk.folders(alone)]
            if len(below) > 1:
                where = alone.relative_to(self.root).as_posix()
                problem = f"{self.name} has only one folder, {where!r}, with {some(below)} in it"
                raise InputError(f"{problem}: did you mean 'folder:{alone}'?")
        for folder, names in inner.items():
            parts = {part_name(name).part for name in names if not part_name(name).rest} - {None, UNLABELLED}
            if TRAIN in parts and (len(parts) > 1 or (len(folders) > 1 and all(n == first for n in inner.values()))):
                raise InputError(
                    f"{self.name} has parts inside of classes ({folder.name}/{names[0]}): the parts must be outside, "
                    f"{names[0]}/{folder.name}"
                )

        # Classes that all hold the same folders.
        if len(folders) > 1 and len(first) > 1 and all(names == first for names in inner.values()):
            if all(is_numbered(folder.name) for folder in folders):
                raise InputError(
                    f"{self.name} has {some(f.name for f in folders)}, each with the folders {some(first)}: they look "
                    "like shares of one dataset, which are not read: make train/, validation/ and test/ of them"
                    f"{self._if_classes()}"
                )
            self.remarks.append(
                f"{self.name}: its classes are {some(f.name for f in folders)}; each holds the folders {some(first)}, "
                "whose images are taken together"
            )


def _text(name: str) -> str:
    """A folder's name as text: composed characters, and escapes for bytes that are not UTF-8."""
    readable = os.fsencode(name).decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", readable)
