"""A run's directory: who may write to it, what it holds from the start, and whether it still is what it was."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from pathlib import Path

import filelock
import keras

from kzoo.errors import Differs, InputError, InUse, NotWritten
from kzoo.files import write_json, write_text
from kzoo.introspection.keras_file import load_keras_file
from kzoo.models.structure import difference, structure
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import difference_in_words, differing_fields
from kzoo.training.checkpoint import Checkpoint
from kzoo.training.records import read_result
from kzoo.training.schedules import FILL_THE_RUN

STRUCTURE = "structure.json"
"""What the model was made of when the run began."""
MOMENT = 0.3
"""Seconds to wait for a process that is about to leave a directory, or that asks whether it is in use."""


def lay_out(place: Path, row: Recipe, model: keras.Model) -> None:
    """Write what a run's directory holds from the start, once."""
    if row.model.startswith("keras:") and not (place / "initial.keras").exists():
        temporary = place / ".initial.keras"
        model.save(temporary)
        temporary.replace(place / "initial.keras")
    if not (place / "recipe.json").exists():
        write_text(place / "recipe.json", row.to_json())
    if not row.model.startswith("keras:") and not (place / STRUCTURE).exists():
        write_json(place / STRUCTURE, structure(model), indent=None)


def take_along(source: Path, place: Path) -> None:
    """Copy to a run's directory what the run that it extends kept of its epochs, beside the checkpoint."""
    for name in ("weight_histograms.json", "tensorboard"):
        there, here = source / name, place / name
        if there.is_dir():
            shutil.copytree(there, here, dirs_exist_ok=True)
        elif there.exists():
            shutil.copyfile(there, here)


def check_structure(place: Path, model: keras.Model) -> None:
    """Refuse a model that is built otherwise now than when its run began; runs of before kept no structure.

    Raises:
        InputError: it is; the message says where.
    """
    path = place / STRUCTURE
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        found = difference(structure(model), before)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None
    if found:
        raise Differs(
            f"run {str(place)!r}: the code of its model {model.name!r} has changed since it began: {found}. Put the "
            "code back, or train anew (--fresh)"
        )


def own_model(place: Path) -> keras.Model | None:
    """The user's own model that a run began with, or None where a name stands for the model."""
    path = place / "initial.keras"
    if not path.exists():
        return None
    return load_keras_file(path)


class claimed:
    """Within it, this process alone may write to a run's directory; the system frees it when the process dies.

    A directory that was empty, or not there, is so again if an error ends it before anything was trained.
    """

    def __init__(self, place: Path) -> None:
        """Claim `place`, which is made if it is not there."""
        self.place = place

    def __enter__(self) -> None:
        end = time.monotonic() + MOMENT
        while True:
            try:
                self._make()
                self.lock = filelock.FileLock(self.place / ".lock")
                self.lock.acquire(timeout=max(0.0, end - time.monotonic()), poll_interval=0.02)
                break
            except filelock.Timeout:
                raise InUse(f"directory {str(self.place)!r} is in use: another process trains there") from None
            except OSError as error:
                # Another process made the directory, was refused, and takes it away just now.
                if isinstance(error, FileNotFoundError | FileExistsError) and time.monotonic() < end:
                    continue
                raise InputError(f"directory {str(self.place)!r} cannot be written: {error.strerror}") from None
        self.empty = all(path.name == ".lock" for path in self.place.iterdir())

    def _make(self) -> None:
        """Make the directory if it is not there, and refuse one that is somebody else's."""
        self.made: list[Path] = []  # by this process, innermost first
        for folder in [self.place, *self.place.parents]:
            if folder.exists():
                if not folder.is_dir():
                    raise InputError(f"directory {str(self.place)!r} cannot be made: {str(folder)!r} is a file")
                break
            self.made.append(folder)
        try:
            self.place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, FileNotFoundError | FileExistsError):
                raise
            raise InputError(f"directory {str(self.place)!r} cannot be made: {error.strerror}") from None
        strangers = [path.name for path in self.place.iterdir() if not path.name.startswith(".")]
        if strangers and not (self.place / "recipe.json").exists() and "initial.keras" not in strangers:
            raise InputError(f"directory {str(self.place)!r} holds {strangers[0]!r} and no recipe.json: choose another")

    def __exit__(self, *error: object) -> None:
        if any(error) and self.empty and not (self.place / "checkpoint").exists():
            self._leave_nothing()
        self.lock.release()

    def _leave_nothing(self) -> None:
        """Remove what this process has written and made; whatever else is there stays.

        The lock's file is the last to go, while it is held: whoever waits for it finds it gone and makes a new one.
        """
        shutil.rmtree(self.place / "tensorboard", ignore_errors=True)
        for name in ("recipe.json", STRUCTURE, "initial.keras", ".initial.keras", "weight_histograms.json", ".lock"):
            (self.place / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            for folder in self.made:
                folder.rmdir()


def new_place(place: Path) -> Path:
    """A path like this one at which nothing is yet."""
    number = 2
    new = place
    while new.exists():
        new = place.with_name(f"{place.name}-{number}")
        number += 1
    return new


def check_same_recipe(place: Path, row: Recipe, digest: str | None, start: Checkpoint | None) -> None:
    """Refuse a directory whose run began with another recipe, or whose recipe was edited since."""
    there = Recipe.from_file(place / "recipe.json")
    differing = differing_fields(there, row)
    before = start.state.digest if start else _recorded_digest(place)
    if not differing and digest and before and before != digest:
        files = "the file of initial_weights" if row.initial_weights is not None else "the model or a file it names"
        raise Differs(
            f"directory {str(place)!r} holds the run of another recipe: {files} is another one now; choose another "
            "directory"
        )
    if differing:
        found = "; ".join(difference_in_words(name, there, row) for name in differing)
        raise Differs(
            f"directory {str(place)!r} holds the run of another recipe ({there.name!r}): {found}. Choose another "
            f"directory{_more(there, row)}"
        )
    named = row.initial_weights is None and not row.model.startswith("keras:")
    if digest is None and start and named and row.digest() != start.state.digest:
        raise InputError(f"recipe {str(place / 'recipe.json')!r} was changed after the run began: put it back")


def _more(there: Recipe, row: Recipe) -> str:
    """How to train a run for more epochs than its recipe says."""
    if row.epochs <= there.epochs:
        return ""
    text = "; a run ends with its last epoch: "
    if not isinstance(row.schedule, FILL_THE_RUN):
        text += "to go on in another directory, give this one's run more epochs with --extend (extend=True), or "
    else:
        text += "its schedule is of all of them, so "
    return text + "to go on from its weights in a run of its own, set initial_weights to the directory"


def _recorded_digest(place: Path) -> str | None:
    path = place / "result.json"
    return read_result(path).digest if path.exists() else None


def check_same_data(place: Path, before: str, now: str) -> None:
    """Refuse to mix data: `before` and `now` are fingerprints."""
    if before != now:
        raise InputError(
            f"the data of run {str(place)!r} has changed since it began (fingerprint {now[:10]}, it was {before[:10]})"
        )


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a model's weights to a ``.weights.h5`` file, whole or not at all.

    Raises:
        NotWritten: it cannot be written; an earlier file is intact.
    """
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        model.save_weights(temporary, overwrite=True)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise NotWritten(f"cannot write {str(path)!r}: {error}; what was there before is intact") from None
