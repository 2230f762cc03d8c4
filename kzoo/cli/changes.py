"""Changes to a recipe on the command line: --set and its shorthands, declared once for all commands."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from kzoo.cli.parsing import SHORTHANDS
from kzoo.errors import InputError

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Set a field of the recipe; a dotted name sets a nested field."),
]
BuilderOptions = Annotated[
    list[str] | None, typer.Option("--set", metavar="OPTION=VALUE", help="Set an option of a named model's builder.")
]

_SHORTHANDS = {
    "dataset": ("TEXT", "--set dataset=... (the recipe's)"),
    "epochs": ("INTEGER", "--set epochs=... (the recipe's)"),
    "batch_size": ("INTEGER", "--set batch_size=... (the recipe's)"),
    "learning_rate": ("NUMBER", "--set optimizer.learning_rate=... (the recipe's)"),
    "image_size": ("INTEGER", "--set image_size=...: side in pixels (the dataset's)"),
    "train_size": ("INTEGER", "--set train_size=...: training images (all)"),
    "weights": ("RUN|SET|FILE", "--set initial_weights=...: weights to start from (none)"),
    "freeze": ("LAYERS", "Wildcards of layers to keep fixed, separated by commas (none)"),
    "seed": ("INTEGER", "--set seed=... (0)"),
}
"""Metavar and help of each option. All take text: the recipe's error names the field, the value and what is allowed."""


def with_changes(*, without: Sequence[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace a command's argument `changes` with ``--set`` and its shorthands on the command line.

    The command takes only keyword arguments and receives the changes as a dictionary.

    Args:
        without: shorthands to leave out.
    """
    names = [name for name in _SHORTHANDS if name not in without]
    option = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter("set_", option, default=None, annotation=Set)]
    for name in names:
        metavar, text = _SHORTHANDS[name]
        kind = Annotated[str | None, typer.Option(metavar=metavar, help=text)]
        added.append(inspect.Parameter(name, option, default=None, annotation=kind))

    # The command's signature with these options in place of `changes`.
    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)

        @functools.wraps(command)
        def called(*, set_: list[str] | None, **options: Any) -> None:
            shorthands = {name: options.pop(name) for name in names}
            command(changes=changed(set_, **shorthands), **options)

        parameters = [
            new for old in signature.parameters.values() for new in (added if old.name == "changes" else [old])
        ]
        called.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {}
        return called

    return decorate


def changed(pairs: list[str] | None, **shorthands: str | None) -> dict[str, Any]:
    """The changes to a recipe from ``--set`` and its shorthands; `freeze` is a comma-separated list."""
    overrides = [
        f"{SHORTHANDS.get(name, name)}={json.dumps(text.split(',')) if name == 'freeze' else text}"
        for name, text in shorthands.items()
        if text is not None
    ]
    return assignments([*(pairs or []), *overrides])


def assignments(pairs: list[str] | None) -> dict[str, Any]:
    """``["epochs=5"]`` as ``{"epochs": 5}``: values are parsed as JSON if possible, otherwise kept as text."""
    changes: dict[str, Any] = {}
    for pair in pairs or []:
        field, equals, text = pair.partition("=")
        if not equals or not field:
            raise InputError(f"--set takes FIELD=VALUE, not {pair!r}")
        value: Any = text
        with contextlib.suppress(ValueError):
            value = json.loads(text)
        if field in changes and changes[field] != value:
            raise InputError(f"{field} is given twice: {changes[field]!r} and {value!r}")
        changes[field] = value
    return changes
