"""Records the outputs of a layer during a call of its model: the layer's `call` is replaced on the instance."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kzoo.errors import InputError


@contextlib.contextmanager
def tapped(layer: Any, add: Any = None, use: int = 0) -> Iterator[list[Any]]:
    """Append a layer's outputs to a list during a block; `add` is added to the output of use number `use`, from 0."""
    outputs: list[Any] = []
    before, call = layer.__dict__.get("call"), layer.call

    def tap(*args: Any, **options: Any) -> Any:
        output = call(*args, **options)
        if add is not None and len(outputs) == use:
            output = output + add
        outputs.append(output)
        return output

    layer.__dict__["call"] = tap  # bypasses Keras's setattr, which would track or refuse it
    try:
        yield outputs
    finally:
        del layer.__dict__["call"]
        if before is not None:
            layer.__dict__["call"] = before


def last_output(path: str, outputs: list[Any]) -> Any:
    """The last output of the layer `path`.

    Raises:
        InputError: there is none, or it is not one tensor.
    """
    if not outputs:
        raise InputError(f"layer {path!r} is not used when the model is called")
    if not hasattr(outputs[-1], "dtype"):
        raise InputError(f"layer {path!r} returns several tensors: choose a layer that returns one")
    return outputs[-1]
