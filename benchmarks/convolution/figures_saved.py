"""The figures that `python -m benchmarks.convolution --figures` saves, and their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kzoo.diagnostics.plots import check_output, save_figure
from kzoo.errors import InputError

if TYPE_CHECKING:
    from benchmarks.convolution.compare import Comparison

PICTURES = {
    "convolution-loops.svg": "picture_loops",
    "convolution-pairs.png": "picture_pairs",
    "convolution-im2col.svg": "picture_im2col",
    "convolution-col2im.svg": "picture_col2im",
    "convolution-fft.png": "picture_fft",
}
PLOTS = {
    "convolution-times.svg": "plot_times",
    "convolution-memory.svg": "plot_memory",
    "convolution-crossing.svg": "plot_crossing",
}


def check_figures(folder: Path, *, overwrite: bool = False) -> None:
    """Check that all figures can be written.

    Raises:
        InputError: the folder does not exist, or one of the figures exists.
    """
    if not folder.is_dir():
        raise InputError(f"folder {str(folder)!r} for figures does not exist")
    for name in (*PICTURES, *PLOTS):
        check_output(folder / name, overwrite=overwrite)


def save_figures(comparison: Comparison, folder: Path, *, overwrite: bool = False) -> list[Path]:
    """Draw and save all figures; see `check_figures` for errors."""
    from benchmarks.convolution import figures, pictures

    check_figures(folder, overwrite=overwrite)
    drawn = {name: getattr(pictures, maker)() for name, maker in PICTURES.items()}
    drawn |= {name: getattr(figures, maker)(comparison) for name, maker in PLOTS.items()}
    return [save_figure(figure, folder / name, overwrite) for name, figure in drawn.items()]
