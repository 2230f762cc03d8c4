"""Which classes are confused: from a run's record, or from labels and predictions of any model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from scipy.sparse import coo_array

from kzoo.diagnostics.plots import COLORS, new_figure
from kzoo.errors import InputError
from kzoo.introspection.output_kinds import as_probabilities
from kzoo.training import counts

NUMBERED = 20  # with more classes, a cell's value cannot be read
ROWS = 50  # classes in one column of the per-class figure


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
        InputError: the run is not finished or has no test part.
    """
    if run.result.confusion is None:
        raise InputError(f"run {str(run.directory)!r} has no confusion matrix: it failed, or has no test part")
    return Confusion(counts.from_json(run.result.confusion), tuple(run.class_names))


def confusion(labels: Any, predicted: Any, class_names: Sequence[str] | None = None) -> Confusion:
    """Count a model's predictions.

    Args:
        labels: integers (n,).
        predicted: classes, integers (n,), or probabilities or logits (n, classes).
        class_names: names by label; the labels' numbers by default.

    Raises:
        InputError: the shapes do not fit, or a label is not a class.

    Example:
        >>> kzoo.confusion([0, 1, 1], [0, 1, 0], ["cat", "dog"]).most_confused()
        [Pair(true='dog', predicted='cat', images=1, share=0.5)]
    """
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    count = len(class_names) if class_names is not None else None
    if predicted.ndim == 2 and predicted.shape[1] == 1:
        predicted = as_probabilities(predicted, "sigmoid")
    if predicted.ndim == 2:
        if count not in (None, predicted.shape[1]):
            raise InputError(f"{count} class names for outputs of {predicted.shape[1]} classes")
        count = predicted.shape[1]
        predicted = predicted.argmax(-1)
    check_labels(labels, count, predicted)
    classes = count or int(max(labels.max(), predicted.max())) + 1
    matrix = counts.count(labels, predicted, classes)
    return Confusion(matrix, tuple(class_names or map(str, range(classes))))


def check_labels(labels: np.ndarray, classes: int | None, predicted: np.ndarray) -> None:
    """Refuse labels (n,) that are not classes, and predictions (n, ...) that differ from them in number.

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
        limit = classes if classes is not None else np.inf
        if values.ndim == 1 and (values.min() < 0 or values.max() >= limit):
            raise InputError(
                f"{name} must lie in 0 to {classes or 'classes'} - 1, not {values.min()} to {values.max()}"
            )


def confident_mistakes(labels: Any, probabilities: Any, top: int = 25) -> list[Mistake]:
    """The misclassified images with the most confident predictions, in descending order.

    Args:
        labels: integers (n,).
        probabilities: (n, classes).
        top: the largest number to return.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if probabilities.ndim != 2:
        raise InputError(f"probabilities must have shape (n, classes), not {probabilities.shape}")
    check_labels(labels, probabilities.shape[1], probabilities)
    predicted = probabilities.argmax(-1)
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


def plot_confusion(result: Confusion, *, title: str = "") -> Figure:
    """The matrix, each row as shares of its true class; if there are few classes, the shares are written in percent.

    Colours follow the square root, so that rare mistakes are visible next to the diagonal.
    """
    classes = len(result.class_names)
    if classes > counts.DENSE:
        raise InputError(f"a matrix of {classes:,} classes is too large to draw: --top lists the worst")
    size = float(np.clip(0.16 * classes + 2.5, 5.0, 15.0))
    figure = new_figure(size + 0.8, size)
    axes = figure.add_subplot()

    # Colours show shares of the true class.
    support = result.matrix.sum(axis=1, keepdims=True)
    shares = result.matrix / np.maximum(support, 1)
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
    bar = figure.colorbar(image, ax=axes, shrink=0.8, ticks=[0, 0.01, 0.05, 0.1, 0.2, 0.4, 0.7, 1])
    bar.ax.set_yticklabels(["0", "1%", "5%", "10%", "20%", "40%", "70%", "100%"])
    bar.set_label("share of the true class", fontsize=11)

    # Names and grid lines.
    text = 10 if classes <= NUMBERED else 8 if classes <= ROWS else 7
    axes.set_xticks(range(classes), result.class_names, rotation=90, fontsize=text)
    axes.set_yticks(range(classes), result.class_names, fontsize=text)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
    if classes <= ROWS:  # with more classes, lines would cover the cells
        axes.set_xticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(classes + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="0.92", linewidth=0.5)
        axes.tick_params(which="minor", length=0)

    # Shares in percent.
    if classes <= NUMBERED:
        for (row, column), share in np.ndenumerate(shares):
            if result.matrix[row, column]:
                color = "white" if share > 0.35 else "black"
                label = f"{100 * share:.0f}" if share >= 0.01 else "<1"
                axes.text(column, row, label, ha="center", va="center", fontsize=8, color=color)
    axes.set_title(title or f"accuracy {result.accuracy:.1%} of {result.images:,} images", fontsize=12)
    return figure


def plot_per_class(result: Confusion, *, title: str = "") -> Figure:
    """Recall (the accuracy within a class) as bars and precision as dots, from the best class to the worst."""
    metrics = result.per_class()
    order = np.argsort(-np.nan_to_num(metrics["recall"], nan=-1.0), kind="stable")
    if len(order) > counts.DENSE:  # of thousands, those with the lowest recall
        order = order[-2 * ROWS :]
    columns = -(-len(order) // ROWS)
    rows = -(-len(order) // columns)
    figure = new_figure(6.4 if columns == 1 else 4.6 * columns, 1.6 + 0.2 * rows)
    for column, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        part = order[column * rows : (column + 1) * rows]
        positions = np.arange(len(part))
        axes.barh(positions, metrics["recall"][part], color=COLORS[4], height=0.75, label="recall")
        axes.plot(metrics["precision"][part], positions, "o", color=COLORS[1], markersize=4.5, label="precision")
        axes.axvline(result.accuracy, color="0.3", linewidth=1, linestyle="--", label="accuracy")
        axes.set_yticks(positions, [result.class_names[i] for i in part], fontsize=9)
        axes.set(xlim=(0, 1), ylim=(rows - 0.4, -0.6))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title or f"{len(order)} classes, accuracy {result.accuracy:.1%}", fontsize=12)
    return figure


def plot_mistakes(
    images: np.ndarray, mistakes: Sequence[Mistake], class_names: Sequence[str], *, columns: int = 5
) -> Figure:
    """Misclassified images with their true and predicted classes.

    Args:
        images: 0-255 (n, height, width, channels), of 1 or 3 channels; mistakes refer to them by index.
        mistakes: see `confident_mistakes`.
        class_names: by label.
        columns: pictures per row.
    """
    if not mistakes:
        raise InputError("there are no mistakes to show")
    rows = -(-len(mistakes) // columns)
    figure = new_figure(1.9 * columns, 2.3 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, mistake in zip(panels, mistakes, strict=False):
        image = np.clip(images[mistake.image], 0, 255).astype(np.uint8)
        axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        true, predicted = class_names[mistake.true], class_names[mistake.predicted]
        text = f"{true} ({mistake.true_probability:.1%})\nas {predicted} ({mistake.probability:.1%})"
        axes.set_title(text, fontsize=8)
    return figure
