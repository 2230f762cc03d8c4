"""The kind of a classifier's outputs, for training, evaluation, diagnosis, prediction and export alike.

The kind follows from what the network computes. Starting at its output, each operation without weights is tried on
numbers. This finds a softmax however it is written (a layer, an activation, ``keras.ops.softmax``, ``tf.nn.softmax`` in
a layer) and skips operations without effect, such as a linear activation in float32 after it. If that is not enough,
the whole network is tried on a few images, with its weights and with others: see `kzoo.introspection.output_kinds`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.special import expit, softmax

from kzoo.errors import InputError
from kzoo.introspection.graph import calls, fresh_names, functional, has_graph, maker, node_within
from kzoo.introspection.output_kinds import Kind, kind_of
from kzoo.introspection.output_trials import (
    are_logarithms,
    check_alone,
    check_sums,
    input_shape,
    output_shape,
    range_text,
    trials_of,
)

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)
"""Layers with weights that have no activation, whatever their settings."""


@dataclass(frozen=True)
class Outputs:
    """A classifier's outputs.

    Attributes:
        kind: ``"softmax"``, ``"logits"``, ``"sigmoid"`` or ``"sigmoids"``, see `kzoo.introspection.output_kinds`.
        classes: how many classes (labels, for ``"sigmoids"``); 2 for one sigmoid.
        model: a model that shares the network's layers and has one output for each class: the network itself, or the
            part before its final softmax or sigmoid.
        logits: whether `model` returns logits; otherwise, it returns probabilities.
        ending: the layer or operation that computes the softmax or sigmoid; None if none can be taken out.
    """

    kind: Kind
    classes: int
    model: keras.Model
    logits: bool
    ending: Any = None


def read_outputs(model: keras.Model, images: Any = None) -> Outputs:
    """Determine the kind of a network's outputs.

    Args:
        model: a built Keras model with one output of shape (batch, outputs).
        images: a few inputs to try it with; drawn from 0-255 by default.

    Raises:
        InputError: the model has several outputs, or one of another shape; the outputs are neither logits nor
            probabilities; or the outputs for one image depend on the other images of its batch.
    """
    shape = output_shape(model, images)
    ending, kind, below = _ending(model) if has_graph(model) else (None, None, None)
    if kind is None:
        trials = trials_of(model, images, shape[-1])
        kind = kind_of(trials)
        if below is not None and kind != below and not (kind == "logits" and are_logarithms(trials)):
            raise InputError(
                f"model {model.name!r} computes something after its {below.rstrip('s')}, so its outputs are neither "
                f"logits nor probabilities ({range_text(trials[0])}): leave that out"
            )
        check_sums(model, kind, trials)
        check_alone(model, images, trials[0])
    if shape[-1] == 1 and kind in ("softmax", "logits"):
        what = "a softmax over one output is always 1" if kind == "softmax" else "one output without a sigmoid"
        raise InputError(
            f"model {model.name!r}: {what}. For two classes, use one output with a sigmoid or one output per class"
        )
    classes = 2 if kind == "sigmoid" else shape[-1]
    view, logits = _view(model, kind, ending, shape)
    return Outputs(kind, classes, view, logits, ending)


def class_outputs(model: keras.Model, images: Any = None) -> Outputs:
    """The kind of a network's outputs, if its classes exclude each other; see `read_outputs`.

    Raises:
        InputError: the outputs are several sigmoids.
    """
    outputs = read_outputs(model, images)
    if outputs.kind == "sigmoids":
        raise InputError(
            f"model {model.name!r} ends in {outputs.classes} sigmoids, that is several labels for one image, but "
            "the data has one class for each image: end it in a softmax, or in logits"
        )
    return outputs


@contextlib.contextmanager
def without_ending(ending: Any) -> Iterator[None]:
    """Run a block in which a softmax or sigmoid from `read_outputs` returns its input unchanged.

    Args:
        ending: `Outputs.ending`; None changes nothing.
    """
    if ending is None:
        yield
        return
    # In the instance's dictionary, because PyTorch's modules do not accept a function in place of a layer.
    name = "activation" if hasattr(ending, "activation") else "call"
    overridden, before = name in ending.__dict__, ending.__dict__.get(name)
    ending.__dict__[name] = keras.activations.linear if name == "activation" else _first
    try:
        yield
    finally:
        del ending.__dict__[name]
        if overridden:
            ending.__dict__[name] = before


def _first(inputs: Any, *args: Any, **kwargs: Any) -> Any:
    return inputs


def _ending(model: keras.Model) -> tuple[Any, Kind | None, Kind | None]:
    """The operation that computes a graph's final softmax or sigmoid, and the kind of outputs, if the graph shows them.

    Returns:
        The operation; the kind, or None if it must be tried; and then the kind that later operations change, if known.
    """
    tensor, changed = model.outputs[0], False
    while True:
        operation, node = maker(tensor)
        # Look into a nested model.
        if isinstance(operation, keras.Model):
            if not has_graph(operation) or len(operation.outputs) != 1:
                return None, None, None
            tensor = operation.outputs[0]
            continue

        # This operation decides, or else the one before it.
        effect = _effect(operation, node, tensor.shape)
        if effect in ("softmax", "sigmoid"):
            kind: Kind = "sigmoids" if effect == "sigmoid" and tensor.shape[-1] > 1 else effect  # type: ignore[assignment]
            if changed:
                return None, None, kind
            once = sum(call.layer is operation for call in calls(model)) == 1
            return operation if once else None, kind, None  # a shared softmax could not be left out at the end alone
        if effect in ("like softmax", "like sigmoids", "like sigmoid"):
            like: Kind = effect.removeprefix("like ")  # type: ignore[assignment]
            return (None, None, like) if changed else (None, like, None)
        if effect == "logits" and not changed:
            return None, "logits", None
        if effect in ("logits", "unknown") or len(node.input_tensors) != 1:
            return None, None, None
        changed = changed or effect == "changes"
        tensor = node.input_tensors[0]


def _effect(operation: Any, node: Any, shape: Any) -> str:
    """What an operation does to the outputs.

    Returns:
        "nothing", "softmax", "sigmoid", "changes", "logits" or "unknown"; or "like softmax", "like sigmoid" or "like
        sigmoids" for another activation (hard_sigmoid, a custom one) with outputs of that kind.
    """
    weighted = bool(getattr(operation, "weights", ()))
    if weighted and not type(operation).__module__.startswith("keras."):
        return "unknown"
    if weighted and not hasattr(operation, "activation") and not isinstance(operation, NORMALIZATIONS):
        return "unknown"  # a wrapper, say, around a layer that ends in a softmax
    if weighted:
        activation = getattr(operation, "activation", None)
        effect = "nothing" if activation is None or len(shape) != 2 else _tried(activation, shape[-1])
        if effect != "changes":
            return "logits" if effect == "nothing" else effect
        kind = kind_of([_values(activation, shape[-1])[1]])
        return kind if kind == "logits" else f"like {kind}"

    # Try an operation without weights.
    if len(node.input_tensors) != 1:
        return "unknown"
    (tensor,) = node.input_tensors
    if tuple(tensor.shape) != tuple(shape) or len(shape) != 2:
        return "changes"

    def call(x: Any) -> Any:
        args, kwargs = node.arguments.fill_in({id(tensor): x})
        return operation(*args, **kwargs)

    return _tried(call, shape[-1])


def _tried(function: Any, count: int) -> str:
    """The effect of a function of (n, count) numbers, found by trying it."""
    try:
        x, y = _values(function, count)
    except Exception:  # a user's function can raise anything
        return "unknown"
    for name, expected in (("nothing", x), ("softmax", softmax(x, axis=-1)), ("sigmoid", expit(x))):
        if y.shape == expected.shape and np.allclose(y, expected, rtol=2e-2, atol=5e-3):  # bfloat16 too
            return name
    return "changes"


def _values(function: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random numbers (n, count), and a function's values for them."""
    x = np.random.default_rng(0).normal(0, 4, (16, count)).astype("float32")
    with keras.StatelessScope():
        return x, np.asarray(ops.convert_to_numpy(ops.cast(function(ops.convert_to_tensor(x)), "float32")))


def _view(model: keras.Model, kind: Kind, ending: Any, shape: Any) -> tuple[keras.Model, bool]:
    """A model with one output for each class, and whether it gives logits."""
    removable = has_graph(model) and ending is not None and not getattr(ending, "weights", ())
    removable = removable and any(ending is operation for operation in functional(model).operations)
    if kind in ("logits", "sigmoids") or (kind == "softmax" and not removable):
        return model, kind == "logits"
    if has_graph(model):
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs  # a Sequential may have no `input`
        y = node_within(model, ending).input_tensors[0] if removable else model.outputs[0]
    else:
        inputs = keras.Input(input_shape(model)[1:])
        y = model(inputs)
    if kind == "sigmoid":
        with fresh_names(beside=model):
            y = ops.concatenate([ops.zeros_like(y) if removable else 1 - y, y], axis=-1)
    return keras.Model(inputs, y, name=model.name), removable
