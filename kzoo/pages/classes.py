"""Which classes are taken for which, as charts and tables, from a record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from kzoo.diagnostics.confusion import NUMBERED, Confusion
from kzoo.pages.charts import COLORS, Chart, new_chart
from kzoo.pages.document import Absent, Table
from kzoo.training import counts
from kzoo.training.records import Result

WORST = 100
"""Classes that are shown one by one where there are too many for all."""


def confusion_of(record: Result) -> Confusion | Absent:
    """The confusion matrix of a record, or why there is none."""
    if record.status == "failed":
        return Absent("The run failed, so it was not tested.")
    matrix = counts.from_json(record.confusion) if record.confusion else None
    if matrix is None or not matrix.sum():
        return Absent("The data has no test part, so there is no confusion matrix.")
    return Confusion(matrix, tuple(record.data["class_names"]))


def matrix_chart(found: Confusion) -> Chart | Absent:
    """The matrix: shade by share of the true class, the number of images in each cell where they fit."""
    names = list(found.class_names)
    if len(names) > counts.DENSE:
        return Absent(
            f"A matrix of {len(names):,} classes is too large to be seen: the most frequent mistakes are below."
        )
    support = found.matrix.sum(axis=1, keepdims=True)
    shares = found.matrix / np.maximum(support, 1)
    figure = new_chart("predicted class", "true class")
    ticks = [0, 0.01, 0.1, 0.3, 0.6, 1]
    options = {}
    if len(names) <= NUMBERED:
        text = [[str(count) if count else "" for count in row] for row in found.matrix.tolist()]
        options = {"text": text, "texttemplate": "%{text}"}
    figure.add_heatmap(
        # The square root, so that rare mistakes can be seen beside the diagonal; arrays are written as base64.
        z=np.rint(255 * np.sqrt(shares)).astype(np.uint8),
        customdata=found.matrix.astype(np.int32),
        x=names,
        y=names,
        hovertemplate="true: %{y}<br>taken for: %{x}<br>%{customdata} images<extra></extra>",
        zmin=0,
        zmax=255,
        xgap=1 if len(names) <= 50 else 0,
        ygap=1 if len(names) <= 50 else 0,
        autocolorscale=True,
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "len": 1.0,
            "y": 1.0,
            "yanchor": "bottom",
            "outlinewidth": 0,
            "tickvals": (255 * np.sqrt(ticks)).tolist(),
            "ticktext": [f"{tick:.0%}" for tick in ticks],
            "ticklabelposition": "outside top",
        },
        **options,
    )
    size = 11 if len(names) <= 50 else 8
    figure.update_xaxes(type="category", showgrid=False, tickangle=-90, tickfont_size=size, ticks="")
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed", tickfont_size=size, ticks="")
    caption = "Each row’s shares of its true class; the shade follows the square root, to show rare mistakes."
    label = f"Confusion matrix of {len(names)} classes, {found.images:,} images, accuracy {found.accuracy:.4f}"
    return Chart(figure, "Confusion matrix", label, caption, height="square")


def _shown(figures: Mapping[str, np.ndarray]) -> np.ndarray:
    """The classes that are shown one by one, worst first: all, or of thousands those that are recognized least."""
    order = np.argsort(np.nan_to_num(figures["recall"], nan=-1.0), kind="stable")
    return order if len(order) <= counts.DENSE else order[:WORST]


def per_class_chart(found: Confusion) -> Chart:
    """Each class's own accuracy as a bar, from the best class to the worst."""
    figures = found.per_class()
    order = _shown(figures)
    right = found.right
    figure = new_chart("accuracy of the class", "")
    figure.add_bar(
        orientation="h",
        y=[found.class_names[i] for i in order],
        x=[round(float(figures["recall"][i]), 5) if figures["support"][i] else None for i in order],
        customdata=[[int(right[i]), int(figures["support"][i])] for i in order],
        marker_color=COLORS[0],
        hovertemplate="%{y}: %{x:.4f}, %{customdata[0]} of %{customdata[1]} images<extra></extra>",
    )
    figure.update_layout(bargap=0.3, showlegend=False)
    figure.update_xaxes(range=[0, 1], side="top")
    figure.update_yaxes(type="category", dtick=1, tickfont_size=12, showgrid=False)
    height = f"{5 + 1.45 * len(order):.1f}rem"
    more = len(found.class_names) - len(order)
    label = f"Accuracy of each of {len(order)} classes, best first" + (
        f"; {more:,} better ones left out" if more else ""
    )
    return Chart(figure, "Accuracy by class", label, "", height, scroll=len(order) > 20)


def confused_table(found: Confusion) -> Table:
    """The pairs with the most mistakes."""
    rows = tuple((p.true, p.predicted, f"{p.images:,}", f"{p.share:.1%}") for p in found.most_confused(10))
    header = ("true class", "taken for", "images", "share of the class")
    return Table("Most frequent mistakes", header, rows, (2, 3))


def class_table(found: Confusion) -> Table:
    """Accuracy, precision and images of each class, of thousands those that are recognized least."""
    figures = found.per_class()
    shown = _shown(figures)
    right = found.right

    def share(value: float) -> str:
        return "–" if np.isnan(value) else f"{value:.4f}"

    rows = tuple(
        (
            name,
            f"{figures['support'][i]:,}",
            f"{right[i]:,}",
            share(figures["recall"][i]),
            share(figures["precision"][i]),
        )
        for i, name in ((i, found.class_names[i]) for i in sorted(shown))
    )
    title = "Every class on the test images"
    if len(shown) < len(found.class_names):
        title = f"The {len(shown)} classes of {len(found.class_names):,} that are recognized least"
    header = ("class", "images", "correct", "accuracy (recall)", "precision")
    return Table(title, header, rows, (1, 2, 3, 4))
