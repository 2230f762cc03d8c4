"""Scores of a model on a part of the data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from scipy.special import log_softmax

from kzoo.data.batches import Batches
from kzoo.data.splits import Part
from kzoo.errors import RunFailed
from kzoo.training import counts
from kzoo.training.feeding import feed

ROWS = 10_000
"""Images whose loss is computed at once."""


@dataclass(frozen=True)
class Evaluation:
    """The scores of a model on labelled images.

    Attributes:
        loss: mean cross entropy, in nats.
        accuracy: share of images whose most probable class is their label.
        confusion: int64 (classes, classes), true class by row, predicted class by column; see `kzoo.training.counts`.
        images: their number.
    """

    loss: float
    accuracy: float
    confusion: Any = field(repr=False)
    images: int

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "loss": self.loss,
            "accuracy": self.accuracy,
            "images": self.images,
            "confusion": counts.to_json(self.confusion),
        }


def evaluate_part(view: keras.Model, logits: bool, part: Part, batch_size: int) -> Evaluation:
    """Score a model on a part's images as they are; `logits` says whether its outputs are logits."""
    return evaluate_outputs(view, predict(view, part.images, part.labels, batch_size), part.labels, logits)


def evaluate_augmented(
    view: keras.Model, logits: bool, part: Part, kind: str, batch_size: int, *, plain: np.ndarray | None = None
) -> Evaluation:
    """Score a model on the mean of its logits over changed copies of each image (test-time augmentation).

    Args:
        view, logits, part: as for `evaluate_part`.
        kind: ``"flip"``: the image and its mirror image; ``"flip-shift"``: half of the weight on these, the other half
            on both moved by one pixel up and left, and down and right, with reflected borders (Jordan 2024,
            section 3.5).
        batch_size: images at a time.
        plain: the outputs for the images as they are, if known.
    """
    images, labels = part.images, part.labels
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    moved = [(padded[:, top : top + height, top : top + width], 0.25) for top in (0, 2)]
    copies = [(images, 1.0)] if kind == "flip" else [(images, 0.5), *moved]
    total: Any = 0.0
    for copy, weight in copies:
        for side in (copy, copy[:, :, ::-1]):
            known = plain if side is images else None
            outputs = predict(view, side, labels, batch_size) if known is None else known
            scores = np.asarray(outputs, np.float64)
            total = total + weight / 2 * (scores if logits else np.log(np.maximum(scores, 1e-12)))
    return evaluate_outputs(view, total, labels, logits=True)


def predict(view: keras.Model, images: np.ndarray, labels: np.ndarray, batch_size: int) -> np.ndarray:
    """A model's outputs for images, which have labels, in batches."""
    classes = int(labels.max()) + 1  # a model of a custom class has no output shape, and these targets are not one-hot
    return np.asarray(view.predict(feed(Batches(images, labels, batch_size=batch_size, classes=classes)), verbose=0))


def evaluate_outputs(view: keras.Model, outputs: np.ndarray, labels: np.ndarray, logits: bool) -> Evaluation:
    """Scores of a model's `outputs` (n, classes): logits or log probabilities, or else probabilities.

    Raises:
        RunFailed: some are not finite.
    """
    if not np.isfinite(outputs).all():
        raise RunFailed(f"model {view.name!r} gives outputs that are not finite")
    predicted = outputs.argmax(-1)
    total = 0.0
    for start in range(0, len(labels), ROWS):  # not all at once in float64: there may be thousands of classes
        part = np.asarray(outputs[start : start + ROWS], np.float64)
        part = part if logits else np.log(np.maximum(part, 1e-12))
        chosen = labels[start : start + ROWS]
        total += float(log_softmax(part, axis=-1)[np.arange(len(chosen)), chosen].sum())
    return Evaluation(
        loss=-total / len(labels),
        accuracy=float((predicted == labels).mean()),
        confusion=counts.count(labels, predicted, outputs.shape[-1]),
        images=len(labels),
    )
