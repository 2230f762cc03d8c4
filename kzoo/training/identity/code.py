"""Digests of custom code: equal where functions and classes do the same, whatever their comments and line numbers.

The values that code refers to belong to it: constants, lists and dictionaries of settings, arrays, objects.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

# Their code changes with their versions, which a record holds.
LIBRARIES = ("keras", "kzoo", "tensorflow", "jax", "jaxlib", "torch", "numpy", "keras_tuner")
GLOBALS, ATTRIBUTES = ("LOAD_GLOBAL", "LOAD_NAME"), ("LOAD_ATTR", "LOAD_METHOD")
PLAIN = (bool, int, float, complex, str, bytes, type(None))
VERSION = 2
"""Version of the digests; those of another one cannot be compared. 1 left out dictionaries, arrays and objects."""

# What changes while a process runs is no setting: containers that were empty when they were first seen (caches), and
# whatever objects hold beyond what they held then. Both are kept, so that their ids stay theirs.
_empty: dict[int, Any] = {}
_objects: dict[int, tuple[Any, list[str]]] = {}


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


def digest(value: Any) -> str:
    """Twelve hexadecimal digits for a function, class, object, or plain data."""
    return _finish(_value(value, set()))


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
            # Containers with such names are of Python and of libraries, which may keep addresses in them.
            special = name.startswith("__") or not _is_own(base.__module__)
            parts += [f"{name}:", *_value(inspect.unwrap(_bare(value)), seen, deep=not special)]
    return parts


def _bare(value: Any) -> Any:
    """The function inside a method, a property or a wrapper."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    return value.fget if isinstance(value, property) else value


def _value(value: Any, seen: set[Any], deep: bool = True) -> list[str]:
    """The value of a name, as far as it is plain data, custom code, or an object of a custom class.

    Args:
        value: any.
        seen: functions and classes that are described already, and the containers around this value.
        deep: whether to look into dictionaries, nested containers, arrays and objects: not into those of libraries,
            which change while a process runs.
    """
    if isinstance(value, PLAIN):
        return [repr(value)]
    if isinstance(value, list | set | Mapping) and (not value or id(value) in _empty):
        _empty[id(value)] = value
        return []
    if inspect.isfunction(value) or inspect.isclass(value):
        if not is_custom(value):
            return [value.__qualname__]  # without its module, which a library's next version may move
        return _class(value, seen) if inspect.isclass(value) else _function(value, seen)
    if isinstance(value, tuple | list | frozenset) and value and all(isinstance(item, PLAIN) for item in value):
        return [_shown(value)]
    if not deep:
        return []

    # What holds other values.
    if isinstance(value, np.generic | np.ndarray):
        content = repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
        return [f"{value.dtype} {value.shape} {hashlib.sha256(content).hexdigest()}"]
    if isinstance(value, list | tuple | set | frozenset | Mapping):
        return _container(value, seen)
    if isinstance(value, functools.partial):
        held: list[Any] = [value.func, *value.args, *sorted(value.keywords.items())]
        return ["partial", *(text for item in held for text in ["-", *_value(item, seen)])]
    if isinstance(value, types.MethodType):
        return [*_value(value.__func__, seen), *_value(value.__self__, seen)]
    return _object(value) if is_custom(type(value)) else []


def _container(value: Any, seen: set[Any]) -> list[str]:
    """The items of a container, in an order that does not depend on the process."""
    if id(value) in seen:  # a container within itself
        return []
    seen.add(id(value))
    items: Iterable[Any] = value.items() if isinstance(value, Mapping) else value
    parts = [_value(item, seen) for item in items]
    seen.remove(id(value))
    if isinstance(value, set | frozenset):
        parts.sort()
    return [type(value).__name__, *(text for part in parts for text in ["-", *part])]


def _object(value: Any) -> list[str]:
    """An object's class, and what it held when it was first seen; the class alone of a library's subclasses."""
    if id(value) not in _objects:
        kind, parts = type(value), list[str]()
        _objects[id(value)] = value, parts  # where it refers to itself, nothing is added
        parts += _class(kind, set())
        if all(is_custom(base) or base.__module__.partition(".")[0] not in LIBRARIES for base in kind.__mro__):
            slots = {name: getattr(value, name) for name in _slots(kind) if hasattr(value, name)}
            for name, item in sorted({**slots, **getattr(value, "__dict__", {})}.items()):
                parts += [f"{name}=", *_value(item, set())]
    return _objects[id(value)][1]


def _slots(kind: type) -> list[str]:
    names = [base.__dict__.get("__slots__", ()) for base in kind.__mro__]
    return [name for slots in names for name in ([slots] if isinstance(slots, str) else slots)]


def _function(function: Any, seen: set[Any]) -> list[str]:
    function = inspect.unwrap(function)
    if function in seen:
        return []
    seen.add(function)
    deep = _is_own(function.__module__)
    parts = _code(function.__code__, function.__globals__, seen, deep)
    held = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    for value in [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *held]:
        parts += _value(value, seen, deep)
    return parts


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _code(code: types.CodeType, names: dict[str, Any], seen: set[Any], deep: bool) -> list[str]:
    """Each instruction with what it is about, so that constants which none uses (docstrings) do not count."""
    parts, others = [], [step.argval for step in dis.get_instructions(code) if step.opname in ATTRIBUTES]
    for step in dis.get_instructions(code):
        if isinstance(step.argval, types.CodeType):
            parts += [step.opname, *_code(step.argval, names, seen, deep)]
            continue
        parts.append(f"{step.opname} {_shown(step.argval)}")
        # A name that is an attribute is not a global, even if a global has the same name.
        if step.opname in GLOBALS:
            value = names.get(step.argval)
            parts += _value(value, seen, deep)
            if inspect.ismodule(value) and _is_own(value.__name__):
                parts += [part for other in others for part in _value(vars(value).get(other), seen, deep)]
    return parts


def _shown(value: Any) -> str:
    """A constant or name; sets in an order that does not depend on the process."""
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)


def _is_own(module: str | None) -> bool:
    """Whether a module is the user's file or notebook, not an installed package."""
    if module == "__main__":
        return True
    root, path = str(module).partition(".")[0], getattr(sys.modules.get(str(module)), "__file__", None)
    return bool(path) and "site-packages" not in str(path) and root not in (*LIBRARIES, *sys.stdlib_module_names)
