"""The files that a finished search leaves for its readers: its table, its picture and its best recipe."""

from __future__ import annotations

import contextlib

from kzoo.diagnostics.plots import save_figure
from kzoo.errors import InputError
from kzoo.files import write_atomically, write_text
from kzoo.search.pictures import plot_search
from kzoo.search.records import BEST, PICTURE, TABLE
from kzoo.search.results import SearchResult
from kzoo.search.tables import markdown, summary


def write_summary(result: SearchResult) -> None:
    """Write table, picture and the best recipe into the search's directory, anew at each end."""
    folder = result.directory
    table = markdown(result) + "\n" + "\n\n".join(summary(result).splitlines()) + "\n"
    write_text(folder / TABLE, table)
    with contextlib.suppress(InputError):  # nothing was completed, or the model is a function
        text = result.recipe().to_json().encode()
        write_atomically(folder / BEST, lambda stream: stream.write(text))
    with contextlib.suppress(InputError):  # nothing to draw
        save_figure(plot_search(result), folder / PICTURE, overwrite=True)
