"""Figures and tables of the classes that a run confuses, from its record."""

from __future__ import annotations

import numpy as np

from kzoo.diagnostics.confusion import Confusion, plot_confusion, plot_per_class
from kzoo.html_report.document import Absent, Table
from kzoo.html_report.figures import Figure, embed
from kzoo.training import counts
from kzoo.training.records import RunRecord

WORST = 100
"""Number of classes in the table if there are too many to show them all."""


def confusion_of(record: RunRecord) -> Confusion | Absent:
    """The confusion matrix of a record, or why there is none."""
    if why := record.why_untested():
        return Absent(why)
    matrix = counts.from_json(record.confusion) if record.confusion else None
    if matrix is None or not matrix.sum():
        return Absent("The record has no confusion matrix.")
    return Confusion(matrix, tuple(record.data["class_names"]))


def matrix_figure(confusion: Confusion) -> Figure | Absent:
    """The matrix, coloured by each cell's share of its true class."""
    classes = len(confusion.class_names)
    if classes > counts.DENSE:
        return Absent(f"A matrix of {classes:,} classes is too large to draw: see the most frequent mistakes below.")
    label = f"Confusion matrix of {classes} classes, {confusion.images:,} images, accuracy {confusion.accuracy:.4f}"
    caption = "Each row’s shares of its true class. Colours follow the square root, so that rare mistakes are visible."
    figure = plot_confusion(confusion)
    figure.axes[0].set_title("")  # the page's heading replaces it
    return embed(figure, "Confusion matrix", label, caption)


def per_class_figure(confusion: Confusion) -> Figure:
    """Recall and precision of each class, from the best to the worst."""
    label = f"Accuracy and precision of {len(confusion.class_names):,} classes, best first"
    return embed(plot_per_class(confusion), "Accuracy by class", label)


def confused_table(confusion: Confusion) -> Table:
    """The pairs of classes with the most mistakes."""
    pairs = confusion.most_confused(10)
    rows = tuple((pair.true, pair.predicted, f"{pair.images:,}", f"{pair.share:.1%}") for pair in pairs)
    return Table("Most frequent mistakes", ("true class", "predicted", "images", "share of the class"), rows, (2, 3))


def class_table(confusion: Confusion) -> Table:
    """Accuracy, precision and images of each class; if there are too many, only those with the lowest accuracy."""
    values = confusion.per_class()
    order = np.argsort(values["recall"], kind="stable")  # NaN, the accuracy of a class without images, sorts last
    shown = order if len(order) <= counts.DENSE else order[:WORST]
    correct = confusion.right

    def share(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:.4f}"

    rows = []
    for i in sorted(shown):
        numbers = (f"{values['support'][i]:,}", f"{correct[i]:,}")
        rows.append((confusion.class_names[i], *numbers, share(values["recall"][i]), share(values["precision"][i])))
    title = "Every class on the test images"
    if len(shown) < len(order):
        title = f"The {len(shown)} classes of {len(order):,} with the lowest accuracy"
    return Table(title, ("class", "images", "correct", "accuracy (recall)", "precision"), tuple(rows), (1, 2, 3, 4))
