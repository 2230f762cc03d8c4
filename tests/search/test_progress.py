"""The output while a search runs."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from kzoo import Choice, Search, run_search
from kzoo.search.results import read_search
from kzoo.search.tables import SearchProgress

pytestmark = pytest.mark.usefixtures("eagerly")

SEARCH = Search("shown", "lenet1-max", {"batch_size": Choice(20, 50)}, tuner="grid").override(
    **{"dataset": "digits", "train_size": 60, "split.validation": 40, "epochs": 1}
)


@pytest.mark.slow
@pytest.mark.representative
def test_lines_where_there_is_no_terminal_and_a_table_where_there_is():
    text = io.StringIO()
    run_search(SEARCH, "shown", progress=Console(file=text, width=200))
    lines = text.getvalue().splitlines()
    assert [line for line in lines if "val_accuracy" in line] == [line for line in lines if "(epoch 1 of 1)" in line]
    assert sum("val_accuracy" in line for line in lines) == 2
    again = io.StringIO()
    run_search(SEARCH, "shown", progress=Console(file=again, width=200))
    assert "trial 000" not in again.getvalue()  # finished trials are not printed again
    terminal = Console(file=io.StringIO(), force_terminal=True, width=200)
    with SearchProgress(terminal, SEARCH, Path("shown"), read_search("shown").record) as shown:
        terminal.print(shown.table())
    assert "shown: 2 trials, grid" in terminal.file.getvalue()
