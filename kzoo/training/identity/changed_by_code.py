"""What code itself changes while it runs, read from its bytecode: caches, counters, singletons made at first use."""

from __future__ import annotations

import dis
import types
from collections.abc import Sequence
from typing import NamedTuple

MUTATORS = {"append", "appendleft", "add", "update", "setdefault", "pop", "popitem", "popleft", "clear", "extend"}
MUTATORS |= {"extendleft", "insert", "remove", "discard", "sort", "reverse", "rotate", "subtract", "move_to_end"}
MUTATORS |= {"difference_update", "intersection_update", "symmetric_difference_update", "fill", "put", "resize"}
"""Methods of Python's containers and of arrays that change them."""
CONSTRUCTORS = ("__init__", "__new__", "__post_init__", "__setstate__", "__set_name__")
"""Methods that set attributes while an object is made, before other methods run."""
_BELOW = {"STORE_SUBSCR": 1, "DELETE_SUBSCR": 1, "STORE_SLICE": 2}
"""How far below the top of the stack the changed container is."""


class Changed(NamedTuple):
    """Names of globals and closed-over variables, and of attributes with a leading dot: ``".seen"`` for ``self.seen``.

    Attributes:
        rebound: names that are assigned other values.
        filled: names of values whose content changes.
    """

    rebound: set[str]
    filled: set[str]


def changed_names(code: types.CodeType) -> Changed:
    """What one code object changes; functions inside it have their own code objects."""
    steps = list(dis.get_instructions(code))
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    rebound, filled = set[str](), set[str | None]()
    for index, step in enumerate(steps):
        outer = step.opname == "STORE_DEREF" and step.argval in code.co_freevars
        if outer or step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            rebound.add(step.argval)
        elif step.opname == "STORE_ATTR" and code.co_name not in CONSTRUCTORS:
            rebound.add(f".{step.argval}")
        elif step.opname in _BELOW:
            filled.add(_name(steps, index, _BELOW[step.opname], arguments))
        elif step.opname in ("LOAD_METHOD", "LOAD_ATTR") and step.argval in MUTATORS:
            filled.add(_name(steps, index, 0, arguments))
    return Changed(rebound, {name for name in filled if name})


def _name(steps: Sequence[dis.Instruction], index: int, below: int, arguments: Sequence[str]) -> str | None:
    """The name of the value that is `below` places under the top of the stack before an instruction.

    Returns:
        None if the value has no name, or has that of a local variable. An argument counts: it may hold its default.
    """
    # `x[key] += value` swaps the three before it stores them.
    if below == 1 and [(step.opname, step.arg) for step in steps[index - 2 : index]] == [("SWAP", 3), ("SWAP", 2)]:
        index, below = index - 2, 2

    # Go back to the instruction after which the value was on top.
    height, place = 0, -below
    for at in reversed(range(index)):
        step = steps[at]
        before = height - dis.stack_effect(step.opcode, step.arg, jump=False)
        if height == place:
            if step.opname == "BINARY_SUBSCR" or (step.opname == "BINARY_OP" and step.argrepr == "[]"):
                return _name(steps, at, 1, arguments)  # x[key].append(value) changes x
            return _loaded(step, arguments)
        if before < place < height and isinstance(step.argval, tuple):  # one instruction that loads two variables
            name = str(step.argval[place - before - 1])
            return name if name in arguments else None
        height = before
    return None


def _loaded(step: dis.Instruction, arguments: Sequence[str]) -> str | None:
    if not step.opname.startswith("LOAD_") or not isinstance(step.argval, str) or step.opname == "LOAD_CONST":
        return None
    if step.opname.startswith("LOAD_FAST") and step.argval not in arguments:
        return None
    return f".{step.argval}" if step.opname in ("LOAD_ATTR", "LOAD_METHOD") else step.argval
