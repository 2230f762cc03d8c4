"""Writes the last result of a part of ``.ci/full`` into ``.ci/last-full.md``.

Usage: ``python .ci/note.py PART COMMIT EXIT_STATUS SECONDS LOG``. Counts are those of pytest's summary lines
in the log.
"""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

TABLE = Path(__file__).with_name("last-full.md")
HEAD = """# The last result of each part of `.ci/full`

Written by `.ci/full` on a checkout without changes.

| part | date | commit | passed | failed | skipped | minutes |
| --- | --- | --- | ---: | ---: | ---: | ---: |
"""
SUMMARY = re.compile(r"^(?=.*\b(?:passed|failed|error|skipped)).* in [\d.]+s\b.*$", re.MULTILINE)


def counts(log: str) -> tuple[int, int, int]:
    """Tests that passed, that failed or broke, and that were skipped, summed over all of pytest's summary lines."""
    found = [dict.fromkeys(("passed", "failed", "error", "skipped"), 0)]
    for line in SUMMARY.findall(log):
        found.append({kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|error|skipped)", line)})
    total = {kind: sum(each.get(kind, 0) for each in found) for kind in found[0]}
    return total["passed"], total["failed"] + total["error"], total["skipped"]


def updated(table: str, row: str) -> str:
    """The table with the row of one part replaced or added; rows are sorted by part."""
    part = row.split("|")[1]
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith(("| part ", "| --- "))]
    rows = [line for line in rows if line.split("|")[1] != part]
    return HEAD + "\n".join(sorted([*rows, row])) + "\n"


def main() -> None:
    part, commit, status, seconds, log = sys.argv[1:]
    passed, failed, skipped = counts(Path(log).read_text(encoding="utf-8", errors="replace"))
    # A part may fail where no test does: ruff, a crash, a time limit.
    failure = failed or (f"exit status {status}" if status != "0" else 0)
    day = datetime.now(UTC).strftime("%Y-%m-%d")
    row = f"| {part} | {day} | {commit} | {passed} | {failure} | {skipped} | {int(seconds) / 60:.1f} |"
    TABLE.write_text(updated(TABLE.read_text(encoding="utf-8") if TABLE.exists() else "", row), encoding="utf-8")
    print(row)


if __name__ == "__main__":
    main()
