"""Custom augmentations, schedules and optimizers: functions that recipes name (no Keras).

A recipe names one as ``module:function`` or by its registered name. For a registered name, the recipe also keeps the
function's reference as `source`. Where the name is not registered or means another function, the recipe can be read but
not trained.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kzoo import plugins
from kzoo.errors import InputError, shown, unknown
from kzoo.references import load_function, warn_if_redefined
from kzoo.registry import Registry

FIELDS = ("augmentation", "schedule", "optimizer")
FIRST = {"augmentation": ("images", "rng"), "schedule": ("rate", "epoch", "epochs"), "optimizer": ("learning_rate",)}
"""Positional arguments of each field's functions; the recipe's options follow as keyword arguments."""


@dataclasses.dataclass(frozen=True)
class Registered:
    """A named function; two with the same name and source are equal, so that a notebook's cell can run twice.

    Attributes:
        name: as recipes name it.
        source: ``module:function``; ``kzoo`` for the reserved name of a built-in kind.
        function: the function, or its source.
    """

    name: str
    source: str
    function: Callable[..., Any] | str = dataclasses.field(default="", compare=False)


REGISTRIES: dict[str, Registry[Registered]] = {field: Registry(field, lambda: ()) for field in FIELDS}


def reserve(field: str, names: frozenset[str]) -> None:
    """Reserve the names of a field's built-in kinds, so that users cannot register them."""
    REGISTRIES[field].builtin.update((name, Registered(name, "kzoo")) for name in names)


def is_custom_kind(field: str, kind: Any) -> bool:
    """Whether a kind is custom: ``module:function``, or a registered name."""
    if not isinstance(kind, str):
        return False
    plugins.load()
    return ":" in kind or kind in REGISTRIES[field].added


def registered(field: str) -> list[str]:
    """The registered names of a field; an empty list if the field takes no functions."""
    plugins.load()
    return sorted(REGISTRIES[field].added) if field in REGISTRIES else []


def register_augmentation(name: str, function: Callable[..., Any] | str) -> None:
    """Make a custom augmentation available by name in recipes.

    Example:
        >>> import numpy as np
        >>> def darker(images, rng, most=0.5):
        ...     factors = 1 - most * rng.random((len(images), 1, 1, 1), np.float32)
        ...     return images * factors
        >>> kzoo.register_augmentation("darker", darker)
        >>> kzoo.Recipe("mine/dark", model="vgg08", augmentation=["flip", "darker"]).augmentation[1].kind
        'darker'

    Args:
        name: a new name without slash, colon or white space.
        function: ``function(images, rng, **options)``, or ``"module:function"`` naming it. It gets a batch, uint8 or
            float32 (B, H, W, C) of 0-255, and a `numpy.random.Generator` for this batch of this epoch, which must be
            its only source of randomness, so that the run can be repeated. It returns images of the same shape, which
            the network gets as float32. ``options`` are the recipe's.

    Raises:
        InputError: the name is malformed or taken, or `function` is neither a function nor a reference.
    """
    _register("augmentation", name, function)


def register_schedule(name: str, function: Callable[..., Any] | str) -> None:
    """Make a custom learning rate schedule available by name in recipes.

    Example:
        >>> def halved(rate, epoch, epochs, at=0.5):
        ...     return rate if epoch < at * epochs else rate / 2
        >>> kzoo.register_schedule("halved", halved)
        >>> kzoo.Recipe("mine/halved", model="vgg08", schedule={"kind": "halved", "options": {"at": 0.8}}).schedule.kind
        'halved'

    Args:
        name: a new name without slash, colon or white space.
        function: ``function(rate, epoch, epochs, **options)``, or ``"module:function"`` naming it. It gets the
            optimizer's rate, the epoch counted from 0 and the number of epochs, and returns the rate of that epoch, a
            finite number >= 0. Calls with the same arguments must return the same rate. Epochs of the recipe's
            warm-up, `warmup_epochs`, are not counted.

    Raises:
        InputError: the name is malformed or taken, or `function` is neither a function nor a reference.
    """
    _register("schedule", name, function)


def register_optimizer(name: str, function: Callable[..., Any] | str) -> None:
    """Make a custom optimizer available by name in recipes.

    Example:
        >>> def heavy(learning_rate, momentum=0.99):
        ...     import keras
        ...     return keras.optimizers.SGD(learning_rate, momentum=momentum)
        >>> kzoo.register_optimizer("heavy", heavy)
        >>> kzoo.Recipe("mine/heavy", model="vgg08", optimizer={"kind": "heavy", "learning_rate": 0.1}).optimizer.kind
        'heavy'

    Args:
        name: a new name without slash, colon or white space.
        function: ``function(learning_rate, **options)`` that returns a new `keras.optimizers.Optimizer`, an optimizer
            class, or ``"module:function"`` naming either. The learning rate may be a Keras schedule: pass it on
            unchanged. If the recipe sets `weight_decay`, `clip_norm` or `ema`, its value replaces the
            optimizer's; `l1`, `l2` and `rate_multipliers` work as with every other optimizer.

    Raises:
        InputError: the name is malformed or taken, or `function` is neither a function nor a reference.
    """
    _register("optimizer", name, function)


def _register(field: str, name: str, function: Callable[..., Any] | str) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[^\s/:*?\[\]]+", name):
        raise InputError(f"{field} name {name!r}: a name is text without slash, colon, white space or wildcard")
    if not callable(function) and not (isinstance(function, str) and re.fullmatch(r"[^:]+:[^:]+", function)):
        raise InputError(f"{field} {name!r} is {shown(function)}: give a function or 'module:function'")
    REGISTRIES[field].add(Registered(name, source_of(function), function))


def source_of(function: Callable[..., Any] | str) -> str:
    """The reference of a function: ``module:function``."""
    if isinstance(function, str):
        return function
    return f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', type(function).__name__)}"


def source(field: str, kind: str) -> str | None:
    """The ``module:function`` of a registered name; None where the name is not registered."""
    known = REGISTRIES[field].added.get(kind)
    return None if known is None else known.source


def find(field: str, kind: str, recorded: str | None = None) -> Callable[..., Any]:
    """The function that a recipe's field names.

    Raises:
        InputError: there is no such function, or it differs from the recorded one.
    """
    plugins.load()
    if ":" in kind:
        return load_function(kind, field)
    known = REGISTRIES[field].added.get(kind)
    if known is None:
        raise InputError(
            f"{field} {kind!r} is not registered here; in the recipe it means {recorded!r}: import the module "
            f"that calls kzoo.register_{field}({kind!r}, ...), or make that module a plugin"
        )
    if recorded is not None and known.source != recorded:
        raise InputError(
            f"{field} {kind!r} means {known.source!r} here but {recorded!r} in the recipe: register it under a new name"
        )
    if isinstance(known.function, str):
        return load_function(known.source, field)
    warn_if_redefined(known.function, f"{field} {kind!r}")
    return known.function


def check_options(field: str, kind: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Check that a function takes the given options and needs no others.

    Raises:
        InputError: an option is unknown or missing; for an unknown one, the message names the allowed options.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return  # a function written in C has no signature
    taken = signature.parameters.values()
    given = [p for p in taken if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][: len(FIRST[field])]
    named = [p.name for p in taken if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p not in given]
    if not any(p.kind is p.VAR_KEYWORD for p in taken):
        for name in options:
            if name not in named:
                raise unknown(f"option of {field} {kind!r}", name, named)
    try:
        signature.bind(*FIRST[field], **options)
    except TypeError as error:
        called = ", ".join([*FIRST[field], *(f"{name}=..." for name in options)])
        raise InputError(f"{field} {kind!r} is called with ({called}), which it does not take: {error}") from None


def check_json(options: Mapping[str, Any]) -> None:
    """Refuse options that a recipe's file cannot hold.

    Raises:
        ValueError: JSON cannot hold one of them.
    """
    try:
        json.dumps(options, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError(f"options must hold what JSON can hold, not {shown(dict(options))}") from None


class CustomPart(BaseModel):
    """A custom function in a recipe.

    Attributes:
        kind: ``module:function``, or a registered name.
        options: keyword arguments of the function.
        source: ``module:function`` that the registered name meant when the recipe was created; filled in automatically.
    """

    model_config = ConfigDict(defer_build=True)

    field: ClassVar[str]
    kind: str
    options: dict[str, Any] = Field(default_factory=dict)
    source: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_source(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("source") is None:
            return {**data, "source": source(cls.field, str(data.get("kind")))}
        return data

    @model_validator(mode="after")
    def _checked(self) -> Self:
        check_json(self.options)
        return self

    def function(self) -> Callable[..., Any]:
        """Find the function, and check that it takes the options.

        Raises:
            InputError: there is no such function, it differs from the recorded one, or it does not take the options.
        """
        custom_function = find(self.field, self.kind, self.source)
        check_options(self.field, self.kind, custom_function, self.options)
        return custom_function


def family(field: str) -> Callable[[Any], str]:
    """A pydantic discriminator: whether a value's kind is built in (``[built-in]``) or custom (``[custom]``).

    A recorded recipe can be read even where its custom name is not registered, because it holds the `source`.
    """

    def which(value: Any) -> str:
        if isinstance(value, CustomPart):
            return "[custom]"
        if not isinstance(value, dict):
            return "[built-in]"
        return "[custom]" if is_custom_kind(field, value.get("kind")) or value.get("source") else "[built-in]"

    return which
