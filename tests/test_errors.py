"""Messages: how values, lists and other errors are shown in one line."""

import numpy as np
import pytest

from kzoo.errors import first_line, in_one_line, shown, some, unknown
from kzoo.seeds import derived_seed, generator


def test_lists_are_cut_off_after_ten():
    assert some(range(10)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert some(range(13)) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
    assert some("abc", most=2) == "a, b and 1 more"


def test_long_values_are_shortened_and_arrays_have_a_shape():
    assert shown("a  b\nc") == r"'a b\nc'"
    assert shown("x" * 118) == f"'{'x' * 118}'"
    assert shown("x" * 119) == f"'{'x' * 116}..."
    assert shown(list(range(9)), 12) == "[0, 1, 2,..."
    assert shown(np.zeros((2, 3))) == "ndarray of shape (2, 3)"
    assert shown(np.array(2.5)) == "array(2.5)"


def test_a_dozen_names_are_listed_and_no_more_unless_asked_for():
    names = [f"name{i:02}" for i in range(13)]
    assert str(unknown("fish", "x", names[:12])) == f"unknown fish 'x': allowed are {', '.join(names[:12])}"
    assert str(unknown("fish", "x", names)) == "unknown fish 'x'"
    assert str(unknown("fish", "x", names, hint="(see below)")) == "unknown fish 'x' (see below)"
    assert str(unknown("fish", "x", names, everything=True)).endswith("name11, name12")
    assert str(unknown("fish", "x", [])) == "unknown fish 'x': allowed are none"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a  b\n c"), "ValueError: a b c"),
        (KeyError(), "KeyError: "),
        (RuntimeError("{{node a/b}} it failed"), "RuntimeError: it failed"),
        (RuntimeError("OOM: RESOURCE_EXHAUSTED"), "out of memory: RuntimeError: OOM: RESOURCE_EXHAUSTED"),
        (OSError("Out of memory"), "out of memory: OSError: Out of memory"),
        (TypeError("bad"), "bad"),
        (TypeError(), "TypeError: "),
    ],
)
def test_errors_in_one_line(error, line):
    assert in_one_line(error, untyped=(TypeError,)) == line
    assert in_one_line(error, (TypeError,), most=9) == line[:9]
    assert len(in_one_line(ValueError("x" * 999))) == 300


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("\n one.\ntwo"), "one"),
        (KeyError(), "KeyError"),
        (
            ValueError("Exception encountered when calling P.call().\n\n\x1b[1mtoo small\x1b[0m\n\nArguments: x"),
            "Exception encountered when calling P.call(): too small",
        ),
        (
            TypeError("<class 'P'> could not be loaded. Please ...\n\nconfig={}.\n\nException encountered: no x\n"),
            "<class 'P'> could not be loaded: no x",
        ),
        (ValueError("x" * 999), 300 * "x"),
    ],
)
def test_the_first_line_of_an_error_and_the_cause_that_keras_writes_below(error, line):
    assert first_line(error) == line


def test_seeds_depend_on_every_argument_and_fit_into_31_bits():
    ways = [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2), (0, "a", 1, 1), (0, "a", 2, 1)]
    drawn = [derived_seed(*way) for way in ways]
    assert len(set(drawn)) == len(ways)
    assert drawn == [derived_seed(*way) for way in ways]
    many = np.array([derived_seed(0, "x", i) for i in range(400)])
    assert many.min() >= 0
    assert 0.99 * 2**31 < many.max() < 2**31
    assert generator(3, "a", 7).random() == generator(3, "a", 7).random() != generator(3, "a", 8).random()
