"""One recipe with several seeds, and the mean and standard deviation of its scores."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kzoo import notebook
from kzoo.checks import is_whole
from kzoo.errors import InputError, RunFailed, shown
from kzoo.recipes.schema import Recipe
from kzoo.training.run import Run
from kzoo.training.train import recipe_of, train

SCORES = {"best": "validation accuracy, best epoch", "last": "validation accuracy, last epoch", "test": "test accuracy"}


class SeedRuns(list[Run]):
    """Finished runs of one recipe that differ only in the seed."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        """Hold `runs`."""
        super().__init__(runs)

    def values(self, score: str) -> list[float]:
        """The accuracies of ``"best"``, ``"last"`` or ``"test"``, one per seed, of the runs that have it."""
        if score not in SCORES:
            raise InputError(f"score must be one of {', '.join(SCORES)}, not {score!r}")
        scores = (getattr(run.result, score) for run in self)
        return [float(value.accuracy) for value in scores if value is not None]

    def mean(self, score: str = "test") -> float:
        """The mean over seeds.

        Raises:
            InputError: no run has that score.
        """
        values = self.values(score)
        if not values:
            raise InputError(f"none of {len(self)} runs has a score of {score!r}")
        return statistics.fmean(values)

    def sd(self, score: str = "test") -> float | None:
        """The standard deviation over seeds (n - 1 in the denominator); None for fewer than two."""
        values = self.values(score)
        return statistics.stdev(values) if len(values) > 1 else None

    def rows(self) -> list[tuple[str, ...]]:
        """As a table: the score, its value for each seed, mean and standard deviation as text."""
        rows = []
        for score, title in SCORES.items():
            values = self.values(score)
            if values:
                sd = self.sd(score)
                mean = f"{self.mean(score):.4f}" + ("" if sd is None else f" ± {sd:.4f}")
                rows.append((title, *(f"{value:.4f}" for value in values), mean))
        return rows

    def header(self) -> tuple[str, ...]:
        """The columns of `rows`."""
        return ("", *(f"seed {run.recipe.seed}" for run in self), f"mean ± sd (n={len(self)})")

    def __repr__(self) -> str:
        if not self:
            return "SeedRuns of no run"
        shown = "; ".join(f"{row[0]} {row[-1]}" for row in self.rows())
        return f"SeedRuns of {self[0].recipe.name!r}, n={len(self)}: {shown}"

    def _repr_html_(self) -> str:
        return notebook.table(self.header(), self.rows())


def _own_callbacks(options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the callbacks for one run: what they remember of it must not reach the next."""
    callbacks = options.get("callbacks")
    if not callbacks:
        return {}
    try:
        return {"callbacks": copy.deepcopy(callbacks)}
    except Exception as error:
        raise InputError(f"callbacks cannot be copied, one for each seed ({error}): call kzoo.train per seed") from None


def train_seeds(recipe: str | Path | Recipe | Callable[..., Any], seeds: Sequence[int], **options: Any) -> SeedRuns:
    """Train a recipe once for each seed, one after the other; finished runs are not trained again.

    Args:
        recipe: as for `train`.
        seeds: of initial weights, order, augmentation and dropout; the split has a separate seed and does not change.
        **options: as for `train`, except `seed` and `directory`, which names one run. Each run gets copies of the
            callbacks, because they may remember things.

    Raises:
        InputError: a seed occurs twice, there are no seeds, or the recipe cannot be used.
        RunFailed: some runs failed; the others were trained nevertheless.

    Example:
        >>> runs = kzoo.train_seeds("lenet1-max", [0, 1], dataset="digits", epochs=1, progress=False)
        >>> 0 <= runs.mean("test") <= 1
        True
    """
    try:
        seeds = list(seeds)
    except TypeError:
        raise InputError(f"seeds must be one or more different integers, e.g. [0, 1, 2], not {shown(seeds)}") from None
    if not seeds or not all(is_whole(seed, 0) for seed in seeds) or len(set(seeds)) != len(seeds):
        raise InputError(f"seeds must be one or more different integers >= 0, not {seeds!r}")
    for option in ("directory", "seed"):
        if options.get(option) is not None:
            raise InputError(f"{option}={options[option]!r}: there is a run for each of the seeds, leave it out")

    # Train one run after another; failures are reported when all have ended.
    base = recipe_of(recipe)
    done, failed = [], {}
    for seed in seeds:
        try:
            done.append(train(base, **{**options, "seed": seed, **_own_callbacks(options)}))
        except RunFailed as error:
            failed[seed] = str(error)
    if failed:
        seed, reason = next(iter(failed.items()))
        raise RunFailed(f"{len(failed)} of {len(seeds)} seeds failed ({', '.join(map(str, failed))}); {seed}: {reason}")
    return SeedRuns(done)
