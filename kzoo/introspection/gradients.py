"""Gradients of any Keras model: with respect to its weights, its input, or a layer's output.

The differences between the backends are in `backends`, one small function each. The model is called in a
`keras.StatelessScope`, so none of its variables change, whatever its layers do. The gradient with respect to a layer's
output is the gradient with respect to zeros added to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kzoo.errors import InputError
from kzoo.introspection import backends
from kzoo.introspection.layers import check_built, find_layer, kept_buffers, torch_modules
from kzoo.introspection.outputs import class_outputs
from kzoo.introspection.scaling import scaled, scales_for, unscaled
from kzoo.introspection.tapping import last_output, tapped

__all__ = [
    "ActivationGradients",
    "LossGradients",
    "LossProbe",
    "activation_gradients",
    "input_gradients",
    "layer_outputs",
    "parameter_gradients",
]


class LossGradients(NamedTuple):
    """A loss (nats) and its gradients, in the order of the model's `trainable_variables`."""

    loss: float
    gradients: list[np.ndarray]


class ActivationGradients(NamedTuple):
    """A layer's output, and the gradient with respect to it, of the same shape (n, ...)."""

    activations: np.ndarray
    gradients: np.ndarray


class LossProbe:
    """Mean cross entropy on fixed images and its gradients, compiled at the first call for repeated use.

    A call changes no weights, moving averages, dropout seeds, gradients kept by PyTorch or global generators. With
    unchanged weights and seeds, dropout is the same at each call. Regularization penalties are not part of the loss.
    """

    def __init__(
        self, model: keras.Model, images: Any, targets: Any, *, training: bool = True, compiled: bool = True
    ) -> None:
        """Prepare; see `parameter_gradients` for arguments and errors."""
        check_no_torch_modules(model)
        self._images = prepare_images(model, images)
        if not model.trainable_variables:
            raise InputError(f"model {model.name!r} has no weights to train, so there are no gradients to look at")
        self.model, self._training = model, training
        with backends.separate_random():
            outputs = class_outputs(model, self._images[:4])
        self._called, self._logits = outputs.model, outputs.logits
        self._targets = _one_hot(model, targets, outputs.classes, len(self._images))
        self._trained = list(model.trainable_variables)
        chosen = {id(variable) for variable in self._trained}
        self._others = [variable for variable in model.variables if id(variable) not in chosen]
        self._compute = backends.compiled(self._gradients) if compiled else self._gradients
        self._scales = scales_for(model)

    def __call__(self) -> LossGradients:
        """The loss with the model's current weights, and its gradients."""
        loss, gradients, scale = unscaled(self._scales, self._measure)
        return LossGradients(loss / scale, gradients)

    def _measure(self, scale: float) -> tuple[float, list[np.ndarray]]:
        values = (backends.values(self._trained), backends.values(self._others))
        with backends.separate_random():
            loss, gradients = self._compute(*values, *([] if scale == 1 else [ops.convert_to_tensor(scale)]))
        return float(_numpy(loss)), [_numpy(gradient) for gradient in gradients]

    def _gradients(self, trained: list[Any], others: list[Any], scale: Any = None) -> tuple[Any, list[Any]]:
        def function(values: list[Any]) -> tuple[Any, list[Any]]:
            pairs = [*zip(self._trained, values, strict=True), *zip(self._others, others, strict=True)]
            with keras.StatelessScope(pairs):
                outputs = self._called(self._images, training=self._training)
                loss = self._loss(outputs)
                return (loss if scale is None else loss * scale), []

        loss, _, gradients = backends.differentiate(function, trained)
        return loss, gradients

    def _loss(self, outputs: Any) -> Any:
        if keras.backend.standardize_dtype(outputs.dtype) in ("float16", "bfloat16"):
            outputs = ops.cast(outputs, "float32")
        if self._logits:
            logs = ops.log_softmax(outputs, axis=-1)
        else:
            logs = ops.log(ops.maximum(outputs, keras.config.epsilon()))
        return -ops.sum(ops.cast(self._targets, outputs.dtype) * logs) / len(self._targets)


def check_no_torch_modules(model: keras.Model) -> None:
    """Refuse a model that wraps modules of PyTorch, which use their own parameters whatever Keras computes with.

    Raises:
        InputError: it does.
    """
    path = next(iter(torch_modules(model)), None)
    if path is not None:
        raise InputError(
            f"layer {path!r} wraps a torch.nn.Module, whose gradients kzoo cannot compute: write it as Keras layers"
        )


def parameter_gradients(model: keras.Model, images: Any, targets: Any, *, training: bool = True) -> LossGradients:
    """Mean cross entropy of a classifier and its gradients with respect to all trainable weights.

    Args:
        model: a built Keras model (also nested or subclassed) with one input and one output: logits or probabilities
            (batch, classes), or one sigmoid. The loss is computed from logits, without a final softmax.
        images: (n, ...) as the model takes them, of any type.
        targets: integers (n,), or shares of each class (n, classes).
        training: whether BatchNorm uses the statistics of this batch and dropout is on.

    Returns:
        The loss and arrays in the order of `model.trainable_variables`. The model is as it was before.

    Raises:
        InputError: the model is not built, has several inputs or outputs, or has no weights to train; or the images or
            targets do not fit it.
    """
    return LossProbe(model, images, targets, training=training, compiled=False)()


def layer_outputs(
    model: keras.Model, layers: Sequence[Any], images: Any, *, training: bool = False
) -> list[np.ndarray]:
    """The outputs of layers for some images.

    Args:
        model: a built Keras model with one input.
        layers: paths (see `find_layers`), names that only one layer has, or layers.
        images: (n, ...) as the model takes them.
        training: whether BatchNorm uses the statistics of this batch and dropout is on.

    Returns:
        Arrays (n, ...), one for each layer; for a layer that is used several times, the output of the last use.

    Raises:
        InputError: the model is not built or has several inputs, the images do not fit it, or a layer is unknown, is
            not used, or returns several tensors.
    """
    chosen = [find_layer(model, layer) for layer in layers]
    inputs = prepare_images(model, images)
    with kept_buffers(model), backends.separate_random(), backends.no_gradients(), keras.StatelessScope():
        with contextlib.ExitStack() as taps:
            recorded = [taps.enter_context(tapped(layer)) for _, layer in chosen]
            model(inputs, training=training)
        return [_numpy(last_output(path, outputs)) for (path, _), outputs in zip(chosen, recorded, strict=True)]


def activation_gradients(
    model: keras.Model, layer: Any, images: Any, score: Callable[[Any], Any], *, training: bool = False
) -> ActivationGradients:
    """Gradient of scores, summed over images, with respect to a layer's output.

    Args:
        model: a built Keras model with one input.
        layer: a path (see `find_layers`), a name that only one layer has, or a layer.
        images: (n, ...) as the model takes them.
        score: takes the model's outputs and returns one value for each image (n,), computed with `keras.ops`.
        training: whether BatchNorm uses the statistics of this batch and dropout is on.

    Returns:
        The layer's output (n, ...) and the gradient; for a layer that is used several times, those of the last use.

    Raises:
        InputError: see `layer_outputs`.
    """
    if training:
        check_no_torch_modules(model)
    path, target = find_layer(model, layer)
    inputs = prepare_images(model, images)
    with backends.separate_random(), backends.no_gradients(), keras.StatelessScope(), tapped(target) as outputs:
        model(inputs, training=training)
        last = last_output(path, outputs)
        uses, zeros = len(outputs), ops.zeros_like(last)

    def measure(scale: float) -> tuple[np.ndarray, list[np.ndarray]]:
        def function(added: list[Any]) -> tuple[Any, list[Any]]:
            with keras.StatelessScope(), tapped(target, add=added[0], use=uses - 1) as outputs:
                value = ops.sum(score(model(inputs, training=training)))
                return scaled(value, scale), [outputs[-1]]

        with backends.separate_random():
            _, (activations,), (gradient,) = backends.differentiate(function, [zeros])
        return _numpy(activations), [_numpy(gradient)]

    activations, (gradient,), _ = unscaled(scales_for(model), measure)
    return ActivationGradients(activations, gradient)


def input_gradients(model: keras.Model, images: Any, score: Callable[[Any], Any], *, layer: Any = None) -> np.ndarray:
    """Gradient of scores, summed over images, with respect to the images.

    Args:
        model: a built Keras model with one input.
        images: (n, ...) as the model takes them.
        score: takes the model's outputs and returns one value for each image (n,), computed with `keras.ops`.
        layer: a layer (see `activation_gradients`) whose output `score` takes instead of the model's.

    Returns:
        An array of the images' shape, in score per unit of a pixel.

    Raises:
        InputError: see `layer_outputs`; or the model takes integers.
    """
    inputs = prepare_images(model, images)
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(inputs.dtype)):
        raise InputError(f"model {model.name!r} takes integers: there is no gradient with respect to its input")

    path, target = (None, None) if layer is None else find_layer(model, layer)

    def measure(scale: float) -> tuple[None, list[np.ndarray]]:
        def function(pixels: list[Any]) -> tuple[Any, list[Any]]:
            with keras.StatelessScope(), contextlib.ExitStack() as taps:
                recorded = None if path is None else taps.enter_context(tapped(target))
                outputs = model(pixels[0], training=False)
                value = ops.sum(score(outputs if path is None or recorded is None else last_output(path, recorded)))
                return scaled(value, scale), []

        with backends.separate_random():
            _, _, (gradient,) = backends.differentiate(function, [inputs])
        return None, [_numpy(gradient)]

    _, (gradient,), _ = unscaled(scales_for(model), measure)
    return gradient


def prepare_images(model: keras.Model, images: Any) -> Any:
    """Images as a tensor of the type that a model takes.

    Raises:
        InputError: the model is not built or has several inputs, or the images do not fit it.
    """
    # One input, and one array of numbers.
    check_built(model)
    inputs = getattr(model, "inputs", None) or []
    if len(inputs) > 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs)
        raise InputError(f"model {model.name!r} has several inputs ({names}): only models with one can be diagnosed")
    if not hasattr(images, "shape"):
        try:
            images = np.asarray(images)
        except ValueError:
            raise InputError("images must all have the same shape") from None
    if isinstance(images, np.ndarray) and images.dtype.kind not in "biuf":
        raise InputError(f"images must be numbers, not {images.dtype}")

    # The shape that the model takes.
    shape = tuple(images.shape)
    expected = tuple(inputs[0].shape) if inputs else (None,) * len(shape)
    fits = len(shape) == len(expected) and all(b in (None, a) for a, b in zip(shape[1:], expected[1:], strict=True))
    if not fits or len(shape) < 2 or not shape[0]:
        raise InputError(f"images must be one or more of shape {expected[1:]} for {model.name!r}, not {shape}")

    # The type of the model's input, or else of its weights.
    floats = [v.dtype for v in model.variables if keras.backend.is_float_dtype(v.dtype)]
    dtype = inputs[0].dtype if inputs else (floats or [keras.config.floatx()])[0]
    return ops.cast(ops.convert_to_tensor(images), dtype)


def _one_hot(model: keras.Model, targets: Any, classes: int, n: int) -> np.ndarray:
    values = np.asarray(targets)
    if values.shape == (n, classes):
        return values.astype("float64")
    if values.shape != (n,) or values.dtype.kind not in "iu":
        raise InputError(
            f"targets must be {n} integers, or of shape {(n, classes)}; not {values.dtype} of shape {values.shape}"
        )
    if values.min() < 0 or values.max() >= classes:
        raise InputError(
            f"targets must be from 0 to {classes - 1}, the classes of {model.name!r}; "
            f"they go from {values.min()} to {values.max()}"
        )
    return np.eye(classes)[values]


def _numpy(tensor: Any) -> np.ndarray:
    array = np.array(ops.convert_to_numpy(tensor))  # a copy: a backend may return memory that it still uses
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
