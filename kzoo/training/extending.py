"""More epochs for a finished run: a new run that continues from its last checkpoint (no Keras).

The new run is bit for bit the same as a run of all epochs at once. So a schedule that fills the run (cosine, for
example) cannot be extended: with more epochs, the first epochs would have had other rates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kzoo.errors import InputError
from kzoo.files import user_path
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import AnySchedule, kinds
from kzoo.recipes.text import difference_in_words, differing_fields
from kzoo.training.checkpoint import Checkpoint, load_latest
from kzoo.training.finding import check_run
from kzoo.training.optimization.schedules import FILL_THE_RUN
from kzoo.training.records import RunRecord, read_result

INSTEAD = "to start a new run from its weights, set initial_weights to its directory"
"""What the user can do if a run cannot be extended."""


@dataclasses.dataclass(frozen=True)
class Extended:
    """The run that another one extends.

    Attributes:
        directory: the run's directory, which does not change.
        start: the run's last checkpoint, to continue from.
    """

    directory: Path
    start: Checkpoint


def extended_recipe(source: str | Path) -> tuple[Recipe, Path | None]:
    """The recipe to train for longer, and the run's directory if `source` is one."""
    directory = user_path(source)
    if (directory / "recipe.json").is_file():
        return Recipe.from_file(directory / "recipe.json"), directory
    return get_recipe(str(source)), None


def check_extensible(recipe: Recipe) -> None:
    """Refuse a recipe whose first epochs would differ if it had more epochs.

    Raises:
        InputError: its schedule or lookahead fills the run.
    """
    kind = recipe.schedule.kind
    if isinstance(recipe.schedule, FILL_THE_RUN):
        filling = {member.model_fields["kind"].default for member in FILL_THE_RUN}
        those = ", ".join(name for name in kinds(AnySchedule) if name not in filling)
        raise InputError(
            f"extend: the rates of schedule {kind!r} depend on the number of epochs, so the run with epochs="
            f"{recipe.epochs} differs from its first epoch on; runs with the schedules {those} can be extended. "
            f"Train again without extend, or, {INSTEAD}"
        )
    if recipe.lookahead is not None and recipe.lookahead.power:
        raise InputError(
            f"extend: with lookahead.power={recipe.lookahead.power:g}, what lookahead keeps depends on the number of "
            f"epochs; runs with lookahead.power=0 can be extended. Train again without extend, or, {INSTEAD}"
        )


def find_extended(
    recipe: Recipe, identity: Callable[[Recipe], str], runs: Path, source: Path | None = None
) -> Extended:
    """The finished run that a recipe extends.

    Raises:
        InputError: there is no such run, or it cannot be extended; the message says why.
    """
    check_extensible(recipe)
    directory = check_run(source) if source is not None else _nearest(recipe, runs)
    extended = Recipe.from_file(directory / "recipe.json")
    record = _finished(directory)

    # Nothing but the number of epochs may differ.
    differing = [name for name in differing_fields(extended, recipe) if name != "epochs"]
    if differing:
        text = "; ".join(difference_in_words(name, extended, recipe) for name in differing)
        raise InputError(
            f"extend: run {str(directory)!r} differs in more than its epochs: {text}. Train without extend"
        )
    if recipe.epochs <= extended.epochs:
        raise InputError(
            f"extend: run {str(directory)!r} has {extended.epochs} epochs: epochs must be greater, not {recipe.epochs}"
        )
    steps = -(-record.sizes["train"] // extended.batch_size)
    if extended.warmup_epochs and round(extended.warmup_epochs * steps) >= extended.epochs * steps:
        raise InputError(
            f"extend: the warm-up of run {str(directory)!r} (warmup_epochs={extended.warmup_epochs:g}) was cut short "
            f"by its end, so with more epochs its rates would differ; {INSTEAD}"
        )
    if identity(recipe.override(epochs=extended.epochs)) != record.digest:
        changed = "the file of initial_weights" if recipe.initial_weights is not None else "the model"
        raise InputError(f"extend: run {str(directory)!r} began differently: {changed} has changed")

    # The new run starts from the checkpoint after the last epoch.
    start = load_latest(directory / "checkpoint")
    if start is None:
        raise InputError(f"extend: run {str(directory)!r} no longer has a checkpoint; {INSTEAD}")
    if not start.state.stopped and start.epoch < record.epochs:
        raise InputError(f"extend: the last checkpoint of run {str(directory)!r} is damaged or missing; {INSTEAD}")
    if start.state.stopped or (start.epoch, start.step) != (extended.epochs, 0):
        raise InputError(
            f"extend: run {str(directory)!r} ended early, after {record.epochs} of {extended.epochs} epochs, and "
            f"would also end there with more epochs; {INSTEAD}"
        )
    extends = {"name": record.name, "digest": record.digest, "epochs": record.epochs}
    return Extended(directory, dataclasses.replace(start, state=dataclasses.replace(start.state, extends=extends)))


def _finished(directory: Path) -> RunRecord:
    if not (directory / "result.json").exists():
        raise InputError(f"extend: run {str(directory)!r} is not finished: kzoo resume {directory}")
    record = read_result(directory / "result.json")
    if record.status != "completed":
        raise InputError(f"extend: run {str(directory)!r} failed: {record.reason}")
    return record


def _nearest(recipe: Recipe, runs: Path) -> Path:
    """The run that differs least: ideally only in its epochs, finished, and with as many epochs as possible."""

    def rank(candidate: tuple[Path, Recipe]) -> tuple[Any, ...]:
        directory, other = candidate
        differing = set(differing_fields(other, recipe)) - {"epochs"}
        finished = (directory / "result.json").exists()
        return len(differing), not finished, other.epochs >= recipe.epochs, -other.epochs, str(directory)

    candidates = []
    for path in runs.glob("*/recipe.json"):
        try:
            other = Recipe.from_file(path)
        except InputError:
            continue  # of a newer kzoo, or damaged: reported when that run is requested
        if other.name == recipe.name or set(differing_fields(other, recipe)) <= {"epochs"}:
            candidates.append((path.parent, other))
    if not candidates:
        raise InputError(
            f"extend: there is no run of recipe {recipe.name!r} in {str(runs)!r}: give the run's directory"
        )
    return min(candidates, key=rank)[0]
