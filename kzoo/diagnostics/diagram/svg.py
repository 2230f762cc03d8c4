"""A laid-out diagram as SVG text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from kzoo.diagnostics.diagram.boxes import Box, Graph
from kzoo.diagnostics.diagram.layout import Layout, Point
from kzoo.diagnostics.diagram.text import FONTS, LINE, PADDING, TEXT, TITLE, text_width

FILLS = {
    "input": "#e5e7eb",
    "convolution": "#a9d0f0",
    "dense": "#f9c99b",
    "pooling": "#aee0c3",
    "normalization": "#d8c9ee",
    "activation": "#f4e7a1",
    "merge": "#f3b9c6",
    "regularization": "#e2d3bd",
    "shape": "#d5dbe1",
    "model": "#b4dfe0",
    "other": "#cfd4da",
}
# Boxes are pale with dark text; text outside them is a grey that is legible on white and on black.
INK, FAINT, GREY = "#16202b", "#3b4652", "#767676"
MARGIN, ROUND, FRAME = 20.0, 6.0, 12.0
HEADING, SUBHEADING, TIMES = 17.0, 11.0, 14.0


@dataclass(frozen=True)
class _Frame:
    left: float
    top: float
    right: float
    bottom: float
    label: str


def draw(title: str, subtitle: str, graph: Graph, lines: Sequence[Sequence[str]], layout: Layout) -> str:
    """The SVG document."""
    # The size of the drawing.
    frames = [_frame(layout, graph, *group) for group in graph.groups]
    heading = max(text_width(title, HEADING, True), text_width(subtitle, SUBHEADING))
    left = min([layout.left, -heading / 2, -150.0, *(frame.left for frame in frames)])
    right = max([layout.right, heading / 2, 150.0, *(f.right + 8 + text_width(f.label, TIMES, True) for f in frames)])
    width = right - left + 2 * MARGIN
    legend, legend_height = _legend([kind for kind in FILLS if any(b.kind == kind for b in graph.boxes)], width)
    top = MARGIN + 48 + legend_height
    height = top + layout.bottom + MARGIN

    # Heading, legend, then everything in the layout's coordinates.
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" font-family="{FONTS}" role="img">',
        f"<title>{_text(title)}</title>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0.5L8 4L0 7.5Z" fill="{GREY}"/></marker></defs>',
        _line(title, width / 2, MARGIN + 14, HEADING, GREY, bold=True),
        _line(subtitle, width / 2, MARGIN + 33, SUBHEADING, GREY),
        *legend,
        f'<g transform="translate({MARGIN - left:.1f} {top:.1f})">',
        *(_framed(frame) for frame in frames),
        *(_arrow(path) for path in layout.paths),
        *(_box(*parts) for parts in zip(graph.boxes, lines, layout.centers, layout.sizes, strict=True)),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(text: str) -> str:
    # XML does not allow control characters, which a name may contain.
    return escape("".join(character if character.isprintable() else "?" for character in text), {'"': "&quot;"})


def _line(text: str, x: float, y: float, size: float, color: str, *, bold: bool = False, anchor: str = "middle") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}" fill="{color}"{weight}>'
        f"{_text(text)}</text>"
    )


def _legend(kinds: Sequence[str], width: float) -> tuple[list[str], float]:
    """The legend's entries, in rows as wide as the drawing, and their height."""
    # Break the entries into rows.
    rows: list[list[str]] = [[]]
    used = 0.0
    for kind in kinds:
        step = _chip_width(kind)
        if rows[-1] and used + step > width - 2 * MARGIN:
            rows.append([])
            used = 0.0
        rows[-1].append(kind)
        used += step

    # Draw each row centred.
    parts = []
    for number, row in enumerate(rows):
        x = (width - sum(map(_chip_width, row)) + 12) / 2
        y = MARGIN + 44 + 18 * number
        for kind in row:
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="11" height="11" rx="2" fill="{FILLS[kind]}" stroke="{GREY}"/>'
            )
            parts.append(_line(kind, x + 16, y + 9.5, TEXT, GREY, anchor="start"))
            x += _chip_width(kind)
    return parts, 18.0 * len(rows) + 10


def _chip_width(kind: str) -> float:
    return text_width(kind) + 30


def _frame(layout: Layout, graph: Graph, first: int, last: int, times: int) -> _Frame:
    """The frame around a repeated group: its boxes and the arrows that end in it."""
    boxes = [(*layout.centers[i], *layout.sizes[i]) for i in range(first, last + 1)]
    xs = [x + side * width / 2 for x, _, width, _ in boxes for side in (-1, 1)]
    for (_, after), path in zip(graph.edges, layout.paths, strict=True):
        if first <= after <= last:
            xs += [x for x, _ in path]
    top = min(y - height / 2 for _, y, _, height in boxes)
    bottom = max(y + height / 2 for _, y, _, height in boxes)
    # Between this frame and its neighbours, one arrow enters and one leaves.
    return _Frame(min(xs) - FRAME, top - 7, max(xs) + FRAME, bottom + 5, f"× {times}")


def _framed(frame: _Frame) -> str:
    middle = (frame.top + frame.bottom) / 2 + TIMES / 3
    return (
        f'<rect x="{frame.left:.1f}" y="{frame.top:.1f}" width="{frame.right - frame.left:.1f}" '
        f'height="{frame.bottom - frame.top:.1f}" rx="8" fill="{GREY}" fill-opacity="0.08" stroke="{GREY}" '
        'stroke-dasharray="5 4"/>\n'
        + _line(frame.label, frame.right + 8, middle, TIMES, GREY, bold=True, anchor="start")
    )


def _arrow(path: Sequence[Point]) -> str:
    """A line with rounded corners."""
    commands = [f"M{path[0][0]:.1f} {path[0][1]:.1f}"]
    for before, corner, after in zip(path, path[1:], path[2:], strict=False):
        start, end = _towards(corner, before), _towards(corner, after)
        commands.append(f"L{start[0]:.1f} {start[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {end[0]:.1f} {end[1]:.1f}")
    commands.append(f"L{path[-1][0]:.1f} {path[-1][1]:.1f}")
    return f'<path d="{"".join(commands)}" fill="none" stroke="{GREY}" stroke-width="1.4" marker-end="url(#arrow)"/>'


def _towards(corner: Point, other: Point) -> Point:
    """A point on the way from a corner to the next one, at most halfway."""
    length = abs(other[0] - corner[0]) + abs(other[1] - corner[1])  # lines are horizontal or vertical
    share = min(ROUND, length / 2) / length if length else 0.0
    return corner[0] + share * (other[0] - corner[0]), corner[1] + share * (other[1] - corner[1])


def _box(box: Box, lines: Sequence[str], center: Point, size: Point) -> str:
    (x, y), (width, height) = center, size
    top = y - height / 2
    names = "\n".join(map(_text, box.layers if len(box.layers) <= 40 else [*box.layers[:40], "..."]))
    parts = [
        f"<g><title>{names}</title>",
        f'<rect x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5" '
        f'fill="{FILLS[box.kind]}" stroke="{FAINT}" stroke-width="0.8"/>',
        _line(lines[0], x, top + PADDING + 7, TITLE, INK, bold=True),
    ]
    parts += [_line(line, x, top + PADDING + 7 + LINE * i, TEXT, FAINT) for i, line in enumerate(lines[1:], start=1)]
    return "\n".join([*parts, "</g>"])
