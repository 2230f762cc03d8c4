"""Running a search: its directory, its tuner, and all its trials in this process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
from rich.console import Console

from kzoo.console import plain_console
from kzoo.errors import InputError, InUse, RunFailed
from kzoo.files import write_atomically
from kzoo.search.live import SearchProgress
from kzoo.search.records import RECORD, Record
from kzoo.search.results import SearchResult, place, read_search, read_trials
from kzoo.search.search import Search
from kzoo.training.directory import new_place
from kzoo.training.records import git_commit, hardware, versions

if TYPE_CHECKING:
    from kzoo.search.tuner import SearchTuner

BUDGETS = ("trials", "minutes", "failures_in_a_row")


def open_directory(search: Search, directory: str | Path | None = None) -> Path:
    """Make a search's directory and its record, or find that it holds this very search.

    Safe to call by several processes.

    Raises:
        InputError: it cannot be made, or holds something else.
    """
    folder = place(search, directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise InputError(f"directory {str(folder)!r} cannot be made: {error.strerror}") from None
    with filelock.FileLock(folder / ".record.lock"):
        if (folder / RECORD).exists():
            record = read_search(folder).record
            if record.digest != search.digest:
                raise InputError(
                    f"directory {str(folder)!r} holds another search ({record.name!r}, or it was changed since): "
                    "choose another directory"
                )
        elif there:
            raise InputError(f"directory {str(folder)!r} holds {there[0]!r} and no {RECORD}: choose another")
        else:
            _write(folder, _new_record(search))
    return folder


@contextlib.contextmanager
def claimed(directory: Path) -> Iterator[None]:
    """Within it, this process alone runs the search in a directory (a chief's, or a search without workers).

    Raises:
        InUse: another process has it.
    """
    lock = filelock.FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise InUse(f"directory {str(directory)!r} is in use: another process searches there") from None
    try:
        yield
    finally:
        lock.release()


def make_tuner(
    search: Search,
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    checkpoint_minutes: float = 3.0,
) -> SearchTuner:
    """The keras-tuner tuner of a search, in whatever state its directory is.

    By KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT it is the chief or a worker, as for any
    keras-tuner tuner; without them it does all itself. ``tuner.search()`` runs it. Its oracle, where it is not a
    worker's client, is steady (`kzoo.search.steady`): at the limit of failures in a row nothing is raised,
    ``oracle.stopped_because`` says why no further trial begins. Every change is written to ``search.json``.

    Args:
        search: what to search.
        directory: made by `open_directory`.
        data_dir: as for `kzoo.train`.
        checkpoint_minutes: as for `kzoo.train`.

    Raises:
        InputError: the space does not fit the model's builder, or what is in the directory is damaged.
    """
    from kzoo.search.steady import steady
    from kzoo.search.tuner import SearchTuner

    folder = Path(directory)
    try:
        tuner = SearchTuner(search, folder, data_dir=data_dir, checkpoint_minutes=checkpoint_minutes)
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, InputError) or not (folder / "oracle.json").exists():
            raise
        raise InputError(f"search {str(folder)!r} cannot be gone on with: {type(error).__name__}: {error}") from error
    if not tuner._is_worker():
        steady(tuner.oracle)
        keep_record(tuner.oracle, search, folder)
    return tuner


def keep_record(oracle: Any, search: Search, folder: Path) -> None:
    """Write the search's record whenever a steady oracle saves its state."""
    save = oracle.save

    def both() -> None:
        save()
        write_record(oracle, search, folder)

    oracle.save = both


def write_record(oracle: Any, search: Search, folder: Path, status: str = "running") -> SearchResult:
    """Write the record as things stand now."""
    trials = read_trials(folder)
    own = search.checked_space.baseline()
    first = next((trial.number for trial in trials if own and trial.values == own), None)
    record = _new_record(search).model_copy(
        update={
            "status": status,
            "reason": oracle.stopped_because,
            "seconds": oracle.seconds,
            "baseline": first,
            "trials": trials,
            "confirmed": _confirmed(folder, status),
        }
    )
    _write(folder, record)
    return SearchResult(folder, record)


def _confirmed(folder: Path, status: str) -> Any:
    """Runs with other seeds that were made of the same winner: another trial may change who wins."""
    before = read_search(folder).record
    return before.confirmed if status != "running" and before.status == status else []


def finish(oracle: Any, search: Search, folder: Path) -> SearchResult:
    """Write the record of a search that is over, and the files for its readers.

    Raises:
        RunFailed: it was given up, or no trial was completed.
    """
    from kzoo.search.summary import write_summary

    result = write_record(oracle, search, folder, "given up" if oracle.stopped_because else "completed")
    write_summary(result)
    if oracle.stopped_because:
        raise RunFailed(f"search {search.name!r} was given up: {oracle.stopped_because}")
    if not result.ranked():
        last = f"; the last one: {result.trials[-1].reason}" if result.trials else ""
        raise RunFailed(
            f"search {search.name!r} is over and none of its {len(result.trials)} trials was completed{last}"
        )
    return result


def run_search(
    search: Search,
    directory: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
    fresh: bool = False,
) -> SearchResult:
    """Run a search in this process, or go on with it, or return its result if it is over.

    Args:
        search: what to search. Its budgets may be larger than before.
        directory: of the search; ``searches/<name>-<digest>`` if not given.
        data_dir: as for `kzoo.train`.
        progress: whether to show a live table, or the console to show it on.
        checkpoint_minutes: as for `kzoo.train`.
        fresh: start anew, in a new directory, even if there is a search already.

    Raises:
        InputError: the search, the data or the directory are not usable.
        InUse: another process searches there.
        RunFailed: too many trials failed in a row, or none was completed.
        KeyboardInterrupt: after SIGINT or SIGTERM; the trial under way has written a checkpoint.
    """
    folder = place(search, directory)
    folder = open_directory(search, new_place(folder) if fresh else folder)
    console = progress if isinstance(progress, Console) else plain_console() if progress else None
    with claimed(folder):
        tuner = make_tuner(search, folder, data_dir=data_dir, checkpoint_minutes=checkpoint_minutes)
        if not search.own_process and "dataset" not in search.space:
            tuner.hypermodel.data_of(search.base)  # what is wrong with the data is wrong in all trials
        with SearchProgress(console, search, folder) if console else contextlib.nullcontext():
            tuner.search(verbose=0)
        return finish(tuner.oracle, search, folder)


def _new_record(search: Search) -> Record:
    import keras

    environment = {"backend": keras.backend.backend(), "versions": versions(), **hardware(), "git_commit": git_commit()}
    budget = {name: getattr(search, name) for name in BUDGETS} | {"trials": search.budget}
    return Record(
        name=search.name, digest=search.digest, search=search.to_dict(), budget=budget, environment=environment
    )


def _write(folder: Path, record: Record) -> None:
    write_atomically(folder / RECORD, lambda stream: stream.write(record.to_json().encode()))
