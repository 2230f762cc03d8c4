"""Whose code it is: the user's own, an installed package's, or that of a library whose version a run records."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
import types
from typing import Any

# Libraries whose code changes only with their versions, which a record holds.
LIBRARIES = ("keras", "kzoo", "tensorflow", "jax", "jaxlib", "torch", "numpy", "keras_tuner")
INNER = ("__wrapped__", "python_function", "py_func")
"""Where `functools.wraps` and `jax.jit`, `tf.function`, and `numba.jit` keep the function that they decorate."""


def is_custom(item: Any) -> bool:
    """Whether a class or function belongs neither to Python nor to a library whose version a run records."""
    root = str(getattr(item, "__module__", "builtins")).partition(".")[0]
    return root not in LIBRARIES and (root == "__main__" or root not in sys.stdlib_module_names)


def is_library(kind: type) -> bool:
    """Whether a class belongs to a library whose version a run records."""
    return kind.__module__.partition(".")[0] in LIBRARIES


def is_own(module: Any) -> bool:
    """Whether the module of this name is the user's file or notebook, not an installed package."""
    if module == "__main__":
        return True
    found = sys.modules.get(str(module))
    path = getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), None)  # without __init__.py
    return bool(path) and _is_own_file(str(module), str(path))


def _is_own_file(module: str, path: str) -> bool:
    root = module.partition(".")[0]
    return "site-packages" not in path and root not in (*LIBRARIES, *sys.stdlib_module_names)


def is_own_function(value: Any) -> bool:
    """Whether a function is the user's, by its globals: a wrapper takes the module name of what it wraps."""
    return inspect.isfunction(value) and is_own(value.__globals__.get("__name__"))


def imported(name: str, package: str | None) -> types.ModuleType | None:
    """The user's own module that a function imports when it runs; None if it is another's or missing."""
    try:
        name = importlib.util.resolve_name(name, package)
        root = name.partition(".")[0]
        if root in LIBRARIES or root in sys.stdlib_module_names:
            return None
        spec = importlib.util.find_spec(root)
        if spec is None:
            return None
        origin = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
        return importlib.import_module(name) if origin and _is_own_file(root, origin) else None
    except Exception:  # whatever the module raises, as it would when the function runs
        return None


def inner_function(value: Any) -> Any:
    """The function that a decorated one wraps, or None."""
    if not callable(value) or inspect.isclass(value) or isinstance(value, types.MethodType | functools.partial):
        return None
    for name in INNER:
        try:
            inner = getattr(value, name) if inspect.getattr_static(value, name, None) is not None else None
        except Exception:  # whatever an object's attributes raise
            continue
        if inspect.isfunction(inner) or (inner is not value and inner_function(inner) is not None):
            return inner
    return None


def is_cached(value: Any) -> bool:
    """Whether a class's attribute is a property that is computed once for each object."""
    return isinstance(value, functools.cached_property)


def bare(value: Any) -> Any:
    """The function inside a method or a property."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if is_cached(value):
        return value.func
    return value.fget if isinstance(value, property) else value


def slots(kind: type) -> list[str]:
    """The names that a class and its bases reserve for attributes."""
    names = [base.__dict__.get("__slots__", ()) for base in kind.__mro__]
    return [name for held in names for name in ([held] if isinstance(held, str) else held)]
