"""What a search has come to: its record, read while it runs or afterwards (no Keras)."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class SearchResult:
    """A search's record, ``search.json`` in its directory.

    Attributes:
        directory: where it is.
        status: ``"running"`` (or cut off), ``"completed"`` or ``"given up"``, with a `reason`.
        trials: in the order in which they began; each has number, status (waiting, running, completed, failed,
            rejected), reason, values, changes, score, best_epoch, epochs, seconds, parameters, multiply_adds,
            segments, resumed, stopped, worker, directory.
    """

    directory: Path
    status: str
    reason: str
    trials: tuple[Any, ...]


def read_search(directory: str | Path) -> SearchResult:
    """The record of a finished or running search."""
    raise NotImplementedError
