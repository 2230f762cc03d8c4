"""Committing records: copies of runs' records without private paths (no Keras)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from kzoo.errors import Differs, InputError
from kzoo.files import make_directory, write_text
from kzoo.studies.checksums import add_sums, check_sums, read_sums
from kzoo.studies.records import RecordFile, read_records, study_records
from kzoo.studies.study import Study
from kzoo.studies.unchanged import NOT_COMPARED, differing, of_file
from kzoo.training.records import public


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
    sums = read_sums(results)
    for file in files:
        path = _path(study, file, results)
        without_sum = path.is_file() and path.relative_to(results).as_posix() not in sums
        if without_sum and path.read_bytes() == public(file.record).to_json().encode():
            add_sums(results, [path])


def _path(study: Study, file: RecordFile, results: Path) -> Path:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", file.recipe.name.removeprefix(f"{study.name}/"))
    return results / study.name / f"{name}-{file.record.digest}.json"
