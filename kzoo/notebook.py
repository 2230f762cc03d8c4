"""Short HTML for notebooks: tables, small curves and pictures, in the notebook's colours (no Keras)."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

from kzoo.lazy import np

_CELL = "padding: 0.15em 0.7em; vertical-align: top;"
LIMIT = 100
"""Largest number of rows of a table in a notebook's cell."""


def heading(text: str, detail: str = "") -> str:
    """A heading line: the text in bold, then a detail."""
    return f"<div><strong>{html.escape(text)}</strong>{'&ensp;' if detail else ''}{html.escape(detail)}</div>"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], *, left: Sequence[int] = (0,)) -> str:
    """A table; columns are aligned right unless they are in `left`.

    Args:
        header: names of the columns.
        rows: cells by row: `Markup`, or any value, whose `str` is escaped.
        left: indices of the left-aligned columns.
    """
    rows = list(rows)

    def line(cells: Sequence[Any], tag: str) -> str:
        sides = ("left" if index in left else "right" for index in range(len(cells)))
        content = (
            f'<{tag} style="{_CELL} text-align: {side};">{_text(cell)}</{tag}>'
            for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(content)}</tr>"

    body = "".join(line(row, "td") for row in rows[:LIMIT])
    more = f"<div>and {len(rows) - LIMIT:,} more</div>" if len(rows) > LIMIT else ""
    return f"<table><thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>{more}"


class Markup(str):
    """Text that is already HTML."""


class Svg(str):
    """An SVG document, which a notebook shows as a picture."""

    def _repr_svg_(self) -> str:
        return str(self)


def escape(text: str) -> Markup:
    """Text, escaped for HTML."""
    return Markup(html.escape(text))


def curve(values: Sequence[float | None], *, width: int = 120, height: int = 24) -> Markup:
    """A small line chart of one value per epoch, without non-finite values; `width` and `height` are in pixels."""
    points = [(i, v) for i, v in enumerate(values) if v is not None and np.isfinite(v)]
    if not points:
        return Markup("")
    low, high = min(v for _, v in points), max(v for _, v in points)
    across, up = max(len(values) - 1, 1), (high - low) or 1.0
    text = " ".join(
        f"{2 + (width - 4) * i / across:.1f},{height - 2 - (height - 4) * (v - low) / up:.1f}" for i, v in points
    )
    label = f"from {points[0][1]:.4g} to {points[-1][1]:.4g}"
    return Markup(
        f'<svg width="{width}" height="{height}" role="img" aria-label="{label}">'
        f'<polyline points="{text}" fill="none" stroke="#2b7bba" stroke-width="1.5"/></svg>'
    )


def picture(image: np.ndarray, *, side: int = 56) -> Markup:
    """A small image with sharp pixels.

    Args:
        image: uint8 (height, width, 1 or 3).
        side: length of the longer side on the screen, in pixels.
    """
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(content, "PNG")
    scale = side / max(image.shape[:2])
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    data = base64.b64encode(content.getvalue()).decode()
    return Markup(
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="" '
        'style="image-rendering: pixelated; display: inline-block; margin: 2px;">'
    )


def _text(cell: Any) -> str:
    return str(cell) if isinstance(cell, Markup) else html.escape("–" if cell is None else str(cell))
