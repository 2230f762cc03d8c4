"""Consoles: text is written unchanged and in one piece, in a notebook and on a custom console too."""

import io
import sys
import types

import pytest
from rich.console import Console

from kzoo import console
from kzoo.live import LiveTable

LONG = "runs [1]/[bold]x :smile: " + "a/b " * 30


@pytest.mark.parametrize("options", [{}, {"markup": True, "emoji": True}])
def test_a_line_stays_one_line_on_any_console(options):
    narrow = Console(file=io.StringIO(), width=30, **options)
    console.say(narrow, LONG)
    assert narrow.file.getvalue() == f"{LONG}\n"
    table = LiveTable(Console(file=io.StringIO(), width=30, **options))
    table.line(LONG)
    assert table.console.file.getvalue() == f"{LONG}\n"


@pytest.mark.parametrize(("kind", "color"), [("error", "31"), ("warning", "33")])
def test_a_complaint_is_one_line_in_its_colour(kind, color, monkeypatch):
    narrow = console.plain_console(file=io.StringIO(), width=30, force_terminal=True, color_system="standard")
    monkeypatch.setattr(console, "err", narrow)
    console.complain(kind, LONG)
    assert narrow.file.getvalue().replace("\x1b[0m", "").rstrip("\n") == f"\x1b[{color}m{kind}: {LONG}"


def test_which_console_shows_progress():
    custom = Console(file=io.StringIO())
    assert console.console_for(custom) is custom
    assert console.console_for(False) is None
    assert isinstance(console.console_for(True), Console)


@pytest.mark.parametrize("kernel", [True, False])
def test_in_a_notebook_nothing_is_redrawn_and_nothing_is_html(kernel, monkeypatch):
    shell = type("ZMQInteractiveShell" if kernel else "TerminalInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    assert console.in_notebook() == kernel
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then treats every output as a terminal
    made = console.plain_console(file=io.StringIO())
    assert made.is_terminal != kernel
    assert not made.is_jupyter
    assert console.plain_console(force_terminal=True).is_terminal
    monkeypatch.delitem(sys.modules, "IPython")
    assert not console.in_notebook()
