"""Trains a search's best recipe and its default with other seeds, to tell whether the winner is better or lucky."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.search.results import Confirmation, SearchResult, read_search, write_record
from kzoo.studies import metrics
from kzoo.studies.margin import two_errors

CONFIRMED = "confirmed"


def confirm(
    directory: str | Path,
    seeds: Sequence[int],
    *,
    data_dir: str | Path | None = None,
    progress: Any = True,
) -> SearchResult:
    """Train the best trial's recipe and the search's recipe with each seed; add the scores to the search's record.

    Runs that exist are not trained again. Unlike trials, these runs read the test part.

    Args:
        directory: directory of a search that has ended, not a copied record.
        seeds: seeds other than the recipe's, which the trials trained with.
        data_dir, progress: as for `kzoo.train`.

    Raises:
        InputError: the directory is not a search's, the search has not ended, no trial was completed, or the seeds are
            not different from each other and from the recipe's.
        RunFailed: one of the runs failed.
    """
    from kzoo.training.train import train

    if Path(directory).is_file():
        raise InputError(f"{str(directory)!r} is a record: other seeds are trained in the directory of its search")
    result = read_search(directory)
    if result.status == "running":
        raise InputError(f"search {str(directory)!r} has not ended: kzoo search FILE resumes it")
    recipes = {"best": result.recipe(), "recipe": Recipe(**result.record.search["recipe"])}
    if (used := recipes["recipe"].seed) in seeds or len(set(seeds)) < len(seeds) or not seeds:
        raise InputError(f"seeds must be different, and none the recipe's own {used}, not {list(seeds)}")

    # Train both recipes with each seed.
    confirmed = []
    for seed in seeds:
        for which, recipe in recipes.items():
            recipe = recipe.override(seed=seed)
            path = _place(result.directory / CONFIRMED / f"{which}-{seed}", recipe)
            run = train(recipe, directory=path, data_dir=data_dir, progress=progress).result
            fields = {name: getattr(run, name) for name in ("epochs", "parameters", "seconds")}
            for part, scores in (("val", run.best), ("test", run.test)):
                fields[f"{part}_accuracy"] = scores and scores.accuracy
            confirmed.append(Confirmation(which=which, seed=seed, **fields))

    # Add the scores to the record as it is now: other processes may have confirmed other seeds, or resumed the search.
    now = read_search(result.directory)
    if now.status == "running" or now.best.number != result.best.number:
        raise InputError(f"search {str(directory)!r} has been resumed since: confirm its best trial when it has ended")
    earlier = [run for run in now.record.confirmed if run.seed not in seeds]
    record = now.record.model_copy(update={"confirmed": [*earlier, *confirmed]})
    write_record(result.directory, record)
    return SearchResult(result.directory, record)


def _place(directory: Path, recipe: Recipe) -> Path:
    """A directory for a run: `directory`, unless it contains an earlier winner's run."""
    recorded = directory / "recipe.json"
    if not recorded.exists() or Recipe.from_file(recorded).digest() == recipe.digest():
        return directory
    return directory.with_name(f"{directory.name}-{recipe.digest()}")


def verdict(result: SearchResult) -> str:
    """The result of the other seeds, in a sentence; empty if there are none.

    It compares test accuracies if all of these runs have one, otherwise validation accuracies. The difference counts if
    it is larger than twice its standard error, as in studies.
    """
    runs = result.record.confirmed
    if not runs:
        return ""
    measured = [part for part in ("test", "val") if all(_accuracy(run, part) is not None for run in runs)]
    if not measured:
        return "The other seeds decide nothing: their runs have no test or validation accuracy in common."
    best, default = (
        [accuracy for run in runs if run.which == which and (accuracy := _accuracy(run, measured[0])) is not None]
        for which in ("best", "recipe")
    )
    difference = statistics.fmean(best) - statistics.fmean(default)
    part = "" if measured[0] == "test" else "validation accuracy "
    text = f"{part}{_mean(best)} against {_mean(default)} with the values of the recipe, on {len(best)} other seeds"
    margin = two_errors(best, default)
    if margin is None:
        return f"{text}: one seed decides nothing."
    if abs(difference) <= max(margin, 1e-12):
        return f"{text}: the difference of {difference:+.4f} is within twice its standard error, {margin:.4f}."
    word = "confirmed" if difference > 0 else "refuted"
    return f"{text}: {word}, by {difference:+.4f} (twice its standard error: {margin:.4f})."


def _accuracy(run: Confirmation, part: str) -> float | None:
    return run.test_accuracy if part == "test" else run.val_accuracy


def _mean(values: list[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return metrics.write("test_accuracy", statistics.fmean(values), spread)
