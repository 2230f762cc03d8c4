"""The layers of any Keras model by path, those of nested models and of composite layers included."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

from kzoo.errors import InputError, unknown
from kzoo.introspection.graph import inner_layers


def find_layers(model: keras.Model) -> list[tuple[str, Any]]:
    """All layers that compute something themselves, with their paths.

    Args:
        model: a built Keras model; nested and subclassed ones are unfolded, and so are layers made of layers.

    Returns:
        (path, layer) pairs. A path is the layer's name, inside a nested model after the latter's name and a slash. The
        order is topological in Functional and Sequential models, elsewhere that in which layers became attributes.
        A layer used several times appears once. Inputs and operations such as ``a + b`` are not layers.

    Raises:
        InputError: the model is not built.
    """
    check_built(model)
    return [(path, layer) for path, layer in _walk(model, "") if not _parts(layer) or _direct_variables(layer)]


def find_layer(model: keras.Model, layer: Any) -> tuple[str, Any]:
    """One layer or nested model, by path, by name (where only one layer has it), or by itself.

    Raises:
        InputError: the model is not built, or no layer or several layers match.
    """
    check_built(model)
    every = list(_walk(model, ""))
    if not isinstance(layer, str):
        chosen = [pair for pair in every if pair[1] is layer]
        if not chosen:
            raise InputError(f"layer {getattr(layer, 'name', layer)!r} is not part of model {model.name!r}")
        return chosen[0]
    chosen = [pair for pair in every if pair[0] == layer] or [pair for pair in every if pair[1].name == layer]
    if not chosen:
        raise unknown("layer", layer, [path for path, _ in every], hint=f"(in model {model.name!r})")
    if len(chosen) > 1:
        raise InputError(
            f"layer {layer!r} is not the only one of that name in model {model.name!r}: "
            f"give its path, one of {', '.join(path for path, _ in chosen)}"
        )
    return chosen[0]


def give_weights(target: Any, values: Sequence[Any]) -> None:
    """Set the weights of a layer or model, and what Keras's `Normalization` computed from them when it was adapted.

    `set_weights` alone leaves such a layer computing with its former mean and variance.
    """
    target.set_weights(values)
    for layer in [target, *inner_layers(target)] if isinstance(target, keras.Model) else [target]:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def freeze_alike(copy: keras.Model, model: keras.Model) -> None:
    """Freeze the weights that are frozen in the model that was copied; a config says it of whole layers only."""
    for own, theirs in zip(copy.weights, model.weights, strict=True):
        own.trainable = theirs.trainable


def kernels(layer: Any, *, frozen: bool = False) -> list[Any]:
    """A layer's kernels: its floating-point weights of two axes or more, those it trains or, if `frozen`, all.

    Those of the layers that it is made of are theirs.
    """
    own = {id(variable) for variable in _direct_variables(layer)}
    weights = [weight for weight in (layer.weights if frozen else layer.trainable_weights) if id(weight) in own]
    return [weight for weight in weights if len(weight.shape) > 1 and "float" in str(weight.dtype)]


def kernel(layer: Any, *, frozen: bool = False) -> Any:
    """The first of a layer's kernels; None if it has none."""
    return next(iter(kernels(layer, frozen=frozen)), None)


def find_kernels(model: keras.Model, *, frozen: bool = False) -> list[tuple[str, list[Any]]]:
    """Paths of the layers that have kernels, in the order of `find_layers`, and these kernels, each once.

    A layer may have several (a separable convolution, a recurrent layer).

    Raises:
        InputError: the model is not built.
    """
    left = {id(variable) for variable in (model.weights if frozen else model.trainable_variables)}
    by_path = []
    for path, layer in find_layers(model):
        chosen = [variable for variable in kernels(layer, frozen=frozen) if id(variable) in left]
        if chosen:
            by_path.append((path, chosen))
            left -= {id(variable) for variable in chosen}
    return by_path


def check_built(model: keras.Model) -> None:
    """Refuse other objects than Keras models, and models without weights yet."""
    if not isinstance(model, keras.Model):
        raise InputError(f"model must be a keras.Model, not {type(model).__name__}")
    if not model.built:
        raise InputError(f"model {model.name!r} is not built: give it an Input, or call it once on images")


def _walk(layer: Any, prefix: str, seen: set[int] | None = None) -> Any:
    seen = set() if seen is None else seen
    for part in _parts(layer):
        if id(part) in seen or isinstance(part, keras.layers.InputLayer):
            continue
        seen.add(id(part))
        yield f"{prefix}{part.name}", part
        yield from _walk(part, f"{prefix}{part.name}/", seen)


def _parts(layer: Any) -> list[Any]:
    if isinstance(layer, keras.Model):
        return list(layer.layers)
    return inner_layers(layer, recursive=False)


def _direct_variables(layer: Any) -> list[Any]:
    """A layer's variables without those of the layers it is made of."""
    others = {id(variable) for part in _parts(layer) for variable in part.variables}
    return [variable for variable in layer.variables if id(variable) not in others]


def automatic_name(kind: str) -> str:
    """The name that Keras gives to a layer or operation of a class, before it counts: ``max_pooling2d``."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()


def is_automatic(name: str, kind: str) -> bool:
    """Whether Keras made a name from its class, and counted: ``max_pooling2d``, ``max_pooling2d_1``."""
    return re.fullmatch(rf"{re.escape(automatic_name(kind))}(_\d+)?", name) is not None
