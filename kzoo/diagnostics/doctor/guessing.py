"""The loss of guessing, with the class weights and smoothed labels of the recipe that the training loss includes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import entropy

from kzoo.diagnostics.doctor.subject import Subject
from kzoo.introspection.gradients import LossProbe
from kzoo.training.build import class_factors

STILL = 0.985
"""A loss above this share of the loss of guessing has not moved."""
IMAGES = 128
"""Images on which the loss without penalties is measured."""


@dataclass(frozen=True)
class Guess:
    """Limits of a mean loss, in nats.

    Attributes:
        loss: of the best prediction that is the same for every image.
        lowest: of the best prediction for each image; above zero if labels are smoothed.
    """

    loss: float
    lowest: float = 0.0

    def beaten_by(self, loss: float) -> bool:
        """Whether a loss is clearly lower than that of guessing."""
        return loss <= STILL * self.loss + (1 - STILL) * self.lowest


def guessing(subject: Subject, labels: np.ndarray | None) -> Guess:
    """The loss of guessing labels (n,) by the frequencies of the classes, which are taken as equal without labels."""
    classes = subject.classes
    shares = np.full(classes, 1 / classes) if labels is None else np.bincount(labels, minlength=classes) / len(labels)
    weighted = shares * _class_weights(subject)
    total = float(weighted.sum())
    if not total:
        return Guess(0.0)
    targets = _targets(subject)
    return Guess(total * float(entropy(weighted @ targets / total)), total * float(entropy(targets[0])))


def loss_without_penalties(subject: Subject) -> tuple[float, Guess] | None:
    """The loss on some training images without the penalties of regularizers, and that of guessing on these images.

    None without labelled images.
    """
    if subject.images is None or subject.labels is None or not subject.finite:
        return None
    images, labels = subject.probe(IMAGES)
    targets = _class_weights(subject)[labels, None] * _targets(subject)[labels]
    loss = LossProbe(subject.model, images, targets, training=False, compiled=False)().loss
    return loss, guessing(subject, labels)


def _class_weights(subject: Subject) -> np.ndarray:
    """The factor on an image's loss by class, (classes,)."""
    chosen = subject.recipe.class_weights if subject.recipe else None
    if chosen is None or (chosen == "balanced" and subject.labels is None):
        return np.ones(subject.classes)
    labels = np.zeros(0, np.int64) if subject.labels is None else subject.labels
    return class_factors(chosen, labels, subject.class_names or tuple(map(str, range(subject.classes))))


def _targets(subject: Subject) -> np.ndarray:
    """What the network should return for an image of each class: (classes, classes)."""
    smoothing = subject.recipe.label_smoothing if subject.recipe else 0.0
    return (1 - smoothing) * np.eye(subject.classes) + smoothing / subject.classes
