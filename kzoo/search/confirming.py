"""Is the winner of a search better, or the luckiest of many? Trained again with other seeds, beside the default."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kzoo.errors import InputError
from kzoo.files import write_text
from kzoo.recipes.schema import Recipe
from kzoo.search.records import RECORD, Confirmation
from kzoo.search.results import SearchResult, read_search

FOLDER = "confirmed"


def confirm(
    directory: str | Path,
    seeds: Sequence[int],
    *,
    data_dir: str | Path | None = None,
    progress: Any = True,
) -> SearchResult:
    """Train the best trial's recipe and the search's own with each seed, and keep the scores in the search's record.

    What was trained before is not trained again. These runs read the test part, which no trial does.

    Args:
        directory: of a search that is over.
        seeds: other than the search's own, on which the winner was chosen.
        data_dir, progress: as for `kzoo.train`.

    Raises:
        InputError: the search is not over, no trial was completed, or a seed is the recipe's own.
        RunFailed: one of the runs failed.
    """
    from kzoo.training.run import train

    result = read_search(directory)
    if result.status == "running":
        raise InputError(f"search {str(directory)!r} is not over: kzoo search FILE resumes it")
    base, best = Recipe(**result.record.search["recipe"]), result.recipe()
    if base.seed in seeds or len(set(seeds)) < len(seeds) or not seeds:
        raise InputError(f"seeds must be different ones, without the search's own {base.seed}, not {list(seeds)}")
    found = []
    for seed in seeds:
        for which, recipe in (("best", best), ("recipe", base)):
            place = result.directory / FOLDER / f"{which}-{seed}"
            run = train(recipe.override(seed=seed), directory=place, data_dir=data_dir, progress=progress).result
            scores = {part: getattr(run, part) and getattr(run, part).accuracy for part in ("best", "test")}
            found.append(
                Confirmation(
                    which=which, seed=seed, val_accuracy=scores["best"], test_accuracy=scores["test"],
                    epochs=run.epochs, parameters=run.parameters, seconds=run.seconds,
                )
            )  # fmt: skip
    record = result.record.model_copy(update={"confirmed": found})
    write_text(result.directory / RECORD, record.to_json())
    return SearchResult(result.directory, record)


def verdict(result: SearchResult) -> str:
    """What the other seeds say, in a sentence; empty where there are none.

    The difference counts if it is larger than twice its standard error, as in studies.
    """
    best, own = (scores(result, which) for which in ("best", "recipe"))
    if not best:
        return ""
    difference = statistics.fmean(best) - statistics.fmean(own)
    told = f"{_mean(best)} against {_mean(own)} of the recipe's own values on {len(best)} other seeds"
    if len(best) < 2:
        return f"{told}: one seed decides nothing."
    error = math.sqrt((statistics.variance(best) + statistics.variance(own)) / len(best))
    margin = max(2 * error, 1e-12)
    if abs(difference) <= margin:
        return f"{told}: the difference of {difference:+.4f} is within twice its standard error, {margin:.4f}."
    word = "confirmed" if difference > 0 else "refuted"
    return f"{told}: {word}, by {difference:+.4f} (twice its standard error: {margin:.4f})."


def scores(result: SearchResult, which: str) -> list[float]:
    """Test accuracies of the best trial's recipe (``"best"``) or the search's own (``"recipe"``), by seed."""
    rows = [row for row in result.record.confirmed if row.which == which]
    return [row.test_accuracy if row.test_accuracy is not None else row.val_accuracy or 0.0 for row in rows]


def _mean(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.4f}{spread}"
