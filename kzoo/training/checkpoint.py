"""Checkpoints: one file that holds all of a run's state, complete or not at all.

A checkpoint is an uncompressed ``.npz`` (a zip, so every array carries a CRC-32), written to a temporary file,
flushed to the disk and renamed. The last two are kept. Keras's BackupAndRestore writes two files that can
disagree, and saves neither seed generators nor callbacks.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from kzoo.errors import InputError, NotWritten, RunFailed
from kzoo.files import cause, write_atomically

KEPT = 2


@dataclass(frozen=True)
class RunState:
    """What a checkpoint holds besides its arrays.

    Attributes:
        digest: the identity of the run's recipe.
        fingerprint: of the run's images and labels.
        data_dir: the directory of the run's data; None for the default.
        diagnostics: whether gradient flow and weight histograms are recorded.
        origin: what the run is made of (see `kzoo.training.identity.origin`); None in checkpoints of early versions.
        extends: name, digest and epochs of the run that this one extends, or None.
        paths: of the model's variables, in the order of their arrays.
        parts: class names of the built-in callbacks that keep states; None in checkpoints of early versions.
        callbacks: the states of the callbacks in `parts`, then of the user's callbacks.
        stopped: whether a callback ended training after this epoch.
        segments: what each process has contributed so far (see `kzoo.training.records.Segment`).
    """

    digest: str
    fingerprint: str
    data_dir: str | None = None
    diagnostics: bool = False
    origin: dict[str, Any] | None = None
    extends: dict[str, Any] | None = None
    paths: list[str] = field(default_factory=list)
    parts: list[str] | None = None
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    stopped: bool = False
    segments: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> RunState:
        """Read JSON data; fields of later versions are ignored, missing fields get their defaults."""
        return cls(**{each.name: data[each.name] for each in fields(cls) if each.name in data})


@dataclass(frozen=True)
class Checkpoint:
    """A run's state before one step.

    Attributes:
        epoch: of the next step, counted from 0.
        step: the next step within the epoch, counted from 0.
        arrays: named lists of arrays, e.g. ``{"model": [...], "optimizer": [...]}``.
        state: everything else.
    """

    epoch: int
    step: int
    arrays: dict[str, list[np.ndarray]]
    state: RunState


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a folder and remove all but the last two.

    Raises:
        NotWritten: the checkpoint cannot be written; earlier ones are intact.
    """
    arrays = {f"{name}:{i}": value for name, values in checkpoint.arrays.items() for i, value in enumerate(values)}
    meta = {"epoch": checkpoint.epoch, "step": checkpoint.step, "meta": vars(checkpoint.state)}
    arrays["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise NotWritten(f"cannot make {str(folder)!r}: {error.strerror}") from None
    for left in folder.glob(".*.npz.tmp"):  # by processes that were killed while they wrote
        left.unlink(missing_ok=True)
    path = folder / f"{checkpoint.epoch:05d}-{checkpoint.step:07d}.npz"
    write_atomically(path, lambda stream: np.savez(stream, **arrays), locked=True)  # type: ignore[arg-type]
    for old in files(folder)[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def files(folder: Path) -> list[Path]:
    """The checkpoint files of a folder, oldest first: names sort by epoch and step, longer names last."""
    return sorted(folder.glob("[0-9]*-[0-9]*.npz"), key=lambda path: (len(path.name), path.name))


def load_latest(folder: Path) -> Checkpoint | None:
    """The newest intact checkpoint, or None if there are no checkpoints.

    A damaged checkpoint is skipped with a warning and stays on disk.

    Raises:
        InputError: there are checkpoints and all of them are damaged.
        RunFailed: the newest cannot be read now (see `load`).
    """
    paths = files(folder)
    for path in reversed(paths):
        try:
            return load(path)
        except InputError as error:
            warnings.warn(f"{error}; going back to the checkpoint before it", stacklevel=2)
    if paths:
        names = ", ".join(path.name for path in paths)
        raise InputError(
            f"every checkpoint in {str(folder)!r} is damaged ({names}); nothing was deleted: "
            "restore one from a copy, or start again with --fresh"
        )
    return None


def load(path: Path) -> Checkpoint:
    """Read one checkpoint whole.

    Raises:
        InputError: the file is damaged or not a checkpoint.
        RunFailed: this process may not read it, or has too little memory: an earlier checkpoint would not help.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            content = {name: archive[name] for name in archive.files}
        meta = json.loads(content.pop("meta").tobytes())
        lists: dict[str, dict[int, np.ndarray]] = {}
        for key, value in content.items():
            name, _, index = key.rpartition(":")
            # NumPy writes bfloat16 as two bytes without a type.
            lists.setdefault(name, {})[int(index)] = value.view(ml_dtypes.bfloat16) if value.dtype == "V2" else value
        arrays = {name: [values[i] for i in range(len(values))] for name, values in lists.items()}
        return Checkpoint(meta["epoch"], meta["step"], arrays, RunState.from_dict(meta["meta"]))
    except (PermissionError, MemoryError) as error:
        reason = "too little memory" if isinstance(error, MemoryError) else cause(error)
        raise RunFailed(f"checkpoint {str(path)!r} cannot be read: {reason}") from None
    except Exception as error:  # a damaged archive makes zipfile and NumPy raise nearly anything
        raise InputError(f"checkpoint {str(path)!r} is damaged ({error})") from None
