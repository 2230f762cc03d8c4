"""Argument checks that all packages share; each raises one clear `InputError`. Imports no Keras."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

from kzoo.errors import InputError, shown, unknown


def choice(option: str, value: Any, allowed: Sequence[str]) -> str:
    """The value, if it is one of the allowed names."""
    if value not in allowed:
        raise unknown(option, value, allowed)
    return str(value)


def is_number(value: Any) -> bool:
    """Whether a value is a real number, NumPy's included; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: Any, minimum: int = 1) -> bool:
    """Whether a value is a whole number of at least `minimum`, NumPy's included; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= minimum


def whole(option: str, value: Any, minimum: int = 1) -> int:
    """The value, if it is a whole number of at least `minimum`."""
    if not is_whole(value, minimum):
        raise InputError(f"{option}={value!r}: must be a whole number, {minimum} or more")
    return int(value)


def share_or_count(value: Any, option: str = "") -> float | int:
    """A share below 1 as a float, a count as an int; JSON and command lines do not always distinguish them.

    Args:
        value: a share or a count.
        option: start of the message, ending in a space.
    """
    if not is_number(value):
        raise InputError(f"{option}must be a share below 1 or a number of images, not {shown(value)}")
    number: Any = value  # mypy does not compare `Real` numbers
    if not 0 <= number < math.inf or (number >= 1 and number % 1) or (number == 1 and not isinstance(value, Integral)):
        raise InputError(f"{option}must be a share from 0 to below 1 or a whole number of images, not {shown(value)}")
    return int(number) if number >= 1 or number == 0 else float(number)


def positive(option: str, value: Any) -> float:
    """The value, if it is a number above 0."""
    if not is_number(value) or not 0 < float(value) < float("inf"):
        raise InputError(f"{option}={value!r}: must be a number above 0")
    return float(value)


def odd(option: str, value: Any) -> int:
    """The value, if it is an odd kernel size (an even one has no symmetric padding that keeps the size)."""
    if whole(option, value) % 2 == 0:
        raise InputError(f"{option}={value!r}: a kernel size must be odd")
    return int(value)


def rate(option: str, value: Any) -> float:
    """The value, if it is a dropout rate: 0 <= value < 1."""
    if not is_number(value) or not 0 <= float(value) < 1:
        raise InputError(f"{option}={value!r}: must be a number from 0 up to, but not including, 1")
    return float(value)


def of_unit_pixels(option: str, values: Any) -> None:
    """Refuse means or standard deviations that are not numbers, or are in units of 0-255 pixels, not pixels / 255."""
    numbers = [values] if isinstance(values, Real) else list(values)
    if not all(is_number(value) and math.isfinite(value) for value in numbers):
        raise InputError(f"{option}={values!r}: must be finite numbers")
    if any(float(value) > 1 for value in numbers):
        raise InputError(
            f"{option}={values!r}: must be in units of pixels / 255, so at most 1; divide values for 0-255 by 255"
        )


def several(
    option: str, value: Any, length: int | None = None, check: Callable[[str, Any], int] = whole
) -> tuple[int, ...]:
    """A sequence of checked numbers; a single number is repeated `length` times.

    Args:
        option: the option's name, for the message.
        value: a number (only where `length` is given) or a sequence of numbers.
        length: required number of values; None allows any number, including none.
        check: function that checks each value.
    """
    if length is not None and isinstance(value, Integral):
        return (check(option, value),) * length
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InputError(f"{option}={value!r}: must be a sequence of whole numbers")
    numbers = tuple(check(option, number) for number in value)
    if length is not None and len(numbers) != length:
        raise InputError(f"{option}={value!r}: {length} numbers are needed, one per stage")
    return numbers
