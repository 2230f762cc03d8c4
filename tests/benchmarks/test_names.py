"""The scripts in benchmarks/, docs/ and tuning/ use existing names of kzoo: tests do not run most of their code."""

import ast
import importlib
from pathlib import Path

import pytest

import kzoo

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = sorted(path for directory in ("benchmarks", "docs", "tuning") for path in (ROOT / directory).rglob("*.py"))


def resolve(target, name):
    """Return an attribute, or import the submodule."""
    try:
        return getattr(target, name)
    except AttributeError:
        return importlib.import_module(f"{target.__name__}.{name}")


def missing(code):
    """Return the names in imports from kzoo and expressions such as ``kzoo.models.get_variant`` that do not exist."""
    names = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "kzoo":
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("kzoo."):
            names.append(ast.unparse(node))
    problems = []
    for name in dict.fromkeys(names):
        target = kzoo
        try:
            for part in name.split(".")[1:]:
                if not part.isidentifier():  # the result of a call
                    break
                target = resolve(target, part)
        except (ImportError, AttributeError):
            problems.append(name)
    return problems


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_exist(path):
    assert missing(path.read_text(encoding="utf-8")) == []


def test_missing_names_are_reported():
    code = "from kzoo.models import variant\nkzoo.models.variant('mlp').options\nkzoo.recipes.schema.Recipe('a').derive"
    assert missing(code) == ["kzoo.models.variant"]
