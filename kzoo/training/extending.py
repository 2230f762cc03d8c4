"""More epochs for a finished run: a run of its own that goes on from the other's last checkpoint (no Keras).

The bits are those of a run that was asked for all the epochs at once, so only what does not depend on their number can
be extended: a schedule that fills the run (cosine, say) gave other rates to the epochs that are done.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kzoo.errors import InputError
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import AnySchedule, kinds
from kzoo.recipes.text import difference_in_words, differing_fields
from kzoo.training.checkpoint import Checkpoint, load_latest
from kzoo.training.finding import check_run
from kzoo.training.records import Result, read_result
from kzoo.training.schedules import FILL_THE_RUN

INSTEAD = "to go on from its weights in a run of its own, set initial_weights to its directory"
"""What to do where a run cannot be extended."""


@dataclasses.dataclass(frozen=True)
class Extended:
    """The run that another one extends.

    Attributes:
        directory: its own, which stays as it is.
        start: its last checkpoint, to go on from.
    """

    directory: Path
    start: Checkpoint


def extended_recipe(given: str | Path) -> tuple[Recipe, Path | None]:
    """The recipe to train for longer, and the run's directory where it is that which was given."""
    if (Path(given) / "recipe.json").is_file():
        return Recipe.from_file(Path(given) / "recipe.json"), Path(given)
    return get_recipe(str(given)), None


def check_extensible(row: Recipe) -> None:
    """Refuse a recipe whose first epochs would be others if it had more of them.

    Raises:
        InputError: its schedule fills the run.
    """
    kind = row.schedule.kind
    if isinstance(row.schedule, FILL_THE_RUN):
        filling = {member.model_fields["kind"].default for member in FILL_THE_RUN}
        those = ", ".join(name for name in kinds(AnySchedule) if name not in filling)
        raise InputError(
            f"extend: the rates of schedule {kind!r} depend on the number of epochs, so the run with epochs="
            f"{row.epochs} is another one from its first epoch on; runs with the schedules {those} can be extended. "
            f"Train anew without it, or {INSTEAD}"
        )


def find_extended(row: Recipe, identity: Callable[[Recipe], str], runs: Path, source: Path | None = None) -> Extended:
    """The finished run that a recipe asks more epochs of.

    Args:
        row: the recipe, resolved, with all its epochs.
        identity: gives the digest of the same recipe with other epochs.
        runs: where to look for the run.
        source: its directory, if it is known.

    Raises:
        InputError: there is none, or it cannot be gone on with; the message says why.
    """
    check_extensible(row)
    place = check_run(source) if source is not None else _nearest(row, runs)
    there = Recipe.from_file(place / "recipe.json")
    record = _finished(place)

    # Nothing but the epochs may be another.
    differing = [name for name in differing_fields(there, row) if name != "epochs"]
    if differing:
        found = "; ".join(difference_in_words(name, there, row) for name in differing)
        raise InputError(f"extend: run {str(place)!r} differs in more than its epochs: {found}. Train without extend")
    if row.epochs <= there.epochs:
        raise InputError(f"extend: run {str(place)!r} has {there.epochs} epochs: epochs must be more, not {row.epochs}")
    if identity(row.override(epochs=there.epochs)) != record.digest:
        what = "the file of initial_weights" if row.initial_weights is not None else "the model"
        raise InputError(f"extend: run {str(place)!r} began otherwise: {what} is another one now")

    # The checkpoint after its last epoch, as the new run's own.
    start = load_latest(place / "checkpoint")
    if start is None:
        raise InputError(f"extend: run {str(place)!r} has no checkpoint any more; {INSTEAD}")
    if start.state.stopped or (start.epoch, start.step) != (there.epochs, 0):
        raise InputError(
            f"extend: run {str(place)!r} ended early, after {record.epochs} of {there.epochs} epochs, and would end "
            f"there with more epochs too; {INSTEAD}"
        )
    whose = {"name": record.name, "digest": record.digest, "epochs": record.epochs}
    return Extended(place, dataclasses.replace(start, state=dataclasses.replace(start.state, extends=whose)))


def _finished(place: Path) -> Result:
    if not (place / "result.json").exists():
        raise InputError(f"extend: run {str(place)!r} is not finished: kzoo resume {place}")
    record = read_result(place / "result.json")
    if record.status != "completed":
        raise InputError(f"extend: run {str(place)!r} failed: {record.reason}")
    return record


def _nearest(row: Recipe, runs: Path) -> Path:
    """The run that differs least: best in its epochs alone, finished, with as many of them as possible."""

    def rank(found: tuple[Path, Recipe]) -> tuple[Any, ...]:
        place, there = found
        differing = set(differing_fields(there, row)) - {"epochs"}
        finished = (place / "result.json").exists()
        return len(differing), not finished, there.epochs >= row.epochs, -there.epochs, str(place)

    found = []
    for path in runs.glob("*/recipe.json"):
        try:
            there = Recipe.from_file(path)
        except InputError:
            continue  # of a newer kzoo, or damaged: whoever asks for that run is told
        if there.name == row.name or set(differing_fields(there, row)) <= {"epochs"}:
            found.append((path.parent, there))
    if not found:
        raise InputError(f"extend: there is no run of recipe {row.name!r} in {str(runs)!r}: give the run's directory")
    return min(found, key=rank)[0]
