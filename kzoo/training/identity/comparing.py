"""Compares what a run was made of, as `kzoo.training.identity.origin` describes it, with what exists now (no Keras)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kzoo.errors import some

# Two backends, or two processors, may round the same initial weights differently.
TOLERANCE = 1e-3


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two descriptions, each part in a few words; a part that one of them lacks is left out.

    Args:
        before, now: mappings with any of ``"model"``, ``"data"``, ``"parts"`` and ``"callbacks"``, described by
            `kzoo.training.identity.origin`.
    """
    texts = []
    if before.get("model") and now.get("model"):
        texts += _model_differences(before["model"], now["model"])
    if before.get("data") and now.get("data"):
        one, other = before["data"], now["data"]
        if one["fingerprint"] != other["fingerprint"]:
            texts.append(f"other data (fingerprint {other['fingerprint'][:10]}, it was {one['fingerprint'][:10]})")
        elif one["class_names"] != other["class_names"]:
            changed = [pair for pair in zip(one["class_names"], other["class_names"], strict=False) if len({*pair}) > 1]
            texts.append(f"other class names ({changed[0][1]!r}, it was {changed[0][0]!r})")
    if _comparable(before.get("parts"), now.get("parts")):
        old, new = before["parts"]["functions"], now["parts"]["functions"]
        changed = [name for name in old if name in new and old[name]["code"] != new[name]["code"]]
        texts += [f"other code of {name} ({new[name]['source']}){_by(old[name], new[name])}" for name in changed]
    if before.get("callbacks") is not None and now.get("callbacks") is not None:
        texts += callback_differences(before["callbacks"], now["callbacks"])
    return texts


def not_comparable(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What cannot be compared between two descriptions, because digests of code depend on Python and kzoo."""
    texts = []
    for part in ("model", "parts"):
        one, other = before.get(part), now.get(part)
        if one and other and not _comparable(one, other) and (one.get("code") or one.get("functions")):
            texts.append("custom code of its model" if part == "model" else f"code of {', '.join(one['functions'])}")
    pairs = zip(before.get("callbacks") or (), now.get("callbacks") or (), strict=False)
    if any(one["code"] and not _comparable(one, other) for one, other in pairs):
        texts.append("code of its callbacks")
    return texts


def _comparable(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    return bool(one and other) and one.get("digests") == other.get("digests")  # type: ignore[union-attr]


def callback_differences(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs between two lists of callbacks, code included."""
    if not same_callbacks(before, now):
        return [f"other callbacks ({_callbacks(now)}; it was trained with {_callbacks(before)})"]
    pairs = zip(before, now, strict=True)
    changed = [(one, other) for one, other in pairs if _comparable(one, other) and one["code"] != other["code"]]
    return [f"other code of callback {one['kind'].rpartition('.')[2]}{_by(one, other)}" for one, other in changed]


def _by(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The names of the values that differ, to tell changed code from a changed setting or a cache."""
    old, new = before.get("values") or {}, now.get("values") or {}
    names = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return f", because of the value of {some(names)}, which a new process sets again" if names and old and new else ""


def same_callbacks(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> bool:
    """Whether two lists of callbacks are alike in number, classes and settings."""
    if [_kind(one) for one in before] != [_kind(one) for one in now]:
        return False
    # Early versions kept fewer settings.
    pairs = [(_values(one), _values(other)) for one, other in zip(before, now, strict=True)]
    return all(one[name] == other[name] for one, other in pairs for name in one.keys() & other.keys())


def _values(described: Mapping[str, Any]) -> dict[str, Any]:
    """A callback's settings, and the attributes that may show others."""
    return {**described.get("attributes", {}), **described["settings"]}


def _kind(described: Mapping[str, Any]) -> str:
    """The class of a callback; kzoo's without the module, which may have moved since."""
    kind = str(described["kind"])
    return f"kzoo.{kind.rpartition('.')[2]}" if kind.startswith("kzoo.") else kind


def same_weights(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether two descriptions of a model have the same initial weights, up to rounding."""
    one, other = (np.array(part["weights"], float).reshape(-1, 2) for part in (before, now))
    if one.shape != other.shape:
        return False
    scale = np.maximum(one[:, :1], other[:, :1])
    return bool(np.all(np.abs(one - other) <= TOLERANCE * scale + 1e-12))


def _callbacks(described: Sequence[Mapping[str, Any]]) -> str:
    texts = []
    for one in described:
        settings = ", ".join(f"{name}={value!r}" for name, value in _values(one).items())
        texts.append(f"{one['kind'].rpartition('.')[2]}({settings})")
    return ", ".join(texts) or "no callback"


def _model_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    # Another version of Keras may write another configuration, and another backend draws other numbers.
    made_alike = before["made_with"] == now["made_with"]
    same_keras = before["made_with"]["keras"] == now["made_with"]["keras"]
    one, other = before["layers"], now["layers"]
    if len(one) != len(other):
        return [f"another model ({len(other) - 1} layers, it had {len(one) - 1})"]
    for old, new in zip(one, other, strict=True):
        if old[1:] != new[1:] if same_keras else old[1] != new[1]:
            layer = f"{new[0]!r} ({new[1]})" if old[1] == new[1] else f"{new[0]!r} ({new[1]}, it was {old[1]})"
            return [f"another model (layer {layer} differs)"]
    if _comparable(before, now) and before["code"] != now["code"]:
        names = sorted(k for k in {*before["code"], *now["code"]} if before["code"].get(k) != now["code"].get(k))
        return [f"another model (the code of {', '.join(names)} has changed{_by(before, now)})"]
    if made_alike and not same_weights(before, now):
        return ["other initial weights of its model"]
    return []
