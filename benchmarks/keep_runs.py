"""Collect the results of finished runs of a long computation: records, weight sets, invariance and tables.

    python benchmarks/keep_runs.py ../frozen/runs

Run it as often as you like while other runs are still training: it skips runs that are already collected, and it writes
nothing to the runs. For each finished run of a study, it

1. copies the record to `results/` with a checksum, as `kzoo study collect` does;
2. makes a weight set, or replaces a packaged one that was trained for fewer epochs, but only if the recipe (including
   seed and options) is a report's first one for its model and dataset;
3. measures the accuracy on shifted and rotated test images, if a study's claims need it (takes minutes per run and
   needs the data, `KZOO_DATA_DIR`; `--no-invariance` skips it).

Then docs/generate.py updates the tables. An older kzoo may have trained the runs: each record includes the commit.
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
"""Weight sets with more parameters are stored as float16, which needs the data (`KZOO_DATA_DIR`)."""


def collect_records(runs: Path, results: Path) -> list[Path]:
    """Copy the records of finished runs of all studies, and return the new files."""
    new: list[Path] = []
    for name in kzoo.list_studies():
        copied, problems = collect(kzoo.study(name), runs, results)
        new += copied
        for problem in problems:
            print(f"warning: {problem}", file=sys.stderr)
    return new


def publishable(item: RecordFile) -> bool:
    """Return whether a run's weights represent its model: its recipe is a report's first one for the model and dataset.

    Later recipes of the same model and dataset are variations of a study: their weight sets need other tags (see
    ``kzoo weights save --tag``).
    """
    recipe = item.recipe
    if item.record.status != "completed" or recipe.model_options:
        return False
    named = map(get_recipe, kzoo.list_recipes())
    same = (other for other in named if (other.model, other.dataset) == (recipe.model, recipe.dataset))
    first = next((other for other in same if not other.name.startswith("default/")), None)
    return first is not None and first.digest() == item.digest


def update_set(item: RecordFile, sets: Path) -> str:
    """Make a weight set of a run, unless one with as many epochs exists; return a message, empty if nothing changed."""
    directory = sets / item.recipe.model / item.recipe.dataset
    name = f"{item.recipe.model}:{item.recipe.dataset}"
    replaced = ""
    if directory.exists():
        existing = describe(directory, name)
        if existing.digest == item.digest or existing.epochs >= item.record.epochs:
            return ""
        replaced = f", replaces one of {existing.epochs}"
    new = directory.with_name(f".new-{directory.name}")
    shutil.rmtree(new, ignore_errors=True)
    kzoo.save_weights_set(item.path.parent, new, tag=item.recipe.dataset, half=item.record.parameters > LARGE)
    shutil.rmtree(directory, ignore_errors=True)
    new.rename(directory)
    return f"weight set {name} has {item.record.epochs} epochs{replaced}"


def needing_invariance() -> set[str]:
    """Return the digests of the runs that claims compare by their predictions for shifted or rotated images."""
    digests = set()
    for study in map(kzoo.study, kzoo.list_studies()):
        for part in (part for claim in study.claims for part in claim.parts):
            metric = getattr(part, "metric", "")
            if metric and metrics.metric(metric).source == "invariance":
                digests |= {study.entry(label).recipe.digest() for label in part.labels}
    return digests


def summary(item: RecordFile) -> str:
    """Return a summary of a finished run in one line: result, hours and segments."""
    record = item.record
    score = f"test accuracy {record.test.accuracy:.4f}" if record.test else f"failed: {record.reason}"
    segments = f"{len(record.segments)} segment{'s' * (len(record.segments) != 1)}"
    return (
        f"{record.name} seed {record.recipe['seed']}: {score}, {record.epochs} epochs in "
        f"{record.seconds / 3600:.2f} h, {segments}, commit {(record.git_commit or 'unknown')[:10]}"
    )


def main() -> None:
    """Collect new results, update the tables, and print what changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    parser.add_argument("--sets", type=Path, default=PACKAGED, help="directory of the weight sets")
    parser.add_argument("--no-invariance", action="store_true")
    parser.add_argument("--no-tables", action="store_true")
    options = parser.parse_args()
    try:
        for path in collect_records(options.runs, options.results):
            print(f"collected {path}")
        finished = [item for item in read_records([options.runs]).files if item.in_run]
        for item in finished:
            print(summary(item))
            message = update_set(item, options.sets) if publishable(item) else ""
            if message:
                print(message)
    except KzooError as error:
        parser.error(str(error))

    # Each script runs in a separate process, so that it prints its messages and errors as usual.
    python = [sys.executable]
    digests = needing_invariance()
    completed = [item for item in finished if item.record.status == "completed"]
    runs = [str(item.path.parent) for item in completed if item.digest in digests]
    if runs and not options.no_invariance:
        into = ["--into", str(options.results / FOLDER)]
        subprocess.run([*python, str(ROOT / "benchmarks" / "invariance.py"), *runs, *into], check=True)
    if not options.no_tables:
        subprocess.run([*python, str(ROOT / "docs" / "generate.py")], check=True)


if __name__ == "__main__":
    main()
