"""Accuracy and agreement on shifted and turned test images, of trained runs and sets of weights, as records.

    python benchmarks/invariance.py 'lenet*:emnist' --into results/invariance
    python benchmarks/invariance.py runs/reduction-lenet1-max-b0ae1d34ee

Each source is a run's directory, or a wildcard on the sets that come with kzoo. All test images are asked, as the
recipe splits them. Sources whose record is there already are passed over. Nothing is timed: run it at any hour.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import kzoo
from kzoo.diagnostics.invariance import invariance
from kzoo.errors import KzooError
from kzoo.models.weight_sets import RECORD, find_set
from kzoo.recipes.schema import Recipe
from kzoo.studies.collecting import SUMS, add_sums
from kzoo.studies.invariance import FOLDER, InvarianceRecord
from kzoo.training import records
from kzoo.training.build import load_parts

SHIFTS, ANGLES = (0, 1, 2, 3, 4), (0, 15, 30, 45)
SAME = 0.001
"""How far the accuracy on images as they are may be from the record's: other processors round otherwise."""


def sources(words: list[str]) -> list[Path | str]:
    """Runs' directories and names of sets, in the order given."""
    found: list[Path | str] = []
    for word in words:
        names = kzoo.list_weights(word) if ":" in word else []
        if not names and not Path(word, "result.json").is_file():
            raise SystemExit(f"{word!r} is neither a finished run's directory nor the name of a set of weights")
        found += names or [Path(word)]
    return found


def record_of(source: Path | str) -> records.RunRecord:
    """The record of a run, or of the run that a set was made of."""
    path = source / "result.json" if isinstance(source, Path) else find_set(source) / RECORD
    return records.read_result(path)


def model_of(source: Path | str) -> Any:
    """The trained model."""
    if isinstance(source, Path):
        return kzoo.Run(source).model
    name, _, tag = source.partition(":")
    return kzoo.create_model(name, weights=tag)


def measure(source: Path | str, run: records.RunRecord, data_dir: str | None) -> InvarianceRecord:
    """Ask a model for all test images, moved and turned."""
    data = load_parts(Recipe(**run.recipe), data_dir)
    if data.fingerprint != run.data["fingerprint"]:
        raise SystemExit(f"{source}: the images here are not those that it was trained on")
    found = invariance(model_of(source), data.test.images, data.test.labels, SHIFTS, ANGLES, name=run.name)
    assert run.test is not None
    if abs(found.shift_accuracy[0] - run.test.accuracy) > SAME:
        raise SystemExit(f"{source}: accuracy {found.shift_accuracy[0]:.4f}, and {run.test.accuracy:.4f} in its record")
    import keras

    return InvarianceRecord(
        name=run.name,
        digest=run.digest,
        images=found.images,
        fill=found.fill,
        shifts=found.shifts,
        shift_accuracy=found.shift_accuracy,
        shift_agreement=found.shift_agreement,
        angles=found.angles,
        angle_accuracy=found.rotation_accuracy,
        angle_agreement=found.rotation_agreement,
        versions=records.versions(),
        backend=keras.backend.backend(),
        hardware=records.hardware(),
        git_commit=records.git_commit(),
    )


def keep(record: InvarianceRecord, folder: Path) -> Path:
    """Write a record, and its checksum where the folder is one of committed results."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", record.name)
    path = folder / f"{name}-{record.digest}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    if folder.name == FOLDER and (folder.parent / SUMS).is_file():
        add_sums(folder.parent, [path])
    return path


def main() -> None:
    """Measure what has no record yet, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="RUN|MODEL:TAG")
    parser.add_argument("--into", type=Path, default=Path("results") / FOLDER)
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    try:
        for source in sources(options.sources):
            run = record_of(source)
            if list(options.into.glob(f"*-{run.digest}.json")):
                print(f"{source}: its record is there", flush=True)
                continue
            record = measure(source, run, options.data_dir)
            shares = zip(SHIFTS, record.shift_agreement, strict=True), zip(ANGLES, record.angle_agreement, strict=True)
            shift, turn = (", ".join(f"{size} {share:.3f}" for size, share in pairs) for pairs in shares)
            print(
                f"{source}: same predictions by pixels {shift}, by degrees {turn}; {keep(record, options.into)}",
                flush=True,
            )
    except KzooError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
