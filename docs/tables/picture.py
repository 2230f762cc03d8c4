"""The picture of the first page, from the committed records: changes that let a deep network learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tables.recorded import indices

LINES = {"VGG-38": "#d1242f", "BN": "#bf8700", "residual": "#0969da", "BN+residual": "#1a7f37"}
"""Colours by label in the study `rescue`."""
NAMES = {
    "VGG-38": "as it is",
    "BN": "BatchNorm",
    "residual": "shortcuts",
    "BN+residual": "both",
}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 600, 260, 48, 176, 70, 44


def _curves(results: Path) -> tuple[dict[str, list[float]], Any] | None:
    """Return validation accuracy by label and epoch, and a record, of the longest budget at which all four trained."""
    index = next((index for study, index in indices(results) if study.name == "rescue"), None)
    best: tuple[int, dict[str, list[float]], Any] | None = None
    for group in index.budgets.values() if index else ():
        records = {label: list(group.records(label)) for label in LINES}
        if not all(records.values()):
            continue
        first = {label: seeds[0] for label, seeds in records.items()}
        cost = min(record.epochs * record.sizes["train"] for record in first.values())
        curves = {label: record.history["val_accuracy"] for label, record in first.items()}
        if best is None or cost > best[0]:
            best = cost, curves, first["VGG-38"]
    return None if best is None else best[1:]


def caption(results: Path) -> str:
    """Return the caption of the picture, with its budget."""
    curves = _curves(results)
    if curves is None:
        return "\nNo records are committed yet.\n\n"
    record = curves[1]
    return (
        f"\n*On {record.recipe['dataset']}: {record.sizes['train']:,} training images, {record.epochs} epochs, "
        f"seed {record.recipe['seed']}; from the records in `results/rescue`.*\n\n"
    )


def rescue(results: Path) -> str | None:
    """Return the picture as SVG, None without records. Its background keeps it readable on light and dark pages."""
    data = _curves(results)
    if data is None:
        return None
    curves, record = data

    # Axes: epochs to the right; accuracy upwards, to the next 5 or 10 percent.
    epochs = max(map(len, curves.values()))
    step = 0.05 if max(map(max, curves.values())) < 0.3 else 0.1
    top = step * (int(max(map(max, curves.values())) / step) + 1)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = lambda epoch: LEFT + wide * epoch / max(1, epochs - 1)  # noqa: E731
    y = lambda value: TOP + high * (1 - value / top)  # noqa: E731
    parts = [
        f'<rect width="{WIDTH}" height="{HEIGHT}" rx="8" fill="#ffffff"/>',
        _text(12, 28, "VGG-38 does not learn. BatchNorm and shortcuts rescue it.", size=16, weight=600),
        _text(12, 50, f"validation accuracy by epoch, {record.recipe['dataset']}", colour="#57606a"),
    ]
    for index in range(round(top / step) + 1):
        value = index * step
        parts.append(f'<path d="M{LEFT} {y(value):.1f}h{wide}" stroke="#d8dee4"/>')
        parts.append(_text(LEFT - 8, y(value) + 4, f"{value:.0%}", colour="#57606a", anchor="end"))
    for epoch in {0, (epochs - 1) // 2, epochs - 1}:
        parts.append(_text(x(epoch), HEIGHT - BOTTOM + 20, str(epoch + 1), colour="#57606a", anchor="middle"))
    parts.append(_text(LEFT + wide / 2, HEIGHT - 10, "epoch", colour="#57606a", anchor="middle"))

    # Curves, each with its name at the end; names do not overlap.
    below = float("inf")
    for label in sorted(curves, key=lambda label: curves[label][-1]):
        values = curves[label]
        points = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{LINES[label]}" stroke-width="3"/>')
        below = min(below - 18, y(values[-1]) + 4)
        words = f"{NAMES[label]}, {values[-1]:.1%}"
        parts.append(_text(x(len(values) - 1) + 8, below, words, colour=LINES[label], weight=600))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" role="img">\n{body}\n</svg>\n'
    )


def _text(
    x: float, y: float, words: str, *, size: int = 14, colour: str = "#1f2328", anchor: str = "start", weight: int = 400
) -> str:
    attributes = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text {attributes} font-weight="{weight}">{words}</text>'
