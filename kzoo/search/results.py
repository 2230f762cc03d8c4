"""What a search has come to: its record, read while it runs or afterwards (no Keras).

The process that trains a trial leaves ``trial_*/outcome.json``; the owner of the search writes the record
``search.json`` at every change.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kzoo import notebook
from kzoo.errors import InputError
from kzoo.files import write_json
from kzoo.recipes.schema import Recipe
from kzoo.schemas import check_version
from kzoo.search.records import RECORD, SCHEMA_VERSION, Outcome, Record, Trial
from kzoo.search.search import Search
from kzoo.training.records import folder_name

SEARCHES = Path("searches")


class SearchResult:
    """The record of a search, and its directory.

    Attributes:
        directory: of the search, or the folder of a record that was copied elsewhere.
        record: all that is known.
    """

    def __init__(self, directory: Path, record: Record) -> None:
        """See `read_search`."""
        self.directory, self.record = directory, record

    def __repr__(self) -> str:
        ranked = self.ranked()
        best = f", best {self.objective} {ranked[0].score:.4f}" if ranked else ""
        return f"SearchResult({self.record.name!r}: {self.status}, {len(self.trials)} trials{best})"

    def _repr_html_(self) -> str:
        from kzoo.search import tables

        cells = (tables.row(self, trial) for trial in self.ordered())
        return notebook.heading(repr(self)) + notebook.table(tables.columns(self), cells)

    @property
    def trials(self) -> list[Trial]:
        """In the order in which they began."""
        return self.record.trials

    @property
    def status(self) -> str:
        """``"running"`` (or cut off), ``"completed"`` or ``"given up"``."""
        return self.record.status

    @property
    def reason(self) -> str:
        """Why it ended or was given up."""
        return self.record.reason or ""

    @property
    def objective(self) -> str:
        """What the scores are."""
        return str(self.record.search["objective"])

    @property
    def fields(self) -> list[str]:
        """What is varied: the space's fields, then those that a model function asked for."""
        names = dict.fromkeys(self.record.search["space"])
        for trial in self.trials:
            names |= dict.fromkeys(trial.values)
        return list(names)

    def ranked(self) -> list[Trial]:
        """Completed trials, the best first.

        Of equal ones, those that went on with another trial's run (Hyperband) come first, then in order of beginning.
        """
        sign = -1 if self.objective.endswith("accuracy") else 1

        def key(trial: Trial) -> tuple[float, int]:
            carried = trial.outcome.epochs if trial.outcome and trial.outcome.continues is not None else 0
            return sign * (trial.score or 0.0), -carried

        return sorted((trial for trial in self.trials if trial.score is not None), key=key)

    def ordered(self) -> list[Trial]:
        """All trials, the best first, then those without a score."""
        ranked = self.ranked()
        return ranked + [trial for trial in self.trials if trial.score is None]

    @property
    def best(self) -> Trial:
        """The best trial.

        Raises:
            InputError: none was completed.
        """
        ranked = self.ranked()
        if not ranked:
            raise InputError(f"search {self.record.name!r} has no completed trial")
        return ranked[0]

    def recipe(self, trial: Trial | None = None) -> Recipe:
        """The recipe of a trial, by default of the best one, under the search's name.

        Raises:
            InputError: none was completed, or the model came from a function, which a recipe cannot name.
        """
        chosen = trial or self.best
        if self.record.search["model"] is not None:
            raise InputError(
                f"search {self.record.name!r} is over a model function: no recipe stands for its models. "
                f"Its run is in {str(self.directory / chosen.directory)!r}"
            )
        base = Recipe(**self.record.search["recipe"])
        assert chosen.outcome is not None
        return base.override(**chosen.outcome.changes).derive(f"{self.record.name}/best")


def search_directory(search: Search, directory: str | Path | None = None) -> Path:
    """Where a search is: `directory`, or ``searches/<name>-<digest>``."""
    return Path(directory) if directory is not None else SEARCHES / folder_name(search.name, search.digest)


def read_search(path: str | Path) -> SearchResult:
    """The record of a search, finished or not.

    Args:
        path: a search's directory, or a record's file.

    Raises:
        InputError: there is none, or it is damaged or of a newer schema.
    """
    path = Path(path)
    file = path / RECORD if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{str(path)!r} is not a search: it has no {RECORD}")
    return SearchResult(file.parent, _read(file, Record, "search"))


def write_record(directory: Path, record: Record) -> None:
    """Write a search's record, whole or not at all."""
    write_json(directory / RECORD, record.model_dump(mode="json"))


def read_outcome(path: Path) -> Outcome:
    """How a trial ended.

    Raises:
        InputError: the file is damaged.
    """
    return _read(path, Outcome, "outcome")


def _read(path: Path, schema: Any, what: str) -> Any:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        check_version(fields, f"{what} {str(path)!r}", SCHEMA_VERSION)
        return schema(**fields)
    except InputError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{what} {str(path)!r} cannot be read ({str(error).splitlines()[0]})") from None


def read_json(path: Path) -> Any:
    """A file's JSON.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read ({error}): restore it, or start the search anew") from None
