"""Digests of custom code: equal where functions and classes do the same, whatever their comments and line numbers.

The values that code refers to belong to it: constants, lists and dictionaries of settings, arrays, objects. They count
as they are now, with one exception: what the code changes itself while it runs (see
`kzoo.training.identity.changed_by_code`), such as a cache, a counter or a singleton, counts as it was when this process
first saw it. So a setting that the user changes is another setting, and a cache that has filled is no other code. If
such a value was not empty at first and has changed since, a warning says that the change does not count.

What code changes under another name (``c = CACHE; c[key] = ...``) is not recognised; the error then names the global.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from kzoo.references import warn_if_edited
from kzoo.training.identity.changed_by_code import Changed, changed_names
from kzoo.training.identity.first_seen import NOTHING, at_first, names_at_first
from kzoo.training.identity.own import (
    bare,
    imported,
    inner_function,
    is_cached,
    is_custom,
    is_library,
    is_own,
    is_own_function,
    slots,
)

GLOBALS, ATTRIBUTES = ("LOAD_GLOBAL", "LOAD_NAME"), ("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM")
PLAIN = (bool, int, float, complex, str, bytes, type(None))
UNUSED = {"__doc__", "__module__", "__qualname__", "__firstlineno__", "__static_attributes__"}
UNUSED |= {"__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}  # made when first asked for
VERSION = 3
"""Version of the digests; those of another one cannot be compared.

1 left out dictionaries, arrays and objects. 2 left out the code of custom decorators, of functions behind a library's
decorator (`functools.lru_cache`, `tf.function`), of cached properties, and of modules imported in functions.
"""


class Described(NamedTuple):
    """Custom code.

    Attributes:
        digest: twelve hexadecimal digits.
        values: the same of each value that it refers to, by name.
    """

    digest: str
    values: dict[str, str]


def describe(item: Any, user: Any = None) -> Described:
    """Describe what a function, class, object or plain data does: bytecode, constants, and custom code it refers to.

    Comments, docstrings and line numbers do not count. Bytecode belongs to one version of Python.

    Args:
        item: to be described.
        user: a class or function that may change it.
    """
    walk = _Walk(changed_by(item, user))
    parts = walk.whole(item)
    return Described(_finish(parts), dict(sorted(walk.values.items())))


def digest(item: Any, user: Any = None) -> str:
    """The digest of `describe`."""
    return describe(item, user).digest


def changed_by(*items: Any) -> Changed:
    """What functions, classes and objects, with the custom code that they refer to, change themselves."""
    walk = _Walk(None)
    for item in items:
        walk.whole(item)
    return walk.found


def _finish(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


class _Walk:
    """One walk over code and what it refers to.

    Attributes:
        changed: what the code changes itself, found by a first walk; None in that walk, which reads no arrays.
        found: the names found so far.
        seen: functions, classes and modules that are described already, and containers around the value.
        objects: objects that are described already, or being described.
        values: digests of the values of names.
    """

    def __init__(self, changed: Changed | None) -> None:
        self.changed, self.found = changed, Changed(set(), set())
        self.seen: set[Hashable] = set()
        self.objects: dict[int, tuple[Any, list[str]]] = {}
        self.values: dict[str, str] = {}

    def whole(self, item: Any) -> list[str]:
        """A function or class, even a library's, or a value."""
        if inspect.isclass(item):
            return self._class(item)
        return self._function(item) if inspect.isfunction(item) else self.value(item)

    # --- code

    def _class(self, kind: type) -> list[str]:
        if kind in self.seen:
            return []
        self.seen.add(kind)
        parts = []
        for base in [base for base in kind.__mro__ if is_custom(base)]:
            for name, value in self._held(base, vars(base)).items():
                if name not in UNUSED:
                    # Containers with such names are of Python and of libraries, which may keep addresses in them.
                    deep = is_own(base.__module__) and not name.startswith("__")
                    inner = self._named(base, base.__qualname__, name, bare(value), deep=deep)
                    parts += [f"{name}:", *inner]
        return parts

    def _function(self, function: Any) -> list[str]:
        """A function; of a library's decorator the function inside."""
        while not is_own_function(function) and (inner := inner_function(function)) is not None:
            function = inner
        if not inspect.isfunction(function) or function in self.seen:
            return []
        self.seen.add(function)
        if self.changed is not None and is_own_function(function):
            warn_if_edited(sys.modules[function.__globals__["__name__"]])
        code, deep = function.__code__, is_own(function.__module__) or is_own_function(function)
        parts = self._code(code, function.__globals__, deep)

        # Defaults and closed-over variables; what a custom decorator wraps may be elsewhere.
        defaults = function.__defaults__ or ()
        held = list(zip(code.co_varnames[code.co_argcount - len(defaults) :], defaults, strict=False))
        held += (function.__kwdefaults__ or {}).items()
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        held += [(name, cell.cell_contents) for name, cell in cells if _filled(cell)]
        for name, value in held:
            parts += self._named(function, function.__qualname__, name, value, deep=deep, attribute=False)
        if (inner := inner_function(function)) is not None:
            parts += self.value(inner, deep)
        return parts

    def _code(self, code: types.CodeType, names: dict[str, Any], deep: bool) -> list[str]:
        """Each instruction with what it is about, so that constants which none uses (docstrings) do not count."""
        if deep:
            for known, new in zip(self.found, changed_names(code), strict=True):
                known |= new
        steps, module = list(dis.get_instructions(code)), str(names.get("__name__"))
        parts, attributes = [], [step.argval for step in steps if step.opname in ATTRIBUTES]
        for index, step in enumerate(steps):
            if isinstance(step.argval, types.CodeType):
                parts += [step.opname, *self._code(step.argval, names, deep)]
                continue
            parts.append(f"{step.opname} {_shown(step.argval)}")
            # A name that is an attribute is not a global, even if a global has the same name.
            if step.opname in GLOBALS and inspect.ismodule(value := names.get(step.argval)):
                parts += self._module(value, attributes, deep)
            elif step.opname in GLOBALS:
                parts += self._named(names, module, step.argval, names.get(step.argval), deep=deep)
            elif step.opname == "IMPORT_NAME" and deep:
                level = steps[index - 2].argval if isinstance(steps[index - 2].argval, int) else 0
                found = imported("." * level + step.argval, names.get("__package__"))
                parts += self._module(found, attributes, deep) if found is not None else []
        return parts

    def _module(self, module: types.ModuleType, attributes: list[str], deep: bool) -> list[str]:
        """What code refers to by these names in a module of the user's, and in modules in it."""
        key = ("module", module.__name__, *attributes)
        if key in self.seen or not is_own(module.__name__):
            return []
        self.seen.add(key)
        parts = []
        for name in attributes:
            value = vars(module).get(name)
            if inspect.ismodule(value):
                parts += self._module(value, attributes, deep)
            else:
                parts += self._named(vars(module), module.__name__, name, value, deep=deep)
        return parts

    # --- values

    def _named(self, owner: Any, where: str, name: str, value: Any, *, deep: bool, attribute: bool = True) -> list[str]:
        """The value of a name: as it is, or, if the code changes it itself, as it was when it was first seen.

        Args:
            owner: what has the name: the globals of a module, a class, an object, a function.
            where: the owner's name.
            name: its own.
            value: what it holds now.
            deep: as for `value`.
            attribute: whether code may refer to it by ``owner.name``.
        """
        if self.changed is None:
            return self.value(value, deep)
        is_code = inspect.isfunction(value) or inspect.isclass(value) or inner_function(value) is not None
        aliases = {name, f".{name}"} if attribute and not is_code else {name}
        rebound = bool(aliases & self.changed.rebound)
        if rebound or (aliases & self.changed.filled and not is_code and not isinstance(value, PLAIN)):
            key: Hashable = (id(owner), name) if rebound else id(value)
            now = functools.partial(_Walk(self.changed).value, value, deep)
            parts = at_first(key, (owner, value), now, f"{where}.{name}")
        else:
            parts = self.value(value, deep)
        if parts not in NOTHING and not is_code:
            self.values[f"{where}.{name}"] = _finish(parts)
        return parts

    def value(self, value: Any, deep: bool = True) -> list[str]:
        """A value, as far as it is plain data, custom code, or an object of a custom class.

        Args:
            value: any.
            deep: whether to look into dictionaries, nested containers, arrays and objects: not into those of
                libraries, which change while a process runs.
        """
        if isinstance(value, PLAIN):
            return [repr(value)]
        if isinstance(value, list | set | Mapping) and not value:
            return []
        inner = inner_function(value)
        if inspect.isfunction(value) or inspect.isclass(value) or inner is not None:
            if not is_custom(value if inner is None else inner) and not is_own_function(value):
                return [str(getattr(value, "__qualname__", ""))]  # not its module, which a library may move
            return self._class(value) if inspect.isclass(value) else self._function(value)
        if isinstance(value, tuple | list | frozenset) and value and all(isinstance(item, PLAIN) for item in value):
            return [_shown(value)]
        if not deep:
            return []

        # What holds other values.
        if isinstance(value, np.generic | np.ndarray):
            if self.changed is None:
                return []
            content = repr(value.tolist()).encode() if value.dtype.hasobject else value.tobytes()
            return [f"{value.dtype} {value.shape} {hashlib.sha256(content).hexdigest()}"]
        if isinstance(value, list | tuple | set | frozenset | Mapping):
            return self._container(value)
        if isinstance(value, functools.partial):
            held: list[Any] = [value.func, *value.args, *sorted(value.keywords.items())]
            return ["partial", *(text for item in held for text in ["-", *self.value(item)])]
        if isinstance(value, types.MethodType):
            return [*self.value(value.__func__), *self.value(value.__self__)]
        return self._object(value) if is_custom(type(value)) else []

    def _container(self, value: Any) -> list[str]:
        """The items of a container, in an order that does not depend on the process."""
        if id(value) in self.seen:  # a container within itself
            return []
        self.seen.add(id(value))
        items: Iterable[Any] = value.items() if isinstance(value, Mapping) else value
        parts = [self.value(item) for item in items]
        self.seen.remove(id(value))
        if isinstance(value, set | frozenset):
            parts.sort()
        return [type(value).__name__, *(text for part in parts for text in ["-", *part])]

    def _object(self, value: Any) -> list[str]:
        """An object's class and attributes; the class alone of a library's subclasses.

        One of an installed package counts as it was when first seen: what its code changes is not known.
        """
        kind = type(value)
        parts = self._class(kind)
        if any(is_library(base) for base in kind.__mro__):
            return parts
        if not is_own(kind.__module__):
            if self.changed is None:
                return parts
            now = functools.partial(_Walk(Changed(set(), set()))._attributes, value)
            return [*parts, *at_first(id(value), value, now)]
        return [*parts, *self._attributes(value)]

    def _attributes(self, value: Any) -> list[str]:
        """A digest of an object's attributes."""
        if id(value) not in self.objects:
            self.objects[id(value)] = value, []  # where it refers to itself
            reserved = {name: getattr(value, name) for name in slots(type(value)) if hasattr(value, name)}
            parts = []
            for name, item in self._held(value, {**reserved, **getattr(value, "__dict__", {})}).items():
                parts += [f"{name}=", *self._named(value, type(value).__qualname__, name, item, deep=True)]
            self.objects[id(value)] = value, [_finish(parts)] if parts else []
        return self.objects[id(value)][1]

    def _held(self, owner: Any, held: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes in the order of their names, without those that the code has added since they were first seen."""
        if self.changed is None:
            return dict(sorted(held.items()))
        first = names_at_first(owner, held)
        added = {name for name in held if name not in first and f".{name}" in self.changed.rebound}
        added |= {name for base in type(owner).__mro__ for name, item in vars(base).items() if is_cached(item)}
        return {name: value for name, value in sorted(held.items()) if name not in added}


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    """A constant or name; sets in an order that does not depend on the process."""
    return repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value)
