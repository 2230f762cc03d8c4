"""The record of a search: its trials and how they ended (no Keras).

The process that trains a trial writes ``trial_*/outcome.json``; the process that runs the search
writes the record ``search.json`` at every change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from kzoo import notebook
from kzoo.errors import InputError, counted
from kzoo.files import user_path, write_json
from kzoo.recipes.schema import Recipe
from kzoo.schemas import Frozen, read_record

SCHEMA_VERSION = 1
RECORD, STATE, OUTCOME, RUN = "search.json", "oracle_state.json", "outcome.json", "run"
BEST, TABLE, PICTURE = "best.json", "table.md", "trials.svg"
Status = Literal["waiting", "running", "completed", "failed", "rejected"]
ENDED = ("completed", "failed", "rejected")


class Outcome(Frozen):
    """How a trial ended.

    Attributes:
        status: ``"completed"``, ``"failed"`` (with a reason), or ``"rejected"`` by a limit.
        reason: why it failed or was rejected.
        score: the objective at the best epoch.
        best_epoch: the best epoch, counted from 1.
        epochs: number of epochs trained.
        seconds: training time, summed over the processes that worked on the trial.
        parameters, multiply_adds: the model's; None if they were not counted.
        segments: number of processes that worked on the trial.
        resumed: whether it was interrupted and resumed from a checkpoint.
        stopped: whether it was stopped before its last epoch.
        continues: the trial whose run it continues (Hyperband).
        worker: the process that trained it.
        changes: the trial's changes to the search's recipe.
    """

    status: Literal["completed", "failed", "rejected"]
    reason: str | None = None
    score: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    seconds: float = 0.0
    parameters: int | None = None
    multiply_adds: int | None = None
    segments: int = 0
    resumed: bool = False
    stopped: bool = False
    continues: str | None = None
    worker: str = ""
    changes: dict[str, Any] = Field(default_factory=dict)


class Trial(Frozen):
    """One trial of a record.

    Attributes:
        number: the trial's number, counted from 0.
        status: status of the trial; ``"waiting"`` if no process trains it yet.
        values: values of the fields that the search varies, as tables show them.
        outcome: how the trial ended; None until then.
        directory: directory of the trial's run, relative to the search's.
    """

    number: str
    status: Status
    values: dict[str, Any]
    outcome: Outcome | None = None
    directory: str

    @property
    def score(self) -> float | None:
        """The objective at the best epoch, if the trial was completed."""
        return self.outcome.score if self.outcome and self.status == "completed" else None

    @property
    def reason(self) -> str:
        """Why it failed or was rejected."""
        return (self.outcome.reason or "") if self.outcome else ""


class Confirmation(Frozen):
    """A run with another seed, see `kzoo.search.confirming`.

    Attributes:
        which: ``"best"`` for the best trial's recipe, ``"recipe"`` for the search's.
        seed: the run's seed.
        val_accuracy: validation accuracy of the best epoch.
        test_accuracy: test accuracy of the best epoch's weights.
        epochs, parameters, seconds: the run's.
    """

    which: Literal["best", "recipe"]
    seed: int
    val_accuracy: float | None
    test_accuracy: float | None
    epochs: int
    parameters: int
    seconds: float


class SearchRecord(Frozen):
    """A search's record.

    Attributes:
        schema_version: version of this schema.
        name, digest: the search's name and identity.
        search: the search's description, see `kzoo.Search`.
        budget: the search's limits: trials, minutes, failures_in_a_row.
        status: ``"running"`` (or interrupted), ``"completed"``, or ``"given up"``.
        reason: why the search ended.
        skipped: number of proposed configurations that were skipped because a trial already had them.
        seconds: wall-clock time spent on the search.
        baseline: number of the trial with the recipe's values, if there is one.
        trials: the trials, in the order in which they began.
        confirmed: runs of the best trial's recipe and of the search's recipe with other seeds.
        environment: backend, versions and hardware of the process that began the search; each run's record has its own.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    digest: str
    search: dict[str, Any]
    budget: dict[str, Any]
    status: Literal["running", "completed", "given up"] = "running"
    reason: str | None = None
    seconds: float = 0.0
    skipped: int = 0
    baseline: str | None = None
    trials: list[Trial] = Field(default_factory=list)
    confirmed: list[Confirmation] = Field(default_factory=list)
    environment: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, repr=False, eq=False)
class SearchResult:
    """The record of a search, and its directory; see `read_search`.

    Attributes:
        directory: directory of the search, or of a copied record.
        record: the record.
    """

    directory: Path
    record: SearchRecord

    def __repr__(self) -> str:
        ranked = self.ranked()
        best = f", best {self.objective} {ranked[0].score:.4f}" if ranked else ""
        return f"SearchResult({self.record.name!r}: {self.status}, {counted(len(self.trials), 'trial')}{best})"

    def _repr_html_(self) -> str:
        from kzoo.search import tables

        cells = (tables.row(self, trial) for trial in self.ordered())
        return notebook.heading(repr(self)) + notebook.table(tables.columns(self), cells)

    @property
    def trials(self) -> list[Trial]:
        """The trials, in the order in which they began."""
        return self.record.trials

    @property
    def status(self) -> str:
        """``"running"`` (or interrupted), ``"completed"`` or ``"given up"``."""
        return self.record.status

    @property
    def reason(self) -> str:
        """Why the search ended or was given up."""
        return self.record.reason or ""

    @property
    def objective(self) -> str:
        """The metric that the scores measure."""
        return str(self.record.search["objective"])

    @property
    def fields(self) -> list[str]:
        """The varied fields: those of the space, then those that a model function added."""
        names = dict.fromkeys(self.record.search["space"])
        for trial in self.trials:
            names |= dict.fromkeys(trial.values)
        return list(names)

    def ranked(self) -> list[Trial]:
        """Completed trials, the best first.

        Of trials with equal scores, those that continue another trial's run (Hyperband) come first, then those that
        began earlier.
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
            InputError: no trial was completed, or the model came from a function, which a recipe cannot name.
        """
        chosen = trial or self.best
        if self.record.search["model"] is not None:
            raise InputError(
                f"search {self.record.name!r} uses a model function, which no recipe can name: "
                f"the trial's run is in {str(self.directory / chosen.directory)!r}"
            )
        base = Recipe(**self.record.search["recipe"])
        assert chosen.outcome is not None
        return base.override(**chosen.outcome.changes).derive(f"{self.record.name}/best")


def read_search(path: str | Path) -> SearchResult:
    """The record of a search, finished or not.

    Args:
        path: a search's directory, or a record's file.

    Raises:
        InputError: there is no record, or it is damaged or of a newer schema.
    """
    path = user_path(path)
    file = path / RECORD if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{str(path)!r} is not a search: it has no {RECORD}")
    return SearchResult(file.parent, read_record(file, SearchRecord, "search", SCHEMA_VERSION))


def write_record(directory: Path, record: SearchRecord) -> None:
    """Write a search's record completely or not at all."""
    write_json(directory / RECORD, record.model_dump(mode="json"))


def read_outcome(path: Path) -> Outcome:
    """How a trial ended.

    Raises:
        InputError: the file is damaged.
    """
    return read_record(path, Outcome, "outcome", SCHEMA_VERSION)
