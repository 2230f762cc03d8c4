"""The text in a diagram's boxes, measured so that it fits."""

from __future__ import annotations

import functools
import warnings

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from kzoo.diagnostics.diagram.boxes import Box

# Text is measured in the first of these fonts, which is wider than its substitutes on other systems.
FONTS = "DejaVu Sans, Verdana, Geneva, sans-serif"
TITLE, TEXT = 12.0, 10.5
WIDEST = 280.0
PADDING, LINE = 11.0, 15.0


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float = TEXT, bold: bool = False) -> float:
    """The width of a line of text in DejaVu Sans, in pixels."""
    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a glyph that the font does not have is measured as a box
        return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0])


def shortened(text: str, size: float = TEXT, *, bold: bool = False, widest: float = WIDEST) -> str:
    """The text, without its middle if it is too wide."""
    if text_width(text, size, bold) <= widest:
        return text
    for kept in range(len(text) - 1, 0, -1):
        short = f"{text[: (kept + 1) // 2]}…{text[len(text) - kept // 2 :]}"
        if text_width(short, size, bold) <= widest:
            return short
    return "…"


def box_lines(box: Box) -> list[str]:
    """The name, what the layers do (on one line or more), and the output shape with the parameters."""
    lines, line = [], ""
    for part in " · ".join(box.words).split(" · "):
        longer = f"{line} · {part}" if line else part
        if line and text_width(longer) > WIDEST:
            lines.append(line)
            longer = part
        line = longer
    lines.append(line)
    numbers = [box.shape]
    if box.parameters:
        numbers.append(f"{box.parameters:,} parameters")
    if box.frozen:
        numbers.append(f"{box.frozen:,} frozen")
    return [shortened(box.title, TITLE, bold=True), *map(shortened, [*lines, " · ".join(numbers)])]


def box_size(lines: list[str]) -> tuple[float, float]:
    """Width and height of a box with these lines, the first one in bold."""
    widest = max(text_width(lines[0], TITLE, True), *map(text_width, lines[1:]))
    return max(120.0, widest + 2 * PADDING), LINE * len(lines) + 2 * PADDING - 5
