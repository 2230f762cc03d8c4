"""Digests of custom code change with the behaviour of the code, and only then."""

import functools
import importlib
import sys
import warnings

import keras
import pytest

from kzoo.training.identity.code import describe, digest
from kzoo.training.identity.comparing import differences, not_comparable, same_callbacks
from kzoo.training.identity.origin import describe_callbacks

SOURCE = """
import functools
import numpy as np

SETTINGS = {"most": 0.5, "inner": {"levels": [[1, 2], [3]]}}
TABLE = np.arange(3.0)
NAMES = {"a", "b"}
LATER = {}
CACHE = {}
COUNTS = {"calls": 0}
LOG = ["begun"]
ALIASED = {"a": 1}
MADE = None

class Range:
    steps = {"low": 1}
    made = 0
    def __init__(self):
        self.low, self.calls = 0.25, [0]
    def __call__(self, x):
        self.calls.append(x)
        self.last = x
        Range.made += 1
        return self.low + self.half
    @functools.cached_property
    def half(self):
        return 0.125

class Slotted:
    __slots__ = ("high",)

def scaled(factor):
    def decorate(function):
        @functools.wraps(function)
        def inside(images, rng, **options):
            return function(images, rng, **options) * factor
        return inside
    return decorate

@functools.lru_cache
def table(size):
    return size * 3

RANGE, SLOTTED = Range(), Slotted()
SLOTTED.high = 0.75

@scaled(1.5)
def change(images, rng, more=(0.1, {"x": 1}), memo={}):
    global MADE
    from changed_code_helper import helped
    if MADE is None:
        MADE = [table(3)]
    CACHE["last"] = memo[0] = images
    COUNTS["calls"] += 1
    LOG.append(len(COUNTS))
    alias = ALIASED
    alias["b"] = 2
    value = images * SETTINGS["most"] + TABLE[0] + len(NAMES) + RANGE(1) + SLOTTED.high + LATER.get("more", 0)
    return helped(value)

half = functools.partial(change, more=(0.2,))
method = RANGE.__class__.__init__.__get__(RANGE)
"""
HELPER = "def helped(value):\n    return value + 1\n"
CHANGES = {
    "a dictionary": ('"most": 0.5', '"most": 0.6'),
    "a nested list": ("[3]]", "[4]]"),
    "an array": ("arange(3.0)", "arange(4.0)"),
    "a set": ('{"a", "b"}', '{"a", "c"}'),
    "an object": ("0.25, [0]", "0.35, [0]"),
    "an object with slots": ("high = 0.75", "high = 0.85"),
    "a dictionary of a class": ('{"low": 1}', '{"low": 2}'),
    "a default in a container": ('{"x": 1}', '{"x": 2}'),
    "what the code changes itself": ('{"calls": 0}', '{"calls": 5}'),
    "a decorator": ("* factor", "- factor"),
    "a decorator's argument": ("@scaled(1.5)", "@scaled(2.5)"),
    "a function behind a cache": ("size * 3", "size * 4"),
    "a cached property": ("return 0.125", "return 0.375"),
}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Imports source text as a new module each time."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a compiled file of the same second and size would be reused

    def imported(source, helper=HELPER):
        sys.modules.pop("changed_code", None)
        sys.modules.pop("changed_code_helper", None)
        importlib.invalidate_caches()
        (tmp_path / "changed_code.py").write_text(f"# {len(source)} {id(source)}\n{source}")
        (tmp_path / "changed_code_helper.py").write_text(f"# {len(helper)} {id(helper)}\n{helper}")
        return importlib.import_module("changed_code")

    yield imported
    for name in ("changed_code", "changed_code_helper"):
        sys.modules.pop(name, None)


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


def test_a_module_that_a_function_imports_belongs_to_it(module):
    assert digest(module(SOURCE).change) != digest(module(SOURCE, HELPER.replace("+ 1", "+ 2")).change)


def test_what_calls_leave_behind_is_no_change_and_is_reported_where_it_may_be_a_setting(module):
    used = module(SOURCE.replace('    alias["b"] = 2\n', ""))
    before = digest(used.change)
    assert used.Range.__annotations__ == {}  # Python creates it only now
    assert used.change(1.0, None) == pytest.approx(1.5 * (1 * 0.5 + 0 + 2 + 0.375 + 0.75 + 1))
    assert (used.CACHE, used.COUNTS, used.MADE, used.RANGE.last) == ({"last": 1.0}, {"calls": 1}, [9], 1)
    with pytest.warns(UserWarning, match="has changed since it was first seen; the code itself changes it") as warned:
        assert digest(used.change) == before
    names = {str(one.message).partition("'")[2].partition("'")[0] for one in warned}
    assert names == {"changed_code.COUNTS", "changed_code.LOG", "Range.calls", "Range.made"}  # not those first empty
    assert digest(used.change) == before  # reported once


@pytest.mark.parametrize(
    ("name", "assign"),
    [
        ("SETTINGS", lambda used: used.SETTINGS.update(most=0.6)),
        ("LATER", lambda used: used.LATER.update(more=1)),  # empty at first, and never filled by the code
        ("RANGE", lambda used: setattr(used.RANGE, "low", 0.9)),
        ("RANGE", lambda used: setattr(used.RANGE, "new", 0.9)),
        ("ALIASED", lambda used: used.change(1.0, None)),  # under another name: not recognised, but named
    ],
)
def test_values_that_the_user_changes_are_named(module, name, assign):
    used = module(SOURCE)
    before = describe(used.change)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assign(used)
        after = describe(used.change)
    assert after.digest != before.digest
    different = {label for label in after.values if before.values.get(label) != after.values[label]}
    assert f"changed_code.{name}" in different
    old, new = (
        {"functions": {"schedule s": {"source": "s", "code": d.digest, "values": d.values}}} for d in (before, after)
    )
    (text,) = differences({"parts": {**old, "digests": 1}}, {"parts": {**new, "digests": 1}})
    assert f"changed_code.{name}" in text


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
    used.seen, used.params = 7, {"epochs": 3}  # as after training
    assert same_callbacks(described, describe_callbacks([used]))


class Kept(keras.callbacks.Callback):
    def __init__(self, losses, rate):
        super().__init__()
        self.losses, self.rate = losses, rate

    def on_epoch_end(self, epoch, logs=None):
        self.losses.append(0.5)
        self.rate *= 0.1


def test_arguments_that_a_callback_changes_itself_count_as_they_were_given():
    used = Kept([], 0.1)
    described = describe_callbacks([used])
    used.on_epoch_end(0)
    assert same_callbacks(described, describe_callbacks([used]))
    assert not same_callbacks(described, describe_callbacks([Kept([], 0.2)]))


def test_code_of_other_versions_is_reported_and_not_compared():
    now = describe_callbacks([Hidden(0.1)])
    early = [{"kind": now[0]["kind"], "settings": {}, "code": "0" * 12}]
    assert same_callbacks(early, now)
    assert not_comparable({"callbacks": early}, {"callbacks": now}) == ["code of its callbacks"]
    assert not_comparable({"callbacks": now}, {"callbacks": now}) == []
