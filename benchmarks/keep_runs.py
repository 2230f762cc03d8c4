"""Keep what a long computation has finished: records, sets of weights, invariance, and the tables made of them.

    python benchmarks/keep_runs.py ../frozen/runs

Give it the directory of runs as often as you like while they are being trained: what is kept already is passed over,
and nothing is written to the runs. For each finished run of a study

1. its record is copied to `results/` with a checksum, as `kzoo study collect` does;
2. a set of weights is made of it, or replaces the packaged one that was trained for fewer epochs, if it is unchanged
   (seed and options too) the first recipe of a report for its model and dataset;
3. accuracy on shifted and turned test images is measured, if a study's claims ask for it (`--no-invariance` leaves that
   for later: it takes minutes a run and needs the data, `KZOO_DATA_DIR`);

then docs/generate.py makes the tables anew. The runs may have been trained by an older kzoo: a record names its commit.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import kzoo
from kzoo.errors import KzooError
from kzoo.models.weight_sets import PACKAGED, describe
from kzoo.recipes import get_recipe
from kzoo.studies import metrics
from kzoo.studies.collecting import collect
from kzoo.studies.invariance import FOLDER
from kzoo.studies.records import RecordFile, read_records

ROOT = Path(__file__).resolve().parents[1]
LARGE = 1_000_000
"""Parameters above which a set is stored as float16, which needs the data (`KZOO_DATA_DIR`)."""


def keep_records(runs: Path, results: Path) -> list[Path]:
    """Copy the records of finished runs of any study; the new files."""
    new: list[Path] = []
    for name in kzoo.list_studies():
        copied, problems = collect(kzoo.study(name), runs, results)
        new += copied
        for problem in problems:
            print(f"warning: {problem}", file=sys.stderr)
    return new


def publishable(item: RecordFile) -> bool:
    """Whether a run's weights stand for its model: it is, unchanged, the first recipe of a report that trains it so.

    Later recipes of the same model and dataset are variations of a study: a set of theirs needs a tag of its own, given
    by ``kzoo weights save --tag``.
    """
    ours = item.recipe
    if item.record.status != "completed" or ours.model_options:
        return False
    named = map(get_recipe, kzoo.list_recipes())
    same = (row for row in named if (row.model, row.dataset) == (ours.model, ours.dataset))
    first = next((row for row in same if not row.name.startswith("default/")), None)
    return first is not None and first.digest() == item.digest


def keep_set(item: RecordFile, sets: Path) -> str:
    """Make a run's weights a set, where there is none yet or one of fewer epochs; what was done, as a sentence."""
    place = sets / item.recipe.model / item.recipe.dataset
    name = f"{item.recipe.model}:{item.recipe.dataset}"
    if place.exists():
        there = describe(place, name)
        if there.digest == item.digest or there.epochs >= item.record.epochs:
            return ""
    new = place.with_name(f".new-{place.name}")
    shutil.rmtree(new, ignore_errors=True)
    kzoo.save_weights_set(item.path.parent, new, tag=item.recipe.dataset, half=item.record.parameters > LARGE)
    before = f", in place of {describe(place, name).epochs}" if place.exists() else ""
    shutil.rmtree(place, ignore_errors=True)
    new.rename(place)
    return f"set {name} is of {item.record.epochs} epochs{before}"


def asked_for() -> set[str]:
    """Digests of the runs that claims compare by their answers to shifted or turned images."""
    found = set()
    for row in map(kzoo.study, kzoo.list_studies()):
        for test in (part for claim in row.claims for part in claim.parts):
            metric = getattr(test, "metric", "")
            if metric and metrics.metric(metric).source == "invariance":
                found |= {row.entry(label).recipe.digest() for label in test.labels}
    return found


def told(item: RecordFile) -> str:
    """A finished run in one line: its result, hours and segments."""
    record = item.record
    score = f"test accuracy {record.test.accuracy:.4f}" if record.test else f"failed: {record.reason}"
    parts = f"{len(record.segments)} segment{'s' * (len(record.segments) != 1)}"
    return (
        f"{record.name} seed {record.recipe['seed']}: {score}, {record.epochs} epochs in "
        f"{record.seconds / 3600:.2f} h, {parts}, commit {(record.git_commit or 'unknown')[:10]}"
    )


def main() -> None:
    """Keep what is new, make the tables, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--sets", type=Path, default=PACKAGED, help="where sets of weights are")
    parser.add_argument("--no-invariance", action="store_true")
    parser.add_argument("--no-tables", action="store_true")
    options = parser.parse_args()
    try:
        for path in keep_records(options.runs, options.results):
            print(f"kept {path}")
        finished = [item for item in read_records([options.runs]).files if item.in_run]
        for item in finished:
            print(told(item))
            done = keep_set(item, options.sets) if publishable(item) else ""
            if done:
                print(done)
    except KzooError as error:
        parser.error(str(error))

    # Each in a process of its own, so that a script's own messages and errors stay its own.
    python = [sys.executable]
    asked = asked_for()
    moved = [str(item.path.parent) for item in finished if item.digest in asked and item.record.status == "completed"]
    if moved and not options.no_invariance:
        into = ["--into", str(options.results / FOLDER)]
        subprocess.run([*python, str(ROOT / "benchmarks" / "invariance.py"), *moved, *into], check=True)
    if not options.no_tables:
        subprocess.run([*python, str(ROOT / "docs" / "generate.py")], check=True)


if __name__ == "__main__":
    main()
