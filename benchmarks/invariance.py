"""Write records of the accuracy and agreement of runs and weight sets on shifted and rotated test images.

    python benchmarks/invariance.py 'lenet*:emnist' --into results/invariance
    python benchmarks/invariance.py runs/reduction-lenet1-max-b0ae1d34ee

Each source is the directory of a run, or a wildcard for the weight sets included in kzoo. It uses all test images of
the recipe's split. Sources that already have a record are skipped. It measures no times, so the machine may be busy.
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
from kzoo.studies.checksums import SUMS, add_sums
from kzoo.studies.invariance import FOLDER, InvarianceRecord
from kzoo.training import records
from kzoo.training.build import load_parts

SHIFTS, ANGLES = (0, 1, 2, 3, 4), (0, 15, 30, 45)
TOLERANCE = 0.001
"""Largest allowed difference from the recorded accuracy on unchanged images: rounding depends on the processor."""


def sources(words: list[str]) -> list[Path | str]:
    """Return the directories of runs and the names of weight sets that the words select, in their order."""
    result: list[Path | str] = []
    for word in words:
        names = kzoo.list_weights(word) if ":" in word else []
        if not names and not Path(word, "result.json").is_file():
            raise SystemExit(f"{word!r} is neither the directory of a finished run nor the name of a weight set")
        result += names or [Path(word)]
    return result


def record_of(source: Path | str) -> records.RunRecord:
    """Return the record of a run, or of the run that a weight set was made from."""
    path = source / "result.json" if isinstance(source, Path) else find_set(source) / RECORD
    return records.read_result(path)


def model_of(source: Path | str) -> Any:
    """Return the trained model."""
    if isinstance(source, Path):
        return kzoo.Run(source).model
    name, _, tag = source.partition(":")
    return kzoo.create_model(name, weights=tag)


def measure(source: Path | str, run: records.RunRecord, data_dir: str | None) -> InvarianceRecord:
    """Evaluate a model on all test images, shifted and rotated."""
    data = load_parts(Recipe(**run.recipe), data_dir)
    if data.fingerprint != run.data["fingerprint"]:
        raise SystemExit(f"{source}: the images differ from those that it was trained on")
    result = invariance(model_of(source), data.test.images, data.test.labels, SHIFTS, ANGLES, name=run.name)
    assert run.test is not None
    accuracy, recorded = result.shift_accuracy[0], run.test.accuracy
    if abs(accuracy - recorded) > TOLERANCE:
        raise SystemExit(f"{source}: the accuracy is {accuracy:.4f}, but {recorded:.4f} in its record")
    import keras

    return InvarianceRecord(
        name=run.name,
        digest=run.digest,
        images=result.images,
        fill=result.fill,
        shifts=result.shifts,
        shift_accuracy=result.shift_accuracy,
        shift_agreement=result.shift_agreement,
        angles=result.angles,
        angle_accuracy=result.rotation_accuracy,
        angle_agreement=result.rotation_agreement,
        versions=records.versions(),
        backend=keras.backend.backend(),
        hardware=records.hardware(),
        git_commit=records.git_commit(),
    )


def write(record: InvarianceRecord, folder: Path) -> Path:
    """Write a record; if the folder belongs to the committed results, also record its checksum."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", record.name)
    path = folder / f"{name}-{record.digest}.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    if folder.name == FOLDER and (folder.parent / SUMS).is_file():
        add_sums(folder.parent, [path])
    return path


def main() -> None:
    """Measure and print the sources that have no record yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="RUN|MODEL:TAG")
    parser.add_argument("--into", type=Path, default=Path("results") / FOLDER)
    parser.add_argument("--data-dir")
    options = parser.parse_args()
    try:
        for source in sources(options.sources):
            run = record_of(source)
            if list(options.into.glob(f"*-{run.digest}.json")):
                print(f"{source}: already recorded", flush=True)
                continue
            record = measure(source, run, options.data_dir)
            shares = zip(SHIFTS, record.shift_agreement, strict=True), zip(ANGLES, record.angle_agreement, strict=True)
            shifts, angles = (", ".join(f"{size}: {share:.3f}" for size, share in pairs) for pairs in shares)
            path = write(record, options.into)
            print(f"{source}: agreement by pixels {shifts}; by degrees {angles}; written to {path}", flush=True)
    except KzooError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
