"""A search's directory: claimed by one process, created, or checked to contain this search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from kzoo.errors import InputError
from kzoo.files import make_directory
from kzoo.search import results
from kzoo.search.results import RECORD, SearchRecord
from kzoo.search.search import Search
from kzoo.training import directory as runs
from kzoo.training.records import git_commit, hardware, versions


class claimed(runs.claimed):
    """A context in which only this process may run the search in a directory."""

    marks, begun, work = (RECORD,), RECORD, "searches"


def open_directory(search: Search, directory: Path) -> Path:
    """Write a search's record to a directory, created if needed, or check that the directory contains this search.

    Raises:
        InputError: the directory cannot be created, or contains another search.
    """
    if (make_directory(directory) / RECORD).exists():
        record = results.read_search(directory).record
        if record.digest != search.digest:
            raise InputError(
                f"directory {str(directory)!r} contains another search ({record.name!r}, or this one before it "
                "changed): choose another directory"
            )
    else:
        environment = {"backend": keras.backend.backend(), "git_commit": git_commit(), **hardware()}
        environment["versions"] = versions()
        results.write_record(
            directory, SearchRecord(**record_fields(search), digest=search.digest, environment=environment)
        )
    return directory


def record_fields(search: Search) -> dict[str, Any]:
    """The fields of a record that describe its search; budgets and name may change."""
    return {"name": search.name, "search": search.to_dict(), "budget": search.budgets}
