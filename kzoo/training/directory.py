"""A run's directory: who may write to it, what it holds from the start, and whether it has changed since."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
from pathlib import Path

import keras

from kzoo.errors import Differs, InputError
from kzoo.files import write_atomically, write_json, write_text, writing
from kzoo.introspection.keras_file import load_keras_file
from kzoo.locks import MOMENT, NAME, lock
from kzoo.models.structure import difference, structure
from kzoo.models.whitening import freeze
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import difference_in_words, differing_fields
from kzoo.training.checkpoint import Checkpoint
from kzoo.training.optimization.schedules import FILL_THE_RUN
from kzoo.training.records import METRICS, read_result

STRUCTURE = "structure.json"
"""The file that describes the model as it was when the run began."""
CONTINUED = ("recipe.json", METRICS, "best.weights.h5", "weight_histograms.json", "initial.keras", "checkpoint")
"""What a run copies from another run of the same recipe that stopped before the last epoch."""


def lay_out(directory: Path, recipe: Recipe, model: keras.Model) -> None:
    """Write the files that a run's directory holds from the start, unless they exist."""
    if recipe.model.startswith("keras:") and not (directory / "initial.keras").exists():
        temporary = directory / ".initial.keras"
        with writing(directory / "initial.keras"):
            model.save(temporary)
            temporary.replace(directory / "initial.keras")
    if not (directory / "recipe.json").exists():
        write_text(directory / "recipe.json", recipe.to_json(), locked=True)
    if not recipe.model.startswith("keras:") and not (directory / STRUCTURE).exists():
        write_json(directory / STRUCTURE, structure(model), indent=None, locked=True)


def take_along(source: Path, directory: Path) -> None:
    """Copy a run's weight histograms and TensorBoard files to the run that extends it."""
    for name in ("weight_histograms.json", "tensorboard"):
        source_path, target = source / name, directory / name
        with writing(target):
            if source_path.is_dir():
                shutil.copytree(source_path, target, dirs_exist_ok=True)
            elif source_path.exists():
                shutil.copyfile(source_path, target)


def continue_from(before: Path, directory: Path) -> None:
    """Let the run in `directory`, unless it has already begun, start where the run in `before` stopped."""
    if (directory / "recipe.json").exists() or not (before / "checkpoint").is_dir():
        return

    # Copy to a temporary folder: another process may be doing the same.
    copy = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(copy, ignore_errors=True)
    left = [path.name for path in before.iterdir() if path.name not in CONTINUED]
    try:
        with writing(directory):
            shutil.copytree(before, copy, ignore=shutil.ignore_patterns(*left))

        # Move the copy into place, unless another process already has.
        if not (directory / "recipe.json").exists():
            shutil.rmtree(directory, ignore_errors=True)  # empty except for a lock
            with contextlib.suppress(OSError):
                copy.replace(directory)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def check_structure(directory: Path, model: keras.Model) -> None:
    """Refuse a model whose structure has changed since its run began; early runs kept no structure.

    Raises:
        Differs: it has changed; the message says where.
        InputError: the file that describes it is damaged.
    """
    path = directory / STRUCTURE
    if not path.exists():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = difference(structure(model), before)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from None
    if changed:
        raise Differs(
            f"run {str(directory)!r}: the code of its model {model.name!r} has changed since it began: {changed}. "
            "Put the code back, or train again (--fresh)"
        )


def custom_model(directory: Path) -> keras.Model | None:
    """The custom model that a run began with; None where the recipe names the model."""
    path = directory / "initial.keras"
    if not path.exists():
        return None
    model = load_keras_file(path)
    freeze(model)
    return model


class claimed:
    """A context in which only this process can write to a run's directory; the lock ends with the process.

    If an error ends it before anything was trained, a directory that was empty or missing is left that way.
    """

    marks: tuple[str, ...] = ("recipe.json", "initial.keras")
    """A directory that is not empty must have one of these files."""
    begun, work = "checkpoint", "trains"
    """What exists once something was trained; what another process does there, for the message."""

    def __init__(self, directory: Path, patience: float = MOMENT) -> None:
        """Claim `directory`, which is made if it does not exist, within `patience` seconds."""
        self.directory, self.patience = directory, patience

    def __enter__(self) -> None:
        end = time.monotonic() + self.patience
        while True:
            try:
                self._make()
                self.lock = lock(self.directory, self.work, end - time.monotonic())
                break
            except OSError as error:
                # Another process made the directory, was refused, and is removing it now.
                if isinstance(error, FileNotFoundError | FileExistsError) and time.monotonic() < end:
                    continue
                raise InputError(f"directory {str(self.directory)!r} cannot be written: {error.strerror}") from None
        self.empty = all(path.name == NAME for path in self.directory.iterdir())

    def _make(self) -> None:
        """Make the directory if it does not exist, and refuse one that holds something else."""
        self.made: list[Path] = []  # by this process, innermost first
        for folder in [self.directory, *self.directory.parents]:
            if folder.exists():
                if not folder.is_dir():
                    raise InputError(f"directory {str(self.directory)!r} cannot be made: {str(folder)!r} is a file")
                break
            self.made.append(folder)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if isinstance(error, FileNotFoundError | FileExistsError):
                raise
            raise InputError(f"directory {str(self.directory)!r} cannot be made: {error.strerror}") from None
        strangers = [path.name for path in self.directory.iterdir() if not path.name.startswith(".")]
        if strangers and not any((self.directory / mark).exists() for mark in self.marks):
            missing = f"{strangers[0]!r} and no {self.marks[0]}"
            raise InputError(f"directory {str(self.directory)!r} holds {missing}: choose another")

    def __exit__(self, *error: object) -> None:
        if any(error) and self.empty and not (self.directory / self.begun).exists():
            self._leave_nothing()
        self.lock.release()

    def _leave_nothing(self) -> None:
        """Remove the files and directories that this process has made; all others stay.

        The lock file is removed last, while the lock is held: a process that waits for it then makes a new one.
        """
        shutil.rmtree(self.directory / "tensorboard", ignore_errors=True)
        models = ("initial.keras", ".initial.keras", "best.weights.h5")
        for name in ("recipe.json", STRUCTURE, *models, METRICS, "weight_histograms.json", NAME):
            (self.directory / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty
            for folder in self.made:
                folder.rmdir()


def new_directory(directory: Path) -> Path:
    """The path itself, or the first of its numbered variants, that does not exist yet."""
    number = 2
    new = directory
    while new.exists():
        new = directory.with_name(f"{directory.name}-{number}")
        number += 1
    return new


def check_same_recipe(directory: Path, recipe: Recipe, digest: str | None, start: Checkpoint | None) -> None:
    """Refuse a directory whose run began with another recipe, or whose recipe has been edited since."""
    recorded = Recipe.from_file(directory / "recipe.json")
    differing = differing_fields(recorded, recipe)
    before = start.state.digest if start else _recorded_digest(directory)
    if not differing and digest and before and before != digest:
        files = "the file of initial_weights" if recipe.initial_weights is not None else "the model or a file it names"
        raise Differs(
            f"directory {str(directory)!r} holds the run of another recipe: {files} has changed; choose "
            "another directory"
        )
    if differing:
        changed = "; ".join(difference_in_words(name, recorded, recipe) for name in differing)
        raise Differs(
            f"directory {str(directory)!r} holds the run of another recipe ({recorded.name!r}): {changed}. "
            f"Choose another directory{_more(recorded, recipe)}"
        )
    named = recipe.initial_weights is None and not recipe.model.startswith("keras:")
    if digest is None and start and named and recipe.digest() != start.state.digest:
        raise InputError(f"recipe {str(directory / 'recipe.json')!r} was changed after the run began: put it back")


def _more(recorded: Recipe, recipe: Recipe) -> str:
    """Advice on how to train a run for more epochs than its recipe says."""
    if recipe.epochs <= recorded.epochs:
        return ""
    text = "; a run ends with its last epoch: "
    if not isinstance(recipe.schedule, FILL_THE_RUN):
        text += "to train this run for more epochs in another directory, use --extend (extend=True), or "
    else:
        text += "its schedule depends on the number of epochs; "
    return text + "to start a new run from its weights, set initial_weights to the directory"


def _recorded_digest(directory: Path) -> str | None:
    path = directory / "result.json"
    return read_result(path).digest if path.exists() else None


def check_same_data(directory: Path, before: str, now: str) -> None:
    """Refuse to mix data: `before` and `now` are fingerprints."""
    if before != now:
        raise InputError(
            f"the data of run {str(directory)!r} has changed since it began "
            f"(fingerprint {now[:10]}, it was {before[:10]})"
        )


class _Memory(io.BytesIO):
    """A weights file in memory, whose name has the ending that Keras asks for."""

    def __str__(self) -> str:
        return "memory.weights.h5"


def save_weights(model: keras.Model, path: Path) -> None:
    """Write a model's weights to a ``.weights.h5`` file, completely or not at all.

    Raises:
        NotWritten: the file cannot be written; an earlier one is intact.
    """
    memory = _Memory()  # on a disk that becomes full, HDF5 may crash the process
    model.save_weights(memory, overwrite=True)
    write_atomically(path, lambda stream: stream.write(memory.getbuffer()), locked=True)
