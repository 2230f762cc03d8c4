"""Makes the builders of families and variants: common arguments, their docs and defaults are added to each."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from kzoo.models import catalog
from kzoo.models.builder import ModelBuilder
from kzoo.models.weight_sets import full_name


def _shared(
    include_top: bool = True,
    weights: str | Path | None = None,
    input_tensor: Any = None,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    classes: int | None = None,
    classifier_activation: str | None = "softmax",
    name: str = "",
    *,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
) -> None:
    """The arguments that all builders share, in their order and with their defaults."""


_SHARED = inspect.signature(_shared).parameters
_DOCS = {
    "include_top": "see `kzoo.models.builder.ModelBuilder`, also for the arguments up to `std`.",
    "weights": "None, a set of trained weights, or the path of a weights file.",
    "input_tensor": "a Keras tensor to build upon.",
    "input_shape": "(height, width, channels); default {shape}. None for height and width is allowed.",
    "pooling": 'without top: None, ``"avg"`` or ``"max"``.',
    "classes": "default {classes}.",
    "classifier_activation": 'default ``"softmax"``; None gives logits.',
    "name": "the model's name.",
    "mean": "per channel, in units of pixels / 255.",
    "std": "per channel, in units of pixels / 255.",
}

_RETURNS = """\
    Returns:
        A Functional model from images (batch, height, width, channels), pixels 0 to 255, to probabilities
        (batch, classes), float32.

    Raises:
        InputError: an option's value is not allowed, or the image is too small.
"""


def family(default: str, name: str) -> Callable[[Callable[..., keras.Model]], Callable[..., keras.Model]]:
    """Make a family's builder: the arguments that all builders share, and their docs, are added to the family's.

    The decorated function takes a `ModelBuilder` instead of the shared arguments. If its docstring describes one of
    them, that text is kept.
    """
    variant = catalog.find(default)

    def decorate(function: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
        specific = list(inspect.signature(function).parameters.values())[1:]
        shared = [p.replace(default=name) if p.name == "name" else p for p in _SHARED.values()]
        signature = inspect.Signature([*shared, *specific], return_annotation="keras.Model")

        @functools.wraps(function)
        def build(*args: Any, **options: Any) -> keras.Model:
            bound = signature.bind(*args, **options)
            bound.apply_defaults()
            builder = ModelBuilder(**{key: bound.arguments.pop(key) for key in _SHARED}, default=variant)
            return function(builder, **bound.arguments)

        build.__signature__ = signature  # type: ignore[attr-defined]
        build.__doc__ = _documented(function, variant)
        return build

    return decorate


def _documented(function: Callable[..., Any], variant: catalog.Variant) -> str:
    """A family's docstring with the shared arguments first, what builders return and raise, and an example."""
    head, _, rest = (function.__doc__ or "").partition("    Args:\n        builder: the shared arguments.\n")
    lines = []
    for name, text in _DOCS.items():
        described = re.search(rf"        {name}: .*\n(?:            .*\n)*", rest)
        if described:
            rest = rest.replace(described[0], "")
        line = described[0] if described else f"        {name}: {text}\n"
        lines.append(line.format(shape=variant.input_shape, classes=variant.classes) if not described else line)
    return f"{head}    Args:\n{''.join(lines)}{rest.rstrip()}\n\n{_RETURNS}\n{_example(function.__name__)}"


def _example(function: str) -> str:
    return (
        "    Example:\n        >>> import kzoo\n"
        f"        >>> kzoo.{function}(classes=7).output_shape\n        (None, 7)\n    "
    )


def preset(family: Callable[..., Any], function: str, variant: str) -> Callable[..., keras.Model]:
    """A family's builder with one variant's options as defaults, and with a name and signature to match."""
    entry = catalog.find(variant)
    defaults = {"name": entry.name, **entry.options}
    signature = inspect.signature(family)
    signature = signature.replace(
        parameters=[p.replace(default=defaults.get(name, p.default)) for name, p in signature.parameters.items()]
    )

    def build(*args: Any, **options: Any) -> keras.Model:
        bound = signature.bind(*args, **options)
        bound.apply_defaults()
        if bound.arguments.get("weights") is not None:
            bound.arguments["weights"] = full_name(entry.name, str(bound.arguments["weights"]))
        return family(*bound.args, **bound.kwargs)

    # Name, docstring and signature as a function written by hand would have.
    build.__name__ = build.__qualname__ = function
    build.__module__ = family.__module__
    chosen = ", ".join(f"{name}={value!r}" for name, value in entry.options.items())
    build.__doc__ = f"`{family.__name__}` with {chosen} by default.\n\n{_example(function)}"
    build.__signature__ = signature  # type: ignore[attr-defined]
    return build
