"""Networks with a known fault for the doctor to find.

There are eight faults and a variant of one, with random severity, location and base network. `plant(fault, seed)`
returns a `Case`, which depends only on the seed. The images are scikit-learn's digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import keras
import numpy as np

import kzoo
from kzoo.data.datasets import get_dataset
from kzoo.data.loading import load
from kzoo.diagnostics.activations import rectifies
from kzoo.diagnostics.doctor.weights import harmless
from kzoo.introspection.layers import find_layers, kernel
from kzoo.recipes.schema import Recipe
from kzoo.seeds import generator

BASES = (
    "lenet1-max",
    "lenet2-average",
    "lenet3-strided",
    "mlp",
    "vgg08-bn",
    "vgg-a",
    "vgg-a-bn",
    "resnet10",
)
"""Networks in which faults are planted; without a fault, they are healthy on digits with their recipes' optimizers."""


@dataclass
class Case:
    """The arguments of the doctor, and what it should find.

    Attributes:
        kinds: the expected kinds of finding, any of which is a hit; empty for a healthy network.
        detail: describes the severity and location of the fault.
        model, images, labels, recipe: arguments of `kzoo.doctor`.
    """

    kinds: tuple[str, ...]
    detail: str
    model: keras.Model
    images: np.ndarray
    labels: np.ndarray
    recipe: Recipe

    def examine(self, seed: int = 0) -> Any:
        """Return the doctor's diagnosis."""
        from kzoo.diagnostics.doctor import doctor

        return doctor(self.model, images=self.images, labels=self.labels, recipe=self.recipe, seed=seed)


def healthy(seed: int, bases: tuple[str, ...] = BASES) -> Case:
    """Return a base network with fresh weights, and 600 to 1,222 of the digits."""
    rng = generator(seed, "case")
    name = str(rng.choice(bases))
    arrays = load("digits")
    chosen = rng.permutation(len(arrays.labels))[: rng.integers(600, 1223)]
    recipe = kzoo.recipe(name).override(dataset="digits")
    dataset = get_dataset("digits")
    keras.utils.set_random_seed(int(rng.integers(2**31)))
    options = {**recipe.model_options, "input_shape": (8, 8, 1), "classes": 10}
    options |= {"mean": dataset.mean, "std": dataset.std}
    model = kzoo.create_model(recipe.model, **options)
    return Case((), name, model, arrays.images[chosen], arrays.labels[chosen].copy(), recipe)


def plant(fault: str, seed: int) -> Case:
    """Return a case with a fault, one of `FAULTS`."""
    return FAULTS[fault](seed, generator(seed, fault))


def _sigmoid_stack(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    depth, before, width = int(rng.integers(6, 13)), int(rng.integers(0, 3)), int(rng.choice([16, 32, 64]))
    initializer = str(rng.choice(["glorot_uniform", "he_normal", "lecun_normal"]))
    dense = bool(rng.integers(2))
    x = inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(1 / 255)(x)
    x = keras.layers.Flatten()(x) if dense else x
    for index in range(before + depth):
        activation = "relu" if index < before else "sigmoid"
        options = {"activation": activation, "kernel_initializer": initializer}
        x = (
            keras.layers.Dense(width, **options) if dense else keras.layers.Conv2D(width, 3, padding="same", **options)
        )(x)
    x = x if dense else keras.layers.GlobalAveragePooling2D()(x)
    case.model = keras.Model(inputs, keras.layers.Dense(10)(x), name="sigmoid_stack")
    case.recipe = kzoo.recipe("lenet2-max").override(dataset="digits")
    case.kinds = ("vanishing gradients",)
    case.detail = f"{depth} {'dense' if dense else 'convolutional'} sigmoid layers of {width}, {initializer}"
    return case


def _learning_rate(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    factor = 10 ** rng.uniform(2.5, 3.5)
    rate = case.recipe.optimizer.learning_rate * factor
    case.recipe = case.recipe.override(**{"optimizer.learning_rate": rate})
    case.kinds = ("learning rate too high",)
    case.detail = f"{case.detail}, rate x {factor:.0f}"
    return case


def _dead_relu(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed, ("mlp", "vgg-a", "vgg-a-bn", "resnet10"))
    layers = [layer for _, layer in find_layers(case.model)]
    candidates = [before for before, after in pairwise(layers) if rectifies(after) and _shift(before) is not None]
    layer = candidates[rng.integers(len(candidates))]
    values = np.array(keras.ops.convert_to_numpy(_shift(layer)))
    share, bias = rng.uniform(0.85, 1), -10 * rng.uniform(0.8, 2)
    values[rng.permutation(len(values))[: int(np.ceil(share * len(values)))]] = bias
    _shift(layer).assign(values)
    case.kinds = ("dead units",)
    case.detail = f"{case.detail}, {layer.name}, bias {bias:.0f} in {share:.0%} of units"
    return case


def _shift(layer: Any) -> Any:
    return getattr(layer, "beta", None) if hasattr(layer, "gamma") else getattr(layer, "bias", None)


def _labels_shuffled(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    size = int(rng.integers(300, len(case.labels)))
    case.images, labels = case.images[:size], case.labels[:size]
    shift = int(rng.integers(1, size))
    shifted = bool(rng.integers(2))
    case.labels = np.roll(labels, shift) if shifted else rng.permutation(labels)
    case.kinds = ("labels not explained by pixels",)
    case.detail = f"{size} images, {'shifted' if shifted else 'shuffled'}"
    return case


def _inputs_scaled(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    factor = 255 * 10 ** rng.uniform(-1, 1)
    case.images = case.images.astype(np.float32) * np.float32(factor)
    case.kinds = ("inputs out of range",)
    case.detail = f"{case.detail}, pixels x {factor:.0f}"
    return case


def _inputs_divided(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    case.images = case.images.astype(np.float32) / np.float32(255)
    case.kinds = ("inputs out of range",)
    case.detail = f"{case.detail}, pixels / 255"
    return case


def _momentum(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed, ("vgg08-bn", "vgg-a-bn", "resnet10"))
    layers = [one for _, one in find_layers(case.model) if isinstance(one, keras.layers.BatchNormalization)]
    count = int(rng.integers(1, len(layers) + 1))
    momentum = float(rng.choice([1.0, 1 - 10 ** -rng.uniform(4, 6)]))
    for index in rng.permutation(len(layers))[:count]:
        layers[index].momentum = momentum
    case.kinds = ("BatchNorm statistics",)
    case.detail = f"{case.detail}, momentum {momentum:.7g} in {count} of {len(layers)} layers"
    return case


def _zero_layer(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    layers = [(path, layer) for path, layer in find_layers(case.model) if kernel(layer) is not None]
    skipped = harmless(case.model, layers)
    candidates = [layer for path, layer in layers if path not in skipped]
    layer = candidates[rng.integers(len(candidates))]
    value = float(rng.choice([0.0, rng.uniform(0.001, 0.1)]))
    kernel(layer).assign(np.full(kernel(layer).shape, value, np.float32))
    case.kinds = ("constant layer",)
    case.detail = f"{case.detail}, {layer.name} all {value:.3g}"
    return case


def _duplicated_index(seed: int, rng: np.random.Generator) -> Case:
    case = healthy(seed)
    one, other = (int(label) for label in rng.permutation(10)[:2])
    if rng.integers(2):
        case.labels[case.labels == one] = other
        case.kinds = ("class never occurs",)
        case.detail = f"{case.detail}, class {one} has index {other}"
        return case
    # One class with two indices: remove class `other` and give its index to some images of class `one`.
    keep = case.labels != other
    case.images, case.labels = case.images[keep], case.labels[keep]
    share = rng.uniform(0.3, 0.7)
    indices = np.flatnonzero(case.labels == one)
    case.labels[rng.permutation(indices)[: int(share * len(indices))]] = other
    case.kinds = ("indistinguishable classes",)
    case.detail = f"{case.detail}, {share:.0%} of class {one} has index {other}"
    return case


FAULTS: dict[str, Callable[[int, np.random.Generator], Case]] = {
    "sigmoid stack": _sigmoid_stack,
    "learning rate x1000": _learning_rate,
    "dead ReLU by bias -10": _dead_relu,
    "labels shuffled": _labels_shuffled,
    "inputs x255": _inputs_scaled,
    "inputs /255": _inputs_divided,
    "BatchNorm momentum 1.0": _momentum,
    "zero-initialised layer": _zero_layer,
    "duplicated class index": _duplicated_index,
}
