"""Whether a name in a recipe identifies its content, as the zoo's names do, or the content may change (no Keras)."""

from __future__ import annotations

from kzoo.data.datasets import is_built_in
from kzoo.data.in_memory import PREFIX, held
from kzoo.models.registry import get_variant, list_models, names_set
from kzoo.recipes.schema import Recipe


def names_model(recipe: Recipe) -> bool:
    """Whether the name of a recipe's model identifies the model: the zoo's does, a custom builder may change."""
    if recipe.model.startswith("keras:"):
        return False
    builder = get_variant(recipe.model).builder
    return isinstance(builder, str) and builder.startswith("kzoo.")


def names_data(recipe: Recipe) -> bool:
    """Whether the name of a recipe's dataset identifies its images: a path or a custom loader does not.

    Arrays given in Python are named by their fingerprint, which does not include the names of their classes. They are
    compared as long as this process has them.
    """
    return is_built_in(recipe.dataset) or (recipe.dataset.startswith(PREFIX) and held(recipe.dataset) is None)


def names_weights(recipe: Recipe) -> bool:
    """Whether the name of a recipe's initial weights identifies them: a set's ``MODEL:TAG`` does, a path may change."""
    source = recipe.initial_weights
    return source is None or (names_set(source) and source.partition(":")[0] in list_models())


def names_all(recipe: Recipe) -> bool:
    """Whether the names in a recipe identify model, data and initial weights, and it has no custom functions."""
    return names_data(recipe) and names_model(recipe) and names_weights(recipe) and not recipe.custom_parts
