"""A search's space as a whole: checked against its recipe, in an order in which conditions come first (no Keras)."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from kzoo.data.splits import Split
from kzoo.errors import InputError, unknown
from kzoo.models.registry import get_variant
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import AnyOptimizer, AnySchedule, EarlyStop
from kzoo.search.space import Choice, Entry, IntRange, Key, Range

NOT_VARIED = ("name", "schema_version")
PARTS: dict[str, tuple[type, ...]] = {
    "optimizer": get_args(AnyOptimizer),
    "schedule": get_args(AnySchedule),
    "split": (Split,),
    "early_stop": (EarlyStop,),
}
"""Fields that have entries, and the settings that they may hold."""


class Space(Mapping[str, Entry]):
    """Fields of a recipe and what each may be.

    Attributes:
        recipe: what the fields belong to; it gives the values of those that a condition switches off.
        options: values of model options that the recipe does not name: its model's, and once Keras is loaded its
            builder's defaults too.
    """

    def __init__(self, entries: Mapping[str, Entry], recipe: Recipe, *, may_be_empty: bool = False) -> None:
        """Check `entries` against `recipe`.

        Raises:
            InputError: a field that no recipe has, a value that the recipe refuses, a condition on a field that is
                not varied, or nothing to vary.
        """
        if not isinstance(entries, Mapping) or not (entries or may_be_empty):
            raise InputError(f"space must map recipe fields to Choice, Range or IntRange, not {entries!r}")
        self.recipe = recipe
        self.options = dict(get_variant(recipe.model).options)
        for name, entry in entries.items():
            _check_name(name)
            if not isinstance(entry, Entry):
                raise InputError(f"space entry {name!r} must be a Choice, Range or IntRange, not {entry!r}")
        self._entries = {name: self._settled(name, entry) for name, entry in entries.items()}
        self._conditions = {name: self._read_conditions(name, entry) for name, entry in entries.items()}
        order: dict[str, Entry] = {}
        for name in self._entries:
            self._add(name, order, ())
        self._entries = order
        for name, entry in self._entries.items():
            self._check_values(name, entry)

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def declare(self, hp: Any, *, grid: bool = False) -> None:
        """Make all entries known to keras-tuner's `hp`; the recipe's values are the defaults.

        Args:
            hp: keras-tuner's hyper-parameters.
            grid: give ranges as choices between the values of their grids.
        """
        for name, entry in self._entries.items():
            with contextlib.ExitStack() as scopes:
                for parent, keys in self._conditions[name].items():
                    scopes.enter_context(hp.conditional_scope(parent, keys))
                entry.declare(hp, name, self._default(name), grid)

    def changes(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """What to override in the recipe, from keras-tuner's values; names that are not the space's are left out."""
        return {name: self._entries[name].read(value) for name, value in self.keys_of(values).items()}

    def keys_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keras-tuner's values of the space's active fields, as this space holds them."""
        active: dict[str, Any] = {}
        for name, entry in self._entries.items():
            if values.get(name) is None or not self._active(name, active):
                continue
            active[name] = entry.find(values[name]) if isinstance(entry, Choice) else entry.read(values[name])
        return active

    def lasting(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keras-tuner's values with the numbers of ranges rounded."""
        ranges = {name: entry for name, entry in self._entries.items() if isinstance(entry, Range)}
        return {name: ranges[name].read(value) if name in ranges else value for name, value in values.items()}

    def baseline(self) -> dict[str, Any] | None:
        """The recipe's values as keras-tuner holds them; None where the space does not contain them."""
        values: dict[str, Any] = {}
        for name in self._entries:
            if self._active(name, values):
                values[name] = self._default(name)
        return None if None in values.values() else values

    def without(self, names: set[str], recipe: Recipe) -> dict[str, Entry]:
        """Entries that are left when fields get fixed values, those of `recipe`: conditions on them are settled."""
        left: dict[str, Entry] = {}
        for name, entry in self._entries.items():
            if name in names or any(name.startswith(f"{other}.") for other in names):
                continue
            kept = {}
            for field, wanted in entry.when.items():
                if field not in names:
                    kept[field] = wanted
                elif not _holds(self._entries[field], wanted, value_of(recipe, field)):
                    break
            else:
                left[name] = copy.copy(entry)
                left[name].when = kept
        return left

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {name: entry.to_dict() for name, entry in self._entries.items()}

    def _settled(self, name: str, entry: Entry) -> Entry:
        """A choice of settings with all their entries: ``"adam"`` is what the recipe makes of it."""
        if name not in PARTS or not isinstance(entry, Choice):
            return entry
        try:
            values = [value_of(self.recipe.override(**{name: value}), name) for value in entry.values]
        except InputError as error:
            raise InputError(f"space entry {name!r}: {error}") from None
        settled = copy.copy(entry)
        settled.values = tuple(values)
        return settled

    def _default(self, name: str) -> Any:
        """The key of the recipe's value; None where the entry does not have it."""
        value = value_of(self.recipe, name)
        if value is None:
            value = self.options.get(name.removeprefix("model_options."))
        with contextlib.suppress(InputError):
            return self._entries[name].find(value)
        return None

    def _active(self, name: str, values: Mapping[str, Any]) -> bool:
        return all(values.get(parent) in keys for parent, keys in self._conditions[name].items())

    def _read_conditions(self, name: str, entry: Entry) -> dict[str, list[Key]]:
        """The fields that an entry depends on, with the keys at which it is active."""
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
        """Add an entry to an order, after those that it depends on."""
        if name in path:
            raise InputError(f"conditions of the space run in a circle: {' -> '.join((*path, name))}")
        for parent in self._conditions[name]:
            self._add(parent, order, (*path, name))
        order.setdefault(name, self._entries[name])

    def _check_values(self, name: str, entry: Entry) -> None:
        around = self._switched_on(name)
        for value in entry.extremes():
            try:
                self.recipe.override(**{**around, name: value}).resolved()
            except InputError as error:
                raise InputError(f"space entry {name!r}: {error}") from None

    def _switched_on(self, name: str) -> dict[str, Any]:
        """Values of other fields with which a field is active."""
        values: dict[str, Any] = {}
        for parent, keys in self._conditions[name].items():
            values |= self._switched_on(parent)
            values[parent] = self._entries[parent].read(keys[0])
        return values


def value_of(recipe: Recipe, name: str) -> Any:
    """A recipe's value of a dotted field, plain data; None where it has no such entry."""
    value: Any = recipe.resolved().model_dump(mode="json")
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _check_name(name: Any) -> None:
    if not isinstance(name, str):
        raise InputError(f"space must map names of recipe fields, not {name!r}")
    top, _, rest = name.partition(".")
    fields = [field for field in Recipe.model_fields if field not in NOT_VARIED]
    if top not in fields:
        raise unknown("recipe field in the space:", top, fields)
    if rest and top in PARTS:
        entries = {field for setting in PARTS[top] for field in setting.model_fields}  # type: ignore[attr-defined]
        if rest not in entries:
            raise unknown(f"entry of {top!r} in the space:", rest, entries)


def _wanted_keys(entry: Entry, wanted: Any) -> list[Any]:
    if isinstance(wanted, list | tuple | set):
        try:
            return [entry.find(value) for value in wanted]
        except InputError:
            if isinstance(wanted, set) or not wanted:
                raise
    return [entry.find(list(wanted) if isinstance(wanted, tuple) else wanted)]


def _holds(entry: Entry, wanted: Any, value: Any) -> bool:
    try:
        return entry.find(value) in _wanted_keys(entry, wanted)
    except InputError:
        return False


def from_dict(data: Mapping[str, Any]) -> dict[str, Entry]:
    """The entries that `Space.to_dict` gave."""
    entries: dict[str, Entry] = {}
    for name, fields in data.items():
        if fields["kind"] == "choice":
            labels = [str(number) for number in range(len(fields["keys"]))]
            choice = Choice(*fields["values"], labels=labels, when=fields.get("when"))
            choice.keys = tuple(fields["keys"])
            entries[name] = choice
        else:
            options = {key: value for key, value in fields.items() if key != "kind"}
            entries[name] = (IntRange if fields["kind"] == IntRange.kind else Range)(**options)
    return entries
