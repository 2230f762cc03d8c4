"""Effective receptive fields: how strongly each pixel affects the unit in the middle of a map (Luo et al. 2016).

The theoretical field shows which pixels a unit can depend on; the mean size of its gradient shows which ones it
does depend on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np

from kzoo.errors import InputError, first_line
from kzoo.introspection.gradients import input_gradients, layer_outputs, prepare_images
from kzoo.introspection.graph import calls, node_within
from kzoo.introspection.layers import check_built, check_channels_last, find_layer, find_layers, give_weights
from kzoo.introspection.receptive_field import receptive_fields
from kzoo.seeds import generator

SHARE = 0.95
"""Share of the map's mass that lies within `EffectiveField.radius`."""
_LUO = 1 - 0.9545
_CHUNK = 16


@dataclass(frozen=True, eq=False)
class EffectiveField:
    """Where the gradient of a layer's centre unit with respect to the input lies.

    Attributes:
        model: the model's name.
        layer: the layer's path.
        map: float64 (h, w) of the input's size: mean absolute gradient over images, channels added up, scaled to a sum
            of 1.
        theoretical: rows and columns of the theoretical field; None if it is the whole input or unknown.
        images: number of images averaged.
    """

    model: str
    layer: str
    map: np.ndarray
    theoretical: tuple[int, ...] | None
    images: int

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Row and column of the centre of mass."""
        rows, columns = (np.arange(size) for size in self.map.shape)
        return float(self.map.sum(1) @ rows), float(self.map.sum(0) @ columns)

    @cached_property
    def deviation(self) -> float:
        """Standard deviation along one axis (root mean square of both), in pixels."""
        variances = [
            self.map.sum(1 - axis) @ (np.arange(size) - self.centre[axis]) ** 2
            for axis, size in enumerate(self.map.shape)
        ]
        return float(np.sqrt(np.mean(variances)))

    @cached_property
    def radius(self) -> float:
        """Smallest distance from the centre of mass, in pixels, within which 95% of the mass lies."""
        rows, columns = np.indices(self.map.shape)
        distance = np.hypot(rows - self.centre[0], columns - self.centre[1]).ravel()
        order = np.argsort(distance, kind="stable")
        reached = int(np.searchsorted(np.cumsum(self.map.ravel()[order]), SHARE - 1e-12))
        return float(distance[order[min(reached, len(order) - 1)]])

    @cached_property
    def size(self) -> float:
        """Luo et al.'s measure: the square root of the number of pixels with more than 4.55% of the largest value."""
        return float(np.sqrt((self.map > _LUO * self.map.max()).sum()))

    @cached_property
    def reached(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """First and last row, and first and last column, with any gradient."""
        spans = [np.flatnonzero(self.map.sum(1 - axis)) for axis in (0, 1)]
        rows, columns = ((int(span[0]), int(span[-1])) if len(span) else (0, -1) for span in spans)
        return rows, columns

    @property
    def support(self) -> tuple[int, int]:
        """Number of rows and columns with any gradient, both ends included."""
        (top, bottom), (left, right) = self.reached
        return bottom - top + 1, right - left + 1


def effective_field(
    model: keras.Model,
    layer: Any = None,
    images: np.ndarray | None = None,
    *,
    count: int = 32,
    image_size: int | None = None,
    seed: int = 0,
) -> EffectiveField:
    """Mean absolute gradient of a layer's centre unit, all channels added up, with respect to the input.

    Args:
        model: a built Keras model with one input (n, h, w, c), trained or not, nested models included.
        layer: path, name or layer with a map (n, h, w, channels); by default, the last one before the classifier.
        images: (n, h, w, c), over which the mean is taken; by default, `count` images of uniform noise from 0 to 255.
        count: number of random images.
        image_size: side of the random images, to make room for the theoretical field; the model must be Functional or
            Sequential up to the layer. By default, the model's image size, or 64 if it is not fixed.
        seed: seed of the random images.

    Raises:
        InputError: the layer does not exist or has no map, the images do not fit, or the model cannot take
            `image_size`.

    Example:
        >>> field = kzoo.effective_field(model, "block1_conv", count=4)
        >>> field.support
        (3, 3)
    """
    # The layer, and the model for images of the requested size.
    check_built(model)
    check_channels_last(model)
    path = _last_map(model) if layer is None else find_layer(model, layer)[0]
    field = theoretical_fields(model).get(path)
    name = model.name
    if image_size is not None:
        if images is not None:
            raise InputError("image_size is for random images: it cannot be given together with images")
        model = _resized(model, path, image_size)
        path = model.layers[-1].name

    # The images, and the centre of the layer's map.
    images = np.asarray(_noise(model, count, seed) if images is None else images)
    (output,) = layer_outputs(model, [path], images[:1])
    if output.ndim != 4 or images.ndim != 4:
        raise InputError(
            f"layer {path!r} gives {output.shape[1:]} for an image: a map (height, width, channels) is needed"
        )
    row, column = output.shape[1] // 2, output.shape[2] // 2

    def score(outputs: Any) -> Any:
        return keras.ops.sum(outputs[:, row, column], axis=-1)

    # Add up absolute gradients.
    total = np.zeros(images.shape[1:3])
    for start in range(0, len(images), _CHUNK):
        gradients = input_gradients(model, images[start : start + _CHUNK], score, layer=path)
        total += np.abs(gradients.astype(np.float64)).sum((0, 3))
    if not np.isfinite(total).all():
        raise InputError(f"layer {path!r} of model {name!r} has gradients that are not finite")
    mass = total.sum()
    return EffectiveField(name, path, total / mass if mass else total, field, len(images))


def mean_field(fields: Sequence[EffectiveField]) -> EffectiveField:
    """The mean of one layer's fields over models with different initial weights: a single draw's field is lopsided."""
    if len({(field.layer, field.map.shape) for field in fields}) != 1:
        raise InputError("fields must have at least one entry, all of the same layer and input size")
    total = np.mean([field.map for field in fields], axis=0)
    return dataclasses.replace(fields[0], map=total, images=sum(field.images for field in fields))


def theoretical_fields(model: keras.Model) -> dict[str, tuple[int, ...] | None]:
    """Rows and columns of each layer's theoretical field, by path; empty for models without a fixed graph."""
    try:
        steps = calls(model)
    except InputError:
        return {}
    return {step.name: field for step, field in zip(steps, receptive_fields(steps), strict=True)}


def _noise(model: keras.Model, count: int, seed: int) -> np.ndarray:
    if count < 1:
        raise InputError(f"count={count}: must be 1 or more")
    inputs = getattr(model, "inputs", None)
    if not inputs:
        raise InputError(f"model {model.name!r} does not say what images it takes: give images")
    if len(inputs) == 1 and len(inputs[0].shape) == 4:
        shape = [64 if size is None else size for size in inputs[0].shape[1:]]
        return generator(seed, "effective field").uniform(0, 255, (count, *shape)).astype(np.float32)
    prepare_images(model, np.zeros((1, *(1 if n is None else n for n in inputs[0].shape[1:]))))  # several inputs
    raise InputError(f"model {model.name!r} takes {inputs[0].shape[1:]}: images (height, width, channels) are needed")


def _last_map(model: keras.Model) -> str:
    fields = theoretical_fields(model)  # also of operations such as a + b
    known = [path for path, _ in find_layers(model) if len(fields.get(path) or ()) == 2]
    if not known:
        raise InputError(f"model {model.name!r} has no layer with a known receptive field: name one")
    return known[-1]


def _resized(model: keras.Model, path: str, size: int) -> keras.Model:
    """The model up to a layer, for images of another size, with the same weights."""
    if size < 1:
        raise InputError(f"image_size={size}: must be 1 or more")
    if "/" in path:
        raise InputError(f"layer {path!r} is in a nested model, which image_size cannot change")
    try:
        part = keras.Model(model.inputs[0], node_within(model, model.get_layer(path)).output_tensors)
        resized = keras.models.clone_model(part, input_tensors=keras.Input((size, size, part.inputs[0].shape[-1])))
        give_weights(resized, part.get_weights())
    except (AttributeError, ValueError, TypeError) as error:
        raise InputError(
            f"model {model.name!r} cannot take images of {size}x{size} up to {path!r}: {first_line(error)}"
        ) from error
    return resized
