"""kzoo itself, its help and its lists load neither Keras nor a backend; packages import only from lower ones."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kzoo

HEAVY = ("keras", "tensorflow", "jax", "torch", "tensorflow_datasets", "keras_tuner", "sklearn", "ray")

STATEMENTS = [
    "import kzoo",
    "import kzoo; kzoo.list_models(); kzoo.list_recipes(); kzoo.list_datasets(); kzoo.recipe('rescue/bn').digest()",
    "import sys; sys.argv = ['kzoo', '--help']; from kzoo.cli import main; main()",
    "import sys; sys.argv = ['kzoo', 'list', 'vgg*']; from kzoo.cli import main; main()",
    "import sys; sys.argv = ['kzoo', 'list', '--recipes']; from kzoo.cli import main; main()",
    "import sys; sys.argv = ['kzoo', 'study', 'list']; from kzoo.cli import main; main()",
    "import sys; sys.argv = ['kzoo', 'study', 'table', 'rescue']; from kzoo.cli import main; main()",
    "import kzoo.pool.child, kzoo.pool.on_ray, kzoo.studies.progress, kzoo.search.results, kzoo.search.trial",
]


@pytest.fixture(scope="module")
def loaded():
    """The modules that each statement loads in addition to earlier ones, in one new process that runs all of them."""
    code = (
        f"import json, sys\nloaded = []\nfor statement in {STATEMENTS!r}:\n    before = set(sys.modules)\n"
        "    try:\n        exec(statement, {})\n    except SystemExit:\n        pass\n"
        f"    loaded.append(sorted(set({HEAVY!r}) & (set(sys.modules) - before)))\n"
        "print('LOADED', json.dumps(loaded))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return dict(zip(STATEMENTS, json.loads(result.stdout.rpartition("LOADED ")[2]), strict=True))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_loads_no_backend(statement, loaded):
    assert loaded[statement] == []


def test_every_public_name_exists():
    for name in kzoo.__all__:
        assert getattr(kzoo, name) is not None
    assert set(kzoo.__all__) <= set(dir(kzoo))
    with pytest.raises(AttributeError, match="no attribute 'VGG99'"):
        kzoo.VGG99  # noqa: B018


def test_packages_need_no_import_of_their_own():
    code = "import kzoo; print(kzoo.data.from_arrays.__name__, hasattr(kzoo, 'nothing'), hasattr(kzoo, '__main__'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["from_arrays", "False", "False"]


def test_a_backend_is_chosen_where_tensorflow_is_missing(tmp_path):
    code = (
        "import importlib.util, os, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name in {missing} else find(name, *a)\n"
        "import kzoo\n"
        "print(os.environ.get('KERAS_BACKEND'))"
    )
    import os

    environment = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"} | {"KERAS_HOME": str(tmp_path)}

    def chosen(missing, **more):
        command = [sys.executable, "-c", code.format(missing=missing)]
        return subprocess.run(
            command, capture_output=True, text=True, check=True, env={**environment, **more}
        ).stdout.strip()

    pytest.importorskip("jax", reason="needs a second backend")
    assert chosen(["none"]) == "None"  # Keras decides
    assert chosen(["tensorflow"]) == "jax"
    assert chosen(["tensorflow"], KERAS_BACKEND="torch") == "torch"


PACKAGES = [
    *(
        "introspection",
        "data",
        "models",
        "recipes",
        "training",
        "diagnostics",
        "exporting",
        "pool",
        "studies",
        "search",
    ),
    *("demo", "html_report", "cli"),
]
"""From the lowest to the highest: a package imports only from lower ones, also in late imports."""


def imports():
    """(file, imported package) of every import between packages of kzoo, including modules named in strings."""
    root = Path(kzoo.__file__).parent
    for path in sorted(root.rglob("*.py")):
        file = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                modules = re.findall(r"\A(kzoo\.[\w.]+)(?::\w+)?\Z", node.value)
            for package in (module.split(".")[1] for module in modules if module.startswith("kzoo.")):
                if package in PACKAGES and not file.startswith(f"{package}/"):
                    yield file, package


def test_imports_between_packages_point_down():
    pairs = set(imports())
    assert len(pairs) > 100
    assert not {package for file, package in pairs if file.startswith("pool/")}, "a pool knows nothing of runs"
    low = {(file, package) for file, package in pairs if "/" not in file and file not in ("__init__.py", "__main__.py")}
    assert not low, "a file next to the packages is below all of them"
    order = {package: index for index, package in enumerate(PACKAGES)}
    assert not {
        (file, package) for file, package in pairs if order[package] > order.get(file.partition("/")[0], len(PACKAGES))
    }


def test_one_module_touches_keras_private_graph():
    private = re.compile(
        r"\._(functional|nodes_by_depth|inbound_nodes|keras_history|flatten_layers|(in|out)puts_struct)\b"
    )
    root = Path(kzoo.__file__).parent
    users = {
        path.relative_to(root).as_posix() for path in root.rglob("*.py") if private.search(path.read_text("utf-8"))
    }
    assert users == {"introspection/graph.py"}


def test_modules_and_names_in_docstrings_exist():
    root = Path(kzoo.__file__).parents[1]
    texts = {path: path.read_text("utf-8") for path in sorted((root / "kzoo").rglob("*.py"))}
    references = {(path, ref) for path, text in texts.items() for ref in re.findall(r"`(kzoo(?:\.\w+)+)`", text)}
    assert len(references) > 100

    def exists(parts):
        """Whether the longest start of a path that is a module defines, imports or exports the next name."""
        for count in range(len(parts), 0, -1):
            base = root.joinpath(*parts[:count])
            file = base.with_suffix(".py") if base.with_suffix(".py").exists() else base / "__init__.py"
            if file.exists():
                break
        if count == len(parts):
            return True
        return re.search(
            rf"\b(def|class) {parts[count]}\b|^ *{parts[count]}\b.*=|import .*\b{parts[count]}\b|\"{parts[count]}\"",
            texts[file],
            re.M,
        )

    wrong = {
        f"{path.name}: {ref}" for path, ref in references if ref[5:] not in kzoo.__all__ and not exists(ref.split("."))
    }
    assert not wrong - {"file_metadata.py: kzoo.json"}, "a file in archives"
