"""Tables of docs/convolution.md, from the measurement in docs/convolution.json (used by docs/generate.py).

The measurement and the pictures are made by

    kzoo compare-convolution --save docs/convolution.json --figures docs/images --force
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

FILE = Path(__file__).with_name("convolution.json")


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
