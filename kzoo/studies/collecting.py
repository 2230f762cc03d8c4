"""Committing records: copies of runs' records without private paths, and their checksums (no Keras)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from kzoo.errors import Differs, InputError
from kzoo.files import make_directory, write_text
from kzoo.studies.records import RecordFile, read_records, study_records
from kzoo.studies.study import Study
from kzoo.studies.unchanged import NOT_COMPARED, differing, of_file
from kzoo.training.records import public

SUMS = "SHA256SUMS"
"""File in `results/` with a line for each record, as ``sha256sum`` writes it, so that a changed digit is detected."""


def collect(study: Study, runs: Path, results: Path) -> tuple[list[Path], list[str]]:
    """Copy the records of a study's finished runs to ``results/<study>/<name>-<digest>.json``, at any budget.

    Runs whose record is already in `results`, under any study, are skipped, so no record is overwritten. Runs whose
    custom data, model or initial weights have changed since are also skipped; a sentence reports each.

    Returns:
        The new files, and a sentence for each record that cannot be used.

    Raises:
        InputError: the directory `runs` does not exist, `results` cannot be made, or a checksum in it does not match.
    """
    records = study_records(study, read_records([runs]))
    _finish_interrupted(study, records.every_file, results)
    wrong = check_sums(results)
    if wrong:
        raise InputError("; ".join(wrong))
    kept = {file.digest for file in read_records([results]).files} if results.is_dir() else set()
    files = [file for file in {file.path: file for file in records.every_file}.values() if file.digest not in kept]

    # Custom code and data must be the same as when the run was trained.
    problems = differing(map(of_file, files))
    lines = [
        f"not copied: {error}" if isinstance(error, Differs) else f"copied, and {NOT_COMPARED}: {error}"
        for error in problems.values()
    ]
    new = []
    for file in files:
        if isinstance(problems.get(file.digest), Differs):
            continue
        path = _path(study, file, results)
        if path.exists():
            lines.append(f"not copied: run {str(file.path.parent)!r}, because file {str(path)!r} exists")
            continue
        make_directory(path.parent)
        write_text(path, public(file.record).to_json())
        add_sums(results, [path])
        new.append(path)
    return new, [*records.problems, *lines]


def _finish_interrupted(study: Study, files: Iterable[RecordFile], results: Path) -> None:
    """Add the checksum of a record that an interrupted call copied without it."""
    sums = _sums(results)
    for file in files:
        path = _path(study, file, results)
        without_sum = path.is_file() and path.relative_to(results).as_posix() not in sums
        if without_sum and path.read_text(encoding="utf-8") == public(file.record).to_json():
            add_sums(results, [path])


def _path(study: Study, file: RecordFile, results: Path) -> Path:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.recipe.name.removeprefix(f"{study.name}/"))
    return results / study.name / f"{name}-{file.record.digest}.json"


def add_sums(results: Path, paths: list[Path]) -> None:
    """Add the checksums of files in `results` to `SUMS`."""
    sums = _sums(results) | {path.relative_to(results).as_posix(): _sha256(path) for path in paths}
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    write_text(results / SUMS, text)


def check_sums(results: Path) -> list[str]:
    """One sentence for each file of `results` that was changed, is missing, or has no checksum."""
    sums = _sums(results)
    there = {path.relative_to(results).as_posix(): path for path in sorted(results.glob("**/*.json"))}
    problems = [f"record {str(results / name)!r} is missing" for name in sums if name not in there]
    for name, path in there.items():
        if name not in sums:
            problems.append(f"record {str(path)!r} has no checksum in {SUMS}, which must list every record")
        elif _sha256(path) != sums[name]:
            problems.append(f"record {str(path)!r} was changed: its checksum does not match {SUMS}")
    return problems


def _sums(results: Path) -> dict[str, str]:
    path = results / SUMS
    if not path.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(line) != 2 for line in lines):
        raise InputError(f"file {str(path)!r} is damaged: each line must hold a checksum and a path")
    return {name: digest for digest, name in lines}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
