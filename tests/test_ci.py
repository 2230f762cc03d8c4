"""The scripts of continuous integration: what .ci/full records of its parts, and what it refuses."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

CI = Path(__file__).parents[1] / ".ci"


@pytest.fixture(scope="module")
def note():
    spec = importlib.util.spec_from_file_location("note", CI / "note.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_summary_lines_are_counted(note):
    log = "x passed\n3 passed, 2 skipped in 4.50s\n1 failed, 5 passed, 1 error in 245.12s (0:04:05)\nin 3s\n"
    assert note.counts(log) == (8, 2, 2)


def test_a_part_has_one_row(note):
    first = note.updated("", "| slow | 2026-01-02 | abc | 3 | 0 | 0 | 1.0 |")
    second = note.updated(first, "| data | 2026-01-03 | def | 4 | 0 | 0 | 2.0 |")
    third = note.updated(second, "| slow | 2026-01-04 | fed | 5 | 1 | 0 | 3.0 |")
    rows = [line for line in third.splitlines() if line.startswith(("| slow", "| data"))]
    assert rows == ["| data | 2026-01-03 | def | 4 | 0 | 0 | 2.0 |", "| slow | 2026-01-04 | fed | 5 | 1 | 0 | 3.0 |"]
    assert third.startswith(note.HEAD)


def test_unknown_part_is_refused():
    done = subprocess.run([CI / "full", "slow", "everything"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown part 'everything'; there are: lint fast slow-runs slow-rest data jax torch" in done.stderr


def test_tests_that_are_named_exist():
    sources = {path.name: path.read_text(encoding="utf-8") for path in CI.parent.glob("tests/**/test_*.py")}
    text = (CI / "README.md").read_text(encoding="utf-8")
    files = re.findall(r"`(?:\w+/)?(test_\w+\.py)", text)
    assert len(files) > 20
    assert set(files) <= set(sources)
    for file, name in re.findall(r"`(?:\w+/)?(test_\w+\.py)?(?:::)?(test_\w+)?[^`]*`", text):
        if name:
            code = sources[file] if file else "".join(sources.values())
            assert f"def {name}(" in code, (file, name)


def test_no_two_files_of_tests_share_a_name():
    """pytest imports test files by name and refuses a second one, but only if it collects the whole suite."""
    names = [path.name for path in CI.parent.glob("tests/**/test_*.py")]
    assert sorted(names) == sorted(set(names))
