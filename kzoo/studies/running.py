"""Running a study: the runs that it needs, those that are recorded, and training the rest (no Keras until then)."""

from __future__ import annotations

import dataclasses
import fnmatch
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from kzoo.checks import is_whole
from kzoo.errors import InputError, RunFailed
from kzoo.files import full_path, user_path
from kzoo.pool import Event, Here, Job, Pool, make_pool
from kzoo.recipes.schema import Recipe
from kzoo.studies.budget import budgeted, check_changes, varied
from kzoo.studies.known_runs import Records, directory_of, record_of, records_by_recipe
from kzoo.studies.record_files import RUNS, read
from kzoo.studies.study import Entry, Study
from kzoo.studies.unchanged import changed

Status = Literal["waiting", "elsewhere", "running", "cut off", "recorded", "failed"]
LOGS = ".workers"
"""Directory next to the runs, with the output of the processes that train them."""


@dataclasses.dataclass(frozen=True)
class Task:
    """A run that a study needs.

    Attributes:
        recipe: the resolved recipe, with the study's budget and a seed.
        digest: the recipe's digest, without the file of its initial weights.
        labels: the entries that need the run; entries with the same digest share it.
        directory: the run's directory.
        status: ``"recorded"`` or ``"failed"`` if the run has ended, ``"cut off"`` if it was interrupted,
            ``"elsewhere"`` while another process trains it.
        reason: why it failed.
        record: the record, if the run has ended.
    """

    recipe: Recipe
    digest: str
    labels: tuple[str, ...]
    directory: Path
    status: Status = "waiting"
    reason: str = ""
    record: Path | None = None

    @property
    def name(self) -> str:
        """The labels of the entries and the seed."""
        return f"{', '.join(self.labels)}, seed {self.recipe.seed}"

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self.status in ("recorded", "failed")


Tell = Callable[[Task, Status, str], None]
"""Called with each change of a task's status: ``tell(task, status, reason)``."""


def plan(
    study: Study,
    *,
    only: str | Sequence[str] = "*",
    seeds: Sequence[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    directory: Path = RUNS,
    records: Sequence[Path] | None = None,
) -> list[Task]:
    """The runs that a study needs, one for each digest, and the status of each.

    Args:
        study: the study.
        only: one or several wildcards on labels of entries or names of recipes.
        seeds: the seeds of each entry; by default the recipe's seed.
        changes: the budget, as fields for `Recipe.override`.
        directory: the directory of the runs.
        records: directories of further records; by default ``results``, if it exists.

    Raises:
        InputError: a wildcard matches nothing, a field cannot be changed, or a record is damaged.
    """
    changes = dict(changes or {})
    check_changes(study, changes)
    if seeds is not None:
        _check_seeds(study, seeds)
    entries = _chosen(study, [only] if isinstance(only, str) else only)
    recorded = records_by_recipe(records)
    tasks: dict[str, Task] = {}
    for entry in entries:
        base = budgeted(study, entry, changes)
        for seed in seeds if seeds is not None else [base.seed]:
            recipe = base.override(seed=seed).resolved()
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
        matching = {
            e.label for e in study.entries if any(_matches(name, wildcard) for name in (e.label, e.recipe.name))
        }
        if not matching:
            runs = ", ".join(study.labels)
            raise InputError(f"wildcard {wildcard!r} matches no run of study {study.name!r}: its runs are {runs}")
        chosen |= matching
    return [entry for entry in study.entries if entry.label in chosen]


def _matches(name: str, wildcard: str) -> bool:
    """Whether a name equals the wildcard (it may contain square brackets) or matches it."""
    return name == wildcard or fnmatch.fnmatchcase(name, wildcard)


def _check_seeds(study: Study, seeds: Sequence[int]) -> None:
    if "seed" in varied(study):
        raise InputError(f"study {study.name!r} compares seeds: other seeds cannot be given")
    if not seeds or len(set(seeds)) < len(seeds) or not all(is_whole(seed, 0) for seed in seeds):
        raise InputError(f"seeds must be different integers of 0 or more, not {list(seeds)}")


def _status(record: Any) -> tuple[Status, str]:
    return ("failed", record.reason or "") if record.status == "failed" else ("recorded", "")


def _locate(recipe: Recipe, digest: str, label: str, root: Path, recorded: Records) -> Task:
    """A task with its directory; a run that started under another name resumes there."""
    directory = directory_of(recipe, root)
    begun = (directory / "recipe.json").exists()
    file = read(directory / "result.json") if (directory / "result.json").exists() else record_of(recipe, recorded)
    status: Status = "cut off" if begun else "waiting"
    reason = ""
    if file is not None:
        status, reason = _status(file.record)
    if begun:  # a run resumes under the name that it started with
        recipe = Recipe.from_file(directory / "recipe.json")
    return Task(recipe, digest, (label,), directory, status, reason, file.path if file else None)


def run_study(
    study: Study,
    *,
    only: str | Sequence[str] = "*",
    seeds: Sequence[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    directory: str | Path = RUNS,
    records: Sequence[Path] | None = None,
    workers: int | None = None,
    on: str | None = None,
    tell: Tell | None = None,
) -> list[Task]:
    """Train the runs of a study that are not recorded yet. Interrupted runs resume; finished runs are skipped.

    Args:
        study: the study.
        only, seeds, changes, directory, records: see `plan`.
        data_dir: as for `kzoo.train`.
        workers: the number of runs at a time, each in a separate process; by default one after another in this process.
        on: the address of a Ray cluster that trains them; see `kzoo.pool.OnRay`.
        tell: called with every change of a status.

    Returns:
        The tasks, each ``"recorded"`` or ``"failed"``.

    Raises:
        InputError: see `plan`; also if data or a directory cannot be used, or the custom data, model or initial weights
            of a finished run have changed since. The other runs are trained first.
        KeyboardInterrupt: after SIGINT or SIGTERM, once checkpoints are written.
    """
    tasks = plan(study, only=only, seeds=seeds, changes=changes, directory=user_path(directory), records=records)
    return run_tasks(tasks, data_dir=data_dir, pool=make_pool(workers, on), tell=tell)


def run_tasks(
    tasks: Sequence[Task], *, data_dir: str | Path | None = None, pool: Pool | None = None, tell: Tell | None = None
) -> list[Task]:
    """Train the tasks returned by `plan`; see `run_study`."""
    states = {task.digest: (task.status, task.reason) for task in tasks}

    def note(task: Task, status: Status, reason: str = "") -> None:
        states[task.digest] = (status, reason)
        if tell is not None:
            tell(task, status, reason)

    # Recorded runs must still be of the same data and models; report changes before training anything.
    pool = pool or Here()
    refused: dict[str, list[str]] = defaultdict(list)  # names of tasks by the error in their input
    differing = changed(tasks, data_dir, here=pool.here)
    for task in tasks:
        if task.digest in differing:
            refused[differing[task.digest]].append(task.name)
            note(task, "failed", differing[task.digest])

    left = {task.digest: task for task in tasks if not task.over}
    if left:
        _train(left, pool, data_dir, note, refused)
    if refused:
        raise InputError("; ".join(f"{', '.join(names)}: {text}" for text, names in refused.items()))
    ended = ((task, *states[task.digest]) for task in tasks)
    return [_ended(task, status, reason) for task, status, reason in ended]


def _ended(task: Task, status: Status, reason: str) -> Task:
    """A task with its last status, and with its record if this call wrote one."""
    written = task.directory / "result.json"
    record = task.record or (written if written.is_file() else None)
    return dataclasses.replace(task, status=status, reason=reason, record=record)


def _train(
    tasks: Mapping[str, Task], pool: Pool, data_dir: str | Path | None, note: Tell, refused: Mapping[str, list[str]]
) -> None:
    """Submit all tasks to a pool and report their statuses; tasks with unusable input are added to `refused`."""
    begun: set[str] = set()
    with pool:
        for task in tasks.values():
            pool.submit(_job(task, data_dir, pool))
        try:
            while pool.running:
                for event in pool.wait():
                    task = tasks[event.job.key]
                    (begun.add if event.kind == "started" else begun.discard)(task.digest)
                    if event.kind == "refused":
                        refused[event.reason].append(task.name)
                    note(task, *_status_after(event))
        except KeyboardInterrupt:
            for digest in sorted(begun):
                note(tasks[digest], "cut off", "")
            raise


def _job(task: Task, data_dir: str | Path | None, pool: Pool) -> Job:
    directory = task.directory.absolute()
    arguments = {
        "recipe": task.recipe.to_json(),
        "directory": str(task.directory if pool.here else directory),
        "data_dir": full_path(data_dir),
        "progress": not pool.here,  # printed to a log
    }
    log = directory.parent / LOGS / f"{task.directory.name}.log"
    return Job(task.digest, f"{__name__}:train_task", arguments, directory, directory / "result.json", log)


def _status_after(event: Event) -> tuple[Status, str]:
    """The status of a task after an event, from its record if there is one."""
    if event.kind in ("started", "elsewhere"):
        return ("running" if event.kind == "started" else "elsewhere"), ""
    if event.kind == "died":
        return "cut off", f"{event.reason}; it starts again"
    if not event.job.record.exists():
        return "failed", event.reason or f"it left no record (log: {event.job.log})"
    try:
        return _status(read(event.job.record).record)
    except InputError as error:
        return "failed", str(error)


def train_task(recipe: str, directory: str, data_dir: str | None, progress: bool) -> None:
    """Train one task, in this process or a worker."""
    import keras

    from kzoo.training.train import train

    try:
        train(Recipe.from_json(recipe), data_dir=data_dir, directory=directory, progress=progress)
    finally:
        keras.utils.clear_session()  # frees the graphs of this run


def failures(tasks: Sequence[Task]) -> RunFailed | None:
    """The error that says which of a study's runs failed; None if all are recorded."""
    failed = [task for task in tasks if task.status == "failed"]
    if not failed:
        return None
    text = "; ".join(f"{task.name}: {task.reason}" for task in failed)
    return RunFailed(f"{len(failed)} of {len(tasks)} runs failed: {text}")
