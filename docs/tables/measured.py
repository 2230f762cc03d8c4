"""Tables of docs/convolution.md, docs/doctor.md and docs/export.md, from the measurements in docs/.

These commands make the measurements and pictures:

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
    """Return one block: the conditions of the measurement, or a table."""
    from benchmarks.convolution import tables
    from benchmarks.convolution.compare import Comparison

    comparison = Comparison.from_file(DOCS / "convolution.json")
    if block == "where":
        where = comparison.where
        hardware, versions = where["hardware"], where["versions"]
        quick = " (--quick)" if comparison.quick else ""
        names = ", ".join(f"{name} {version}" for name, version in versions.items())
        return (
            f"\nMeasured on {hardware['processor']} ({', '.join(hardware['processor_features'])}), "
            f"{hardware['cores']} cores, float32, {comparison.rounds} rounds{quick}; {names}. "
            f"The load was {where['load_at_start']} at the start.\n\n"
        )
    makers = {
        "ratios": tables.ratio_rows,
        "growth": tables.growth_rows,
        "crossing": tables.crossing_rows,
        "memory": tables.memory,
        "claims": tables.claim_rows,
    }
    title, header, rows = makers[block](comparison)
    caption = "" if block == "claims" else f"\n{title[0].upper()}{title[1:]}:\n"
    left = {"claims": 4, "memory": 2}.get(block, 1)
    align = "l" * left + "r" * (len(header) - left)
    return caption + markdown(" | ".join(name or "algorithm" for name in header), rows, align)


def inference() -> str:
    """Return tables of the time of a call in each format: median milliseconds, and the speed relative to `predict`."""
    report = json.loads((DOCS / "inference.json").read_text(encoding="utf-8"))
    networks, versions = report["networks"], report["versions"]
    where = ", ".join(f"{name} {version}" for name, version in versions.items() if name not in ("kzoo", "jax"))
    text = (
        f"\nMeasured on {report['hardware']['processor']}, {report['settings']['threads']} threads, float32, "
        f"{report['settings']['rounds']} rounds; {where}. Median milliseconds a call, and how many times as fast as "
        "`predict` (median of the rounds' ratios).\n"
    )
    for batch in ("1", "64"):
        calls = {name: network["milliseconds"][batch] for name, network in networks.items()}
        rows = []
        for contender in next(iter(calls.values())):
            cells = []
            for times in calls.values():
                ratio = statistics.median(a / b for a, b in zip(times["predict"], times[contender], strict=True))
                decimals = 2 if ratio < 2 else 1 if ratio < 100 else 0
                cells.append(f"{statistics.median(times[contender]):.3g} ({ratio:,.{decimals}f}x)")
            rows.append((contender, *cells))
        header = " | ".join([f"batch {batch}", *calls])
        text += "\n" + markdown(header, rows, "l" + "r" * len(calls)).strip() + "\n"
    return text + "\n"


def doctor_rates() -> str:
    """Return tables of how often the doctor was right, as measured by benchmarks/doctor_rates.py."""
    report = json.loads((DOCS / "doctor-rates.json").read_text(encoding="utf-8"))
    hits = [
        (row["fault"], ", ".join(row["kinds"]), f"{row['hits']} of {row['draws']}", f"{row['hits'] / row['draws']:.0%}")
        for row in report["faults"]
    ]
    verdicts = [
        (
            f"`{row['network']}`",
            row["expected"],
            f"{row['right']} of {row['draws']}",
            " to ".join(f"{float(f'{ratio:.2g}'):g}" for ratio in row["first_to_last"]),
        )
        for row in report["verdicts"]
    ]
    alarms = [
        (row["group"], f"{row['false_alarms']} of {row['networks']}", "; ".join(row["alarms"]) or "-")
        for row in report["controls"]
    ]
    networks, false = (sum(row[key] for row in report["controls"]) for key in ("networks", "false_alarms"))
    alarms.append(("all", f"{false} of {networks}", f"{false / networks:.1%}"))
    first, last = report["seeds"]
    return (
        f"\nSeeds {first} to {last}; {report['where']['backend']}, Keras {report['where']['versions']['keras']}.\n"
        + markdown("planted fault | a hit is | hits | rate", hits, "llrr")
        + markdown("network before training | expected | right | first / last gradient", verdicts, "llrr")
        + markdown("healthy networks | with a finding | which", alarms, "lrl")
    )
