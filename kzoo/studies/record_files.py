"""Records of runs, read from directories and checked (no Keras)."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kzoo.errors import InputError, some
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import differing_fields
from kzoo.studies.checksums import changed_records
from kzoo.studies.invariance import FOLDER as INVARIANCE
from kzoo.studies.invariance import InvarianceRecord, read_invariance
from kzoo.studies.record_checks import contradiction
from kzoo.training.records import RunRecord, read_result

RUNS, RESULTS = Path("runs"), Path("results")
EPOCH_TIME = "epoch_time"
"""Directory in `results/` with the output of benchmarks/epoch_time.py, one file for each study."""
RESERVED = (INVARIANCE, EPOCH_TIME)
"""Directories of other measurements, so no names of studies."""


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A record and the file that it was read from."""

    path: Path
    record: RunRecord
    recipe: Recipe
    digest: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the run's images and labels."""
        return str(self.record.data["fingerprint"])

    @property
    def in_run(self) -> bool:
        """Whether the file lies in its run's directory, not among committed records."""
        return self.path.name == "result.json"


class Ratio(NamedTuple):
    """A run's seconds per epoch as a ratio to the study's first entry, and the digest of its recipe if known."""

    value: float
    digest: str | None = None


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """All records in some directories; if a run has several, only the first.

    Attributes:
        files: the records, one for each run.
        ratios: by study and label, the seconds per epoch as a ratio to the study's first entry.
        problems: one sentence for each file that cannot be used.
        invariance: the records of invariance, by the digest of their run.
    """

    files: tuple[RecordFile, ...]
    ratios: Mapping[str, Mapping[str, Ratio]]
    problems: tuple[str, ...]
    invariance: Mapping[str, InvarianceRecord] = dataclasses.field(default_factory=dict)


def read_records(directories: Sequence[Path] | None = None) -> RecordFiles:
    """Read every record in some directories.

    Args:
        directories: each contains one run (``result.json``), directories of runs, or committed records (JSON files at
            any depth); by default ``runs`` and ``results``, if they exist.

    Raises:
        InputError: one of `directories` does not exist, or is a file.
    """
    if directories is None:
        directories = [directory for directory in (RUNS, RESULTS) if directory.is_dir()]
    for directory in directories:
        if not directory.is_dir():
            problem = "is a file: give its directory" if directory.exists() else "does not exist"
            raise InputError(f"directory of records {str(directory)!r} {problem}")

    # A record that was changed after its checksum was written is not used.
    problems: list[str] = []
    changed: dict[Path, str] = {}
    for directory in directories:
        try:
            changed |= changed_records(directory)
            beside = changed_records(directory.parent)  # of `results`, if this is the directory of a study
            changed |= {path: text for path, text in beside.items() if path.is_relative_to(directory)}
        except InputError as error:
            problems.append(str(error))
    problems += changed.values()

    # A file's directory says what kind of record it holds; the first record of a run counts.
    files: dict[str, RecordFile] = {}
    ratios: dict[str, Mapping[str, Ratio]] = {}
    invariance: dict[str, InvarianceRecord] = {}
    for path in (path for directory in directories for path in _paths(directory)):
        if path in changed:
            continue
        try:
            if path.parent.name == INVARIANCE:
                measured = read_invariance(path)
                invariance.setdefault(measured.digest, measured)
            elif path.parent.name == EPOCH_TIME:
                study, by_label = read_ratios(path)
                ratios.setdefault(study, by_label)
            else:
                file = read(path)
                files.setdefault(file.digest, file)
        except InputError as error:
            problems.append(str(error))
    return RecordFiles(tuple(files.values()), ratios, tuple(problems), invariance)


def _paths(directory: Path) -> Iterator[Path]:
    """The files of records below a directory: those of runs, at any depth, and committed ones.

    In a run's directory, only ``result.json`` is a record. What begins with a dot is left out.
    """
    seen: set[str] = set()
    for folder, names, files in os.walk(directory, followlinks=True):
        names[:] = sorted(name for name in names if not name.startswith("."))
        resolved = os.path.realpath(folder)
        if resolved in seen:  # links may lead back
            names.clear()
            continue
        seen.add(resolved)
        if "result.json" in files or "recipe.json" in files:
            names.clear()
            files = [name for name in files if name == "result.json"]
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".json") and not name.startswith("."))


def read(path: Path) -> RecordFile:
    """Read one record and check that its parts agree.

    Raises:
        InputError: the record is damaged, its parts disagree, its digest does not fit its recipe, or it lies in the
            directory of another run.
    """
    record = read_result(path)
    recipe = Recipe.from_json(json.dumps(record.recipe), source=f"recipe of record {str(path)!r}")
    whole = recipe.initial_weights is None and not recipe.model.startswith("keras:")
    try:
        digest = recipe.digest()
    except InputError as error:  # the error names what is not registered here
        raise InputError(f"record {str(path)!r} cannot be used here: {error}") from None
    if whole and digest != record.digest:
        raise InputError(f"record {str(path)!r} was changed: its digest {record.digest!r} does not fit its recipe")
    problem = contradiction(record)
    if problem:
        raise InputError(f"record {str(path)!r} was changed: {problem}")

    # In a run's directory, it must be the record of that run.
    beside = path.parent / "recipe.json"
    if path.name == "result.json" and beside.is_file():
        differing = differing_fields(recipe, Recipe.from_file(beside))
        if differing:
            raise InputError(
                f"record {str(path)!r} is not of the run in its directory: "
                f"{some(differing)} in {beside.name!r} differs; put back the file that was changed"
            )
    return RecordFile(path, record, recipe, record.digest)


def read_ratios(path: Path) -> tuple[str, dict[str, Ratio]]:
    """Read the output of benchmarks/epoch_time.py: the study's name and, by label, seconds per epoch as ratios.

    Raises:
        InputError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["study"]), {
            str(label): Ratio(float(entry["ratio"]), entry.get("digest")) for label, entry in content["entries"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"benchmark {str(path)!r} cannot be read ({error!r}): restore it or repeat it") from None
