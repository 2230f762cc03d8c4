"""Imports functions named by ``"module:function"``: a model's builder, a dataset's loader, a job's function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from kzoo.errors import InputError, unknown


def load_function(reference: str, kind: str, no_module: Callable[[str], str] | None = None) -> Callable[..., Any]:
    """Import the function that a reference names.

    Args:
        reference: ``"module:function"``; the function may be an attribute of a class, ``"module:Class.method"``.
        kind: use of the function, for messages: ``"model"``, ``"dataset"``.
        no_module: returns the reason why there is no such module; by default it is not on the Python path.

    Raises:
        InputError: the reference is malformed, or there is no such module or function. An error that the module
            itself raises passes through unchanged.
    """
    module_name, _, function = reference.partition(":")
    if not module_name or not function:
        raise InputError(f"{kind} {reference!r}: expected 'module:function'")
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if module_name == missing or module_name.startswith(f"{missing}."):
            why = no_module(missing) if no_module else f"there is no module {missing!r} on the Python path"
            raise InputError(f"{kind} {reference!r}: {why}") from error
        raise
    for name in function.split("."):
        if not hasattr(target, name):
            public = [key for key, value in vars(target).items() if callable(value) and not key.startswith("_")]
            raise unknown(f"function of module {module_name!r}", function, public, hint=f"({kind} {reference!r})")
        target = getattr(target, name)
    if not callable(target):
        raise InputError(f"{kind} {reference!r} names something that cannot be called")
    return target
