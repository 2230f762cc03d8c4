"""Which entry of a study a record belongs to, and at which budget (no Keras).

A study that is run with ``--set`` makes records whose recipes differ from those of its entries. A record belongs to an
entry if changing some fields of the entry's recipe gives the record's recipe; these fields are the record's budget. If
fields other than `FREE` differ, the record's name must also refer to the entry's recipe.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from kzoo.data.augmentation.spec import AnyAugmentation
from kzoo.errors import InputError
from kzoo.models.registry import get_variant
from kzoo.recipes import get_recipe
from kzoo.recipes.nested import flat_recipe
from kzoo.recipes.schema import TIED_TO_DATASET, Recipe
from kzoo.recipes.text import write
from kzoo.studies.study import Entry, Study

FULL = "full"
FREE = ("epochs", "train_size", "dataset", "image_size", "precision")
LENGTH = ("epochs", "train_size", "split", "early_stop")
"""Fields that change how long a run trains, and on how many images, but neither its network nor its steps."""
FIXED = ("name", "schema_version", "model", "seed")
ORDER = ("epochs", "train_size", "dataset", "image_size", "batch_size")
_ABSENT = "<absent>"


def leaves(recipe: Recipe) -> dict[str, Any]:
    """A resolved recipe as ``{"optimizer.learning_rate": 0.001, ...}``; equal for recipes with the same identity.

    Lists are leaves. A variant of a model is replaced by its builder and all of its options, as in the digest.
    """
    fields = recipe.resolved().model_dump(mode="json", exclude={"name", "schema_version"})
    if not recipe.model.startswith("keras:"):
        model = get_variant(recipe.model)
        if isinstance(model.builder, str):
            fields["model"] = model.builder
            fields["model_options"] = json.loads(json.dumps({**model.options, **recipe.model_options}))
    return flat_recipe(fields)


def only_length(fields: Iterable[str]) -> bool:
    """Whether fields, dotted for nested ones, are all of `LENGTH`."""
    return all(field.split(".")[0] in LENGTH for field in fields)


@functools.lru_cache(maxsize=4096)
def _frozen(recipe_json: str) -> Mapping[str, Any]:
    return leaves(Recipe.from_json(recipe_json))


def _leaves(recipe: Recipe) -> Mapping[str, Any]:
    return _frozen(recipe.to_json())


def varied(study: Study) -> frozenset[str]:
    """The fields that the study compares: those in which its entries differ.

    Fields that belong to a dataset (its split, for example) do not count if they differ only between datasets.
    """
    known = study.__dict__.get("_varied")
    if known is None:
        known = _varied(study)
        object.__setattr__(study, "_varied", known)  # needed for every record; a study does not change
    return known


def _varied(study: Study) -> frozenset[str]:
    recipes = [_leaves(entry.recipe) for entry in study.entries]

    def differ(key: str, among: list[Mapping[str, Any]]) -> bool:
        return len({_text(recipe.get(key, _ABSENT)) for recipe in among}) > 1

    varied = {key for key in {key for recipe in recipes for key in recipe} if differ(key, recipes)}
    if "dataset" in varied:
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for recipe in recipes:
            groups.setdefault(recipe["dataset"], []).append(recipe)
        tied = {key for key in varied if key.split(".")[0] in TIED_TO_DATASET}
        varied -= {key for key in tied if not any(differ(key, group) for group in groups.values())}
    return frozenset(varied)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def check_changes(study: Study, changes: Mapping[str, Any]) -> None:
    """Check that changes do not remove the differences that a study compares.

    Raises:
        InputError: a change is not allowed; the message names the field.
    """
    about = varied(study)
    for key in changes:
        if key == "seed":
            raise InputError("seed cannot be set for a study: give --seeds, e.g. --seeds 0,1,2")
        if key in FIXED:
            raise InputError(f"{key} cannot be set for a study: it distinguishes the study's runs")
        hit = sorted(path for path in about if path == key or path.startswith(f"{key}."))
        if hit and key != "dataset":
            raise InputError(f"study {study.name!r} compares values of {hit[0]}: it cannot be set for all of its runs")


def budgeted(study: Study, entry: Entry, changes: Mapping[str, Any]) -> Recipe:
    """An entry's recipe with `changes`, resolved; the fields that the study compares are kept.

    Another dataset also changes augmentation, normalization, split and classes, unless the study compares them.
    """
    kept = {}
    if changes.get("dataset", entry.recipe.dataset) != entry.recipe.dataset:
        about = {path.split(".")[0] for path in varied(study)}
        kept = {key: getattr(entry.recipe, key) for key in TIED_TO_DATASET if key in about}
    return entry.recipe.override(**{**kept, **changes}).resolved()


def budget(study: Study, entry: Entry, recipe: Recipe) -> dict[str, Any] | None:
    """The changes that turn an entry's recipe into another one, or None if no budget of the entry explains it.

    Returns:
        The value in `recipe` of each changed field (dotted for nested fields). Empty for the full budget. Seeds do not
        count, unless the study compares them.
    """
    # Another dataset does not change these fields, so recipes that differ in one need no closer look.
    about, there, full = varied(study), _leaves(recipe), _leaves(entry.recipe)
    decisive = {key for key in about | {"model"} if key.split(".")[0] not in (*TIED_TO_DATASET, "dataset")}
    if any(full.get(key, _ABSENT) != there.get(key, _ABSENT) for key in decisive):
        return None

    # What differs from the entry on the recipe's dataset is the budget.
    changes: dict[str, Any] = {}
    if recipe.dataset != entry.recipe.dataset:
        if "dataset" in about and recipe.dataset in {other.recipe.dataset for other in study.entries}:
            return None
        changes["dataset"] = recipe.dataset
    here = _leaves(budgeted(study, entry, changes)) if changes else full
    different = changed_fields(here, there)
    if "seed" not in about:
        different.pop("seed", None)
    if any(key == "model" or key in about for key in different):
        return None
    if not set(different) <= set(FREE) and not _same_base(study, entry, recipe.name):
        return None
    return {**changes, **different}


def changed_fields(here: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """The fields in which two recipes' `leaves` differ, with their values `there`."""
    keys = dict.fromkeys([*here, *there])
    return {key: there.get(key) for key in keys if here.get(key, _ABSENT) != there.get(key, _ABSENT)}


def _same_base(study: Study, entry: Entry, name: str) -> bool:
    """Whether a recipe's name refers to an entry's recipe, which may have another name."""
    if name == entry.recipe.name:
        return True
    try:
        base = get_recipe(name)
    except InputError:
        return False
    different = changed_fields(_leaves(entry.recipe), _leaves(base))
    if "seed" not in varied(study):
        different.pop("seed", None)
    return not different


def label(changes: Mapping[str, Any]) -> str:
    """A budget as one line, e.g. ``epochs=15, train_size=10000``; ``full`` without changes."""
    changes = _without_other_forms(changes)
    keys = sorted(changes, key=lambda key: (ORDER.index(key) if key in ORDER else len(ORDER), key))
    return ", ".join(f"{key}={_short(changes[key])}" for key in keys) or FULL


def _without_other_forms(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes without the form that a setting had before: None instead of its parts, or parts instead of None.

    A setting that is turned on leaves the key of the setting itself, one that is turned off those of its parts.
    """
    kept = dict(changes)
    for key in changes:
        parts = [part for part in changes if part.startswith(f"{key}.")]
        if parts and any(changes[part] is not None for part in parts):
            del kept[key]
        else:
            kept = {part: value for part, value in kept.items() if part not in parts}
    return kept


def _short(value: Any) -> str:
    if isinstance(value, list) and value:
        return "+".join(write(_without_defaults(item)) for item in value)
    return write(value)


def _without_defaults(item: Any) -> Any:
    """An augmentation without fields that have their default; anything else unchanged."""
    if not isinstance(item, dict):
        return item
    usual = _augmentations().get(item.get("kind"), {})
    return {key: value for key, value in item.items() if key == "kind" or usual.get(key, _ABSENT) != value}


@functools.cache
def _augmentations() -> dict[Any, dict[str, Any]]:
    """The fields of each kind of augmentation with their defaults."""
    return {kind().kind: kind().model_dump(mode="json") for kind in get_args(AnyAugmentation)}
