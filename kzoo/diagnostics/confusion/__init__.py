"""Which classes are confused, counted from a run's record or any model's predictions, and figures of the counts."""

from kzoo.diagnostics.confusion.matrix import (
    Confusion,
    Mistake,
    Pair,
    check_labels,
    confident_mistakes,
    confusion,
    run_confusion,
)
from kzoo.diagnostics.confusion.plots import plot_confusion, plot_mistakes, plot_per_class

__all__ = ["Confusion", "Mistake", "Pair", "check_labels", "confident_mistakes", "confusion", "run_confusion"]
__all__ += ["plot_confusion", "plot_mistakes", "plot_per_class"]
