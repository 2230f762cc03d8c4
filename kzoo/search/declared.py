"""The whole space of a search: checked against its recipe, and ordered by conditions (no Keras)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any

from kzoo.errors import InputError, unknown
from kzoo.models.registry import builder_defaults, builder_options, get_variant, takes
from kzoo.recipes.contradictions import check_contradictions
from kzoo.recipes.nested import value_of
from kzoo.recipes.schema import Recipe
from kzoo.search.space import Choice, Entry, IntRange, Key, Range

NOT_VARIED = ("name", "schema_version")
SETTINGS = ("optimizer", "schedule", "split", "early_stop")
"""Fields whose values have fields of their own; `Space` fills in those that a choice leaves out."""


class Space(Mapping[str, Entry]):
    """Fields of a recipe and their possible values.

    Attributes:
        recipe: the recipe that the fields belong to; a field that a condition switches off keeps this recipe's value.
        options: values of model options that the recipe does not set: its variant's and, after `read_builder`, the
            builder's defaults.
    """

    def __init__(self, entries: Mapping[str, Entry], recipe: Recipe, *, may_be_empty: bool = False) -> None:
        """Check `entries` against `recipe`.

        Raises:
            InputError: a field is unknown, the recipe refuses a value, a condition is on a field that is not varied, or
                there is nothing to vary.
        """
        # Names and entries
        if not isinstance(entries, Mapping) or not (entries or may_be_empty):
            raise InputError(f"space must map recipe fields to Choice, Range or IntRange, not {entries!r}")
        self.recipe, self._recipe_fields = recipe, plain(recipe)
        self.options = dict(get_variant(recipe.model).options)
        for name, entry in entries.items():
            if not isinstance(name, str) or name in NOT_VARIED:
                raise InputError(f"unknown recipe field in the space: {name!r}")
            if not isinstance(entry, Entry):
                raise InputError(f"space entry {name!r} must be a Choice, Range or IntRange, not {entry!r}")

        # A field comes after the fields that its conditions name.
        self._entries = {name: self._settled(name, entry) for name, entry in entries.items()}
        self._conditions = {name: self._read_conditions(name, entry) for name, entry in entries.items()}
        order: dict[str, Entry] = {}
        for name in self._entries:
            self._add(name, order, ())
        self._entries = order

        # The recipe must accept the extreme values of each field.
        for name, entry in self._entries.items():
            around = self._switched_on(name)
            for value in entry.extremes():
                self._fields(name, {**around, name: value})

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def declare(self, hp: Any, *, grid: bool = False) -> None:
        """Declare all entries to keras-tuner's `hp`; defaults are the recipe's; with `grid`, ranges become choices."""
        parents = {parent for conditions in self._conditions.values() for parent in conditions}
        for name, entry in self._entries.items():
            with contextlib.ExitStack() as scopes:
                for parent, keys in self._conditions[name].items():
                    scopes.enter_context(hp.conditional_scope(parent, keys))
                entry.declare(hp, name, self._default(name), grid, exact=name in parents)

    def read_builder(self) -> None:
        """Check the model options and read the builder's defaults; unlike the other checks, this loads Keras.

        Raises:
            InputError: no builder takes an option that is varied; the message suggests the nearest option.
        """
        models = sorted(self["model"].extremes() if "model" in self else [self.recipe.model])
        for option in (name.split(".")[1] for name in self if name.startswith("model_options.")):
            if not any(takes(model, option) for model in models):
                kind = f"option of model {'/'.join(models)!r} in the space:"
                raise unknown(kind, option, builder_options(models[0]) or [])
        self.options = builder_defaults(self.recipe.model)

    def changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The changes to the recipe that keras-tuner's values mean; names outside the space are ignored."""
        return {name: self._entries[name].read(key) for name, key in self.keys_of(values).items()}

    def keys_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """keras-tuner's values of the active fields, with the numbers of ranges rounded."""
        active: dict[str, Any] = {}
        for name, entry in self._entries.items():
            if values.get(name) is not None and self._active(name, active):
                active[name] = entry.find(values[name]) if isinstance(entry, Choice) else entry.read(values[name])
        return active

    def baseline(self) -> dict[str, Any] | None:
        """The recipe's values in keras-tuner's form; None if the space does not contain them."""
        values: dict[str, Any] = {}
        for name in self._entries:
            if self._active(name, values):
                values[name] = self._default(name)
        return None if None in values.values() else values

    def without(self, names: set[str], recipe: Recipe) -> dict[str, Entry]:
        """The entries that remain when `recipe` fixes the fields `names`; conditions on these fields are resolved.

        An entry that a condition switches off is dropped, and so are the entries that depend on it.
        """
        left: dict[str, Entry] = {}
        fields = plain(recipe)
        for name, entry in self._entries.items():  # after the entries that it depends on
            conditions = self._conditions[name]
            settled = conditions.keys() & names
            met = all(self._key(field, value_of(fields, field)) in conditions[field] for field in settled)
            if name not in names and met and conditions.keys() - settled <= left.keys():
                left[name] = copy.copy(entry)
                left[name].when = {field: wanted for field, wanted in entry.when.items() if field not in names}
        return left

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {name: entry.to_dict() for name, entry in self._entries.items()}

    def _settled(self, name: str, entry: Entry) -> Entry:
        """A choice of settings with all their fields: ``"adam"`` becomes Adam with its defaults."""
        if name not in SETTINGS or not isinstance(entry, Choice):
            return entry
        settled = copy.copy(entry)
        settled.values = tuple(self._fields(name, {name: value})[name] for value in entry.values)
        return settled

    def _fields(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The recipe's fields after `changes`; an error names the entry."""
        try:
            check_contradictions(changed := self.recipe.override(**changes).resolved())
            return plain(changed)
        except InputError as error:
            raise InputError(f"space entry {name!r}: {error}") from None

    def _key(self, name: str, value: Any) -> Key | None:
        """keras-tuner's key of a field's value; None if the entry does not have the value."""
        return self._entries[name].key_of(value)

    def _default(self, name: str) -> Key | None:
        """The key of the recipe's value."""
        value = value_of(self._recipe_fields, name)
        return self._key(name, self.options.get(name.removeprefix("model_options.")) if value is None else value)

    def _active(self, name: str, values: Mapping[str, Any]) -> bool:
        return all(values.get(parent) in keys for parent, keys in self._conditions[name].items())

    def _read_conditions(self, name: str, entry: Entry) -> dict[str, list[Key]]:
        """The fields that an entry depends on, with the keys for which it is active."""
        conditions = {}
        for field, wanted in entry.when.items():
            if field not in self._entries:
                raise unknown(f"field in `when` of space entry {name!r}:", field, self._entries)
            try:
                conditions[field] = _wanted_keys(self._entries[field], wanted)
            except InputError as error:
                raise InputError(f"`when` of space entry {name!r} on {field!r}: {error}") from None
        return conditions

    def _add(self, name: str, order: dict[str, Entry], path: tuple[str, ...]) -> None:
        """Add an entry to an order, after the entries that it depends on."""
        if name in path:
            raise InputError(f"conditions of the space are circular: {' -> '.join((*path, name))}")
        for parent in self._conditions[name]:
            self._add(parent, order, (*path, name))
        order.setdefault(name, self._entries[name])

    def _switched_on(self, name: str) -> dict[str, Any]:
        """Values of other fields for which a field is active."""
        values: dict[str, Any] = {}
        for parent, keys in self._conditions[name].items():
            values |= self._switched_on(parent)
            values[parent] = self._entries[parent].read(keys[0])
        return values


def plain(recipe: Recipe) -> dict[str, Any]:
    """A resolved recipe as plain data."""
    return recipe.resolved().model_dump(mode="json")


def _wanted_keys(entry: Entry, wanted: Any) -> list[Key]:
    """The keys of a condition's value or values; a list may also be a single value."""
    keys = None
    if isinstance(wanted, list | tuple | set):
        try:
            keys = [entry.find(value) for value in wanted]
        except InputError:
            if isinstance(wanted, set) or not wanted:
                raise
    if keys is None:
        keys = [entry.find(list(wanted) if isinstance(wanted, tuple) else wanted)]
    if isinstance(entry, IntRange) or not isinstance(entry, Range) or entry.step is not None:
        return keys
    if not set(keys) & set(entry.grid()):  # which the range has if the search is a grid
        raise InputError(f"no trial would get exactly {keys[0]!r} from {entry!r}: use a Choice, or a range with a step")
    return keys


def from_dict(data: Mapping[str, Any]) -> dict[str, Entry]:
    """The entries that `Space.to_dict` returned."""
    entries: dict[str, Entry] = {}
    for name, fields in data.items():
        options = {key: value for key, value in fields.items() if key not in ("kind", "keys", "values")}
        if fields["kind"] == "choice":
            labels = fields["keys"] if isinstance(fields["keys"][0], str) else None
            entries[name] = Choice(*fields["values"], labels=labels, **options)
        else:
            entries[name] = (IntRange if fields["kind"] == IntRange.kind else Range)(**options)
    return entries
