"""Learning curves: loss and accuracy over the epochs, of one run or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kzoo.diagnostics.plots import COLORS, literal, new_figure
from kzoo.errors import InputError, shown

History = Mapping[str, Sequence[float]]


def plot_learning_curves(
    histories: History | Mapping[str, History], *, best_epoch: int | None = None, title: str = ""
) -> Figure:
    """Loss and accuracy by epoch: training dashed, validation solid, one colour for each run.

    Training metrics are averages over an epoch, as Keras reports them, so they lag by half an epoch.

    Args:
        histories: a run's history (``run.history``), or histories by name; also what Keras's ``fit`` returned. Keys
            shown are loss, accuracy, val_loss and val_accuracy. Validation metrics of every n-th epoch only
            (``validation_freq=n``) are drawn at these epochs.
        best_epoch: counted from 1; marked if there is only one run.
        title: title of the figure.

    Raises:
        InputError: there is no history, `histories` is something else, one has none of these keys, or one has
            validation metrics of unknown epochs.

    Example:
        >>> figure = kzoo.plot_learning_curves({"loss": [2.0, 1.0], "val_loss": [2.1, 1.4]}, best_epoch=2)
    """
    # One history or several become histories by name.
    histories = _as_mapping(histories)
    if not isinstance(histories, Mapping):
        raise InputError(f"histories must be a run's history, or histories by name, not {shown(histories)}")
    runs: dict[str, Any] = {name: _as_mapping(values) for name, values in histories.items()}
    if runs and not all(isinstance(value, Mapping) for value in runs.values()):
        runs = {"": histories}
    if not runs:
        raise InputError("there is no history to show")

    # One colour for each run, one line style for each part.
    figure = new_figure(9.0, 3.8)
    panels = figure.subplots(1, 2)
    longest = 1
    for (name, history), color in zip(runs.items(), _cycle(len(runs)), strict=True):
        if not any(len(history.get(key, ())) for key in ("loss", "accuracy", "val_loss", "val_accuracy")):
            raise InputError(
                f"history {name!r} has no loss and no accuracy: its keys are {', '.join(history) or 'none'}"
            )
        for axes, key in zip(panels, ("loss", "accuracy"), strict=True):
            for line, style in ((key, "--"), (f"val_{key}", "-")):
                values = history.get(line, ())
                if len(values):
                    longest = max(longest, len(values))
                    # A single epoch would be a line of length zero: draw a ring for training and a dot for validation.
                    fill = color if style == "-" else "none"
                    marker = {"marker": "o", "markersize": 6, "markerfacecolor": fill} if len(values) == 1 else {}
                    axes.plot(_epochs(history, line), values, style, color=color, **marker)

    # Axes, the best epoch, and one legend for both panels.
    marked = best_epoch if len(runs) == 1 else None
    for axes, key in zip(panels, ("loss", "accuracy"), strict=True):
        axes.set(xlabel="epoch", ylabel=key)
        axes.set_xlim(0.5, longest + 0.5)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.grid(color="0.92", linewidth=0.8)
        axes.set_axisbelow(True)
        if marked is not None:
            axes.axvline(marked, color="0.5", linewidth=1, linestyle=":")
    _legend(figure, list(runs), marked)
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def _as_mapping(history: Any) -> Any:
    """The metrics by name of what Keras's ``fit`` returned, or of a run; anything else as it is."""
    inside = getattr(history, "history", None)
    return inside if isinstance(inside, Mapping) else history


def _epochs(history: History, key: str) -> np.ndarray:
    """The epochs of a metric's values; of validation metrics, every n-th one if there are fewer."""
    values, trained = len(history[key]), len(history.get(key.removeprefix("val_"), ()))
    if values >= trained or not key.startswith("val_"):
        return np.arange(1, values + 1)
    every = [n for n in range(1, trained + 1) if trained // n == values]
    if len(every) != 1:
        raise InputError(f"history has {values} values of {key} for {trained} epochs, so their epochs are not known")
    return np.arange(1, values + 1) * every[0]


def _legend(figure: Figure, runs: list[str], best_epoch: int | None) -> None:
    handles = [Line2D([], [], color="0.3", linestyle="--"), Line2D([], [], color="0.3")]
    names = ["training", "validation"]
    if best_epoch is not None:
        handles.append(Line2D([], [], color="0.5", linestyle=":"))
        names.append(f"best epoch ({best_epoch})")
    if len(runs) > 1:
        handles += [Line2D([], [], color=color, linewidth=3) for color in _cycle(len(runs))]
        names += map(literal, runs)
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 5), frameon=False)


def _cycle(count: int) -> list[str]:
    return [COLORS[i % len(COLORS)] for i in range(count)]
