"""Keeping records: copies of runs' records without what is private to a machine, and their checksums (no Keras)."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from kzoo.errors import Differs, InputError
from kzoo.files import write_text
from kzoo.studies.results import Found, index, read_records
from kzoo.studies.study import Study
from kzoo.studies.unchanged import NOT_COMPARED, differing, of_found
from kzoo.training.records import public

SUMS = "SHA256SUMS"
"""In `results/`: a line for each record, as ``sha256sum`` writes it, so that no digit changes unnoticed."""


def collect(study: Study, runs: Path, results: Path) -> tuple[list[Path], list[str]]:
    """Copy the records of a study's finished runs to ``results/<study>/<name>-<digest>.json``, at any budget.

    A run whose record is there already, in any study's folder, is passed over: what was kept is never overwritten. So
    is one whose own data, model or initial weights are not what the study would train now, which is said.

    Returns:
        The new files, and a sentence for each record that cannot be used.

    Raises:
        InputError: there is no directory `runs`, or a checksum of `results` does not fit.
    """
    wrong = check_sums(results)
    if wrong:
        raise InputError("; ".join(wrong))
    found = index(study, read_records([runs]))
    kept = {item.digest for item in read_records([results]).found} if results.is_dir() else set()
    items = [item for item in {item.path: item for item in found.items}.values() if item.digest not in kept]
    problems = differing(map(of_found, items))
    lines = [
        f"not copied: {error}" if isinstance(error, Differs) else f"copied, and {NOT_COMPARED}: {error}"
        for error in problems.values()
    ]
    new = [_keep(study, item, results) for item in items if not isinstance(problems.get(item.digest), Differs)]
    if new:
        add_sums(results, new)
    return new, [*found.problems, *lines]


def _keep(study: Study, item: Found, results: Path) -> Path:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", item.recipe.name.removeprefix(f"{study.name}/"))
    path = results / study.name / f"{name}-{item.record.digest}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = public(item.record).to_json()
    write_text(path, text)
    return path


def add_sums(results: Path, paths: list[Path]) -> None:
    """Write checksums of files in `results` down, beside those that are there."""
    sums = _sums(results) | {path.relative_to(results).as_posix(): _sha256(path) for path in paths}
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    write_text(results / SUMS, text)


def check_sums(results: Path) -> list[str]:
    """One sentence for each file of `results` that is not what its checksum says, is missing, or has none."""
    sums = _sums(results)
    there = {path.relative_to(results).as_posix(): path for path in sorted(results.glob("**/*.json"))}
    problems = [f"record {str(results / name)!r} is missing" for name in sums if name not in there]
    for name, path in there.items():
        if name not in sums:
            problems.append(f"record {str(path)!r} has no checksum in {SUMS}, which comes with each record")
        elif _sha256(path) != sums[name]:
            problems.append(f"record {str(path)!r} was changed: its checksum is not that of {SUMS}")
    return problems


def _sums(results: Path) -> dict[str, str]:
    path = results / SUMS
    if not path.is_file():
        return {}
    lines = [line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if any(len(line) != 2 for line in lines):
        raise InputError(f"file {str(path)!r} is damaged: each line holds a checksum and a path")
    return {name: digest for digest, name in lines}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
