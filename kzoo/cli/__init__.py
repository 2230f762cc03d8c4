"""The command line: parses, calls the library, prints (nothing else).

Exit status: 0 on success, 1 if a run failed, 2 for bad input, 3 if the doctor has findings, 130 after an interruption.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import warnings
from typing import Any

import typer

from kzoo.cli import (  # noqa: F401  (their commands register themselves, in this order)
    compare,
    data,
    doctor,
    explain,
    export,
    figures,
    models,
    runs,
    search,
    serving,
    studies,
    weights,
)
from kzoo.cli.common import app, complain
from kzoo.cli.parsing import UsageError, complain_of_usage
from kzoo.console import replace_what_cannot_be_written
from kzoo.errors import KzooError, RunFailed
from kzoo.files import NO_ROOM

__all__ = ["app", "main"]

NO_OUTPUT = (errno.ENOSPC, errno.EIO, errno.EPIPE)


@functools.cache
def _command(name: str) -> Any:
    """The click command for command lines that begin with `name`; cached, because typer evaluates signatures."""
    return typer.main.get_command(app.only(name))


def main() -> None:
    """Run the command line; report an error in one line on standard error, with an exit status."""
    replace_what_cannot_be_written()
    try:
        sys.path.append(os.getcwd())  # for module:function in a user's file
    except OSError:
        complain("error", "the current directory no longer exists: change to another one")
        sys.exit(2)

    # Run the command. Each kind of error has its own exit status.
    warnings.showwarning = lambda message, *rest, **more: complain("warning", str(message))
    try:
        status = _command("".join(sys.argv[1:2]))(prog_name="kzoo", standalone_mode=False)
        print(end="", flush=True)
    except UsageError as error:
        complain_of_usage(error)
        sys.exit(error.exit_code)
    except RunFailed as error:
        complain("error", str(error))
        sys.exit(1)
    except KzooError as error:
        complain("error", str(error))
        sys.exit(2)
    except PermissionError as error:
        complain("error", f"{str(error.filename)!r}: {error.strerror}")
        sys.exit(2)
    except OSError as error:
        if error.filename is not None and error.errno in NO_ROOM:
            complain("error", f"cannot write {str(error.filename)!r}: {error.strerror}")
            sys.exit(1)
        if error.filename is not None or error.errno not in NO_OUTPUT:
            raise
        # Otherwise Python would try to write the remaining output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno != errno.EPIPE:  # a reader such as `head` has seen enough
            complain("error", f"output cannot be written: {error.strerror}")
        sys.exit(1)
    sys.exit(status or 0)
