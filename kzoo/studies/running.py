"""Running a study: which runs it needs, which are recorded, and training the rest (no Keras until it trains)."""

from __future__ import annotations

import dataclasses
import fnmatch
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kzoo.errors import InputError, InUse, RunFailed
from kzoo.recipes.schema import Recipe
from kzoo.studies.budget import budgeted, check_changes, varied
from kzoo.studies.results import RESULTS, RUNS, read, read_records
from kzoo.studies.study import Entry, Study
from kzoo.training.records import folder_name

Status = Literal["waiting", "elsewhere", "running", "cut off", "recorded", "failed"]
WAIT = 2.0
"""Seconds between two looks at a run that another process trains."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A run that a study needs.

    Attributes:
        recipe: resolved, with the study's budget and a seed.
        digest: its identity.
        labels: the entries that it serves; entries of one identity share their runs.
        directory: where it is trained.
        status: ``"recorded"`` or ``"failed"`` if it is over, ``"cut off"`` if it was begun, ``"elsewhere"`` while
            another process trains it.
        reason: why it failed.
    """

    recipe: Recipe
    digest: str
    labels: tuple[str, ...]
    directory: Path
    status: Status = "waiting"
    reason: str = ""

    @property
    def name(self) -> str:
        """The entries' labels and the seed, as tables show the run."""
        return f"{', '.join(self.labels)}, seed {self.recipe.seed}"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.status in ("recorded", "failed")


Tell = Callable[[Task, Status, str], None]
Runner = Callable[[Sequence[Task], Path | None, Tell], None]
"""Brings tasks to their ends: ``runner(tasks, data_dir, tell)``.

It tells of each task ``tell(task, "running", "")`` when it begins, then ``"recorded"`` or ``"failed"`` (and why), and
``"elsewhere"`` for one that another process trains. A failed task does not stop the others. A KeyboardInterrupt leaves
it once checkpoints are written. How far a run has come is read from its directory, not told.
"""


def plan(
    study: Study,
    *,
    only: str | Sequence[str] = "*",
    seeds: Sequence[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    directory: Path = RUNS,
    records: Sequence[Path] | None = None,
) -> list[Task]:
    """The runs that a study needs, one for each identity, and how far each has come.

    Args:
        study: whose.
        only: wildcard on entries' labels or recipes' names, or several.
        seeds: of each entry; the recipe's own where not given.
        changes: recipe fields that make up the budget, as `Recipe.override` takes them.
        directory: where runs are.
        records: directories whose records count too; ``results`` where not given, if it is there.

    Raises:
        InputError: the wildcard matches nothing, a field cannot be changed, a run's record is damaged.
    """
    changes = dict(changes or {})
    check_changes(study, changes)
    if seeds is not None:
        _check_seeds(study, seeds)
    entries = _chosen(study, [only] if isinstance(only, str) else only)
    recorded = _recorded(records)
    tasks: dict[str, Task] = {}
    for entry in entries:
        row = budgeted(study, entry, changes)
        for seed in seeds if seeds is not None else [row.seed]:
            recipe = row.override(seed=seed).resolved()
            digest = recipe.digest()
            if digest in tasks:
                labels = (*tasks[digest].labels, entry.label)
                tasks[digest] = dataclasses.replace(tasks[digest], labels=labels)
            else:
                tasks[digest] = _locate(recipe, digest, entry.label, directory, recorded)
    return list(tasks.values())


def _chosen(study: Study, wildcards: Sequence[str]) -> list[Entry]:
    """The entries whose label or recipe matches any of the wildcards, each of which must match one."""
    chosen = set()
    for wildcard in wildcards:
        found = {e.label for e in study.entries if any(_matches(name, wildcard) for name in (e.label, e.recipe.name))}
        if not found:
            runs = ", ".join(study.labels)
            raise InputError(f"wildcard {wildcard!r} matches no run of study {study.name!r}: its runs are {runs}")
        chosen |= found
    return [entry for entry in study.entries if entry.label in chosen]


def _matches(name: str, wildcard: str) -> bool:
    """Whether a name is the wildcard, square brackets and all, or matches it."""
    return name == wildcard or fnmatch.fnmatchcase(name, wildcard)


def _check_seeds(study: Study, seeds: Sequence[int]) -> None:
    if "seed" in varied(study):
        raise InputError(f"study {study.name!r} compares seeds: other seeds cannot be given")
    if not seeds or len(set(seeds)) < len(seeds) or any(isinstance(s, bool) or s < 0 for s in seeds):
        raise InputError(f"seeds must be different integers of 0 or more, not {list(seeds)}")


def _recorded(records: Sequence[Path] | None) -> Mapping[str, tuple[Status, str]]:
    places = [place for place in [RESULTS] if place.is_dir()] if records is None else records
    found = read_records(places).found
    return {item.digest: _status(item.record) for item in found}


def _status(record: Any) -> tuple[Status, str]:
    return ("failed", record.reason or "") if record.status == "failed" else ("recorded", "")


def _locate(recipe: Recipe, digest: str, label: str, root: Path, recorded: Mapping[str, tuple[Status, str]]) -> Task:
    """A task with its directory: one that was begun under another name goes on there."""
    place = root / folder_name(recipe.name, digest)
    if not (place / "recipe.json").exists():
        others = [path.parent for path in sorted(root.glob(f"*-{digest}/recipe.json"))]
        place = next((path for path in others if _holds(path, digest)), place)
    status: Status = "waiting"
    reason = ""
    if (place / "result.json").exists():
        status, reason = _status(read(place / "result.json").record)
    elif digest in recorded:
        status, reason = recorded[digest]
    elif (place / "recipe.json").exists():
        status = "cut off"
    if place.exists() and (place / "recipe.json").exists() and not _holds(place, digest):
        raise InputError(f"directory {str(place)!r} holds the run of another recipe: move it aside")
    # A run goes on under the name that it was begun with.
    if (place / "recipe.json").exists():
        recipe = Recipe.from_file(place / "recipe.json")
    return Task(recipe, digest, (label,), place, status, reason)


def _holds(place: Path, digest: str) -> bool:
    return Recipe.from_file(place / "recipe.json").digest() == digest


def run_study(
    study: Study,
    *,
    only: str | Sequence[str] = "*",
    seeds: Sequence[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    directory: str | Path = RUNS,
    records: Sequence[Path] | None = None,
    runner: Runner | None = None,
    tell: Tell | None = None,
) -> list[Task]:
    """Train what a study needs and is not yet recorded; what was cut off goes on, what is finished is skipped.

    Args:
        study: whose runs.
        only, seeds, changes, directory, records: see `plan`.
        data_dir: as for `kzoo.train`.
        runner: how to train the tasks that are left; `in_turn` if not given.
        tell: told of every change.

    Returns:
        The tasks, each ``"recorded"`` or ``"failed"``.

    Raises:
        InputError: see `plan`; or data or a directory are not usable.
        KeyboardInterrupt: after SIGINT or SIGTERM; a checkpoint was written first.
    """
    tasks = plan(study, only=only, seeds=seeds, changes=changes, directory=Path(directory), records=records)
    return run_tasks(tasks, data_dir=data_dir, runner=runner, tell=tell)


def run_tasks(
    tasks: Sequence[Task],
    *,
    data_dir: str | Path | None = None,
    runner: Runner | None = None,
    tell: Tell | None = None,
) -> list[Task]:
    """Bring tasks that `plan` gave to their ends, see `run_study`."""
    states = {task.digest: (task.status, task.reason) for task in tasks}

    def note(task: Task, status: Status, reason: str = "") -> None:
        states[task.digest] = (status, reason)
        if tell is not None:
            tell(task, status, reason)

    left = [task for task in tasks if not task.over]
    if left:
        (runner or in_turn)(left, Path(data_dir) if data_dir else None, note)
    ended = ((task, *states[task.digest]) for task in tasks)
    return [dataclasses.replace(task, status=status, reason=reason) for task, status, reason in ended]


def in_turn(tasks: Sequence[Task], data_dir: Path | None, tell: Tell) -> None:
    """The simplest runner: one task after another, in this process.

    The peak memory in a record is then that of all runs so far: compare memory from runs in processes of their own.
    """
    left = list(tasks)
    while left:
        elsewhere = []
        for task in left:
            tell(task, "running", "")
            try:
                _train(task, data_dir)
            except InUse:
                tell(task, "elsewhere", "")
                elsewhere.append(task)
            except RunFailed as error:
                tell(task, "failed", str(error))
            except KeyboardInterrupt:
                tell(task, "cut off", "")
                raise
            else:
                tell(task, "recorded", "")
        if len(elsewhere) == len(left):
            time.sleep(WAIT)
        left = elsewhere


def _train(task: Task, data_dir: Path | None) -> None:
    import keras

    from kzoo.training.run import train

    try:
        train(task.recipe, data_dir=data_dir, directory=task.directory, progress=False)
    finally:
        keras.utils.clear_session()  # one run's graphs are of no use to the next


def failures(tasks: Sequence[Task]) -> RunFailed | None:
    """The error that says which of a study's runs failed; None if all are recorded."""
    failed = [task for task in tasks if task.status == "failed"]
    if not failed:
        return None
    text = "; ".join(f"{task.name}: {task.reason}" for task in failed)
    return RunFailed(f"{len(failed)} of {len(tasks)} runs failed: {text}")
