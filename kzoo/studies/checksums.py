"""Checksums of committed records, so that a changed digit is detected (no Keras)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from kzoo.errors import InputError
from kzoo.files import write_text

SUMS = "SHA256SUMS"
"""File in `results/` with a line for each record, as ``sha256sum`` writes it."""


def add_sums(results: Path, paths: list[Path]) -> None:
    """Add the checksums of files in `results` to `SUMS`."""
    sums = read_sums(results) | {path.relative_to(results).as_posix(): _sha256(path) for path in paths}
    text = "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))
    write_text(results / SUMS, text)


def check_sums(results: Path) -> list[str]:
    """One sentence for each file of `results` that was changed, is missing, or has no checksum."""
    sums = read_sums(results)
    problems = changed_records(results)
    for path in sorted(results.glob("**/*.json")):
        if path.relative_to(results).as_posix() not in sums:
            problems[path] = f"record {str(path)!r} has no checksum in {SUMS}, which must list every record"
    return list(problems.values())


def changed_records(results: Path) -> dict[Path, str]:
    """A sentence for each file of `results` that is missing or differs from its checksum; missing ones come first."""
    missing, changed = {}, {}
    for name, digest in read_sums(results).items():
        path = results / name
        try:
            if not path.is_file():
                missing[path] = f"record {str(path)!r} is missing"
            elif _sha256(path) != digest:
                changed[path] = f"record {str(path)!r} was changed: its checksum does not match {SUMS}"
        except OSError as error:
            changed[path] = f"record {str(path)!r} cannot be read ({error.strerror})"
    return missing | changed


def read_sums(results: Path) -> dict[str, str]:
    """The checksums by the paths of files in `results`; empty if there are none.

    Raises:
        InputError: the file is damaged.
    """
    path = results / SUMS
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"checksums {str(path)!r} cannot be read ({error}): restore them") from None
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    if any(len(line) != 2 for line in lines):
        raise InputError(f"file {str(path)!r} is damaged: each line must hold a checksum and a path")
    return {name: digest for digest, name in lines}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
