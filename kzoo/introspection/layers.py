"""The layers of any Keras model by path, including those inside nested models and composite layers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from kzoo.errors import InputError, unknown
from kzoo.introspection.backends import sync
from kzoo.introspection.graph import inner_layers


def find_layers(model: keras.Model) -> list[tuple[str, Any]]:
    """All layers that compute something themselves, with their paths.

    Args:
        model: a built Keras model; nested and subclassed models and layers made of layers are unfolded.

    Returns:
        (path, layer) pairs. A path is the layer's name, preceded by the path of the model or layer that contains it, if
        any, and a slash. The order is topological in Functional and Sequential models; in other models, it is the order
        in which layers became attributes.
        A layer used several times appears once. Inputs and operations such as ``a + b`` are not layers.

    Raises:
        InputError: the model is not built.
    """
    check_built(model)
    return [(path, layer) for path, layer in _walk(model, "") if not _parts(layer) or _direct_variables(layer)]


def torch_modules(model: keras.Model) -> dict[str, Any]:
    """The PyTorch modules that a model wraps as layers (`keras.layers.TorchModuleWrapper`), by path."""
    wrappers = (layer for layer in find_layers(model) if isinstance(layer[1], keras.layers.TorchModuleWrapper))
    return {path: layer.module for path, layer in wrappers}


@contextlib.contextmanager
def kept_buffers(model: keras.Model) -> Iterator[None]:
    """Run a block, then restore the buffers (BatchNorm's averages, say) of wrapped PyTorch modules."""
    kept = [(buffer, buffer.clone()) for module in torch_modules(model).values() for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)


def find_layer(model: keras.Model, layer: Any) -> tuple[str, Any]:
    """One layer or nested model, given by path, by name (if only one layer has it) or as the object itself.

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
    """Set the weights of a layer or model, and what Keras's `Normalization` layers compute from them.

    `set_weights` alone leaves these layers computing with their former mean and variance.
    """
    target.set_weights(values)
    for layer in [target, *inner_layers(target)] if isinstance(target, keras.Model) else [target]:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


def freeze_alike(copy: keras.Model, model: keras.Model) -> None:
    """Freeze the same weights in a copy as in its model; a config can only freeze whole layers."""
    for own, theirs in zip(copy.weights, model.weights, strict=True):
        own.trainable = theirs.trainable


WITHOUT_KERNELS: tuple[Any, ...] = (
    keras.layers.PReLU,
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)
"""Layers that multiply each value by a weight of its own, and mix none."""


def kernels(layer: Any, *, frozen: bool = False) -> list[Any]:
    """A layer's kernels: its trainable floating-point weights with two or more axes; `frozen` includes frozen ones.

    Weights of the layers inside it do not count, nor do biases and the weights of `WITHOUT_KERNELS`, although these can
    have several axes.
    """
    if isinstance(layer, WITHOUT_KERNELS):
        return []
    own = {id(variable) for variable in _direct_variables(layer)}
    weights = [weight for weight in (layer.weights if frozen else layer.trainable_weights) if id(weight) in own]
    weights = [weight for weight in weights if len(weight.shape) > 1 and weight.name != "bias"]
    return [weight for weight in weights if "float" in str(weight.dtype)]


def kernel(layer: Any, *, frozen: bool = False) -> Any:
    """The first of a layer's kernels; None if it has none."""
    return next(iter(kernels(layer, frozen=frozen)), None)


def find_kernels(model: keras.Model, *, frozen: bool = False) -> list[tuple[str, list[Any]]]:
    """(path, kernels) of each layer that has kernels, in the order of `find_layers`; a shared kernel appears once.

    A layer can have several (a separable convolution, a recurrent layer).

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
    """Refuse objects that are not Keras models, and models that are not built.

    In a callback of `fit`, the model's variables are updated first: on JAX, they are empty within an epoch.
    """
    if not isinstance(model, keras.Model):
        raise InputError(f"model must be a keras.Model, not {type(model).__name__}")
    if not model.built:
        raise InputError(f"model {model.name!r} is not built: give it an Input, or call it once on images")
    sync(model)


def channels_first(model: keras.Model) -> bool:
    """Whether a layer of a model takes channels as its first axis after the batch."""
    return any(getattr(layer, "data_format", None) == "channels_first" for _, layer in find_layers(model))


def check_channels_last(model: keras.Model) -> None:
    """Refuse models with layers whose maps are (batch, channels, height, width).

    Raises:
        InputError: the model has one.
    """
    if channels_first(model):
        raise InputError(
            f"model {model.name!r} has layers with data_format='channels_first': maps are read as (batch, height, "
            "width, channels), so build it with 'channels_last'"
        )


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
    """The name that Keras gives to the first layer or operation of a class: ``max_pooling2d``."""
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()


def is_automatic(name: str, kind: str) -> bool:
    """Whether Keras made a name from a class, with or without a number: ``max_pooling2d``, ``max_pooling2d_1``."""
    return re.fullmatch(rf"{re.escape(automatic_name(kind))}(_\d+)?", name) is not None
