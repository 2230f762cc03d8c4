"""Scores of a model on a part of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

from kzoo.data.batches import Batches
from kzoo.errors import RunFailed


@dataclass(frozen=True)
class Evaluation:
    """What a model made of labelled images.

    Attributes:
        loss: mean cross entropy, in nats.
        accuracy: share of images whose most probable class is their label.
        confusion: int64 (classes, classes), true class by row, predicted class by column.
        images: how many there were.
    """

    loss: float
    accuracy: float
    confusion: np.ndarray
    images: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "images": self.images,
            "confusion": self.confusion.tolist(),
        }


def evaluate(view: keras.Model, logits: bool, labels: np.ndarray, batches: Batches) -> Evaluation:
    """Score a model.

    Args:
        view: a model with outputs of shape (batch, classes).
        logits: whether its outputs are logits, else probabilities.
        labels: int64 (n,).
        batches: the images in the labels' order.
    """
    outputs = np.asarray(view.predict(batches, verbose=0), np.float64)
    log_probabilities = log_softmax(outputs, axis=-1) if logits else np.log(np.maximum(outputs, 1e-12))
    if not np.isfinite(outputs).all():
        raise RunFailed(f"model {view.name!r} gives outputs that are not finite")
    predicted = outputs.argmax(-1)
    return Evaluation(
        loss=float(-log_probabilities[np.arange(len(labels)), labels].mean()),
        accuracy=float((predicted == labels).mean()),
        confusion=confusion_matrix(labels, predicted, labels=np.arange(outputs.shape[-1])),
        images=len(labels),
    )
