"""Are a search's finished trials still of what its recipe names? Only what is custom is read or built again."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzoo.recipes.schema import Recipe
from kzoo.search.records import RUN, Outcome
from kzoo.search.search import Search
from kzoo.training.named import names_all, names_data, names_weights
from kzoo.training.records import read_result

if TYPE_CHECKING:
    from kzoo.search.hypermodel import RecipeHyperModel


def check_trials(
    search: Search, directory: Path, oracle: Any, outcomes: Mapping[str, Outcome], hyper_model: RecipeHyperModel
) -> None:
    """Refuse to go on with a search, or to return its result, with other data or another model than its trials had.

    One completed trial of each model and dataset is looked at.

    Args:
        search: what is asked for.
        directory: of the search.
        oracle: has the trials' hyperparameters.
        outcomes: of the trials that are over, by number.
        hyper_model: the search's; gives data and models as they are now.

    Raises:
        InputError: custom data, a custom model, its code or initial weights have changed since.
    """
    # The last trial of each kind; a model function is one kind, whatever it calls its models.
    chosen: dict[tuple[str, str], tuple[str, Recipe]] = {}
    for number, outcome in outcomes.items():
        run = directory / f"trial_{number}" / RUN
        if outcome.status == "completed" and (run / "result.json").exists():
            recipe = Recipe.from_file(run / "recipe.json")
            chosen["" if search.model else recipe.model, recipe.dataset] = number, recipe

    for number, recipe in chosen.values():
        if search.model is None and names_all(recipe):
            continue

        from keras_tuner import HyperParameters

        from kzoo.training.asked_again import check_finished
        from kzoo.training.directory import check_same_recipe
        from kzoo.training.train import identify

        # What the recipe does not name, the search's model function builds, from the trial's values.
        run, make = directory / f"trial_{number}" / RUN, None
        if search.model is not None:
            values = HyperParameters.from_config(oracle.trials[number].hyperparameters.get_config())
            make = functools.partial(hyper_model.build, values)
        elif not names_weights(recipe):
            check_same_recipe(run, *identify(recipe), None)
        data = None if names_data(recipe) else hyper_model.data_of(recipe)
        record = read_result(run / "result.json")
        check_finished(run, recipe, record, None, hyper_model.data_dir, None, data, make=make)
