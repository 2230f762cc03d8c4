"""Run docs/generate.py of any checkout in this process, because a new process would import Keras each time."""

import contextlib
import importlib.util
import io
import sys
from types import SimpleNamespace
from unittest.mock import patch


def generate(where, *words):
    """Run it with these arguments; return `returncode`, `stdout` and `stderr`, like a process."""
    script = where / "docs" / "generate.py"
    spec = importlib.util.spec_from_file_location("generate_under_test", script)
    out, err, code = io.StringIO(), io.StringIO(), 0
    path = [str(script.parent), *sys.path]
    with (
        patch.object(sys, "argv", [str(script), *words]),
        patch.object(sys, "path", path),
        contextlib.redirect_stdout(out),
    ):
        try:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.main()
        except SystemExit as ended:  # with a status, or with a message for standard error
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            err.write(ended.code if isinstance(ended.code, str) else "")
        finally:
            for name in [name for name in sys.modules if name.partition(".")[0] == "tables"]:
                del sys.modules[name]  # another checkout has its own
    return SimpleNamespace(returncode=code, stdout=out.getvalue(), stderr=err.getvalue())
