"""Tables of docs/convolution.md and docs/export.md, from measurements beside them (used by docs/generate.py).

They are made, with the pictures, by

    kzoo compare-convolution --save docs/convolution.json --figures docs/images --force
    python benchmarks/inference.py --rounds 7 --json docs/inference.json
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from pathlib import Path

FILE = Path(__file__).with_name("convolution.json")
INFERENCE = Path(__file__).with_name("inference.json")


def convolution(block: str, markdown: Callable[..., str]) -> str:
    """One block: how it was measured, or a table."""
    if not FILE.exists():
        return "\nNot measured yet.\n\n"
    from kzoo.convolution import tables
    from kzoo.convolution.compare import Comparison

    found = Comparison.from_file(FILE)
    if block == "where":
        hardware, versions = found.where["hardware"], found.where["versions"]
        names = ", ".join(f"{name} {version}" for name, version in versions.items())
        return (
            f"\nMeasured on {hardware['processor']} ({', '.join(hardware['processor_features'])}), "
            f"{hardware['cores']} cores, float32, {found.rounds} rounds{' (--quick)' if found.quick else ''}; {names}. "
            f"The load was {found.where['load_at_start']} at the start.\n\n"
        )
    makers = {
        "ratios": tables.ratio_rows,
        "growth": tables.growth_rows,
        "crossing": tables.crossing_rows,
        "memory": tables.memory,
        "claims": tables.claim_rows,
    }
    title, header, rows = makers[block](found)
    caption = "" if block == "claims" else f"\n{title[0].upper()}{title[1:]}:\n"
    left = {"claims": 4, "memory": 2}.get(block, 1)
    align = "l" * left + "r" * (len(header) - left)
    return caption + markdown(" | ".join(name or "algorithm" for name in header), rows, align)


def inference(markdown: Callable[..., str]) -> str:
    """How long a call takes in each format: median milliseconds, and how many times as fast as `predict`."""
    found = json.loads(INFERENCE.read_text(encoding="utf-8"))
    networks, versions = found["networks"], found["versions"]
    where = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in ("kzoo", "jax"))
    text = (
        f"\nMeasured on {found['hardware']['processor']}, {found['settings']['threads']} threads, float32, "
        f"{found['settings']['rounds']} rounds; {where}. Median milliseconds a call, and how many times as fast as "
        "`predict` (median of the rounds' ratios).\n"
    )
    for batch in ("1", "64"):
        calls = {name: network["milliseconds"][batch] for name, network in networks.items()}
        rows = []
        for contender in next(iter(calls.values())):
            cells = []
            for timed in calls.values():
                ratio = statistics.median(a / b for a, b in zip(timed["predict"], timed[contender], strict=True))
                places = 2 if ratio < 2 else 1 if ratio < 100 else 0
                cells.append(f"{statistics.median(timed[contender]):.3g} ({ratio:,.{places}f}x)")
            rows.append((contender, *cells))
        header = " | ".join([f"batch {batch}", *calls])
        text += "\n" + markdown(header, rows, "l" + "r" * len(calls)).strip() + "\n"
    return text + "\n"
