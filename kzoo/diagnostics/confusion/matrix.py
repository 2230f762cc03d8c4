"""The confusion matrix and its metrics, from a run's record or from labels and predictions of any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import coo_array

from kzoo.errors import InputError
from kzoo.introspection.output_kinds import as_probabilities
from kzoo.training import counts


class Pair(NamedTuple):
    """Images of class `true` predicted as class `predicted`: their number, and their share of the true class."""

    true: str
    predicted: str
    images: int
    share: float


class Mistake(NamedTuple):
    """A misclassified image: its index, its true and predicted classes, and the probabilities of both."""

    image: int
    true: int
    predicted: int
    probability: float
    true_probability: float


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix and its metrics.

    Attributes:
        matrix: int64 (classes, classes), true class by row, predicted class by column; a sparse array if there are many
            classes, see `kzoo.training.counts`.
        class_names: names by label.
    """

    matrix: Any
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        """Check the shapes.

        Raises:
            InputError: the matrix is not square, is empty or has negative counts, or the names do not fit it.
        """
        shape = np.shape(self.matrix)
        if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
            raise InputError(f"a confusion matrix must have shape (classes, classes), not {shape}")
        if self.matrix.min() < 0 or not self.matrix.sum():
            raise InputError("a confusion matrix must count at least one image, and no count may be negative")
        if len(self.class_names) != shape[0]:
            raise InputError(f"{len(self.class_names)} class names for a confusion matrix of {shape[0]} classes")

    @property
    def images(self) -> int:
        """Number of images that were counted."""
        return int(self.matrix.sum())

    @property
    def accuracy(self) -> float:
        """Share of images on the diagonal."""
        return float(self.right.sum() / self.matrix.sum())

    @property
    def right(self) -> np.ndarray:
        """Images of each class that were classified correctly, int64 (classes,)."""
        return np.asarray(self.matrix.diagonal())

    def per_class(self) -> dict[str, np.ndarray]:
        """Precision, recall, F1 (float64) and support (images, int64), each of shape (classes,).

        Recall is the accuracy within a class. Undefined values are NaN: the recall of a class without images, and the
        precision of a class that is never predicted.
        """
        right, support, answers = self.right, np.asarray(self.matrix.sum(axis=1)), np.asarray(self.matrix.sum(axis=0))
        with np.errstate(invalid="ignore"):
            shares = {"precision": right / answers, "recall": right / support, "f1": 2 * right / (support + answers)}
        return {**shares, "support": support}

    def most_confused(self, top: int = 10) -> list[Pair]:
        """The pairs of classes with the most mistakes, counted in one direction, in descending order."""
        cells = coo_array(self.matrix)
        off = (cells.row != cells.col) & (cells.data > 0)
        true, predicted, images = cells.row[off], cells.col[off], cells.data[off]
        order = np.lexsort((predicted, true, -images))[:top]
        support = np.asarray(self.matrix.sum(axis=1))
        pairs = []
        for i in order:
            names = (self.class_names[true[i]], self.class_names[predicted[i]])
            pairs.append(Pair(*names, int(images[i]), int(images[i]) / int(support[true[i]])))
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """As JSON data; undefined values are None."""
        metrics = self.per_class()
        rows = {
            name: {key: None if np.isnan(values[i]) else values[i].item() for key, values in metrics.items()}
            for i, name in enumerate(self.class_names)
        }
        return {
            "accuracy": self.accuracy,
            "images": self.images,
            "classes": rows,
            "most_confused": [pair._asdict() for pair in self.most_confused()],
            "matrix": counts.to_json(self.matrix),
        }


def run_confusion(run: Any) -> Confusion:
    """The confusion matrix in a finished run's record: the test part, with the best epoch's weights.

    Raises:
        InputError: the run is not finished, failed or was not tested.
    """
    if run.result.confusion is None:
        raise InputError(f"run {str(run.directory)!r} has no confusion matrix. {run.result.why_untested()}".rstrip())
    return Confusion(counts.from_json(run.result.confusion), tuple(run.class_names))


def confusion(labels: Any, predicted: Any, class_names: Sequence[str] | None = None) -> Confusion:
    """Count a model's predictions.

    Args:
        labels: integers (n,).
        predicted: classes, integers (n,) or (n, 1); or probabilities or logits (n, classes); or the probability of the
            second of two classes, (n, 1).
        class_names: names by label; the labels' numbers by default.

    Raises:
        InputError: the shapes do not fit, a label is not a class, or a prediction is not a number.

    Example:
        >>> kzoo.confusion([0, 1, 1], [0, 1, 0], ["cat", "dog"]).most_confused()
        [Pair(true='dog', predicted='cat', images=1, share=0.5)]
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    count = len(class_names) if class_names is not None else None
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        if np.issubdtype(predicted.dtype, np.integer):
            predicted = predicted[:, 0]
        elif predicted.size and (predicted.min() < 0 or predicted.max() > 1):
            raise InputError(
                f"predicted of shape {predicted.shape} must be probabilities, 0 to 1, not {predicted.min():.3g} to "
                f"{predicted.max():.3g}: give (n, classes), or the sigmoid of these logits"
            )
        else:
            predicted = as_probabilities(predicted, "sigmoid")
    if predicted.ndim == 2:
        if count not in (None, predicted.shape[1]):
            raise InputError(f"{count} class names for outputs of {predicted.shape[1]} classes")
        count = predicted.shape[1]
        predicted = _largest("predicted", predicted)
    check_labels(labels, count, predicted)
    classes = count or int(max(labels.max(), predicted.max())) + 1
    matrix = counts.count(labels, predicted, classes)
    return Confusion(matrix, tuple(map(str, range(classes) if class_names is None else class_names)))


def _largest(name: str, outputs: np.ndarray) -> np.ndarray:
    """The class with the largest output for each image; NaN is refused, because it would count as the largest."""
    unknown = int(np.isnan(np.asarray(outputs, np.float64)).any(-1).sum())
    if unknown:
        raise InputError(f"{name} has NaN for {unknown} of {len(outputs)} images")
    return outputs.argmax(-1)


def check_labels(labels: np.ndarray, classes: int | None, predicted: np.ndarray) -> None:
    """Refuse labels (n,) that are not classes, and predictions (n, ...) that differ from the labels in number.

    Raises:
        InputError: see above.
    """
    if labels.ndim != 1 or len(labels) != len(predicted) or not len(labels):
        raise InputError(
            f"labels of shape {labels.shape} for predictions of shape {predicted.shape}: one label for each is needed"
        )
    for name, values in (("labels", labels), ("predicted", predicted)):
        if values.ndim == 1 and not np.issubdtype(values.dtype, np.integer):
            raise InputError(f"{name} must be integers, not {values.dtype}")
        limit, last = (np.inf, "classes - 1") if classes is None else (classes, classes - 1)
        if values.ndim == 1 and (values.min() < 0 or values.max() >= limit):
            raise InputError(f"{name} must lie in 0 to {last}, not {values.min()} to {values.max()}")


def confident_mistakes(labels: Any, probabilities: Any, top: int = 25) -> list[Mistake]:
    """The misclassified images with the most confident predictions, in descending order.

    Args:
        labels: integers (n,).
        probabilities: (n, classes).
        top: the largest number to return.

    Raises:
        InputError: the shapes do not fit, a label is not a class, or a probability is not a number.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2:
        raise InputError(f"probabilities must have shape (n, classes), not {probabilities.shape}")
    check_labels(labels, probabilities.shape[1], probabilities)
    predicted = _largest("probabilities", probabilities)
    wrong = np.flatnonzero(predicted != labels)
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")][:top]
    return [
        Mistake(
            int(i),
            int(labels[i]),
            int(predicted[i]),
            float(probabilities[i, predicted[i]]),
            float(probabilities[i, labels[i]]),
        )
        for i in wrong
    ]
