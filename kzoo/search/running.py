"""Running a search: its directory, its tuner, and all its trials in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kzoo.search.results import SearchResult
from kzoo.search.search import Search

if TYPE_CHECKING:
    from kzoo.search.tuner import SearchTuner

SEARCHES = Path("searches")


def place(search: Search, directory: str | Path | None = None) -> Path:
    """Where a search is: `directory`, or ``searches/<name>-<digest>``."""
    raise NotImplementedError


def open_directory(search: Search, directory: str | Path | None = None) -> Path:
    """Make a search's directory and its record, or find that it holds this very search.

    Safe to call by several processes.

    Raises:
        InputError: it holds something else.
    """
    raise NotImplementedError


class claimed:
    """Within it, this process alone runs the search in a directory (a chief's, or a search without workers)."""

    def __init__(self, directory: Path) -> None:
        """Claim `directory`; entering raises `kzoo.errors.InUse` if another process has it."""


def make_tuner(
    search: Search,
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    checkpoint_minutes: float = 3.0,
) -> SearchTuner:
    """The keras-tuner tuner of a search, in whatever state its directory is.

    By KERASTUNER_TUNER_ID, KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT it is the chief or a worker, as for any
    keras-tuner tuner; without them it does all itself. ``tuner.search()`` runs it. The chief's `tuner.oracle` has:

    - ``oracle.ongoing_trials``: trials by worker;
    - ``oracle.release(worker)``: takes the trial of a worker that is gone back into the queue; gives its number;
    - ``oracle.given_up``: why no further trial begins, "" if it is simply over or still runs. At the limit of
      failures in a row nothing is raised: workers are told to stop, and the chief ends by itself.

    A worker that is IDLE asks again every half second. Every change is written to ``search.json``, atomically.
    """
    raise NotImplementedError


def run_search(
    search: Search,
    directory: str | Path | None = None,
    *,
    data_dir: str | Path | None = None,
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
    fresh: bool = False,
) -> SearchResult:
    """Run a search in this process, or go on with it, or return its result if it is over."""
    raise NotImplementedError


Watch = Callable[[], Any]
