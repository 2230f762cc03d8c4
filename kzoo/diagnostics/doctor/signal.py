"""Checks of the signals in the network: the scale of its inputs, dead units, gradients by depth."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from kzoo.diagnostics.activations import (
    LayerActivations,
    activation_statistics,
    fitted_factor,
    kernel_gradients,
    rectifies,
)
from kzoo.diagnostics.doctor.report import Diagnosis, Finding, Note, digits, percent, sentence
from kzoo.diagnostics.doctor.subject import Subject
from kzoo.diagnostics.random_images import has_input_scaling
from kzoo.errors import InputError, some
from kzoo.introspection.gradients import parameter_gradients
from kzoo.introspection.graph import calls
from kzoo.introspection.layers import find_layers, kernel
from kzoo.models import whitening

INPUTS, DEAD, NOT_FINITE = "inputs out of range", "dead units", "loss not finite"
VANISHING, EXPLODING = "vanishing gradients", "exploding gradients"
GRADIENTS = "vanishing or exploding gradients"
LOWEST, HIGHEST = 0.03, 10.0
"""Limits of the inputs' standard deviation from image to image, as the first layer with weights sees them."""
DEAD_SHARE = 0.8
"""Share of dead units that is reported; networks that train well have up to 0.5 initially (VGG-A's dense layers)."""
VANISHED, EXPLODED = 1e-3, 1e4
"""Limits of the first layer's gradient divided by the last layer's. VGG-38 with BatchNorm has about 250 and trains
well."""
GRADIENT_IMAGES = 32


def check_inputs(subject: Subject, diagnosis: Diagnosis) -> bool:
    """Compare the pixels' scale with the network's; returns whether it is right or unknown."""
    if subject.images is None:
        diagnosis.unchecked.append(Note(INPUTS, subject.needs_images))
        return True

    # Pixels must be finite numbers.
    if not subject.finite:
        share = percent(float((~np.isfinite(subject.images)).mean()))
        evidence = f"{share} of the pixel values are not finite numbers."
        suggestion = "find out where the images are divided by zero or read wrongly, and leave these images out."
        diagnosis.findings.append(Finding(INPUTS, (), evidence, {"not_finite": share}, suggestion))
        return False

    # The scale of the pixels, and of the first layer's outputs.
    images, _ = subject.probe()
    low, high = float(images.min()), float(images.max())
    rescales = has_input_scaling(subject.model)
    first = _input_scale(subject.model, images)
    scale = None if first is None else first[1]
    seen = f"pixels run from {digits(low)} to {digits(high)}"
    facts = {"min": low, "max": high, "scale_at_first_layer": scale, "rescales": rescales}
    if first is not None and scale is not None:
        seen += f"; at {first[0]}, the first layer with weights, they differ by about {digits(scale)} between images"

    # Whether the scale is too small or too large.
    normalised = _first_is_normalised(subject.model)
    factor = None
    if scale is not None and (scale < LOWEST or scale > HIGHEST) and not (normalised and not rescales and high <= 256):
        factor = "small" if scale < LOWEST else "large"
    if rescales and high > 1.02 * 255 and factor != "small":
        factor = "large"
    if factor is None:
        if scale is None:
            diagnosis.unchecked.append(Note(INPUTS, f"{seen}; the first layer's weights are zero"))
        else:
            diagnosis.fine.append(Note(INPUTS, seen))
        return True

    # Report the scale and a remedy.
    expects = "raw pixels from 0 to 255, which it scales itself" if rescales else "values of about -2 to 2"
    evidence = f"{sentence(seen)}. The network expects {expects}: these are too {factor}."
    if not rescales:
        suggestion = "divide the pixels by 255 (keras.layers.Rescaling(1/255) as the first layer does it for good)."
        if factor == "small" or high > 1.02 * 255:
            suggestion = "scale the pixels to 0..1 exactly once."
    elif factor == "small":
        suggestion = "pass the pixels as they are, 0 to 255: do not divide them by 255 first."
    else:
        suggestion = "pass the pixels as they are, 0 to 255: they were multiplied by 255, or have 16 bits."
    diagnosis.findings.append(Finding(INPUTS, (first[0],) if first else (), evidence, facts, suggestion))
    return False


def _input_scale(model: keras.Model, images: np.ndarray) -> tuple[str, float] | None:
    """The first layer with a kernel, and its outputs' spread from image to image, divided by the size of its weights.

    This works even if the input passes through operations and nested models first. None if the weights are zero.
    """
    for path, layer in find_layers(model):
        # The whitening layer's outputs are small compared with its kernel, whatever the scale of the pixels.
        weights = None if layer.name == whitening.LAYER else kernel(layer, frozen=True)
        rows = () if weights is None else activation_statistics(model, images, training=True, layers=[layer]).layers
        if rows:  # there are none for a layer that is not used
            values = np.asarray(keras.ops.convert_to_numpy(weights), np.float64)
            size = float(np.sqrt(np.square(values).sum() / values.shape[-1]))
            return (path, rows[0].spread / size) if size > 0 else None
    return None


def _first_is_normalised(model: keras.Model) -> bool:
    """Whether BatchNorm directly follows the first layer with weights, which makes the inputs' scale irrelevant."""
    layers = [layer for _, layer in find_layers(model)]
    indices = [index for index, layer in enumerate(layers) if layer.weights]
    if not indices:
        return False
    following = layers[indices[0] : indices[0] + 2]
    return any(isinstance(layer, keras.layers.BatchNormalization) for layer in following)


def check_dead(subject: Subject, diagnosis: Diagnosis) -> bool:
    """Look for layers in which most units are zero for every image; returns whether there are none."""
    layers = [layer for _, layer in find_layers(subject.model) if rectifies(layer)]
    images, _ = subject.probe()
    # As in training, because an untrained network's moving averages do not show which units are alive.
    statistics = activation_statistics(subject.model, images, training=True, layers=layers) if layers else None
    rows = [row for row in statistics.layers if row.rectifies] if statistics else []
    if statistics is None or not rows:
        diagnosis.fine.append(Note(DEAD, "the network has no ReLU that gives exactly zero"))
        return True
    dead = [row for row in rows if row.dead >= DEAD_SHARE * row.units]
    if not dead:
        most = max(rows, key=lambda row: row.dead / row.units)
        text = f"at most {most.dead} of {most.units} in a layer ({most.path}), on {statistics.images} images"
        diagnosis.fine.append(Note(DEAD, text))
        return True

    # Report the first dead layer and its input.
    first = dead[0]
    before = None if first.has_kernel else _before(subject.model, first.path, images)
    evidence = (
        f"{first.dead} of {first.units} units of {first.path} are zero for all {statistics.images} images, at every "
        f"position"
    )
    if before is not None:
        evidence += f"; its input has mean {digits(before.mean)} and standard deviation {digits(before.std)}"
    if len(dead) > 1:
        evidence += f". {len(dead) - 1} later layer{'s are' if len(dead) > 2 else ' is'} dead as well"
    evidence += ". No gradient passes through a unit that is always zero."
    values = {"layers": [{"layer": row.path, "dead": row.dead, "units": row.units} for row in dead]}
    suggestion = (
        f"start biases at zero, above all before {first.path}; if they already do, lower the learning rate: one large "
        "step can push all units below zero."
    )
    diagnosis.findings.append(Finding(DEAD, tuple(row.path for row in dead), evidence, values, suggestion))
    return False


def _before(model: keras.Model, path: str, images: np.ndarray) -> LayerActivations | None:
    """The activations of the layer whose output a ReLU takes; None if no layer alone computes it."""
    try:
        every = calls(model)
    except InputError:  # no fixed graph
        return None
    inputs = next((call.inputs for call in every if call.name == path), ())
    layer = next((call.layer for call in every if inputs == call.outputs), None)
    if isinstance(layer, keras.layers.InputLayer) or not isinstance(layer, keras.Layer):
        return None
    if sum(call.layer is layer for call in every) != 1:
        return None
    rows = activation_statistics(model, images, training=True, layers=[layer]).layers
    return rows[0] if rows else None


def check_gradients(subject: Subject, diagnosis: Diagnosis) -> bool:
    """Compare the gradients of the first and last layers; returns whether training can continue."""
    # The loss before any step must be finite.
    images, labels = subject.probe(GRADIENT_IMAGES)
    with _classifier_started(subject) as started:
        loss, gradients = parameter_gradients(subject.model, images, labels)
        rows = kernel_gradients(subject.model, gradients)
        sizes = [np.abs(keras.ops.convert_to_numpy(kernel(layer))).mean() for _, layer, _ in rows]
    guess = float(np.log(subject.classes))
    if not np.isfinite(loss):
        evidence = f"The loss on {len(images)} images is {loss} before any step."
        suggestion = "look for a division by zero, a logarithm of zero or initial weights that are too large."
        diagnosis.findings.append(Finding(NOT_FINITE, (), evidence, {"loss": loss}, suggestion))
        return False

    # Mean absolute gradients by layer, which must be finite too.
    means = np.array([np.abs(gradient, dtype=np.float64).mean() for _, _, gradient in rows])
    weights = np.array(sizes, np.float64)
    paths = tuple(path for path, _, _ in rows)
    infinite = tuple(path for path, mean in zip(paths, means, strict=True) if not np.isfinite(mean))
    if infinite:
        evidence = (
            f"The loss on {len(images)} images is {digits(loss)}, but not all gradients of {some(infinite, 3)} are "
            "finite."
        )
        suggestion = "look for a square root, power or norm of zero, where the slope is infinite: add 1e-6 before it."
        diagnosis.findings.append(Finding(NOT_FINITE, infinite, evidence, {"loss": loss}, suggestion))
        return False
    zero = [path for (path, layer, _), size in zip(rows, sizes, strict=True) if not size]
    if len(rows) < 2 or means.max() == 0 or (zero and means[0] == 0):
        text = "all gradients are zero" if len(rows) > 1 else "the network has fewer than two layers with a kernel"
        if zero and len(rows) > 1:
            text = f"no gradient reaches {paths[0]} before the first step: the kernel of {some(zero, 3)} starts at zero"
        diagnosis.unchecked.append(Note(GRADIENTS, text))
        return True

    # Compare the first layer with the last.
    ratio = float(means[0] / means[-1]) if means[-1] > 0 else float("inf")
    factor = 1 / fitted_factor(means) if (means > 0).all() else float("nan")
    relative = means / np.maximum(weights, np.finfo(np.float32).tiny)
    values = {
        "first_to_last": ratio,
        "factor_per_layer": factor,
        "loss": loss,
        "layers": list(paths),
        "mean_abs_gradient": [float(mean) for mean in means],
    }
    seen = f"the mean gradient of the first layer, {paths[0]}, is {digits(ratio)} times that of the last, {paths[-1]}"
    if np.isfinite(factor):
        seen += f" (a factor of {digits(factor)} a layer towards the input, over {len(rows)} layers)"
    seen += started
    small = relative[0] < 1e-8 and loss > 0.9 * guess
    if ratio < VANISHED or small:
        if small and ratio >= VANISHED:
            seen += f"; all are tiny (at {paths[0]}, {digits(float(relative[0]))} times the weights)"
        smallest = tuple(path for path, mean in zip(paths, means, strict=True) if mean < 1e-3 * means.max())
        evidence = f"{sentence(seen)}: the first layers learn nothing."
        values |= {"gradient_to_weight": float(relative[0])}
        suggestion = _against_vanishing(subject.model)
        diagnosis.findings.append(Finding(VANISHING, smallest or paths, evidence, values, suggestion))
        return False
    middle = float(np.median(relative))
    if ratio > EXPLODED or (loss > 5 * guess and middle > 100):
        evidence = f"{sentence(seen)}."
        if ratio <= EXPLODED:
            evidence = (
                f"The loss on {len(images)} images is {digits(loss)}, where guessing gives {digits(guess)}: outputs "
                f"grow from layer to layer. Gradients are {digits(middle)} times their weights (median of layers)."
            )
        values |= {"gradient_to_weight": middle}
        diagnosis.findings.append(Finding(EXPLODING, paths, evidence, values, AGAINST_EXPLODING))
        return False
    diagnosis.fine.append(Note(GRADIENTS, seen))
    return True


@contextlib.contextmanager
def _classifier_started(subject: Subject) -> Iterator[str]:
    """Give the last kernel random values during a block if it is all zero, because then no gradient passes through it.

    Yields the words that say so; empty if the kernel is as it was.
    """
    layers = [(path, layer) for path, layer in find_layers(subject.model) if kernel(layer) is not None]
    last = layers[-1] if layers else None
    if last is None or np.any(keras.ops.convert_to_numpy(kernel(last[1]))):
        yield ""
        return
    weight = kernel(last[1])
    weight.assign(keras.initializers.GlorotUniform(seed=subject.seed)(weight.shape, dtype=weight.dtype))
    try:
        yield f"; the kernel of {last[0]} starts at zero, and was measured with random values"
    finally:
        weight.assign(keras.ops.zeros(weight.shape, weight.dtype))


AGAINST_EXPLODING = (
    "start with smaller weights (he_normal with ReLU, glorot_uniform otherwise), put BatchNorm after the "
    "convolutions, or clip gradients (clipnorm=1)."
)


def _against_vanishing(model: keras.Model) -> str:
    layers = [layer for _, layer in find_layers(model)]
    saturating = (keras.activations.sigmoid, keras.activations.tanh)
    if any(getattr(layer, "activation", None) in saturating for layer in layers):
        return "replace sigmoid or tanh in the hidden layers with ReLU, with he_normal kernels."
    if sum(isinstance(layer, keras.layers.BatchNormalization) for layer in layers) < 2:
        return "put BatchNorm after each convolution, or add shortcuts around blocks, or use he_normal kernels."
    return "add shortcuts around blocks, or use he_normal kernels."
