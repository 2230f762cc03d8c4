"""Runs a search: takes trials from the oracle, passes them to a pool, and reports their outcomes to the oracle."""

from __future__ import annotations

import contextlib
import functools
import time
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kzoo.backend import quiet_import, without_gpus
from kzoo.console import console_for
from kzoo.errors import InputError, NotWritten, RunFailed
from kzoo.files import full_path, make_directory, read_json, user_path, write_json
from kzoo.pool import Event, Job, Pool, make_pool
from kzoo.recipes.schema import Recipe
from kzoo.search import results
from kzoo.search.results import OUTCOME, RECORD, RUN, Outcome, SearchRecord, SearchResult, Trial
from kzoo.search.search import Search
from kzoo.search.tables import SearchProgress
from kzoo.search.trial import SPACE, describe, train_trial
from kzoo.training import directory as runs
from kzoo.training.identity.asked_again import check_finished
from kzoo.training.identity.named import names_all, names_data
from kzoo.training.records import folder_name, git_commit, hardware, read_result, versions
from kzoo.training.train import identify

SAVE_EVERY = 60.0
"""Seconds after which the time spent is saved while trials train in other processes."""


def run_search(
    search: Search,
    directory: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    workers: int | None = None,
    on: str | None = None,
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
    fresh: bool = False,
) -> SearchResult:
    """Run a search, resume it, or return its result if it has ended.

    Args:
        search: the search. Its budgets may be larger than before.
        directory: directory of the search; by default ``searches/<name>-<digest>``.
        data_dir: as for `kzoo.train`.
        workers: trials at a time, in child processes on this machine; by default one after another in this process.
        on: address of a Ray cluster that trains the trials, see `kzoo.pool.OnRay`.
        progress: whether to show a live table, or the console to show it on.
        checkpoint_minutes: as for `kzoo.train`.
        fresh: start again in a new directory, even if there is a search already.

    Raises:
        InputError: the search, the data or the directory cannot be used.
        InUse: another process runs the search.
        RunFailed: too many trials failed in a row, no trial was completed, or a file cannot be written.
        KeyboardInterrupt: after SIGINT or SIGTERM; running trials have written checkpoints.
    """
    name = folder_name(search.name, search.digest)
    path = user_path(directory) if directory is not None else Path("searches") / name
    if fresh:
        path = runs.new_directory(path)
    if search.own_process and workers is None and on is None:
        workers = 1
    pool = make_pool(workers, on, reuse=not search.own_process)
    with claimed(path):
        owner = Owner(search, path, pool, data_dir=data_dir, checkpoint_minutes=checkpoint_minutes)
        if (path / "oracle.json").exists() and not (path / results.STATE).exists():
            return _of_an_older_kzoo(search, results.read_search(path))
        with SearchProgress(console_for(progress), search, path, owner.record) as shown:
            owner.run(shown.show)
        return owner.finish()


class claimed(runs.claimed):
    """A context in which only this process may run the search in a directory."""

    marks, begun, work = (RECORD,), RECORD, "searches"


def open_directory(search: Search, directory: Path) -> SearchRecord:
    """The record of a search in its directory, which is created if needed; budgets and name may have changed.

    Raises:
        InputError: the directory cannot be created, or contains another search.
    """
    fields: Any = {"name": search.name, "search": search.to_dict(), "budget": search.budgets}
    if (make_directory(directory) / RECORD).exists():
        record = results.read_search(directory).record
        if record.digest != search.digest:
            raise InputError(
                f"directory {str(directory)!r} contains another search ({record.name!r}, or this one before it "
                "changed): choose another directory"
            )
        return record.model_copy(update=fields)
    environment = {"backend": keras.backend.backend(), "git_commit": git_commit(), "versions": versions(), **hardware()}
    record = SearchRecord(**fields, digest=search.digest, environment=environment)
    results.write_record(directory, record)
    return record


class Owner:
    """Runs a search: only this process uses the oracle and writes the record.

    Attributes:
        record: the search's current record.
    """

    def __init__(
        self, search: Search, directory: Path, pool: Pool, *, data_dir: str | Path | None, checkpoint_minutes: float
    ) -> None:
        """Open a search, whatever the state of its directory.

        Raises:
            InputError: other processes cannot import the model function; see also `open_directory`.
        """
        self.search, self.directory, self.pool = search, directory, pool
        self.options: Any = {"data_dir": full_path(data_dir), "checkpoint_minutes": checkpoint_minutes}
        self.described = None if pool.here else describe(search)
        self.outcomes: dict[str, Outcome] = {}
        self.begun: set[str] = set()
        self.record = open_directory(search, directory)

    def run(self, show: Any) -> None:
        """Train trials until there are no more; `show` is called with the record after each change."""
        with self.pool:
            self._prepare()
            self._write()
            for trial in list(self.oracle.ongoing_trials.values()):
                self._submit(trial)
            try:
                self._train(show)
            except (Exception, KeyboardInterrupt):
                with contextlib.suppress(NotWritten):  # the first error counts
                    self.oracle.save()  # with the time spent so far
                    self._write()
                raise
        self._write()

    def _train(self, show: Any) -> None:
        """Choose and train trials until there are no more."""
        idle = False
        saved = time.monotonic()
        while True:
            # Ask for trials while the pool has room; the oracle may need trials to end before it can choose.
            while self.pool.free > 0 and not idle:
                if (trial := self.oracle.ask()) is not None:
                    self._write()
                    self._submit(trial)
                idle = trial is None
            if not self.pool.running:
                break

            # Handle the events since then.
            events = self.pool.wait()
            for event in events:
                self._note(event)
            if events:
                idle = False
                self._write()
                show(self.record)
            elif time.monotonic() > saved + SAVE_EVERY:  # so that a kill loses little of the time spent
                saved = time.monotonic()
                self.oracle.save()

    def _prepare(self) -> None:
        """Load Keras, and create the oracle with its space."""
        with quiet_import():
            from kzoo.search.hypermodel import RecipeHyperModel
            from kzoo.search.oracles import ORACLES

        self.hyper_model = RecipeHyperModel.of(self.search, **self.options)
        if self.pool.here and "dataset" not in self.search.space:
            self.hyper_model.data_of(self.search.base)  # an error in the data affects all trials
        self.oracle: Any = ORACLES[self.search.tuner](self.search, self.directory)
        for number in self.oracle.end_order:
            self.outcomes[number] = self._outcome(number) or Outcome(status="failed", reason="its files are missing")
        with contextlib.nullcontext() if self.pool.here else without_gpus():
            if not self.oracle.path.exists():
                self.hyper_model.explore(self.oracle)
            self._check_trials()

    def _check_trials(self) -> None:
        """Refuse to continue if custom data, models, weights or functions differ from those of the completed trials.

        The last completed trial of each model, dataset and set of functions is compared; a model function counts as one
        model.
        """
        chosen: dict[tuple[str, ...], tuple[str, Path, Recipe]] = {}
        for number, outcome in self.outcomes.items():
            run = self._trial_directory(number) / RUN
            if outcome.status == "completed" and (run / "result.json").exists():
                recipe = Recipe.from_file(run / "recipe.json")
                key = "" if self.search.model else recipe.model, recipe.dataset, *map(repr, recipe.custom_parts)
                chosen[key] = number, run, recipe

        for number, run, recipe in chosen.values():
            make = None
            if self.search.model is not None:
                make = functools.partial(self.hyper_model.build, self.oracle.trials[number].hyperparameters.copy())
            elif names_all(recipe):
                continue
            else:
                runs.check_same_recipe(run, *identify(recipe), None)
            data = None if names_data(recipe) else self.hyper_model.data_of(recipe)
            record = read_result(run / "result.json")
            check_finished(run, recipe, record, None, self.options["data_dir"], None, data, make=make)

    def _outcome(self, number: str) -> Outcome | None:
        path = self._trial_directory(number) / OUTCOME
        return results.read_outcome(path) if path.exists() else None

    def _trial_directory(self, number: str) -> Path:
        return self.directory / f"trial_{number}"

    def _submit(self, trial: Any) -> None:
        """Pass a trial to the pool."""
        directory, hp = self._trial_directory(trial.trial_id), trial.hyperparameters
        directory.mkdir(exist_ok=True)
        function: Any = train_trial
        if not self.pool.here:
            function, directory = f"{train_trial.__module__}:{train_trial.__name__}", directory.absolute()
        arguments = {
            "search": self.described or self.hyper_model,
            "hyperparameters": hp.get_config(),
            "directory": str(directory),
            **self.options,
        }
        files = directory / RUN, directory / OUTCOME, directory / "log.txt"
        self.pool.submit(Job(trial.trial_id, function, arguments, *files))

    def _note(self, event: Event) -> None:
        """Handle an event of a trial; its outcome is written before the oracle gets it."""
        number = event.job.key
        (self.begun.add if event.kind == "started" else self.begun.discard)(number)
        if not event.final:
            return
        outcome = self._outcome(number)
        if outcome is None:
            if event.kind in ("refused", "unwritten"):
                raise (InputError if event.kind == "refused" else NotWritten)(event.reason)
            changes = self.hyper_model.space.changes(self.oracle.trials[number].hyperparameters.values)
            reason = event.reason or "it left no outcome"
            if self.search.memory is not None:  # with which a backend crashes instead of raising an error
                reason += f"; its memory was limited to {self.search.memory:g} GiB, which may be too little"
            outcome = Outcome(status="failed", reason=reason, changes=changes)
            self._trial_directory(number).mkdir(exist_ok=True)  # it may have been deleted
            write_json(self._trial_directory(number) / OUTCOME, outcome.model_dump(mode="json"))
        space = self._trial_directory(number) / SPACE
        self.outcomes[number] = outcome
        self.oracle.tell(number, outcome, read_json(space) if space.exists() else None)

    def _write(self, status: str = "running") -> None:
        """Write the current record."""
        trials = [self._trial(number) for number in self.oracle.start_order]
        changes = {
            "status": status,
            "reason": self.oracle.ended or None,
            "seconds": self.oracle.seconds,
            "skipped": self.oracle.skipped,
            "baseline": self._baseline(trials),
            "trials": trials,
        }
        if (self.directory / RECORD).exists():  # another process may have added confirmations
            changes["confirmed"] = results.read_search(self.directory).record.confirmed
        before, self.record = self.record, self.record.model_copy(update=changes)
        if _winner(self.record) != _winner(before):  # the confirmations belong to the previous winner
            self.record = self.record.model_copy(update={"confirmed": []})
        results.write_record(self.directory, self.record)

    def _baseline(self, trials: list[Trial]) -> str | None:
        """The number of the trial with the recipe's values; of trials with a model function, only the first counts."""
        wanted = self.search.checked_space.baseline() or {}
        possible = trials if self.search.model is None else trials[:1]  # its own values are in no recipe
        return next((trial.number for trial in possible if wanted and wanted.items() <= trial.values.items()), None)

    def _trial(self, number: str) -> Trial:
        outcome = self.outcomes.get(number)
        status: Any = outcome.status if outcome else "running" if number in self.begun else "waiting"
        values = self.oracle.trials[number].hyperparameters.values
        shown = {name: value for name, value in values.items() if not name.startswith("tuner/")}
        run = f"trial_{number}/{RUN}"
        return Trial(number=number, status=status, values=shown, outcome=outcome, directory=run)

    def finish(self) -> SearchResult:
        """Write the record of a search that has ended, and its summary files.

        Raises:
            RunFailed: the search was given up, or no trial was completed.
        """
        from kzoo.search.summary import write_summary

        self._write("given up" if self.oracle.given_up else "completed")
        result = SearchResult(self.directory, self.record)
        write_summary(result)
        if self.oracle.given_up:
            raise RunFailed(f"search {self.search.name!r} was given up: {self.oracle.ended}")
        if not result.ranked():
            last = f"; the last one: {result.trials[-1].reason}" if result.trials else ""
            count = len(result.trials)
            raise RunFailed(f"search {self.search.name!r} has ended; none of its {count} trials was completed{last}")
        return result


def _of_an_older_kzoo(search: Search, result: SearchResult) -> SearchResult:
    """The result of a finished search whose trials were chosen by an older kzoo."""
    if result.status == "completed" and result.record.budget == search.budgets:
        return result
    raise InputError(
        f"search {str(result.directory)!r} was started by an older kzoo, which stores its state differently: resume it "
        "with that version, or start again with fresh=True (--fresh) or in another directory"
    )


def _winner(record: SearchRecord) -> str | None:
    return next((trial.number for trial in SearchResult(Path(), record).ranked()), None)
