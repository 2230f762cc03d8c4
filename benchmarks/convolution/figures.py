"""Figures of a comparison: time and memory as a convolution grows, on logarithmic axes."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmarks.convolution.compare import Comparison
from benchmarks.convolution.growth import crossing, curve, exponent
from benchmarks.convolution.measuring import FRAMEWORK
from benchmarks.convolution.points import TITLES
from kzoo.diagnostics.plots import COLORS, new_figure

ORDER = ("loops", "correlate2d", "im2col", "im2col-blocked", "fft", FRAMEWORK)
STYLE: dict[str, dict[str, Any]] = {
    name: {"color": color, "marker": marker}
    for name, color, marker in zip(ORDER, (*COLORS[:5], COLORS[6]), "ovs^Dx", strict=True)
}


def _axis(axes: Any, comparison: Comparison, name: str) -> None:
    values = comparison.series[name].values
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(values, [str(value) for value in values])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(TITLES[name])
    axes.grid(visible=True, which="major", linewidth=0.4, alpha=0.5)


def plot_times(comparison: Comparison, kind: str = "total") -> Figure:
    """Plot the seconds of every contender along every field; the legend shows the exponents of growth.

    Args:
        comparison: the measurement.
        kind: ``"total"`` for forward and backward, or ``"forward"``.
    """
    names = [name for name in comparison.series if len(comparison.series[name].values) > 1]
    rows = -(-len(names) // 2)
    figure = new_figure(10.5, 3.7 * rows)
    for axes, name in zip(figure.subplots(rows, 2, squeeze=False).flat, names, strict=False):
        _axis(axes, comparison, name)
        for contender in (name for name in ORDER if name in comparison.contenders):
            values, seconds = curve(comparison, name, contender, kind)
            if not values:
                continue
            power = exponent(values, seconds)
            growth = "" if power is None else f"  ~ n^{power:.1f}"
            axes.plot(values, seconds, label=comparison.title(contender) + growth, markersize=4, **STYLE[contender])
        axes.set_ylabel("seconds")
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return figure


def plot_memory(comparison: Comparison) -> Figure:
    """Plot the extra memory of a forward pass, beyond the result: measured as markers, predicted as lines."""
    names = [name for name in ("batch", "channels", "size", "kernel") if len(comparison.series[name].values) > 1]
    figure = new_figure(10.5, 3.5 * -(-len(names) // 2))
    for axes, name in zip(figure.subplots(-(-len(names) // 2), 2, squeeze=False).flat, names, strict=True):
        _axis(axes, comparison, name)
        field = comparison.series[name].field
        for contender in ("correlate2d", "im2col", "im2col-blocked", "fft"):
            sizes = [
                (getattr(row.point, field), row.memory[contender]["forward"])
                for row in comparison.along(name)
                if contender in row.memory and row.memory[contender]["forward"]["predicted"]
            ]
            style = STYLE[contender]
            values = [value for value, _ in sizes]
            axes.plot(values, [size["predicted"] / 2**20 for _, size in sizes], color=style["color"], label=contender)
            axes.plot(values, [size["measured"] / 2**20 for _, size in sizes], linestyle="", markersize=5, **style)
        backend = [
            (getattr(row.point, field), row.framework_memory["forward"] - row.memory["im2col"]["forward"]["result"])
            for row in comparison.along(name)
            if row.framework_memory and "im2col" in row.memory
        ]
        backend = [(value, size) for value, size in backend if size > 0]
        if backend:
            label, style = f"{comparison.title(FRAMEWORK)} (resident size)", STYLE[FRAMEWORK]
            values, mebibytes = [value for value, _ in backend], [size / 2**20 for _, size in backend]
            axes.plot(values, mebibytes, linestyle=":", label=label, **style)
        axes.set_ylabel("MiB beyond the result")
    figure.axes[0].legend(fontsize=8)
    return figure


def plot_crossing(comparison: Comparison) -> Figure:
    """Plot the time of im2col relative to FFT, as the kernel grows."""
    figure = new_figure(6.4, 3.8)
    axes = figure.add_subplot()
    for contender in ("im2col", "im2col-blocked", FRAMEWORK):
        rows = [(row.point.kernel, row.seconds(contender), row.seconds("fft")) for row in comparison.along("kernel")]
        known = [(value, seconds / fft) for value, seconds, fft in rows if seconds and fft]
        if known:
            axes.plot(*zip(*known, strict=True), label=comparison.title(contender), **STYLE[contender])
    axes.axhline(1, color="grey", linewidth=0.8)
    _axis(axes, comparison, "kernel")
    axes.set_ylabel("time / time of FFT")
    at = crossing(comparison, "kernel", "fft", "im2col")["at"]
    if at is not None:
        axes.axvline(at, color=STYLE["im2col"]["color"], linestyle=":", linewidth=1)
        axes.set_title(f"FFT overtakes im2col at about {at:.1f} x {at:.1f}")
    axes.legend(fontsize=9)
    return figure
