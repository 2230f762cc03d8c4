"""The notebooks of the documentation run from beginning to end, show what they promise, and stay cheap."""

import importlib.util
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
LIMIT = 60  # CPU seconds; twice as many are allowed, because machines differ
OUTPUT_LINES = 30


def text_of(notebook):
    """All text that a notebook shows."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    data = [output.get("data", {}) for output in outputs]
    return "\n".join([*(output.get("text", "") for output in outputs), *(one.get("text/plain", "") for one in data)])


@pytest.fixture
def execute(monkeypatch):
    spec = importlib.util.spec_from_file_location("execute_under_test", DOCS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    return module.execute


def test_three_notebooks_hold_what_they_showed():
    assert [path.stem for path in NOTEBOOKS] == ["engineer", "researcher", "student"]
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        assert notebook.cells[0].source.startswith("# "), path.name
        for cell in notebook.cells:
            if cell.cell_type == "code":
                assert cell.execution_count, f"run docs/execute.py: {path.name} has a cell without its output"
                assert sum(len(o.get("text", "").splitlines()) for o in cell.outputs) <= OUTPUT_LINES, path.name
        assert str(Path.home()) not in path.read_text(encoding="utf-8") or Path.home() == Path("/")
        assert path.stat().st_size < 500_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="CPU seconds of children are counted on POSIX alone")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        pytest.param("student", "vanishing gradients", marks=pytest.mark.representative),
        ("researcher", "n=3"),
        ("engineer", "format='onnx'"),
    ],
)
def test_notebook_runs(name, shown, execute, tmp_path):
    notebook, seconds = execute(DOCS / "notebooks" / f"{name}.ipynb", tmp_path)
    kinds = {kind for cell in notebook.cells for output in cell.get("outputs", ()) for kind in output.get("data", {})}
    assert "text/html" in kinds
    html = "".join(str(o.get("data", {}).get("text/html", "")) for c in notebook.cells for o in c.get("outputs", ()))
    assert shown in text_of(notebook) + html
    assert seconds < 2 * LIMIT
