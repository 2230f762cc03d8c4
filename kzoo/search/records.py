"""What is kept of a search: its record, its trials and how they ended (no Keras)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
RECORD, STATE, OUTCOME, RUN = "search.json", "oracle_state.json", "outcome.json", "run"
BEST, TABLE, PICTURE = "best.json", "table.md", "trials.svg"
Status = Literal["waiting", "running", "completed", "failed", "rejected"]
ENDED = ("completed", "failed", "rejected")


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Outcome(_Record):
    """How a trial ended.

    Attributes:
        status: ``"completed"``, ``"failed"`` (with a reason), or ``"rejected"`` by a limit.
        reason: why it failed or was rejected.
        score: the objective at its best epoch.
        best_epoch: counted from 1.
        epochs: how many were trained.
        seconds: training time of all processes that worked on it.
        parameters, multiply_adds: of its model; None if nobody counted.
        segments: processes that worked on its run.
        resumed: whether it was cut off and went on from a checkpoint.
        stopped: whether it was stopped before its last epoch.
        continues: the trial whose run it went on with (Hyperband).
        worker: the process that trained it.
        changes: what it changed in the search's recipe.
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
    changes: dict[str, Any] = {}


class Trial(_Record):
    """One trial of a record.

    Attributes:
        number: counted from 0.
        status: of the trial; ``"waiting"`` if it waits for a process that trains it.
        values: what tables show for the fields that are varied.
        outcome: how it ended; None before that.
        directory: of its run, in the search's directory.
    """

    number: str
    status: Status
    values: dict[str, Any]
    outcome: Outcome | None = None
    directory: str

    @property
    def score(self) -> float | None:
        """The objective at the best epoch, if it was completed."""
        return self.outcome.score if self.outcome and self.status == "completed" else None

    @property
    def reason(self) -> str:
        """Why it failed or was rejected."""
        return (self.outcome.reason or "") if self.outcome else ""


class Confirmation(_Record):
    """A run with another seed, see `kzoo.search.confirming`.

    Attributes:
        which: ``"best"`` for the best trial's recipe, ``"recipe"`` for the search's.
        seed: of the run.
        val_accuracy: of the best epoch.
        test_accuracy: of the best epoch's weights.
        epochs, parameters, seconds: of the run.
    """

    which: Literal["best", "recipe"]
    seed: int
    val_accuracy: float | None
    test_accuracy: float | None
    epochs: int
    parameters: int
    seconds: float


class Record(_Record):
    """A search's record.

    Attributes:
        schema_version: of this schema.
        name, digest: the search's name and identity.
        search: its description, see `kzoo.Search`.
        budget: what ends it: trials, minutes, failures_in_a_row.
        status: ``"running"`` (or cut off), ``"completed"``, or ``"given up"``.
        reason: why it ended.
        skipped: configurations that the tuner proposed and that were skipped because a trial had had them.
        seconds: wall-clock time that was spent on it.
        baseline: number of the trial with the recipe's values, if there is one.
        trials: in the order in which they began.
        confirmed: runs with other seeds, of the best trial's recipe and of the search's.
        environment: backend, versions and hardware of the process that began it (those of each run are in its record).
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
    trials: list[Trial] = []
    confirmed: list[Confirmation] = []
    environment: dict[str, Any] = {}
