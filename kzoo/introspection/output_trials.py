"""Trials of a network on a few images: the shape and values of its outputs, for `kzoo.introspection.outputs`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kzoo.errors import InputError
from kzoo.introspection.graph import called_shapes, output_structure
from kzoo.introspection.output_kinds import Kind

PUSHES = (30.0, 3.0, 0.3)
"""How far a trial moves the weights of the last layers: logits then leave the range 0 to 1, which probabilities cannot.
The smaller steps are for networks whose outputs overflow, for example because they take an exponential."""


def output_shape(model: keras.Model, images: Any) -> tuple[Any, ...]:
    """The shape (batch, outputs) of a model's output.

    Raises:
        InputError: the model has several outputs, or one of another shape.
    """
    # The shape, from the graph, or from a call if there is no graph.
    wanted = "one output (batch, classes) is needed"
    shape: Any = getattr(model, "output_shape", None) if getattr(model, "outputs", None) else None
    structure = output_structure(model)
    if isinstance(structure, dict):
        shape = structure
    if shape is None:
        outputs = _call(model, _images(model, images))
        several = tuple(tuple(each.shape) for each in keras.tree.flatten(outputs))
        shape = tuple(outputs.shape) if hasattr(outputs, "shape") else outputs if isinstance(outputs, dict) else several

    # It must be (batch, outputs).
    if (
        isinstance(shape, dict)
        or not isinstance(shape, tuple)
        or any(isinstance(size, (tuple, list)) for size in shape)
    ):
        names = f" ({', '.join(map(str, shape))})" if isinstance(shape, dict) else ""
        raise InputError(f"model {model.name!r} gives a dictionary or several outputs{names}: {wanted}")
    if len(shape) != 2 or not isinstance(shape[-1], int):
        hint = ": end it in global pooling or Flatten" if len(shape) > 2 else ""
        raise InputError(f"model {model.name!r} gives outputs of shape {shape[1:]}: {wanted}{hint}")
    return shape


def _images(model: keras.Model, images: Any) -> Any:
    if images is not None:
        return images
    shape = [size or 32 for size in input_shape(model)[1:]]
    return np.random.default_rng(0).uniform(0, 255, [4, *shape]).astype("float32")


def input_shape(model: keras.Model) -> tuple[int | None, ...]:
    """The shape of a model's first input, with the batch.

    Raises:
        InputError: the model is of a custom class and was never called.
    """
    try:
        return tuple(model.input_shape)
    except AttributeError:  # a custom class, for which Keras keeps the shapes of calls
        shapes = called_shapes(model)
    if not shapes:
        raise InputError(f"model {model.name!r} does not say what inputs it takes: call it once on images")
    return tuple(next(iter(shapes.values())))


def _call(model: keras.Model, images: Any, changed: Any = ()) -> Any:
    with keras.StatelessScope(list(changed)):
        return model(images, training=False)


def trials_of(model: keras.Model, images: Any, count: int) -> list[np.ndarray]:
    """Outputs (n, count) with the network's weights, and with the weights of its last layers moved up and down."""
    inputs, rng = _images(model, images), np.random.default_rng(0)
    last = [variable for variable in model.weights if count in variable.shape and "float" in str(variable.dtype)]
    steps = [rng.uniform(0.5, 1.5, tuple(variable.shape)) for variable in last]
    trials = []
    for sign in (0, 1, -1):
        for push in PUSHES if sign else (0.0,):
            changed = []
            for variable, step in zip(last, steps, strict=True):
                if sign < 0 and "variance" in variable.name:
                    continue  # must stay positive for its square root
                value = ops.convert_to_numpy(ops.cast(variable, "float32")) + sign * push * step
                changed.append((variable, ops.cast(ops.convert_to_tensor(value), variable.dtype)))
            outputs = np.asarray(ops.convert_to_numpy(ops.cast(_call(model, inputs, changed), "float32")))
            if not sign or np.isfinite(outputs).all():
                trials.append(outputs)
                break
    return trials


def check_sums(model: keras.Model, kind: Kind, trials: list[np.ndarray]) -> None:
    """Refuse a sum of softmaxes, as in an ensemble: these are not logits, and their softmax is far too uncertain.

    Raises:
        InputError: the outputs are such a sum.
    """
    sums = np.concatenate([trial.astype(np.float64).sum(-1) for trial in trials])
    positive = all((trial >= 0).all() for trial in trials)
    if kind == "logits" and trials[0].shape[-1] > 1 and positive and np.allclose(sums, sums[0], rtol=5e-3):
        raise InputError(
            f"model {model.name!r}: its outputs are positive and add up to {sums[0]:.3g} for every image, so they are "
            "neither logits nor probabilities: divide them by that"
        )


def check_alone(model: keras.Model, images: Any, together: np.ndarray) -> None:
    """Refuse outputs of an image that depend on the other images of its batch, as after a softmax over the batch.

    Raises:
        InputError: they do.
    """
    inputs = _images(model, images)
    if not hasattr(inputs, "shape") or len(together) < 2 or input_shape(model)[0] is not None:
        return
    alone = np.asarray(ops.convert_to_numpy(ops.cast(_call(model, inputs[:1]), "float32")))
    if not np.allclose(alone, together[:1], rtol=2e-2, atol=5e-3, equal_nan=True):  # bfloat16 too
        raise InputError(
            f"model {model.name!r} gives different outputs for an image alone and in a batch: they must not depend on "
            "the other images (apply softmax over the last axis)"
        )


def are_logarithms(trials: list[np.ndarray]) -> bool:
    """Whether outputs are logarithms of probabilities, which are logits too."""
    return bool(np.allclose(np.exp(trials[0].astype(np.float64)).sum(-1), 1, atol=5e-3))


def range_text(outputs: np.ndarray) -> str:
    """The range of outputs (n, outputs) and the sum of the first row, for messages."""
    return f"they run from {outputs.min():.3g} to {outputs.max():.3g}, rows add up to {outputs[0].sum():.3g}"
