"""How kzoo's figures look, and how they are saved.

Figures use only Matplotlib's objects, not pyplot: no window opens, no global list of figures grows, and no setting
is left changed. A plotting function is called `plot_...`, is next to the code whose results it shows, and returns a
`Figure`.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from kzoo.errors import InputError, RunFailed
from kzoo.files import write_atomically

# Okabe and Ito, 2008: distinguishable with any common colour blindness. Yellow is left out as too pale on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SEQUENTIAL = "viridis"
DIVERGING = "PuOr"
LONGEST_LABEL = 28
"""Characters of a tick label."""
SUFFIXES = (".png", ".svg")
DOTS_PER_INCH = 150


class _Figure(Figure):
    """A figure whose axes get kzoo's style when they are created (Matplotlib itself uses global settings)."""

    def add_subplot(self, *args: Any, **options: Any) -> Any:
        return _styled(super().add_subplot(*args, **options))

    def _repr_png_(self) -> bytes:
        """The figure as a PNG picture, for notebooks."""
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=100)
        return content.getvalue()


def _styled(axes: Any) -> Any:
    axes.set_prop_cycle(cycler(color=COLORS))
    axes.spines[["top", "right"]].set_visible(False) if axes.name == "rectilinear" else None
    axes.tick_params(labelsize=10)
    axes.title.set_fontsize(12)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(11)
    return axes


def new_figure(width: float = 6.4, height: float = 4.0) -> Figure:
    """An empty figure in kzoo's style: call its `add_subplot` or `subplots`.

    Args:
        width: in inches.
        height: in inches.
    """
    return _Figure(figsize=(width, height), layout="constrained", facecolor="white")


def sequential_colors(count: int) -> list[Any]:
    """`count` colours from dark to light for ordered values, such as epochs; the palest are left out."""
    colormap = matplotlib.colormaps[SEQUENTIAL]
    return [colormap(float(position)) for position in np.linspace(0.0, 0.9, max(count, 1))][:count]


def literal(text: object) -> str:
    """A name as a figure's text.

    Matplotlib would take the part between two dollar signs as a formula, and leave names that start with an underscore
    out of legends; so these get an invisible space in front.
    """
    text = str(text).replace("$", r"\$")
    return f"\N{ZERO WIDTH SPACE}{text}" if text.startswith("_") else text


def class_label(name: object) -> str:
    """A class name as a tick label: `literal`, and shortened if it would leave no room for the figure."""
    text = str(name)
    return literal(text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…")


def thin_ticks(axis: Any, labels: Sequence[str], *, at_most: int = 30, **options: Any) -> None:
    """Label the positions 0, 1, ... of an axis, and leave out labels if there are too many to read."""
    every = max(1, -(-len(labels) // at_most))
    positions = range(0, len(labels), every)
    axis.set_ticks(list(positions), [literal(labels[position]) for position in positions], **options)


def check_output(path: str | Path, *, overwrite: bool = False, suffixes: Sequence[str] = SUFFIXES) -> Path:
    """Return the path of an output file, checked before any work is done.

    Raises:
        InputError: its suffix is not one of `suffixes`, its folder does not exist, or the file exists already.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise InputError(f"output {str(path)!r} must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise InputError(f"output {str(path)!r}: folder {str(path.parent)!r} does not exist")
    if path.is_dir() or (path.exists() and not overwrite):
        raise InputError(f"output {str(path)!r} exists: choose another name, or overwrite it (--force)")
    return path


def write_output(path: Path, content: bytes) -> Path:
    """Write a file completely or not at all.

    Raises:
        InputError: the file cannot be written; an earlier file with that name stays intact.
    """
    try:
        write_atomically(path, lambda stream: stream.write(content))
    except RunFailed as error:
        raise InputError(f"output: {error}") from None
    return path


def save_figure(figure: Figure, path: str | Path, overwrite: bool = False) -> Path:
    """Save a figure as PNG or SVG, by the path's suffix; an SVG's text stays text.

    Args:
        figure: any Matplotlib figure.
        path: ends in ``.png`` or ``.svg``.
        overwrite: whether a file with that name may be replaced.

    Returns:
        The path.

    Raises:
        InputError: the suffix is not one of these, the folder does not exist, or the file exists.

    Example:
        >>> kzoo.save_figure(kzoo.plot_learning_curves({"loss": [2.0, 1.0]}), "curves.svg").name
        'curves.svg'
    """
    path = check_output(path, overwrite=overwrite)
    kind = path.suffix.lower()[1:]
    content = io.BytesIO()
    # Without a date and with a fixed salt for its identifiers, the same figure gives the same file.
    options = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": DOTS_PER_INCH}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "kzoo"}):
        figure.savefig(content, format=kind, **options)
    return write_output(path, content.getvalue())


def figure_to_array(figure: Figure, dpi: float = 100) -> np.ndarray:
    """A figure as pixels, uint8 (height, width, 3)."""
    before, figure.dpi = figure.dpi, dpi
    try:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
    finally:
        figure.dpi = before


def figure_to_tensorboard(figure: Figure, log_dir: str | Path, tag: str, step: int) -> None:
    """Show a figure in TensorBoard's image tab, written by TensorBoard's event writer, which does not need TensorFlow.

    Args:
        figure: any Matplotlib figure.
        log_dir: TensorBoard's log folder, or a subfolder; an event file is added to it.
        tag: the image's name; the same tag with different steps makes a series.
        step: e.g. the epoch.

    Raises:
        InputError: tensorboard is not installed.
    """
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError:
        raise InputError("writing for TensorBoard needs tensorboard: pip install tensorboard") from None
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    width, height = (round(inches * 100) for inches in figure.get_size_inches())
    image = summary_pb2.Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=content.getvalue())
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, image=image)])
    writer = EventFileWriter(str(log_dir))
    writer.add_event(event_pb2.Event(wall_time=time.time(), step=step, summary=summary))
    writer.close()
