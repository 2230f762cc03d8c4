"""The outputs of each layer: mean, spread, zeros, dead units, and how the signal's variance changes with depth.

`activation_statistics` measures the outputs for given images; `signal_propagation` judges a network without data, by
sending random images forward and gradients back (Glorot and Bengio 2010; He et al. 2015).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from kzoo.checks import whole
from kzoo.diagnostics.plots import new_figure, thin_ticks
from kzoo.diagnostics.random_images import random_images
from kzoo.errors import InputError
from kzoo.files import finite
from kzoo.introspection.depth import factor_per_step
from kzoo.introspection.gradients import layer_outputs, parameter_gradients, prepare_images
from kzoo.introspection.layers import channels_first, find_layer, find_layers, kernel
from kzoo.introspection.outputs import class_outputs
from kzoo.seeds import generator

MEMORY = 256 * 2**20
"""Bytes of outputs held in memory at once: layers are processed in groups."""


@dataclass(frozen=True)
class LayerActivations:
    """One layer's output over all images and positions.

    Attributes:
        path: the layer's name, preceded by the names of the models that it is nested in.
        type: its class.
        mean: of all values.
        std: standard deviation of all values.
        zeros: share of values that are exactly zero.
        spread: standard deviation from image to image, for the same unit and position (root mean square over these):
            the information about the image.
        units: size of the channel axis.
        rectifies: whether it ends in a ReLU, whose units can die.
        dead: number of units of a rectifying layer that are zero for every image, at every position; otherwise 0.
        has_kernel: whether it has a weight matrix or convolution kernel, frozen or not.
        decay: for a layer with a kernel, the variance of its output divided by that of the previous layer with a
            kernel; None for the first one and for other layers.
    """

    path: str
    type: str
    mean: float
    std: float
    zeros: float
    spread: float
    units: int
    rectifies: bool
    dead: int
    has_kernel: bool
    decay: float | None = None


@dataclass(frozen=True)
class ActivationStatistics:
    """All layers of a model, in the order of computation.

    Attributes:
        layers: one entry per layer.
        images: number of images that they were measured on.
    """

    layers: tuple[LayerActivations, ...]
    images: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; None replaces numbers that are not finite."""
        return {"images": self.images, "layers": [finite(dataclasses.asdict(layer)) for layer in self.layers]}


@dataclass(frozen=True)
class SignalPropagation:
    """Size of signal and gradient in a network's layers with a kernel, in the order of computation.

    Attributes:
        layers: paths of the layers; layers that return several tensors are left out.
        forward: variance of each layer's output.
        backward: mean square of the gradient with respect to each layer's kernel.
        forward_factor: fitted factor from layer to layer (least squares of the logarithm); NaN for a single layer, or
            if a variance is zero.
        backward_factor: the same for `backward`, also from first to last: below 1, the first layers have the larger
            gradients.
    """

    layers: tuple[str, ...]
    forward: tuple[float, ...]
    backward: tuple[float, ...]
    forward_factor: float
    backward_factor: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; None replaces numbers that are not finite."""
        return dict(finite(dataclasses.asdict(self)))


def activation_statistics(
    model: keras.Model, images: np.ndarray, *, training: bool = False, layers: Sequence[Any] | None = None
) -> ActivationStatistics:
    """Measure every layer's output.

    Args:
        model: any built Keras model with one input; nested models are unfolded.
        images: (n, height, width, channels), as the model takes them.
        training: whether BatchNorm uses the statistics of these images and dropout is on.
        layers: the layers to measure, if not all: paths, unique names, or layers.

    Raises:
        InputError: the model is not built or has several inputs, the images do not fit it, or a layer is unknown.

    Example:
        >>> [layer.path for layer in kzoo.activation_statistics(model, images).layers][:2]
        ['block1_conv', 'block1_conv_act']
    """
    images = np.asarray(images)
    prepare_images(model, images)
    chosen = find_layers(model) if layers is None else [find_layer(model, layer) for layer in layers]
    rows: list[LayerActivations] = []
    first = channels_first(model)
    for group in _groups(model, chosen, images):
        outputs = layer_outputs(model, [layer for _, layer in group], images, training=training)
        rows += [_measured(path, layer, o, first) for (path, layer), o in zip(group, outputs, strict=True)]
        del outputs
    previous: LayerActivations | None = None
    for index, row in enumerate(rows):
        if row.has_kernel:
            if previous is not None and previous.std > 0:
                rows[index] = dataclasses.replace(row, decay=row.std**2 / previous.std**2)
            previous = row
    return ActivationStatistics(tuple(rows), len(images))


def signal_propagation(model: keras.Model, seed: int = 0, *, images: int = 32) -> SignalPropagation:
    """Send random images through a model, and the gradients of random classes back; needs no data.

    The current weights are used: build the model again to judge its initialisation. BatchNorm uses the statistics
    of the random images, as it does in training.

    Args:
        model: any built Keras classifier with one input; nested models are unfolded.
        seed: seed of the images and classes.
        images: number of images.

    Raises:
        InputError: the model is not built, has several inputs, is not a classifier or has nothing to train; or `images`
            is below 1.

    Example:
        >>> kzoo.signal_propagation(model).layers
        ('block1_conv', 'logits')
    """
    pixels = random_images(model, whole("images", images), seed)
    targets = generator(seed, "random classes").integers(0, class_outputs(model, pixels[:4]).classes, images)
    rows = activation_statistics(model, pixels, training=True).layers
    variance = {row.path: row.std**2 for row in rows}  # without layers that return several tensors
    gradients = parameter_gradients(model, pixels, targets).gradients
    by_kernel = [row for row in kernel_gradients(model, gradients) if row[0] in variance]
    forward = [variance[path] for path, _, _ in by_kernel]
    backward = [float(np.square(gradient, dtype=np.float64).mean()) for _, _, gradient in by_kernel]
    return SignalPropagation(
        tuple(path for path, _, _ in by_kernel),
        tuple(forward),
        tuple(backward),
        fitted_factor(forward),
        fitted_factor(backward),
    )


def kernel_gradients(model: keras.Model, gradients: list[np.ndarray]) -> list[tuple[str, Any, np.ndarray]]:
    """(path, layer, gradient of its kernel) in the order of computation, from the result of `parameter_gradients`."""
    by_variable = {id(v): g for v, g in zip(model.trainable_variables, gradients, strict=True)}
    by_kernel = []
    for path, layer in find_layers(model):
        weight = kernel(layer)
        if weight is not None and id(weight) in by_variable:
            by_kernel.append((path, layer, by_variable[id(weight)]))
    return by_kernel


def fitted_factor(values: list[float] | np.ndarray) -> float:
    """The factor from one value to the next, by least squares of the logarithm; NaN where it is undefined."""
    numbers = np.asarray(values, np.float64)
    if len(numbers) < 2 or not (np.isfinite(numbers) & (numbers > 0)).all():
        return float("nan")
    return factor_per_step(np.arange(len(numbers)), numbers)


def rectifies(layer: Any) -> bool:
    """Whether a layer ends in a ReLU that gives exactly zero below zero (not a leaky one)."""
    if isinstance(layer, keras.layers.ReLU):
        return not layer.negative_slope
    return getattr(layer, "activation", None) in (keras.activations.relu, keras.activations.relu6)


def plot_activations(statistics: ActivationStatistics) -> Figure:
    """Standard deviation, spread from image to image, and share of zeros, by layers with a kernel or a ReLU.

    Example:
        >>> figure = kzoo.plot_activations(kzoo.activation_statistics(model, images))
    """
    rows = [row for row in statistics.layers if row.has_kernel or row.rectifies]
    if not rows:
        raise InputError("there is no layer with a kernel or a ReLU to plot")

    # Upper panel: standard deviations.
    figure = new_figure(max(6.0, 0.16 * len(rows) + 2), 5.5)
    above, below = figure.subplots(2, 1, sharex=True)
    positions = np.arange(len(rows))
    tiny = np.finfo(np.float32).tiny
    above.plot(positions, [max(row.std, tiny) for row in rows], marker=".", label="all values")
    above.plot(positions, [max(row.spread, tiny) for row in rows], marker=".", label="from image to image")
    above.set_yscale("log")
    above.set_ylabel("standard deviation")
    above.legend(frameon=False)

    # Lower panel: zeros and dead units.
    below.bar(positions, [row.zeros for row in rows], label="zeros")
    dead = [row.dead / row.units for row in rows]
    below.plot(positions, dead, "x", color="black", label="dead units")
    below.set_ylim(0, 1.05)
    below.set_ylabel("share")
    below.legend(frameon=False)
    thin_ticks(below.xaxis, [row.path for row in rows], rotation=90, fontsize=7)
    return figure


def _groups(model: keras.Model, layers: list[tuple[str, Any]], images: np.ndarray) -> list[list[tuple[str, Any]]]:
    """The layers with one floating-point output, in groups whose outputs fit into `MEMORY` (at least one layer)."""
    try:
        single = layer_outputs(model, [layer for _, layer in layers], images[:1])
    except InputError:  # a layer is not used, or returns several tensors
        layers = [pair for pair in layers if _gives_one(model, pair[1], images[:1])]
        single = layer_outputs(model, [layer for _, layer in layers], images[:1])
    groups: list[list[tuple[str, Any]]] = [[]]
    used = 0
    for entry, output in zip(layers, single, strict=True):
        if output.ndim < 2:
            continue
        size = output.nbytes * len(images)
        if groups[-1] and used + size > MEMORY:
            groups.append([])
            used = 0
        groups[-1].append(entry)
        used += size
    return groups


def _gives_one(model: keras.Model, layer: Any, image: np.ndarray) -> bool:
    try:
        layer_outputs(model, [layer], image)
    except InputError:
        return False
    return True


def _measured(path: str, layer: Any, output: np.ndarray, first: bool) -> LayerActivations:
    """The statistics of a layer; `first`: whether layers without a `data_format` get channels as their first axis."""
    own = getattr(layer, "data_format", None)
    first = own == "channels_first" if own else first and output.ndim == 4 and not isinstance(layer, keras.layers.Dense)
    output = np.moveaxis(output, 1, -1) if first and output.ndim > 2 else output
    active = (output != 0).any(axis=tuple(range(output.ndim - 1)))
    ends = rectifies(layer)
    # In float64, because squares of values that have decayed over 38 layers would underflow in float32.
    deviations = output - output.mean(axis=0, dtype=np.float64)
    return LayerActivations(
        path=path,
        type=type(layer).__name__,
        mean=float(output.mean(dtype=np.float64)),
        std=float(output.std(dtype=np.float64)),
        zeros=float((output == 0).mean()),
        spread=float(np.sqrt(np.square(deviations).mean())),
        units=int(output.shape[-1]),
        rectifies=ends,
        dead=int((~active).sum()) if ends else 0,
        has_kernel=kernel(layer, frozen=True) is not None,
    )
