"""Imports the functions (``"module:function"``) and Python files that users name."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from kzoo.errors import InputError, KzooError, unknown

_first_used: dict[str, tuple[Any, int]] = {}
"""By module name: the module's specification, which changes on a reimport, and its file's modification time."""
NoModule = Callable[[str], str]
"""Explains why a module does not exist."""


def check_module(reference: str, kind: str, no_module: NoModule | None = None) -> None:
    """Refuse a reference whose package cannot be found, without importing it; see `load_function` for the arguments.

    Raises:
        InputError: the reference is malformed, or there is no such package.
    """
    module_name, _, function = reference.partition(":")
    if not module_name or not function:
        raise InputError(f"{kind} {reference!r}: expected 'module:function'")
    package = module_name.partition(".")[0]
    if not package or (package not in sys.modules and importlib.util.find_spec(package) is None):
        raise _nowhere(reference, kind, package or module_name, no_module)


def _nowhere(reference: str, kind: str, missing: str, no_module: NoModule | None) -> InputError:
    why = no_module(missing) if no_module else f"there is no module {missing!r} on the Python path"
    return InputError(f"{kind} {reference!r}: {why}")


def load_function(reference: str, kind: str, no_module: NoModule | None = None) -> Callable[..., Any]:
    """Import the function that a reference names.

    Args:
        reference: ``"module:function"``; the function may be an attribute of a class, ``"module:Class.method"``.
        kind: use of the function, for messages: ``"model"``, ``"dataset"``.
        no_module: explains why a module does not exist; by default, that it is not on the Python path.

    Raises:
        InputError: the reference is malformed, or there is no such module or function. An error that the module
            itself raises passes through unchanged.
    """
    check_module(reference, kind, no_module)
    module_name, _, function = reference.partition(":")
    try:
        target: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = str(error.name)
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise _nowhere(reference, kind, missing, no_module) from error
        raise
    warn_if_edited(target)
    for name in function.split("."):
        if not hasattr(target, name):
            public = [key for key, value in vars(target).items() if callable(value) and not key.startswith("_")]
            raise unknown(f"function of module {module_name!r}", function, public, hint=f"({kind} {reference!r})")
        target = getattr(target, name)
    if not callable(target):
        raise InputError(f"{kind} {reference!r} names something that cannot be called")
    return target


def reference_to(function: Any) -> str | None:
    """The reference ``"module:function"`` to a function; None if it is not found by its name in its module."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", type(function).__name__)
    found = getattr(sys.modules.get(str(module)), name, None)
    return f"{module}:{name}" if found is function else None


def warn_if_edited(module: ModuleType) -> None:
    """Warn if a module's file has changed since the module was first used: the code in use is the earlier one."""
    if module.__name__ == "__main__":  # a script may be edited while it runs
        return
    try:
        now = os.stat(str(module.__file__)).st_mtime_ns
    except (OSError, AttributeError, ValueError):  # no file
        return
    spec, before = _first_used.setdefault(module.__name__, (module.__spec__, now))
    if spec is not module.__spec__:  # imported again
        _first_used[module.__name__] = module.__spec__, now
    elif before != now:
        warnings.warn(
            f"{str(module.__file__)!r} has changed since module {module.__name__!r} was imported, but the earlier "
            "code is still used: start a new process, or call importlib.reload on the module first",
            stacklevel=3,
        )


def warn_if_redefined(function: Any, registered: str) -> None:
    """Warn if a registered function has been redefined, for example in an edited cell of a notebook.

    Args:
        function: the registered function.
        registered: what the function is, for the message: ``"model 'mine'"``.
    """
    now = getattr(sys.modules.get(getattr(function, "__module__", "")), getattr(function, "__qualname__", ""), None)
    if inspect.isfunction(function) and inspect.isfunction(now) and now.__code__ != function.__code__:
        warnings.warn(
            f"{registered} is {function.__qualname__}() as it was when it was registered; it has been redefined "
            "since: register it again",
            stacklevel=3,
        )


def parameters_in_source(reference: str) -> list[str] | None:
    """Names of the parameters of a function, read from its module's source without running it.

    Returns:
        None if the source does not show them, because the function is not defined at the top of its module, takes any
        keyword, or has a decorator other than `kzoo.models.families.family`.
    """
    module_name, _, function = reference.partition(":")
    if "." in module_name and module_name.rpartition(".")[0] not in sys.modules:
        return None  # finding the module would run its package
    spec = importlib.util.find_spec(module_name)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    try:
        body = ast.parse(Path(spec.origin).read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return None
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == function and node.args.kwarg is None:
            own = all(_is_family(decorator) for decorator in node.decorator_list)
            return [each.arg for each in (*node.args.args, *node.args.kwonlyargs)] if own else None
    return None


def _is_family(decorator: ast.expr) -> bool:
    """Whether a decorator is `kzoo.models.families.family`, whose additional arguments the caller knows."""
    return isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "family"


def load_file(path: Path, kind: str) -> ModuleType:
    """Run a Python file as a module.

    Args:
        path: of the file.
        kind: what the file defines, for messages and the module's name: ``"search"``.

    Raises:
        InputError: there is no such file, or it cannot be run.
    """
    what = f"{kind} file {str(path)!r}"
    if not path.is_file():
        raise InputError(f"{what} does not exist")
    spec = importlib.util.spec_from_file_location(f"kzoo_{kind}_{path.stem}", path)
    if path.suffix != ".py" or spec is None or spec.loader is None:
        raise InputError(f"{what} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except KzooError as error:
        raise InputError(f"{what}: {error}") from None
    except Exception as error:
        raise InputError(f"{what} cannot be run: {type(error).__name__}: {error}") from error
    return module
