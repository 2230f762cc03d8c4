"""Pictures that explain the algorithms, computed from one small convolution by the algorithms' own code."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from scipy import fft

from kzoo.convolution.conv import conv2d
from kzoo.convolution.fft import transform_sizes
from kzoo.convolution.geometry import of_convolution
from kzoo.convolution.im2col import columns, input_gradient
from kzoo.diagnostics.plots import COLORS, SEQUENTIAL, new_figure

SIZE, TAPS = 4, 3
SHOWN = (2, 3)  # the position of the highlighted output
BLUE, RED, GREEN = COLORS[0], COLORS[1], COLORS[2]


def _grid(axes: Any, values: np.ndarray, *, shade: np.ndarray | None = None, **options: Any) -> None:
    """Draw a map as squares with numbers in them."""
    rows, across = values.shape
    shown = np.zeros_like(values, float) if shade is None else shade
    axes.imshow(
        shown, cmap=options.get("cmap", "Greys"), vmin=0, vmax=options.get("vmax", 1), alpha=0.55, aspect="equal"
    )
    for i in range(rows):
        for j in range(across):
            axes.text(j, i, f"{values[i, j]:g}", ha="center", va="center", fontsize=options.get("fontsize", 9))
    axes.set_xticks(np.arange(-0.5, across), [])
    axes.set_yticks(np.arange(-0.5, rows), [])
    axes.grid(visible=True, color="grey", linewidth=0.6)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)


def _frame(axes: Any, row: float, column: float, height: float, width: float, color: str) -> None:
    corner = (column - 0.5, row - 0.5)
    axes.add_patch(
        Rectangle(corner, width, height, fill=False, edgecolor=color, linewidth=2.5, zorder=5, clip_on=False)
    )


def _sign(axes: Any, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=16, transform=axes.transAxes)


def _example() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image of 4x4 pixels numbered from 1, a kernel, and the output with padding 1."""
    image = np.arange(1.0, SIZE * SIZE + 1).reshape(1, SIZE, SIZE, 1)
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float).reshape(TAPS, TAPS, 1, 1)
    return image, kernel, conv2d(image, kernel, padding=1)


def picture_loops() -> Figure:
    """Draw one step of the loops: a window, the kernel, one sum."""
    image, kernel, output = (array.squeeze() for array in _example())
    padded = np.pad(image, 1)
    figure = new_figure(8.4, 3.0)
    parts = figure.subplots(1, 5, width_ratios=(6, 0.8, 3, 0.8, 4))
    _grid(parts[0], padded, shade=np.pad(np.zeros_like(image), 1, constant_values=0.25))
    _frame(parts[0], *SHOWN, TAPS, TAPS, RED)
    parts[0].set_title("image with its zeros")
    _sign(parts[1], "·")
    _grid(parts[2], kernel)
    _frame(parts[2], 0, 0, TAPS, TAPS, RED)
    parts[2].set_title("kernel")
    _sign(parts[3], "=")
    _grid(parts[4], output)
    _frame(parts[4], *SHOWN, 1, 1, RED)
    parts[4].set_title("output")
    window = padded[SHOWN[0] : SHOWN[0] + TAPS, SHOWN[1] : SHOWN[1] + TAPS]
    terms = [f"{w:g}·{v:g}" for v, w in zip(window.flat, kernel.flat, strict=True) if w]
    figure.supxlabel(f"{' + '.join(terms)} = {float(output[SHOWN]):g}", fontsize=11)
    return figure


def picture_pairs() -> Figure:
    """Draw the pairs of correlate2d: each line from a channel to a filter is one call."""
    channels, filters = 3, 2
    image = np.arange(16.0).reshape(4, 4)
    figure = new_figure(7.2, 3.6)
    axes = figure.add_subplot()
    axes.set_xlim(-0.3, 6.3)
    axes.set_ylim(-0.4, 3.4)
    axes.set_axis_off()
    sources = [(0.6, 2.7 - 1.2 * c) for c in range(channels)]
    sums = [(5.4, 2.1 - 1.2 * f) for f in range(filters)]
    for c, (x, y) in enumerate(sources):
        axes.imshow((image + c) % 7, extent=(x - 0.45, x + 0.45, y - 0.45, y + 0.45), cmap="Blues", zorder=3)
        axes.text(x - 0.55, y, f"channel {c + 1}", ha="right", va="center", fontsize=10)
    for f, (x, y) in enumerate(sums):
        axes.imshow((image * (f + 2)) % 5, extent=(x - 0.45, x + 0.45, y - 0.45, y + 0.45), cmap="Oranges", zorder=3)
        axes.text(x + 0.55, y, f"filter {f + 1}:\nsum of {channels}", ha="left", va="center", fontsize=10)
        for c, (left, from_y) in enumerate(sources):
            axes.plot((left + 0.5, x - 0.5), (from_y, y), color=(BLUE, GREEN)[f], linewidth=1.2, zorder=1)
            at = 0.36 if f == 0 else 0.64
            axes.text(
                left + 0.5 + at * (x - left - 1),
                from_y + at * (y - from_y),
                f"T({c + 1},{f + 1})",
                ha="center",
                va="center",
                fontsize=9,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )
    axes.set_xlim(-0.8, 6.8)
    axes.set_ylim(-0.4, 3.3)
    axes.set_aspect("equal")
    axes.set_title(f"one image: {filters} x {channels} calls of the 2-D function T")
    return figure


def picture_im2col() -> Figure:
    """Draw the matrix of columns, the kernel as a column, and their product; colours identify the pixels."""
    image, kernel, output = _example()
    geometry = of_convolution(image.shape, kernel.shape, 1, 1, 1)
    matrix = columns(image, geometry)
    row = SHOWN[0] * SIZE + SHOWN[1]
    figure = new_figure(8.6, 5.4)
    parts = figure.subplots(1, 5, width_ratios=(5, 9, 1.4, 0.9, 1.4))
    whole = SIZE * SIZE
    options: dict[str, Any] = {"cmap": SEQUENTIAL, "vmax": whole}
    _grid(parts[0], image.squeeze(), shade=image.squeeze(), **options)
    parts[0].set_title("image")
    _grid(parts[1], matrix, shade=matrix, fontsize=8, **options)
    _frame(parts[1], row, 0, 1, matrix.shape[1], RED)
    parts[1].set_title(f"columns: {whole} places x {TAPS * TAPS} taps\n(0: the padding)")
    _grid(parts[2], kernel.reshape(-1, 1))
    _frame(parts[2], 0, 0, TAPS * TAPS, 1, RED)
    parts[2].set_title("kernel")
    _sign(parts[3], "=")
    _grid(parts[4], output.reshape(-1, 1), fontsize=8)
    _frame(parts[4], row, 0, 1, 1, RED)
    parts[4].set_title("output")
    return figure


def picture_col2im() -> Figure:
    """Draw how often each pixel is repeated: the sum that col2im computes if all gradients are 1."""
    figure = new_figure(8.4, 3.0)
    cases = (("padding same", 1, 1, 1), ("stride 2", 2, 1, 1), ("dilation 2", 1, 2, 2))
    for axes, (title, stride, padding, dilation) in zip(figure.subplots(1, 3), cases, strict=True):
        geometry = of_convolution((1, 6, 6, 1), (TAPS, TAPS, 1, 1), stride, padding, dilation)
        ones = np.ones(geometry.output_shape), np.ones(geometry.kernel_shape)
        counts = input_gradient(*ones, geometry).squeeze()
        _grid(axes, counts, shade=counts, cmap=SEQUENTIAL, vmax=TAPS * TAPS)
        axes.set_title(title)
    return figure


def picture_fft() -> Figure:
    """Draw image and kernel padded to the same size, their spectra, the product, and the output."""
    size, taps = 28, 7
    rows, across = np.mgrid[:size, :size]
    image = ((rows - 14) ** 2 + (across - 14) ** 2 < 81).astype(float)
    image[10:18, 12:16] = 0
    steps = np.arange(taps) - taps // 2
    kernel = np.exp(-(steps[:, None] ** 2 + steps**2) / 6) * steps
    geometry = of_convolution((1, size, size, 1), (taps, taps, 1, 1), 1, "same", 1)
    sizes = transform_sizes(geometry)
    filled = {"image": np.zeros(sizes), "kernel": np.zeros(sizes)}
    filled["image"][geometry.inner] = image
    filled["kernel"][:taps, :taps] = kernel
    spectra = {name: fft.fft2(values) for name, values in filled.items()}
    spectra["product"] = spectra["image"] * np.conj(spectra["kernel"])
    result = conv2d(image[None, ..., None], kernel[..., None, None], padding="same", algorithm="fft").squeeze()
    figure = new_figure(8.4, 5.6)
    parts = figure.subplots(2, 3)
    height, width = sizes
    titles = (f"image, filled up to {height}x{width}", f"kernel {taps}x{taps}, filled up to {height}x{width}", "output")
    for axes, values, title in zip(parts[0], (filled["image"], filled["kernel"], result), titles, strict=True):
        largest = np.abs(values).max()
        axes.imshow(values, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axes.set_title(title, fontsize=10)
    names = ("spectrum of the image", "spectrum of the kernel, conjugate", "product: spectrum of the output")
    for axes, values, title in zip(parts[1], spectra.values(), names, strict=True):
        axes.imshow(np.log1p(np.abs(fft.fftshift(values))), cmap=SEQUENTIAL)
        axes.set_title(title, fontsize=10)
    for axes in parts.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    return figure
