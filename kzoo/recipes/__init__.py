"""Recipes by name: the built-in ones, those that plugins register, and each model's default recipe."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

from kzoo.errors import InputError
from kzoo.files import user_path
from kzoo.models.registry import REGISTRY as MODELS
from kzoo.models.registry import get_variant, list_models
from kzoo.recipes.schema import Recipe
from kzoo.registry import Registry

MODULES = ("vgg38", "vgg_ade", "lenet", "resnet", "densenet", "fully_connected", "fast")

__all__ = ["Recipe", "get_recipe", "list_recipes", "recipe", "register_recipe"]


def _built_in() -> Iterator[Recipe]:
    for name in MODULES:
        yield from importlib.import_module(f"kzoo.recipes.{name}").RECIPES


REGISTRY = Registry("recipe", _built_in, hint="(kzoo list --recipes shows all recipes)")


def register_recipe(recipe: Recipe) -> Recipe:
    """Make a recipe available by its name, which must contain a slash and be new.

    Returns:
        The recipe, so that one statement can define and register it.

    Raises:
        InputError: the name has no slash, or another recipe has it.

    Example:
        >>> kzoo.register_recipe(kzoo.get_recipe("rescue/bn").derive("mine/short", epochs=5)).epochs
        5
    """
    if "/" not in recipe.name:
        raise InputError(
            f"name of a recipe must be 'family/name', not {recipe.name!r}: names without a slash are models"
        )
    return REGISTRY.add(recipe)


def list_recipes(pattern: str = "*") -> list[str]:
    """Names of the recipes that match a wildcard, in the order of the reports, with those of plugins last.

    Example:
        >>> kzoo.list_recipes("rescue/*")[:2]
        ['rescue/vgg08', 'rescue/vgg38']
    """
    return REGISTRY.names(pattern)


def _as_path(name: str) -> str:
    """A hint for the user who gave the path of a run or of a folder of images as a recipe."""
    path = user_path(name)
    if not name or not path.is_dir():
        return ""
    if (path / "recipe.json").is_file():
        return f"(it is a run: kzoo resume {name}; its recipe is {path / 'recipe.json'})"
    return f"(a folder of images goes with --dataset folder:{name})"


def get_recipe(name: str | Path) -> Recipe:
    """The recipe that a name or path stands for.

    Args:
        name: a recipe's name (``"rescue/vgg38"``), a model's name for its family's default recipe, a custom
            model as ``module:function`` for a recipe with default settings, or the path of a JSON file.

    Raises:
        InputError: the name is unknown (the message suggests the nearest one), or a model's default recipe is missing.

    Example:
        >>> kzoo.get_recipe("rescue/bn").epochs
        100
    """
    name = str(name)
    if name.endswith(".json"):
        return Recipe.from_file(name)
    known = REGISTRY.find(name)
    if known is not None:
        return known

    # The default recipe of a model.
    family, _, model = name.partition("/")
    if family == "default" and MODELS.find(model) is not None:
        name = model  # the model's name, from which the default recipe is made
    if ":" not in name and ("/" in name or MODELS.find(name) is None):
        return REGISTRY.get(name, others=list_models(), hint=_as_path(name))
    default = get_variant(name).recipe
    if default is None:
        return Recipe(f"default/{name}", model=name)
    base = REGISTRY.find(default)
    if base is None:
        raise InputError(
            f"model {name!r} has the default recipe {default!r}, which does not exist: register it with "
            "kzoo.register_recipe, or register the model with recipe=None"
        )
    # The reports' recipes keep ties="first" so that their results stay the same; other runs do not need it.
    return base.derive(f"default/{name}", model=name, model_options={}, ties="loss")


recipe = get_recipe
"""`kzoo.recipe`, the short name for users."""
