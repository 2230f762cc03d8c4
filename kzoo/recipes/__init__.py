"""Recipes by name: those of the five reports, those a plugin registered, and each model's default one."""

from __future__ import annotations

import fnmatch
import functools
import importlib
from pathlib import Path

from kzoo import plugins
from kzoo.errors import InputError, unknown
from kzoo.models.registry import list_models, variant
from kzoo.recipes.schema import Recipe

MODULES = ("vgg38", "vgg_ade", "lenet", "resnet", "densenet", "fully_connected", "fast")

_registered: dict[str, Recipe] = {}

__all__ = ["Recipe", "list_recipes", "recipe", "register_recipe"]


@functools.cache
def _built_in() -> dict[str, Recipe]:
    modules = [importlib.import_module(f"kzoo.recipes.{name}") for name in MODULES]
    return {row.name: row for module in modules for row in module.RECIPES}


def register_recipe(row: Recipe) -> Recipe:
    """Make a recipe available by its name, which must contain a slash and be new.

    Returns:
        The recipe, so that a module can register where it defines.
    """
    if "/" not in row.name:
        raise InputError(f"name of a recipe must be 'family/name', not {row.name!r}: names without a slash are models")
    known = _registered.get(row.name) or _built_in().get(row.name)
    if known is not None and known != row:
        raise InputError(f"recipe name {row.name!r} is taken by another recipe")
    _registered[row.name] = row
    return row


def list_recipes(pattern: str = "*") -> list[str]:
    """Names of the recipes that match a wildcard, in the reports' order, plugins' last."""
    plugins.load()
    return fnmatch.filter([*_built_in(), *(name for name in _registered if name not in _built_in())], pattern)


def recipe(name: str) -> Recipe:
    """The recipe that a name stands for.

    Args:
        name: a recipe's name (``"rescue/vgg38"``), a model's name for its family's default recipe, a model of one's
            own as ``module:function`` for a recipe of defaults, or the path of a JSON file.

    Raises:
        InputError: there is none; the message suggests the nearest name.
    """
    plugins.load()
    if name.endswith(".json"):
        return Recipe.from_file(Path(name))
    rows = _built_in()
    row = rows.get(name) or _registered.get(name)
    if row is not None:
        return row
    if ":" not in name and ("/" in name or name not in list_models()):
        folder = f"(a folder of images goes with --dataset folder:{name})" if Path(name).is_dir() else ""
        raise unknown("recipe", name, [*rows, *_registered, *list_models()], hint=folder)
    default = variant(name).recipe
    if default is None:
        return Recipe(f"default/{name}", model=name)
    base = rows.get(default) or _registered[default]
    # What the reports' recipes keep only for the sake of their figures is no default for other runs.
    return base.derive(f"default/{name}", model=name, model_options={}, ties="loss")
