"""A network with its images, labels, recipe and history, as far as they are known."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from kzoo.diagnostics.doctor.report import percent
from kzoo.diagnostics.random_images import input_shape, random_images
from kzoo.errors import InputError
from kzoo.introspection.gradients import check_no_torch_modules, prepare_images
from kzoo.introspection.outputs import class_outputs
from kzoo.recipes.schema import Recipe
from kzoo.seeds import generator

LAG = 0.05
"""Share of the initial weights in a moving average above which its accuracy says nothing about the trained weights."""
PROBE = 64
"""Images of the probe batch that goes through the network."""


@dataclass
class Subject:
    """A network and its data, recipe and history, as far as they are known.

    Attributes:
        title: a description in words.
        model: the network, with the weights to examine.
        seed: seed of all random draws.
        images: training images (n, height, width, channels), or None.
        labels: their labels, int64 (n,), or None.
        no_data: why there are no images and labels.
        class_names: names by label, or None.
        recipe: the recipe that trains or trained it, or None.
        optimizer: returns a new optimizer like the network's own; None if unknown, or if the recipe defines it.
        initial: builds the network as it was before training; None if unknown.
        history: metrics per epoch; empty if there are none.
        steps: optimizer steps done; None if unknown.
        failure: why the run failed, or None.
    """

    title: str
    model: keras.Model
    seed: int = 0
    images: np.ndarray | None = None
    labels: np.ndarray | None = None
    no_data: str = "name a dataset, or give images and labels"
    class_names: tuple[str, ...] | None = None
    recipe: Recipe | None = None
    optimizer: Callable[[], Any] | None = None
    initial: Callable[[], keras.Model] | None = None
    history: dict[str, list[float]] = field(default_factory=dict)
    steps: int | None = None
    failure: str | None = None

    @property
    def needs_images(self) -> str:
        """Why a check of the data could not be done."""
        return f"needs labelled images: {self.no_data}"

    @functools.cached_property
    def classes(self) -> int:
        """Number of classes.

        Raises:
            InputError: the model's outputs are not those of a classifier.
        """
        images = None if self.images is None else prepare_images(self.model, self.images[:4])
        return class_outputs(self.model, images).classes

    @functools.cached_property
    def finite(self) -> bool:
        """Whether all pixels are finite numbers."""
        return self.images is None or self.images.dtype.kind != "f" or bool(np.isfinite(self.images).all())

    @property
    def lagging(self) -> str:
        """In words, that the network's weights are a moving average that lags behind; empty if they are not."""
        average = self.recipe.ema if self.recipe else None
        share = 0.0 if average is None or not self.steps else average**self.steps
        if share <= LAG:
            return ""
        text = f"the weights are a moving average, which still consists of the initial weights to {percent(share)}"
        return f"{text} after {self.steps} steps: train longer, or lower ema"

    def name(self, label: int) -> str:
        """A class in words: its index, and its name if that says more."""
        named = self.class_names[label] if self.class_names and label < len(self.class_names) else str(label)
        return str(label) if named == str(label) else f"{label} ({named})"

    def probe(self, count: int = PROBE) -> tuple[np.ndarray, np.ndarray]:
        """A fixed batch of images and labels, random if there is no data."""
        rng = generator(self.seed, "doctor")
        if self.images is None:
            return random_images(self.model, count, self.seed), rng.integers(0, self.classes, count)
        chosen = rng.permutation(len(self.images))[:count]
        labels = rng.integers(0, self.classes, len(chosen)) if self.labels is None else self.labels[chosen]
        return self.images[chosen], labels


def check_fits(subject: Subject) -> None:
    """Refuse a model that is not a classifier of images, and images that do not fit it."""
    model = subject.model
    check_no_torch_modules(model)
    if not model.trainable_variables:
        raise InputError(
            f"model {model.name!r} has no trainable weights: there is nothing to learn, set trainable=True"
        )

    # The images must fit the model.
    images, labels = subject.images, subject.labels
    if images is None:
        input_shape(model, "give images")
    elif images.dtype.kind not in "fiub":
        raise InputError(f"images must be numbers, not {images.dtype}")
    else:
        prepare_images(model, images[:1])

    # The labels must be the model's classes.
    classes = subject.classes  # read here to refuse models that are not classifiers
    if images is None or labels is None:
        return
    if labels.ndim == 2:
        labels = labels.argmax(-1) if labels.shape[1] > 1 else labels[:, 0]
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu":
        raise InputError(f"labels have shape {labels.shape} and type {labels.dtype}: {len(images)} integers are needed")
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"labels run from {labels.min()} to {labels.max()}; the model has outputs 0 to {classes - 1}")
    subject.labels = labels.astype(np.int64)
