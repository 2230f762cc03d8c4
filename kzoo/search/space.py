"""What a search varies: recipe fields, each with the values that it may take (no Keras).

keras-tuner's choices hold text or numbers of one type. Where a choice has other values (an optimizer, a list, None),
keras-tuner is given labels that stand for them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from kzoo.errors import InputError

Key = str | int | float
"""What keras-tuner holds: a label or a number."""
When = Mapping[str, Any]
DIGITS = 6  # keras-tuner's protocol holds 32-bit floats: so many significant digits survive it
SAMPLES = 10  # values of a range without a step in a grid, as in keras-tuner


def rounded(number: float) -> float:
    """A number as it survives keras-tuner's protocol."""
    return float(f"{number:.{DIGITS}g}")


class Choice:
    """One of some values.

    Attributes:
        values: what the recipe gets, plain data or settings such as ``Adam(1e-3)``.
        keys: what keras-tuner and tables show for them.
        when: other fields' values that this field depends on; see `kzoo.search.space`.
    """

    def __init__(self, *values: Any, labels: Sequence[str] | None = None, when: When | None = None) -> None:
        """Choose between `values`.

        Args:
            *values: anything that the field takes, no two alike.
            labels: text for each, shown instead of it; made from the values where they need one.
            when: ``{"field": value}``, or several values in a list or tuple: only then is this field varied, else it
                keeps the recipe's own value.

        Raises:
            InputError: no value, two alike, or not as many labels as values.
        """
        if not values:
            raise InputError("a choice needs at least one value")
        self.values = tuple(_plain(value) for value in values)
        if labels is not None and (len(labels) != len(values) or not all(isinstance(text, str) for text in labels)):
            raise InputError(f"a choice of {len(values)} values needs as many labels, text, not {list(labels)!r}")
        if labels is not None:
            self.keys: tuple[Key, ...] = tuple(labels)
        elif all(isinstance(value, str) for value in self.values) or _numbers(self.values):
            real = any(isinstance(value, float) for value in self.values)
            self.keys = tuple(float(value) if real else value for value in self.values)
        else:
            self.keys = tuple(_labels(self.values))
        if len(set(self.keys)) < len(self.keys):
            raise InputError(f"a choice has values that are alike: {list(self.keys)!r}; give them different labels")
        self.when = dict(when or {})

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.keys))})"

    def read(self, key: Any) -> Any:
        """The value that a key of keras-tuner stands for."""
        return self.values[self.keys.index(self.find(key))]

    def find(self, value: Any) -> Any:
        """The key of a value or label.

        Raises:
            InputError: the choice does not have it.
        """
        value = _plain(value)
        for key, own in zip(self.keys, self.values, strict=True):
            if _same(key, value) or _same(own, value):
                return key
        raise InputError(f"{value!r} is not one of {', '.join(map(repr, self.keys))}")

    def extremes(self) -> Iterable[Any]:
        """Values that must all be allowed for the whole to be."""
        return self.values

    def grid(self) -> list[Key]:
        """Keys of a grid."""
        return list(self.keys)

    def declare(self, hp: Any, name: str, default: Any = None, grid: bool = False) -> Any:
        """Make it known to keras-tuner's `hp` under a name."""
        return hp.Choice(name, list(self.keys), default=default)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {"kind": "choice", "keys": list(self.keys), "values": list(self.values), **_when(self.when)}


class _Between:
    """What both kinds of range share."""

    kind = ""
    low: Any
    high: Any

    def __init__(self, low: Any, high: Any, step: Any, log: bool, when: When | None) -> None:
        for what, number in (("low", low), ("high", high), ("step", step)):
            if number is None and what == "step":
                continue
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise InputError(f"{what} of a range must be a finite number, not {number!r}")
        if low >= high:
            raise InputError(f"a range must go from a lower to a higher number, not from {low!r} to {high!r}")
        if log and low <= 0:
            raise InputError(f"a range on a log scale must begin above 0, not at {low!r}")
        if step is not None and (step <= 1 if log else step <= 0):
            least = "above 1, for it multiplies" if log else "above 0"
            raise InputError(f"step of a range{' on a log scale' if log else ''} must be {least}, not {step!r}")
        self.low, self.high, self.step, self.log, self.when = low, high, step, log, dict(when or {})

    def __repr__(self) -> str:
        step = "" if self.step is None else f", step={self.step!r}"
        return f"{type(self).__name__}({self.low!r}, {self.high!r}{step}{', log=True' if self.log else ''})"

    def find(self, value: Any) -> Any:
        """The value itself, if it is in the range (with a step: on it)."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        near = 1e-6 * (self.high - self.low)
        if not number or not self.low - near <= value <= self.high + near:
            raise InputError(f"{value!r} is not in {self!r}")
        if self.step is not None and not any(math.isclose(value, float(own), rel_tol=1e-5) for own in self.grid()):
            raise InputError(f"{value!r} is not on the steps of {self!r}")
        return self.read(value)

    def read(self, key: Any) -> Any:
        """The recipe's value for a number of keras-tuner's."""
        raise NotImplementedError

    def extremes(self) -> Iterable[Any]:
        """Lowest and highest value."""
        return (self.read(self.low), self.read(self.high))

    def grid(self) -> list[Key]:
        """Values of a grid: every step, or ten where there is none."""
        if self.step is None:
            places = [i / (SAMPLES - 1) for i in range(SAMPLES)]
            if self.log:
                found = [self.low * (self.high / self.low) ** place for place in places]
            else:
                found = [self.low + (self.high - self.low) * place for place in places]
        else:
            found, number = [], self.low
            while number <= self.high * (1 + 1e-9):
                found.append(number)
                number = self.low * self.step ** len(found) if self.log else self.low + self.step * len(found)
        return list(dict.fromkeys(self.read(number) for number in found))

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        own = {"low": self.low, "high": self.high, "step": self.step, "log": self.log}
        return {"kind": self.kind, **own, **_when(self.when)}


class Range(_Between):
    """A real number between two, kept to six significant digits."""

    kind = "range"

    def __init__(
        self, low: float, high: float, step: float | None = None, log: bool = False, when: When | None = None
    ) -> None:
        """Choose a number from `low` to `high`, both included.

        Args:
            low: lowest value.
            high: highest value.
            step: distance between values, or with `log` the factor from one to the next.
            log: draw evenly on a logarithmic scale.
            when: as for `Choice`.

        Raises:
            InputError: the range is empty, or its step or scale makes no sense.
        """
        super().__init__(low, high, step, log, when)

    def read(self, key: Any) -> float:
        """The number, rounded."""
        return rounded(float(key))

    def declare(self, hp: Any, name: str, default: Any = None, grid: bool = False) -> Any:
        """Make it known to keras-tuner's `hp` under a name."""
        if grid:
            return hp.Choice(name, self.grid(), default=default if default in self.grid() else None)
        scale = "log" if self.log else "linear"
        return hp.Float(name, float(self.low), float(self.high), step=self.step, sampling=scale, default=default)


class IntRange(_Between):
    """A whole number between two."""

    kind = "int-range"

    def __init__(
        self, low: int, high: int, step: int | None = None, log: bool = False, when: When | None = None
    ) -> None:
        """Choose a whole number from `low` to `high`, both included; the rest as for `Range`."""
        for what, number in (("low", low), ("high", high), ("step", step)):
            if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
                raise InputError(f"{what} of an IntRange must be a whole number, not {number!r}")
        super().__init__(low, high, step if step or log else 1, log, when)

    def read(self, key: Any) -> int:
        """The whole number."""
        return round(key)

    def find(self, value: Any) -> Any:
        """The value itself, if it is whole and in the range."""
        if isinstance(value, float) and value % 1:
            raise InputError(f"{value!r} is not in {self!r}")
        return super().find(value)

    def declare(self, hp: Any, name: str, default: Any = None, grid: bool = False) -> Any:
        """Make it known to keras-tuner's `hp` under a name."""
        if grid:
            return hp.Choice(name, self.grid(), default=default if default in self.grid() else None)
        scale = "log" if self.log else "linear"
        return hp.Int(name, self.low, self.high, step=self.step, sampling=scale, default=default)


Entry = Choice | Range | IntRange


@dataclass(frozen=True)
class Condition:
    """A field that another depends on, and the keys at which it does."""

    parent: str
    keys: tuple[Key, ...]


def _plain(value: Any) -> Any:
    """Settings as the data that JSON can hold."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if _numbers((a, b)):
        return math.isclose(float(a), float(b), rel_tol=10.0**-DIGITS)
    return bool(a == b)


def _labels(values: Sequence[Any]) -> list[str]:
    """Short text for values: a setting's kind where that tells it from the others, else all of it."""
    kinds = [value.get("kind") if isinstance(value, dict) else None for value in values]
    labels = []
    for value, kind in zip(values, kinds, strict=True):
        if kind is not None and kinds.count(kind) == 1:
            labels.append(str(kind))
        elif isinstance(value, str):
            labels.append(value)
        elif value is None or isinstance(value, bool):
            labels.append({None: "none", True: "true", False: "false"}[value])
        else:
            try:
                labels.append(json.dumps(value))
            except (TypeError, ValueError):
                raise InputError(f"a choice can hold what JSON can hold, not {value!r}") from None
    return labels


def _when(when: When) -> dict[str, Any]:
    return {"when": {field: _plain(values) for field, values in when.items()}} if when else {}
