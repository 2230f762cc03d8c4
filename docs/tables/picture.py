"""The first page's picture: a deep network that does not learn, and what lets it, from the committed records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tables.recorded import indices

LINES = {"VGG-38": "#d1242f", "BN": "#bf8700", "residual": "#0969da", "BN+residual": "#1a7f37"}
"""Colours by label of the study `rescue`."""
NAMES = {
    "VGG-38": "as it is",
    "BN": "BatchNorm",
    "residual": "shortcuts",
    "BN+residual": "both",
}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 600, 260, 48, 176, 70, 44


def _curves(results: Path) -> tuple[dict[str, list[float]], Any] | None:
    """Validation accuracy by epoch and label, of the longest budget at which all four were trained."""
    found = next((found for study, found in indices(results) if study.name == "rescue"), None)
    best: tuple[int, dict[str, list[float]], Any] | None = None
    for group in found.budgets.values() if found else ():
        records = {label: list(group.records(label)) for label in LINES}
        if not all(records.values()):
            continue
        first = {label: own[0] for label, own in records.items()}
        cost = min(record.epochs * record.sizes["train"] for record in first.values())
        curves = {label: record.history["val_accuracy"] for label, record in first.items()}
        if best is None or cost > best[0]:
            best = cost, curves, first["VGG-38"]
    return None if best is None else best[1:]


def caption(results: Path) -> str:
    """What the picture shows, with its budget."""
    found = _curves(results)
    if found is None:
        return "\nNo records are committed yet.\n\n"
    record = found[1]
    return (
        f"\n*On {record.recipe['dataset']}: {record.sizes['train']:,} training images, {record.epochs} epochs, "
        f"seed {record.recipe['seed']}; from the records in `results/rescue`.*\n\n"
    )


def rescue(results: Path) -> str | None:
    """The picture as SVG, None without records. Its own background makes it readable on light and on dark pages."""
    found = _curves(results)
    if found is None:
        return None
    curves, record = found

    # Axes: epochs to the right, accuracy up to the next five per cent.
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

    # Curves, each named at its end; names keep apart.
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
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" text-anchor="{anchor}"'
    return f'<text {place} font-weight="{weight}">{words}</text>'
