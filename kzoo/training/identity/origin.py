"""What a run is made of beyond its recipe: the code and data that its recipe names, and the callbacks.

A recipe holds names (``module:function``, a folder's path) whose content may change. So every checkpoint and the record
describe what the run was made of, as JSON data. When the same run is requested, this is compared with what exists now,
see `kzoo.training.identity.comparing`.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
import platform
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kzoo.custom import source_of
from kzoo.introspection.graph import inner_layers
from kzoo.introspection.layers import automatic_name, is_automatic
from kzoo.models.registry import get_variant, resolve
from kzoo.recipes.schema import Recipe
from kzoo.seeds import generator
from kzoo.training.identity.code import VERSION, Described, changed_by, describe, digest
from kzoo.training.identity.first_seen import at_first
from kzoo.training.identity.named import names_model
from kzoo.training.identity.own import is_custom

NAMED = ("name", "keras_history", "input_layers", "output_layers")
"""Keys under which a configuration holds names of layers."""


def describe_model(recipe: Recipe, model: keras.Model) -> dict[str, Any] | None:
    """A built model with its initial weights; None if its name identifies it.

    Returns:
        ``layers``: name, class and a digest of each layer's configuration and inputs. ``weights``: of each weight, its
        root mean square and its projection on a fixed random direction. ``code``: digests of custom classes and
        functions. ``values``: digests of the values that these refer to. ``made_with``: the versions that the rest can
        depend on.
    """
    if names_model(recipe):
        return None
    versions = {
        "keras": keras.version(),
        "backend": keras.backend.backend(),
        "python": ".".join(platform.python_version_tuple()[:2]),
    }
    weights = [_summary(keras.ops.convert_to_numpy(weight)) for weight in model.weights]
    code, values = {}, dict[str, str]()
    for name, described in _code(model):
        code[name] = described.digest
        values |= described.values
    parts = {"layers": _layers(model), "weights": weights, "code": code, "values": values, "made_with": versions}
    return {**parts, "digests": _digests()}


def describe_data(fingerprint: str, class_names: Sequence[str]) -> dict[str, Any]:
    """The data of a run: the fingerprint of its images and labels, and the classes' names."""
    return {"fingerprint": fingerprint, "class_names": list(class_names)}


def describe_callbacks(callbacks: Sequence[Any]) -> list[dict[str, Any]]:
    """The user's callbacks, in order: class, settings as far as they are plain data, and a digest of custom code.

    ``attributes`` is empty if each argument has an attribute of its name; otherwise it holds all that may show one.
    """
    described = []
    for callback in callbacks:
        kind = type(callback)
        settings, attributes = _settings(callback)
        one = {"kind": f"{kind.__module__}.{kind.__qualname__}", "settings": settings, "attributes": attributes}
        described.append({**one, **_written(describe(kind) if is_custom(kind) else None), "digests": _digests()})
    return described


def _settings(callback: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A callback's arguments as far as its attributes show them, and attributes that may show the others.

    If a custom callback keeps an argument under another name, all its attributes stand for it, as they were when first
    seen, because training changes them. Arguments that the callback's own code changes also count as first seen.
    """
    kind, held = type(callback), vars(callback)
    arguments = inspect.signature(kind).parameters
    attributes = {name: next((n for n in _private(name, kind) if n in held), None) for name in arguments}
    shown = {name: attribute for name, attribute in attributes.items() if attribute is not None}
    if not is_custom(kind):
        return {name: _setting(held[attribute]) for name, attribute in shown.items()}, {}

    # What its code changes, as it was when first seen; everything else as it is now.
    new = {name: value for name, value in sorted(held.items()) if name not in vars(keras.callbacks.Callback())}
    key = "callback", id(callback)
    text = at_first(key, callback, lambda: [json.dumps({name: _setting(value, kind) for name, value in new.items()})])
    first = json.loads(text[0])
    changed = {name for names in changed_by(kind) for name in names}
    settings = {
        name: first[attribute] if f".{attribute}" in changed and attribute in first else _setting(held[attribute], kind)
        for name, attribute in shown.items()
    }
    return settings, first if None in attributes.values() else {}


def _private(name: str, kind: type) -> list[str]:
    """The names under which a class usually keeps an argument."""
    return [name, f"_{name}", f"_{kind.__name__.lstrip('_')}__{name}"]


def _digests() -> str:
    """What digests of code depend on."""
    return f"{VERSION}, Python {'.'.join(platform.python_version_tuple()[:2])}"


def see(recipe: Recipe) -> None:
    """Note the values that the code of a recipe's custom model refers to, before it runs and may change them."""
    if not names_model(recipe) and not recipe.model.startswith("keras:"):
        describe(resolve(get_variant(recipe.model).builder))


def describe_parts(recipe: Recipe) -> dict[str, Any] | None:
    """The custom augmentations, schedule and optimizer of a recipe; None if it has none.

    Returns:
        ``functions``: for each field and kind (``"schedule mine:warm"``), where its function is, digests of its code
        (None for a library's) and of the values that it refers to. ``digests``: what the digests depend on.
    """
    if not recipe.custom_parts:
        return None
    functions = {}
    for part in recipe.custom_parts:
        function = part.function()
        own = is_custom(function) or not (inspect.isfunction(function) or inspect.isclass(function))
        described = {"source": source_of(function), **_written(describe(function) if own else None)}
        functions[f"{part.field} {part.kind}"] = described
    return {"functions": functions, "digests": _digests()}


def _written(described: Described | None) -> dict[str, Any]:
    """Custom code as JSON data; ``code`` is None for a library's code."""
    return {"code": None} if described is None else {"code": described.digest, "values": described.values}


def _layers(model: keras.Model) -> list[list[str]]:
    """Label, class and digest of each layer; the last row describes how the layers are connected."""
    try:
        content = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError):  # a subclass without a configuration
        kinds = [*model.layers, model]
        return [[layer.name, type(layer).__name__, ""] for layer in kinds]
    labels = [layer["config"].get("name", "") for layer in content["config"].get("layers", [])]
    content = _without_counters(content, _automatic_names(content))
    layers = content["config"].pop("layers", [])
    rows = [[label, layer["class_name"], _digest(layer)] for label, layer in zip(labels, layers, strict=True)]
    return [*rows, [model.name, content["class_name"], _digest(content)]]


def _automatic_names(content: Any) -> dict[str, str]:
    """Maps each name that Keras numbered within this process to one that does not depend on the process."""
    names: dict[str, str] = {}
    counts: dict[str, int] = {}
    for item in _dicts(content):
        config = item.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        if not isinstance(name, str) or name in names:
            continue
        kind = str(item.get("class_name"))
        if is_automatic(name, kind):
            base = automatic_name(kind)
            names[name] = f"{base}#{counts.setdefault(base, 0)}"
            counts[base] += 1
    return names


def _dicts(content: Any) -> Iterator[dict[str, Any]]:
    if isinstance(content, dict):
        yield content
    for value in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _dicts(value)


def _without_counters(content: Any, names: Mapping[str, str], inside: bool = False) -> Any:
    """The configuration with automatic names replaced, without the parts that do not affect what is computed."""
    if isinstance(content, str):
        return names.get(content, content) if inside else content
    if isinstance(content, list):
        return [_without_counters(item, names, inside) for item in content]
    if not isinstance(content, dict):
        return content
    if content.get("class_name") == "__lambda__":
        return "__lambda__"  # its bytes hold line numbers; `_code` looks at what it does
    kept = {key: value for key, value in content.items() if key not in ("build_config", "compile_config")}
    return {key: _without_counters(value, names, inside or key in NAMED) for key, value in kept.items()}


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _summary(value: np.ndarray) -> list[float]:
    flat = np.asarray(value, np.float64).ravel()
    if not flat.size:
        return [0.0, 0.0]
    size = math.sqrt(flat.size)
    direction = generator(0, "projection of weights").standard_normal(flat.size)
    return [float(np.linalg.norm(flat) / size), float(flat @ direction / size)]


def _code(model: keras.Model) -> Iterator[tuple[str, Described]]:
    """The custom classes and functions among a model's layers and what these hold."""
    known: dict[Any, Described] = {}
    for layer in [model, *inner_layers(model)]:
        for item in [layer, *vars(layer).values()]:
            kind = item if inspect.isfunction(item) else type(item)
            if is_custom(kind):
                if kind not in known:  # many layers are of one class
                    known[kind] = describe(kind)
                yield f"{kind.__module__}.{kind.__qualname__}", known[kind]


def _setting(value: Any, user: type | None = None) -> Any:
    """A callback's setting as JSON data. Numbers lose their signs, which Keras's callbacks flip when training begins.

    Args:
        value: the value of an attribute.
        user: the custom class of the callback, which may change the value.
    """
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | float):
        return abs(value) if math.isfinite(value) else str(abs(value))
    if isinstance(value, Mapping):
        return {str(key): _setting(item, user) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_setting(item, user) for item in value]
    if inspect.isfunction(value):
        return f"{value.__qualname__} {digest(value, user)}"
    known = isinstance(value, np.ndarray | functools.partial | types.MethodType) or is_custom(type(value))
    return f"{type(value).__qualname__} {digest(value, user)}" if known else type(value).__qualname__
