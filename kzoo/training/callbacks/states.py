"""Takes the states of callbacks, packs them for a checkpoint, and restores them."""

from __future__ import annotations

import datetime
import enum
import inspect
import re
import types
import warnings
import zlib
from collections import deque
from pathlib import PurePath
from typing import Any

import numpy as np

from kzoo.errors import InputError

SET_BY_KERAS = ("_model", "model", "params", "validation_data", "append_header")
"""Attributes that Keras sets when training begins; CSVLogger's `append_header` says whether its file is empty."""
CONSTANTS = (PurePath, enum.Enum, re.Pattern, datetime.date, datetime.timedelta, types.ModuleType)
"""Attributes of these types are usually set once, by a constructor: nothing is lost if they are not saved."""
CONTAINERS = (list, dict, set, deque, np.ndarray)
"""Types whose contents change although the attribute does not."""
EXACT = (list, dict, tuple, set, frozenset, deque, np.ndarray)
"""Containers that `unpack` returns as they were."""
UNSAVED = "$unsaved"
"""The key under which a state lists the attributes that it lacks; no attribute can have this name."""


class NotSaved(TypeError):
    """A value that a checkpoint cannot hold."""


def state_of(callback: Any, at_start: dict[str, int] | None = None) -> dict[str, Any]:
    """What must survive a kill: the callback's `state()` if it has one, else its attributes.

    Plain values that its constructor takes are not state: a callback may change them when training begins
    (keras.callbacks.EarlyStopping changes the sign of `min_delta`), and does so again when the run resumes.

    Args:
        callback: any callback.
        at_start: `digests` of the callback before training. Arrays that have not changed since (images that it
            evaluates, for example) and unchanged arguments of its constructor are left out.

    Returns:
        The state, which `pack` can turn into JSON data and arrays. Under `UNSAVED` it lists the attributes of a
        custom callback that no checkpoint can hold.
    """
    if hasattr(callback, "state"):
        return callback.state()
    state: dict[str, Any] = {}
    unsaved = []
    settings = inspect.signature(type(callback)).parameters
    for name, value in _attributes(callback).items():
        arrays: list[np.ndarray] = []
        try:
            packed = pack(value, arrays, exact=True)
        except NotSaved:
            constant = isinstance(value, CONSTANTS) and (at_start or {}).get(name) in (None, _of_constant(value))
            if name not in settings and not callable(value) and not constant:
                unsaved.append(name)
            continue
        if name in settings or arrays:
            unchanged = (at_start or {}).get(name) == _digest(packed, arrays)
            changeable = at_start is not None and isinstance(value, CONTAINERS)
            if unchanged or (name in settings and not changeable):
                continue
        state[name] = value
    # Keras's own callbacks open their files and writers again when they begin.
    if unsaved and not _of_keras(type(callback)):
        state[UNSAVED] = unsaved
    return state


def digests(callback: Any) -> dict[str, int]:
    """Digests of a callback's attributes that are containers or constants, by name; empty if it has a `state()`."""
    found: dict[str, int] = {}
    if hasattr(callback, "state"):
        return found
    for name, value in _attributes(callback).items():
        if isinstance(value, CONTAINERS):
            arrays: list[np.ndarray] = []
            try:
                found[name] = _digest(pack(value, arrays, exact=True), arrays)
            except NotSaved:
                continue
        elif value is None or isinstance(value, CONSTANTS):
            found[name] = _of_constant(value)
    return found


def _of_constant(value: Any) -> int:
    return zlib.crc32(repr(value).encode())


def _attributes(callback: Any) -> dict[str, Any]:
    """The attributes of a callback, including the containers that its classes hold."""
    classes = [each for each in reversed(type(callback).__mro__) if not _of_keras(each)]
    shared = {name: value for each in classes for name, value in vars(each).items() if isinstance(value, CONTAINERS)}
    found = {**shared, **vars(callback)}
    return {name: value for name, value in found.items() if name not in SET_BY_KERAS and not name.startswith("__")}


def _of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "keras"


def _digest(packed: Any, arrays: list[np.ndarray]) -> int:
    digest = zlib.crc32(repr(packed).encode())
    for array in arrays:
        digest = zlib.crc32(f"{array.dtype}{array.shape}".encode(), digest)
        digest = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, digest)
    return digest


def restore_state(callback: Any, state: dict[str, Any]) -> None:
    """Give a callback the state that `state_of` took from its predecessor.

    Lists, dictionaries and sets are filled in place, because a script may refer to them.
    """
    if hasattr(callback, "restore"):
        callback.restore(state)
        return
    unsaved = state.get(UNSAVED)
    if unsaved:
        warnings.warn(
            f"callback {type(callback).__name__} starts again with {', '.join(unsaved)}, which checkpoints cannot "
            "hold: give it state() and restore(state)",
            stacklevel=2,
        )
    for name, value in state.items():
        if name == UNSAVED:
            continue
        current: Any = getattr(callback, name, None)
        if isinstance(current, list | deque) and isinstance(value, list | deque):
            kept = list(value)
            current.clear()
            current.extend(kept)
        elif any(isinstance(current, kind) and isinstance(value, kind) for kind in (dict, set)):
            current.clear()
            current.update(value)
        elif isinstance(current, enum.Enum) and not isinstance(value, enum.Enum) and value in list(type(current)):
            vars(callback)[name] = type(current)(value)  # a member that is a number or text was saved as such
        else:
            vars(callback)[name] = value


def pack(value: Any, arrays: list[np.ndarray], depth: int = 0, *, exact: bool = False) -> Any:
    """Turn a value into JSON data, moving arrays to the list `arrays` and referring to them by index.

    Args:
        value: what to pack.
        arrays: gets the arrays.
        depth: how deep the value lies in others.
        exact: whether subclasses of containers are refused, because `unpack` returns their base class. At the top, only
            those of tuples and frozen sets are: `restore_state` fills the others in place.

    Raises:
        NotSaved: the value, or a value inside it, is not a plain value, an array or a container.
    """
    if depth > 20:
        raise NotSaved("a value nested more than 20 levels deep, or inside itself")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return value.item()
    if type(value) in (np.ndarray, np.memmap) and value.dtype.kind in "biufcU":  # others, like masked ones, hold more
        arrays.append(value)
        return {"$array": len(arrays) - 1}

    def inside(values: Any) -> list[Any]:
        return [pack(each, arrays, depth + 1, exact=exact) for each in values]

    in_place = depth == 0 and isinstance(value, CONTAINERS)
    if exact and isinstance(value, EXACT) and type(value) not in EXACT and not in_place:
        raise NotSaved(f"a value of type {type(value).__name__}")
    if isinstance(value, list):
        return inside(value)
    if isinstance(value, dict):
        if all(isinstance(key, str) and (key == UNSAVED or not key.startswith("$")) for key in value):
            return dict(zip(value, inside(value.values()), strict=True))
        return {"$dict": inside(value.items())}
    if isinstance(value, deque) and value.maxlen is not None:
        return {"$deque": inside(value), "$maxlen": value.maxlen}
    for kind, name in ((tuple, "$tuple"), (set, "$set"), (frozenset, "$frozenset"), (deque, "$deque")):
        if isinstance(value, kind):
            return {name: inside(value)}
    raise NotSaved(f"a value of type {type(value).__name__}")


def unpack(data: Any, arrays: list[np.ndarray]) -> Any:
    """The value that `pack` turned into JSON data and arrays; early checkpoints have no arrays."""
    if isinstance(data, list):
        return [unpack(each, arrays) for each in data]
    if not isinstance(data, dict):
        return data
    if "$maxlen" in data:
        return deque(unpack(data["$deque"], arrays), data["$maxlen"])
    if len(data) == 1:
        ((kind, inner),) = data.items()
        if kind == "$array":
            return arrays[inner]
        makers = {"$tuple": tuple, "$set": set, "$frozenset": frozenset, "$deque": deque, "$dict": dict}
        if kind in makers:
            return makers[kind](unpack(inner, arrays))
    return {key: unpack(value, arrays) for key, value in data.items()}


def pack_states(callbacks: list[Any], states: list[dict[str, Any]]) -> tuple[list[Any], list[np.ndarray]]:
    """Turn the states of callbacks into JSON data and arrays.

    Raises:
        InputError: a callback's `state()` returns a value that a checkpoint cannot hold.
    """
    arrays: list[np.ndarray] = []
    packed = []
    for callback, state in zip(callbacks, states, strict=True):
        try:
            packed.append(pack(state, arrays))
        except NotSaved as error:
            raise InputError(
                f"state() of callback {type(callback).__name__} holds {error}: a checkpoint holds numbers, text, NumPy "
                "arrays, and lists, tuples, sets and dictionaries of them"
            ) from None
    return packed, arrays
