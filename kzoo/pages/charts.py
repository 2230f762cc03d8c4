"""How the pages' charts look: plotly figures that follow the reader's light or dark theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import markupsafe
import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from kzoo.pages.scripts import for_script

BACKGROUNDS = ("#ffffff", "#14171c")
"""Of the light and the dark page."""

# Of medium lightness, so that each stands out (3:1 or more, WCAG's demand for graphics) from both backgrounds.
COLORS = (
    "#2b7bba",
    "#d4601f",
    "#1a8f6b",
    "#b9579f",
    "#8a6d1c",
    "#2f93b5",
    "#7b62c9",
    "#c2454f",
    "#5f8f2e",
    "#7a7f87",
)
DASHES = ("solid", "dash", "dot", "dashdot")
ORDERED = ("#2b7bba", "#8c62b5", "#c8506f", "#d4601f")
"""For what has an order, such as epochs: from first to last."""

_THEMES = {
    "light": {"text": "#24292f", "grid": "#e3e7ec", "line": "#9aa4af", "box": "#ffffff"},
    "dark": {"text": "#d7dce2", "grid": "#2c323b", "line": "#6b7580", "box": "#20252d"},
}
_SCALES = {
    "light": ["#ffffff", "#d3e4f3", "#7fb2dc", "#2b7bba", "#0d3f6e"],
    "dark": ["#14171c", "#1b3a57", "#28659a", "#5aa3dd", "#cfe6fa"],
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"


@dataclass(frozen=True)
class Chart:
    """An interactive chart.

    Attributes:
        figure: what plotly draws.
        title: heading over it.
        label: what it shows, for those who cannot see it.
        caption: how to read it.
        height: in CSS, e.g. ``"20rem"``; of a square one ``"square"``.
        scroll: whether it stands in a box of limited height.
    """

    figure: go.Figure
    title: str
    label: str
    caption: str = ""
    height: str = "20rem"
    scroll: bool = False

    @property
    def json(self) -> markupsafe.Markup:
        """The figure for a script element."""
        return for_script(self.figure.to_dict())


def themes() -> dict[str, Any]:
    """Plotly's templates for the light and the dark page."""
    found = {}
    for name, colors in _THEMES.items():
        axis = {
            "gridcolor": colors["grid"],
            "linecolor": colors["line"],
            "zerolinecolor": colors["grid"],
            "automargin": True,
            "title": {"standoff": 8, "font": {"size": 13}},
        }
        scale = [[place / 4, color] for place, color in enumerate(_SCALES[name])]
        found[name] = {
            "layout": {
                "paper_bgcolor": "rgba(0,0,0,0)",
                "plot_bgcolor": "rgba(0,0,0,0)",
                "font": {"family": FONT, "size": 13, "color": colors["text"]},
                "colorway": list(COLORS),
                "colorscale": {"sequential": scale, "sequentialminus": scale, "diverging": scale},
                "hoverlabel": {"bgcolor": colors["box"], "bordercolor": colors["line"], "align": "left"},
                "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": colors["line"], "activecolor": colors["text"]},
                "xaxis": axis,
                "yaxis": axis,
                "updatemenudefaults": {"bgcolor": colors["box"], "bordercolor": colors["line"]},
            }
        }
    return found


def new_chart(x: str, y: str) -> go.Figure:
    """An empty figure with names of its axes; the theme is laid on when the page is shown."""
    return go.Figure(
        layout={
            "template": "none",  # plotly's own is long, and the page lays its theme over any
            "xaxis": {"title": {"text": x}},
            "yaxis": {"title": {"text": y}},
            "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
            "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
            "hovermode": "closest",
        }
    )


def color(place: int) -> str:
    """The colour of the entry at a place of a list."""
    return COLORS[place % len(COLORS)]


def dash(place: int) -> str:
    """The dash that tells entries of one colour apart."""
    return DASHES[place // len(COLORS) % len(DASHES)]


def ordered_colors(count: int) -> list[str]:
    """`count` colours from first to last."""
    places = [place / max(count - 1, 1) for place in range(count)]
    return sample_colorscale(list(ORDERED), places) if places else []


def spread(count: int, at_most: int) -> list[int]:
    """Up to `at_most` places out of 0, 1, ... count - 1, evenly, both ends among them."""
    if count <= at_most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (at_most - 1)) for place in range(at_most)})


def mode(points: int) -> str:
    """Lines, with markers where there are few points."""
    return "lines+markers" if points <= 30 else "lines"


def log_ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Round values between two positive ones for a logarithmic axis, and their texts: powers of ten where they do."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    if high > 200 * low:
        step = max(1, math.ceil((last - first) / 7))
        powers = range(first, last + 1, step)
        return [10.0**power for power in powers], [f"10<sup>{power}</sup>" for power in powers]
    if high < 2.5 * low:
        values = sorted({low, high})
        return values, [f"{value:.4g}" for value in values]
    values = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    values = [value for value in values if low / 1.5 <= value <= high * 1.5]
    return values, [f"{value:.0e}" if value < 1e-3 else f"{value:g}" for value in values]


def rounded(values: Sequence[float | None], digits: int = 6) -> list[float | None]:
    """Values short enough for a page; what is not finite becomes a gap."""
    return [None if v is None or v != v or abs(v) == float("inf") else float(f"{v:.{digits}g}") for v in values]
