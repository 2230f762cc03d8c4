"""Execute the notebooks of docs/notebooks/ and store their outputs in them.

    python docs/execute.py                     all notebooks, in place
    python docs/execute.py student engineer    only these

Each notebook runs in an empty directory. The site shows the stored outputs; tests/docs/test_notebooks.py executes the
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
        The notebook with its outputs (except standard error), and the CPU seconds that it took.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    os.environ.update(QUIET)
    # Join everything that a cell prints into one output, independent of the speed of the machine.
    resources = {"metadata": {"path": str(directory)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", coalesce_streams=True, resources=resources).execute()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times differ between executions
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Execute the notebooks that the command line names, or all of them."""
    for name in sys.argv[1:] or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as directory:
            notebook, seconds = execute(NOTEBOOKS / f"{name}.ipynb", Path(directory))
        nbformat.write(notebook, NOTEBOOKS / f"{name}.ipynb")
        print(f"{name}: {seconds:.0f} CPU seconds", flush=True)


if __name__ == "__main__":
    main()
