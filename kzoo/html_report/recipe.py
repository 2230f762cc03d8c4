"""Tables of a recipe: the fields that differ from the default of its model's family, and all fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kzoo.errors import InputError
from kzoo.html_report.document import Table
from kzoo.models.registry import get_variant
from kzoo.recipes import get_recipe
from kzoo.recipes.nested import flat, flat_recipe
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import write
from kzoo.studies.run_comparison import whole

HIDDEN = ("name", "schema_version")


def base_of(fields: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the resolved fields of the default recipe of a model's family.

    For a model without such a recipe, for example a custom one, kzoo's defaults are used.
    """
    model = str(fields["model"])
    try:
        name = None if ":" in model else get_variant(model).recipe
        if name is not None:
            base = get_recipe(name).resolved()
            return f"{base.name}, the default of the model’s family", base.model_dump(mode="json")
    except InputError:
        pass  # a model of a plugin that is not installed here
    base = Recipe("default/own", model="vgg08", dataset="digits").resolved()
    return "kzoo’s defaults", {**base.model_dump(mode="json"), "model": model, "dataset": fields["dataset"]}


def changes_table(fields: Mapping[str, Any]) -> Table:
    """The fields in which a recipe differs from the default of its model's family."""
    name, base = base_of(fields)
    ours, theirs = flat_recipe(whole(fields)), flat_recipe(base)
    rows = [
        (key, write(ours[key]) if key in ours else "–", write(theirs[key]) if key in theirs else "–")
        for key in dict.fromkeys([*ours, *theirs])
        if key not in HIDDEN and ours.get(key, "") != theirs.get(key, "")
    ]
    caption = f"Differs from {name}" if rows else f"The same as {name}."
    return Table(caption, ("field", "this run", "default"), tuple(rows))


def recipe_table(fields: Mapping[str, Any]) -> Table:
    """All fields."""
    rows = tuple((key, write(value)) for key, value in flat(fields).items() if key not in HIDDEN)
    return Table("All fields of the recipe", ("field", "value"), rows)
