"""Executes the notebooks of docs/notebooks/ and stores what they show in them.

    python docs/execute.py                     all of them, in place
    python docs/execute.py student engineer    these

Each runs in an empty directory. The site shows the stored outputs; tests/docs/test_notebooks.py executes the
notebooks again.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent / "notebooks"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


def execute(path: Path, directory: Path) -> tuple[nbformat.NotebookNode, float]:
    """Execute a notebook in a directory.

    Returns:
        The notebook with its outputs (but for what was written to standard error), and the CPU seconds that it took.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.environ.update(QUIET)
    # One output for all that a cell prints, however fast the machine is.
    resources = {"metadata": {"path": str(directory)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", coalesce_streams=True, resources=resources).execute()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ with each execution
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Execute those that are named, or all."""
    for name in sys.argv[1:] or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as directory:
            notebook, seconds = execute(NOTEBOOKS / f"{name}.ipynb", Path(directory))
        nbformat.write(notebook, NOTEBOOKS / f"{name}.ipynb")
        print(f"{name}: {seconds:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
