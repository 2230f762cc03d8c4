"""Tables of docs/convolution.md, docs/doctor.md and docs/export.md, from the measurements in docs/.

These are made, with the pictures, by

    python -m benchmarks.convolution --save docs/convolution.json --figures docs/images --force
    python benchmarks/inference.py --rounds 7 --json docs/inference.json
    python benchmarks/doctor_rates.py
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

from tables.text import markdown

DOCS = Path(__file__).parents[1]


def convolution(block: str) -> str:
    """One block: how it was measured, or a table."""
    from benchmarks.convolution import tables
    from benchmarks.convolution.compare import Comparison

    found = Comparison.from_file(DOCS / "convolution.json")
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


def inference() -> str:
    """How long a call takes in each format: median milliseconds, and how many times as fast as `predict`."""
    found = json.loads((DOCS / "inference.json").read_text(encoding="utf-8"))
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


def doctor_rates() -> str:
    """How often the doctor was right, as benchmarks/doctor_rates.py measured it."""
    found = json.loads((DOCS / "doctor-rates.json").read_text(encoding="utf-8"))
    hits = [
        (row["fault"], ", ".join(row["kinds"]), f"{row['hits']} of {row['draws']}", f"{row['hits'] / row['draws']:.0%}")
        for row in found["faults"]
    ]
    verdicts = [
        (
            f"`{row['network']}`",
            row["expected"],
            f"{row['right']} of {row['draws']}",
            " to ".join(f"{float(f'{ratio:.2g}'):g}" for ratio in row["first_to_last"]),
        )
        for row in found["verdicts"]
    ]
    alarms = [
        (row["group"], f"{row['false_alarms']} of {row['networks']}", "; ".join(row["alarms"]) or "-")
        for row in found["controls"]
    ]
    networks, false = (sum(row[key] for row in found["controls"]) for key in ("networks", "false_alarms"))
    alarms.append(("all", f"{false} of {networks}", f"{false / networks:.1%}"))
    first, last = found["seeds"]
    return (
        f"\nSeeds {first} to {last}; {found['where']['backend']}, Keras {found['where']['versions']['keras']}.\n"
        + markdown("planted fault | a hit is | hits | rate", hits, "llrr")
        + markdown("network before training | expected | right | first / last gradient", verdicts, "llrr")
        + markdown("healthy networks | with a finding | which", alarms, "lrl")
    )
