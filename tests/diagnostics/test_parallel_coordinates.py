"""Parallel coordinates: lines, axes and ticks are at the positions of the values."""

import pytest
from matplotlib.colors import to_hex

from kzoo.diagnostics.parallel_coordinates import Axis, plot_parallel_coordinates

SCORES = [0.9, 0.8, 0.5]


def drawn(*axes, **options):
    """The lines in the order given, and the ticks of each axis as (height, text)."""
    (plot,) = plot_parallel_coordinates(axes, SCORES, score="accuracy", **options).axes
    lines = [line for line in plot.lines if len(line.get_xdata()) == len(axes) + 1 and line.get_zorder() > 1]
    ticks = [[(text.xy[1], text.get_text()) for text in plot.texts if text.xy[0] == i] for i in range(len(axes) + 1)]
    return plot, lines[::-1], ticks


def heights(lines, axis=0):
    return [line.get_ydata()[axis] for line in lines]


def test_scores():
    plot, lines, ticks = drawn(Axis("a.b", [1, 2, 3]), title="A title")
    assert heights(lines, 1) == pytest.approx([1, 0.75, 0])
    assert ticks[1] == [(0.0, "0.5000"), (0.5, "0.7000"), (1.0, "0.9000")]
    assert [label.get_text() for label in plot.get_xticklabels()] == ["a.\nb", "accuracy"]
    assert plot.get_title("left") == "A title"
    widths, order = ([getattr(line, name)() for line in lines] for name in ("get_linewidth", "get_zorder"))
    assert widths[0] > widths[1] == widths[2]
    assert order[0] > order[1] == order[2]


def test_the_best_score_has_the_same_colour_whether_larger_or_smaller_is_better():
    _, lines, _ = drawn(Axis("a", [1, 2, 3]))
    (plot,) = plot_parallel_coordinates([Axis("a", [1, 2, 3])], SCORES[::-1], score="loss", larger=False).axes
    losses = [line for line in plot.lines if line.get_zorder() > 1][::-1]
    colours, of_losses = ([to_hex(line.get_color()) for line in each] for each in (lines, losses))
    assert len(set(colours)) == 3
    assert (colours[0], colours[2]) == (of_losses[0], of_losses[2])
    assert colours[1] != of_losses[1]  # one is a quarter from the best, the other from the worst


def test_equal_scores_and_values():
    (plot,) = plot_parallel_coordinates([Axis("a", [2.0, 2.0], "linear")], [0.5, 0.5], score="accuracy").axes
    assert [list(line.get_ydata()) for line in plot.lines if line.get_zorder() > 1] == [[0, 0], [0, 0]]


def test_levels():
    _, lines, ticks = drawn(Axis("a", [10, 9, 10]), Axis("b", ["x", None, True]))
    assert ticks[0] == [(0.25, "9"), (0.75, "10")]  # in numeric order
    assert heights(lines) == pytest.approx([0.735, 0.25, 0.765])  # apart, so that each line can be followed
    assert ticks[1] == [(pytest.approx(1 / 6), "not varied"), (0.5, "True"), (pytest.approx(5 / 6), "x")]
    assert heights(lines, 1) == pytest.approx([5 / 6 - 0.015, 1 / 6, 0.5 + 0.015])


@pytest.mark.parametrize(
    ("scale", "values", "expected", "texts"),
    [
        ("linear", [1.0, 2.0, 5.0], [0, 0.25, 1], ["1", "3", "5"]),
        ("log", [1e-4, 1e-3, 1e-2], [0, 0.5, 1], ["0.0001", "0.001", "0.01"]),
        ("linear", [1.0, None, 5.0], [0.15, 0, 1], ["not varied", "1", "3", "5"]),
        ("log", [0.01, 1.0, None], [0.15, 1, 0], ["not varied", "0.01", "0.1", "1"]),
    ],
)
def test_scales(scale, values, expected, texts):
    _, lines, ticks = drawn(Axis("a", values, scale))
    assert heights(lines) == pytest.approx(expected)
    bottom = 0.15 if None in values else 0
    levels = [bottom, (bottom + 1) / 2, 1.0]
    assert [text for _, text in ticks[0]] == texts
    assert [height for height, _ in ticks[0]] == pytest.approx(([0.0] if None in values else []) + levels)
