"""Digests of custom code: what changes what it does changes them, and nothing else does."""

import functools
import importlib
import sys

import keras
import pytest

from kzoo.training.identity.code import digest
from kzoo.training.identity.comparing import not_comparable, same_callbacks
from kzoo.training.identity.origin import describe_callbacks

SOURCE = """
import functools
import numpy as np

SETTINGS = {"most": 0.5, "inner": {"levels": [[1, 2], [3]]}}
TABLE = np.arange(3.0)
NAMES = {"a", "b"}
CACHE = {}

class Range:
    steps = {"low": 1}
    def __init__(self):
        self.low, self.calls = 0.25, [0]

class Slotted:
    __slots__ = ("high",)

RANGE, SLOTTED = Range(), Slotted()
SLOTTED.high = 0.75

def change(images, rng, more=(0.1, {"x": 1})):
    CACHE["last"] = images
    return images * SETTINGS["most"] + TABLE[0] + len(NAMES) + RANGE.low + SLOTTED.high

half = functools.partial(change, more=(0.2,))
method = RANGE.__class__.__init__.__get__(RANGE)
"""
CHANGES = {
    "a dictionary": ('"most": 0.5', '"most": 0.6'),
    "a nested list": ("[3]]", "[4]]"),
    "an array": ("arange(3.0)", "arange(4.0)"),
    "a set": ('{"a", "b"}', '{"a", "c"}'),
    "an object": ("0.25, [0]", "0.35, [0]"),
    "an object with slots": ("high = 0.75", "high = 0.85"),
    "a dictionary of a class": ('{"low": 1}', '{"low": 2}'),
    "a default in a container": ('{"x": 1}', '{"x": 2}'),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Imports a source as a module, anew each time."""
    monkeypatch.syspath_prepend(tmp_path)

    def imported(source):
        sys.modules.pop("changed_code", None)
        importlib.invalidate_caches()
        (tmp_path / "changed_code.py").write_text(f"# {len(source)} {id(source)}\n{source}")
        sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
        try:
            return importlib.import_module("changed_code")
        finally:
            sys.dont_write_bytecode = before

    yield imported
    sys.modules.pop("changed_code", None)


@pytest.mark.parametrize("what", CHANGES)
def test_values_that_code_refers_to_belong_to_it(module, what):
    before, after = CHANGES[what]
    assert before in SOURCE
    assert digest(module(SOURCE).change) == digest(module(f"{SOURCE}\n# a comment\n").change)
    assert digest(module(SOURCE).change) != digest(module(SOURCE.replace(before, after)).change)


def test_bound_arguments_and_objects_belong_to_what_is_called(module):
    one, other = module(SOURCE), module(SOURCE.replace("more=(0.2,)", "more=(0.3,)").replace("0.25, [0]", "0.3, [0]"))
    assert digest(one.half) != digest(other.half) != digest(other.change)
    assert digest(one.method) != digest(other.method)
    assert digest(functools.partial(other.change, more=(0.3,))) == digest(other.half)


def test_caches_and_what_calls_leave_behind_are_no_change(module):
    used = module(SOURCE)
    before = digest(used.change)
    used.CACHE["last"] = 3
    used.RANGE.calls.append(1)
    used.RANGE.made = "later"
    assert digest(used.change) == before
    used.SETTINGS["most"] = 0.6
    assert digest(used.change) != before


class Hidden(keras.callbacks.Callback):
    def __init__(self, rate):
        super().__init__()
        self._rate = rate


class Renamed(keras.callbacks.Callback):
    def __init__(self, rate):
        super().__init__()
        self.factor, self.seen = rate, 0


@pytest.mark.parametrize("kind", [Hidden, Renamed])
def test_arguments_that_a_callback_keeps_under_another_name_are_compared(kind):
    used, equal, other = kind(0.1), kind(0.1), kind(0.9)
    described = describe_callbacks([used])
    assert same_callbacks(described, describe_callbacks([equal]))
    assert not same_callbacks(described, describe_callbacks([other]))
    used.seen, used.params = 7, {"epochs": 3}  # as training leaves it
    assert same_callbacks(described, describe_callbacks([used]))


def test_code_of_other_versions_is_not_compared_but_said():
    now = describe_callbacks([Hidden(0.1)])
    early = [{"kind": now[0]["kind"], "settings": {}, "code": "0" * 12}]
    assert same_callbacks(early, now)
    assert not_comparable({"callbacks": early}, {"callbacks": now}) == ["code of its callbacks"]
    assert not_comparable({"callbacks": now}, {"callbacks": now}) == []
