"""Digests of custom code: equal where functions and classes do the same, whatever their comments and line numbers."""

from __future__ import annotations

import dis
import hashlib
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

# Their code changes with their versions, which a record holds.
LIBRARIES = ("keras", "kzoo", "tensorflow", "jax", "jaxlib", "torch", "numpy", "keras_tuner")
GLOBALS, ATTRIBUTES = ("LOAD_GLOBAL", "LOAD_NAME"), ("LOAD_ATTR", "LOAD_METHOD")
PLAIN = (bool, int, float, complex, str, bytes, type(None))


def is_custom(item: Any) -> bool:
    """Whether a class or function is the user's: of no library whose version a run records, nor of Python."""
    root = str(getattr(item, "__module__", "builtins")).partition(".")[0]
    return root not in LIBRARIES and (root == "__main__" or root not in sys.stdlib_module_names)


def function_digest(function: Callable[..., Any]) -> str:
    """Twelve hexadecimal digits for what a function does: its bytecode, constants, and the custom code it refers to.

    Comments, docstrings and line numbers do not count. Bytecode belongs to one version of Python.
    """
    return _finish(_function(function, set()))


def class_digest(kind: type) -> str:
    """Twelve hexadecimal digits for what a class does, with the custom classes that it derives from."""
    return _finish(_class(kind, set()))


def _finish(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _class(kind: type, seen: set[Any]) -> list[str]:
    if kind in seen:
        return []
    seen.add(kind)
    parts = []
    for base in [base for base in kind.__mro__ if is_custom(base)]:
        for name, value in sorted(vars(base).items()):
            if name in ("__doc__", "__module__", "__qualname__", "__firstlineno__"):
                continue
            parts += [f"{name}:", *_value(inspect.unwrap(_bare(value)), seen)]
    return parts


def _bare(value: Any) -> Any:
    """The function inside a method, a property or a wrapper."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return value.fget if isinstance(value, property) else value


def _value(value: Any, seen: set[Any]) -> list[str]:
    """The value of a name, as far as it is plain data or custom code."""
    if isinstance(value, PLAIN):
        return [repr(value)]
    if isinstance(value, tuple | list | frozenset) and all(isinstance(item, PLAIN) for item in value):
        return [_shown(value)]
    if inspect.isfunction(value) and is_custom(value):
        return _function(value, seen)
    if inspect.isclass(value) and is_custom(value):
        return _class(value, seen)
    return []


def _function(function: Any, seen: set[Any]) -> list[str]:
    function = inspect.unwrap(function)
    if function in seen:
        return []
    seen.add(function)
    parts = _code(function.__code__, function.__globals__, seen)
    held = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    for value in [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *held]:
        parts += _value(value, seen)
    return parts


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _code(code: types.CodeType, names: dict[str, Any], seen: set[Any]) -> list[str]:
    """Each instruction with what it is about, so that constants which none uses (docstrings) do not count."""
    parts, others = [], [step.argval for step in dis.get_instructions(code) if step.opname in ATTRIBUTES]
    for step in dis.get_instructions(code):
        if isinstance(step.argval, types.CodeType):
            parts += [step.opname, *_code(step.argval, names, seen)]
            continue
        parts.append(f"{step.opname} {_shown(step.argval)}")
        # A name that is an attribute is no global, even where a global is called alike.
        if step.opname in GLOBALS:
            value = names.get(step.argval)
            parts += _value(value, seen)
            if inspect.ismodule(value) and _is_file(value):
                parts += [part for other in others for part in _value(vars(value).get(other), seen)]
    return parts


def _shown(value: Any) -> str:
    """A constant or name; sets in an order that does not depend on the process."""
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _is_file(module: types.ModuleType) -> bool:
    """Whether a module is the user's file, not an installed package."""
    path = str(getattr(module, "__file__", None) or "")
    return bool(path) and "site-packages" not in path and module.__name__.partition(".")[0] not in LIBRARIES
