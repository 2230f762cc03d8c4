"""Digests of custom code: equal if functions and classes do the same, whatever their comments and line numbers.

The values that code refers to belong to it: constants, lists and dictionaries of settings, arrays, objects. They count
as they are now, with one exception: values that the code itself changes while it runs (see
`kzoo.training.identity.changed_by_code`), such as a cache, a counter or a singleton, count as they were when this
process first saw them. So the digest changes when the user changes a setting, but not when a cache fills. If a value of
the latter kind was not empty at first and has changed since, a warning says that the change does not count.

Changes under another name (``c = CACHE; c[key] = ...``) are not recognised; the error then names the global.
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
UNUSED |= {"__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__"}  # made when first read
VERSION = 3
"""Version of the digests; digests of different versions cannot be compared.

1 left out dictionaries, arrays and objects. 2 left out the code of custom decorators, of functions behind a library's
decorator (`functools.lru_cache`, `tf.function`), of cached properties, and of modules imported in functions.
"""


class Described(NamedTuple):
    """Custom code.

    Attributes:
        digest: twelve hexadecimal digits.
        values: the digest of each value that the code refers to, by name.
    """

    digest: str
    values: dict[str, str]


def describe(item: Any, user: Any = None) -> Described:
    """Describe what a function, class, object or plain data does: bytecode, constants, and custom code it refers to.

    Comments, docstrings and line numbers do not count. Bytecode belongs to one version of Python.

    Args:
        item: what to describe.
        user: a class or function that may change `item`.
    """
    walk = _Walk(changed_by(item, user))
    parts = walk.whole(item)
    return Described(_finish(parts), dict(sorted(walk.values.items())))


def digest(item: Any, user: Any = None) -> str:
    """The digest of `describe`."""
    return describe(item, user).digest


def changed_by(*items: Any) -> Changed:
    """What functions, classes and objects, and the custom code that they refer to, themselves change."""
    walk = _Walk(None)
    for item in items:
        walk.whole(item)
    return walk.found


def _finish(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


class _Walk:
    """One walk over code and what it refers to.

    Attributes:
        changed: what the code itself changes, found by a first walk; None in that walk, which reads no arrays.
        found: the names found so far.
        seen: functions, classes and modules already described, and containers around the current value.
        objects: objects already described, or being described.
        values: digests of named values.
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
                    # Python and libraries may keep addresses in containers with such names.
                    deep = is_own(base.__module__) and not name.startswith("__")
                    inner = self._named(base, base.__qualname__, name, bare(value), deep=deep)
                    parts += [f"{name}:", *inner]
        return parts

    def _function(self, function: Any) -> list[str]:
        """A function; for a library's decorator, the function inside."""
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
        """Each instruction with its argument, so that unused constants (docstrings) do not count."""
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
        """What code refers to by these names in a user's module, and in modules that this one holds."""
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
        """The value of a name: as it is now, or, if the code itself changes it, as it was when first seen.

        Args:
            owner: where the name is defined: the globals of a module, a class, an object, a function.
            where: the owner's name.
            name: the name itself.
            value: its value now.
            deep: as for `value`.
            attribute: whether code can refer to it as ``owner.name``.
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
        """A value, if it is plain data, custom code or an object of a custom class; otherwise nothing.

        Args:
            value: any.
            deep: whether to look into dictionaries, nested containers, arrays and objects. Those of libraries are
                left out, because they change while a process runs.
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
        """An object's class and attributes; only the class if it is a subclass of a library's.

        An object of an installed package counts as it was when first seen, because what its code changes is unknown.
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
            self.objects[id(value)] = value, []  # in case it refers to itself
            reserved = {name: getattr(value, name) for name in slots(type(value)) if hasattr(value, name)}
            parts = []
            for name, item in self._held(value, {**reserved, **getattr(value, "__dict__", {})}).items():
                parts += [f"{name}=", *self._named(value, type(value).__qualname__, name, item, deep=True)]
            self.objects[id(value)] = value, [_finish(parts)] if parts else []
        return self.objects[id(value)][1]

    def _held(self, owner: Any, held: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes sorted by name, without cached properties and those that the code added after first being seen."""
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
