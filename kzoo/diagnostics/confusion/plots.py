"""Figures of a confusion matrix, of the metrics of each class, and of misclassified images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from kzoo.diagnostics.confusion.matrix import Confusion, Mistake
from kzoo.diagnostics.plots import COLORS, class_label, new_figure
from kzoo.errors import InputError
from kzoo.training import counts

NUMBERED = 20  # with more classes, a cell's value cannot be read
ROWS = 50  # classes in one column of the per-class figure


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
    names = [class_label(name) for name in result.class_names]
    axes.set_xticks(range(classes), names, rotation=90, fontsize=text)
    axes.set_yticks(range(classes), names, fontsize=text)
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
    """Recall (the accuracy within a class) as bars and precision as dots, from the best class to the worst.

    Of more than `counts.DENSE` classes, only the `2 * ROWS` with the lowest recall are shown.
    """
    metrics = result.per_class()
    order = np.argsort(-np.nan_to_num(metrics["recall"], nan=-1.0), kind="stable")
    count = f"{len(order):,} classes"
    if len(order) > counts.DENSE:
        order = order[metrics["support"][order] > 0][-2 * ROWS :]
        count = f"{len(order)} of {count}"
    columns = -(-len(order) // ROWS)
    rows = -(-len(order) // columns)
    figure = new_figure(6.4 if columns == 1 else 4.6 * columns, 1.6 + 0.2 * rows)
    for column, axes in enumerate(figure.subplots(1, columns, squeeze=False)[0]):
        part = order[column * rows : (column + 1) * rows]
        positions = np.arange(len(part))
        axes.barh(positions, metrics["recall"][part], color=COLORS[4], height=0.75, label="recall")
        axes.plot(metrics["precision"][part], positions, "o", color=COLORS[1], markersize=4.5, label="precision")
        axes.axvline(result.accuracy, color="0.3", linewidth=1, linestyle="--", label="accuracy")
        axes.set_yticks(positions, [class_label(result.class_names[i]) for i in part], fontsize=9)
        axes.set(xlim=(0, 1), ylim=(rows - 0.4, -0.6))
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(title or f"{count}, accuracy {result.accuracy:.1%}", fontsize=12)
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
        true, predicted = (class_label(class_names[label]) for label in (mistake.true, mistake.predicted))
        text = f"{true} ({mistake.true_probability:.1%})\nas {predicted} ({mistake.probability:.1%})"
        axes.set_title(text, fontsize=8)
    return figure
