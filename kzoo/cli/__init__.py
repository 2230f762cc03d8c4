"""The command line: parses, calls the library, prints (nothing else).

Exit status: 0 done, 1 a run failed, 2 bad input, 3 the doctor has findings, 130 interrupted, a checkpoint written.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from typing import Any

import typer

from kzoo.cli import (  # noqa: F401  (their commands register themselves, in this order)
    compare,
    data,
    diagnosis,
    explain,
    export,
    figures,
    pages,
    runs,
    search,
    serving,
    speed,
    studies,
    weights,
    zoo,
)
from kzoo.cli.common import app, complain
from kzoo.cli.parsing import UsageError, complain_of_usage
from kzoo.console import replace_what_cannot_be_written
from kzoo.errors import KzooError, RunFailed

__all__ = ["app", "main"]


@functools.cache
def _command() -> Any:
    """The click command that typer builds from all signatures: most of a short command's time, so once a process."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; an error is one line on standard error and an exit status."""
    replace_what_cannot_be_written()
    sys.path.append(os.getcwd())  # for module:function in a user's file
    warnings.showwarning = lambda message, *rest, **more: complain("warning", str(message))
    try:
        status = _command()(prog_name="kzoo", standalone_mode=False)
    except UsageError as error:
        complain_of_usage(error)
        sys.exit(error.exit_code)
    except RunFailed as error:
        complain("error", str(error))
        sys.exit(1)
    except KzooError as error:
        complain("error", str(error))
        sys.exit(2)
    sys.exit(status or 0)
