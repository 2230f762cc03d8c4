"""The space of a search: recipe fields, each with its possible values (no Keras).

keras-tuner's choices are text, or numbers of one type. For a choice with other values (an optimizer, a list, None),
keras-tuner gets labels.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic_core import PydanticSerializationError, to_jsonable_python

from kzoo.checks import is_number
from kzoo.errors import InputError

Key = str | int | float
"""A label or a number, in keras-tuner's form."""
When = Mapping[str, Any]
DIGITS = 6  # significant digits of a number: those of the 32-bit floats in keras-tuner's protocol
FEW = 1000  # at most as many values of a range with steps are listed
NEAR = 1e-6  # of a step: a range may miss its last value by this much
SAMPLES = 10  # values of a range without a step in a grid, as in keras-tuner


class Choice:
    """One of several values.

    Attributes:
        values: values for the recipe: plain data, or settings such as ``Adam(1e-3)``.
        keys: labels of the values in keras-tuner and in tables.
        when: the values of other fields for which this field is varied.

    Example:
        >>> activation = kzoo.Choice("relu", "elu", "swish")
    """

    def __init__(self, *values: Any, labels: Sequence[str] | None = None, when: When | None = None) -> None:
        """Choose between `values`.

        Args:
            *values: anything that the field takes, without duplicates.
            labels: text shown instead of each value; by default made from the values that need a label.
            when: ``{"field": value}``, or several values in a list or tuple: the field is varied only then, and
                otherwise keeps the recipe's value.

        Raises:
            InputError: there are no values, or duplicates, or the numbers of labels and values differ.
        """
        if not values:
            raise InputError("a choice needs at least one value")
        self.values = tuple(_plain(value) for value in values)
        self.when = dict(when or {})
        if labels is not None and (len(labels) != len(values) or not all(isinstance(text, str) for text in labels)):
            raise InputError(f"a choice of {len(values)} values needs as many text labels, not {list(labels)!r}")

        self.keys: tuple[Key, ...] = tuple(labels or _keys(self.values))
        if len(set(self.keys)) < len(self.keys):
            raise InputError(f"a choice has values with equal labels: {list(self.keys)!r}; give them different labels")

    def __repr__(self) -> str:
        return f"Choice({', '.join(map(repr, self.keys))})"

    def read(self, key: Any) -> Any:
        """The value that a key of keras-tuner's stands for."""
        return self.values[self.keys.index(self.find(key))]

    def find(self, value: Any) -> Any:
        """The key of a value or label.

        Raises:
            InputError: the choice does not contain it.
        """
        value = _plain(value)
        for known in (self.keys, self.values):  # labels first: one may be another choice's value
            for key, one in zip(self.keys, known, strict=True):
                if _same(one, value):
                    return key
        raise InputError(f"{value!r} is not one of {', '.join(map(repr, self.keys))}")

    def key_of(self, value: Any) -> Key | None:
        """The key of a recipe's value, which is never a label; None if the choice does not contain it."""
        pairs = zip(self.keys, self.values, strict=True)
        return next((key for key, one in pairs if _same(one, _plain(value))), None)

    def extremes(self) -> Iterable[Any]:
        """Values that must all be valid."""
        return self.values

    def declare(self, hp: Any, name: str, default: Any = None, grid: bool = False, exact: bool = False) -> Any:
        """Declare it to keras-tuner's `hp` under a name."""
        return hp.Choice(name, list(self.keys), default=default)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {"kind": "choice", "keys": list(self.keys), "values": list(self.values), **_when(self.when)}


class Range:
    """A real number from a range, rounded to six significant digits.

    Example:
        >>> rate = kzoo.Range(1e-4, 1e-1, log=True)
    """

    kind = "range"
    _number: Any = float
    _rule = "a range must be a finite number"

    def __init__(
        self, low: float, high: float, step: float | None = None, log: bool = False, when: When | None = None
    ) -> None:
        """Choose a number from `low` to `high`, both included.

        Args:
            low: lowest value.
            high: highest value.
            step: difference between values or, with `log`, the factor from one to the next.
            log: whether values are drawn evenly on a logarithmic scale.
            when: as for `Choice`.

        Raises:
            InputError: the range is empty, or its step or scale is invalid.
        """
        given: Any = [value.item() if isinstance(value, np.generic) else value for value in (low, high, step)]
        low, high, step = given
        for what, number in {"low": low, "high": high, **({} if step is None else {"step": step})}.items():
            if not is_number(number) or not math.isfinite(number) or type(number) not in (int, self._number):
                raise InputError(f"{what} of {self._rule}, not {number!r}")
        if low >= high:
            raise InputError(f"a range must go from a lower to a higher number, not from {low!r} to {high!r}")
        if log and low <= 0:
            raise InputError(f"a range on a log scale must begin above 0, not at {low!r}")
        if step is not None and (step <= 1 if log else step <= 0):
            least = "above 1, because it is a factor" if log else "above 0"
            raise InputError(f"step of a range{' on a log scale' if log else ''} must be {least}, not {step!r}")
        self.low, self.high, self.step, self.log, self.when = low, high, step, log, dict(when or {})

    def __repr__(self) -> str:
        step = "" if self.step is None else f", step={self.step!r}"
        return f"{type(self).__name__}({self.low!r}, {self.high!r}{step}{', log=True' if self.log else ''})"

    def read(self, key: Any) -> Any:
        """The recipe's value for a number of keras-tuner's, rounded."""
        return float(f"{float(key):.{DIGITS}g}")

    def find(self, value: Any) -> Any:
        """The value itself, if it is in the range (and on a step, if there is one)."""
        near = 1e-6 * (self.low if self.log else self.high - self.low)
        if not is_number(value) or not self.low - near <= value <= self.high + near:
            raise InputError(f"{value!r} is not in {self!r}")
        if self.step is not None and not any(math.isclose(value, number, rel_tol=1e-5) for number in self.grid()):
            raise InputError(f"{value!r} is not on the steps of {self!r}")
        return self.read(value)

    def key_of(self, value: Any) -> Key | None:
        """The key of a recipe's value; None if it is not in the range."""
        with contextlib.suppress(InputError):
            return self.find(value)
        return None

    def extremes(self) -> Iterable[Any]:
        """Lowest and highest value, and one between them, which a field of whole numbers refuses."""
        between = self.low + (self.high - self.low) / math.pi
        numbers = [self.low, between, self.high] if self.step is None else self.grid()
        return tuple(map(self.read, (numbers[0], numbers[len(numbers) // 2], numbers[-1])))

    def grid(self) -> list[Any]:
        """Values of a grid: every step, or ten values without a step."""
        numbers: Any
        if self.step is None:
            numbers = (np.geomspace if self.log else np.linspace)(self.low, self.high, SAMPLES)
        else:
            span = math.log(self.high / self.low, self.step) if self.log else (self.high - self.low) / self.step
            steps = np.arange(int(span + NEAR) + 1)
            numbers = self.low * float(self.step) ** steps if self.log else self.low + self.step * steps
            if not self.log:
                numbers = np.where(np.abs(numbers) < 1e-9 * self.step, 0, numbers)  # not 5.6e-17, from rounding
        return list(dict.fromkeys(self.read(number) for number in numbers))

    def declare(self, hp: Any, name: str, default: Any = None, grid: bool = False, exact: bool = False) -> Any:
        """Declare it to keras-tuner's `hp` under a name.

        For a grid, if it has few values, and if a condition depends on them (`exact`), as a choice between them:
        keras-tuner's steps are not rounded, so it would never try the last of 0.1, 0.2 ... 0.7, and its 0.1 + 2 * 0.1
        would not meet the condition ``when`` 0.3.
        """
        values = self.grid()
        if grid or (self._number is float and self.step is not None and (exact or len(values) <= FEW)):
            return hp.Choice(name, values, default=default if default in values else None)
        scale = "log" if self.log else "linear"
        add = hp.Float if self._number is float else hp.Int
        low, high = self._number(self.low), self._number(self.high)
        return add(name, low, high, step=self.step, sampling=scale, default=default)

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        fields = {name: getattr(self, name) for name in ("kind", "low", "high", "step", "log")}
        return {**fields, **_when(self.when)}


class IntRange(Range):
    """An integer from a range.

    Example:
        >>> depth = kzoo.IntRange(1, 4)
    """

    kind = "int-range"
    _number = int
    _rule = "an IntRange must be a whole number"

    def __init__(
        self, low: int, high: int, step: int | None = None, log: bool = False, when: When | None = None
    ) -> None:
        """Choose an integer from `low` to `high`, both included; the other arguments are as for `Range`."""
        super().__init__(low, high, 1 if step is None and not log else step, log, when)

    def read(self, key: Any) -> int:
        """The integer."""
        return round(float(key))

    def find(self, value: Any) -> Any:
        """The value itself, if it is an integer in the range."""
        if isinstance(value, float) and value % 1:
            raise InputError(f"{value!r} is not in {self!r}")
        return super().find(value)


Entry = Choice | Range


def _plain(value: Any) -> Any:
    """Settings as JSON data."""
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError:
        raise InputError(f"values of a choice must be JSON data or settings, not {value!r}") from None


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    if is_number(a) and is_number(b):
        return math.isclose(float(a), float(b), rel_tol=10.0**-DIGITS)
    return bool(a == b)


def _keys(values: Sequence[Any]) -> Sequence[Key]:
    """Numbers of one type, or short text: a setting's kind if that is unique, otherwise the whole setting."""
    if all(map(is_number, values)):
        return [float(value) for value in values] if any(isinstance(value, float) for value in values) else values
    kinds = [value.get("kind") if isinstance(value, dict) else None for value in values]
    labels = []
    for value, kind in zip(values, kinds, strict=True):
        if kind is not None and kinds.count(kind) == 1:
            labels.append(str(kind))
        elif isinstance(value, str):
            labels.append(value)
        else:
            labels.append("none" if value is None else json.dumps(value))
    return labels


def _when(when: When) -> dict[str, Any]:
    return {"when": {field: _plain(values) for field, values in when.items()}} if when else {}
