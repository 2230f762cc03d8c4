"""Runs side by side: in what their recipes differ, and what came of it (no Keras)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzoo import notebook
from kzoo.errors import InputError
from kzoo.recipes.text import flat, write
from kzoo.studies import metrics
from kzoo.training.records import Result, read_result

LEFT_OUT = ("name", "schema_version")
ROWS = (
    "test_accuracy",
    "best_val_accuracy",
    "best_epoch",
    "val_accuracy",
    "train_accuracy",
    "test_loss",
    "val_loss",
    "gap",
    "gradient_ratio_start",
    "gradient_ratio_end",
    "parameters",
    "peak_memory",
)


@dataclass(frozen=True)
class RunComparison:
    """Finished runs side by side.

    Attributes:
        labels: names the runs: the recipe's name, with what tells namesakes apart.
        places: the runs' directories or record files.
        records: their records.
    """

    labels: tuple[str, ...]
    places: tuple[Path, ...]
    records: tuple[Result, ...]

    def differences(self) -> list[tuple[str, ...]]:
        """The recipe fields in which the runs differ: the field, then its value in each run."""
        recipes = [flat(record.recipe) for record in self.records]
        rows = []
        for field in dict.fromkeys(key for recipe in recipes for key in recipe):
            values = [write(recipe[field]) if field in recipe else "-" for recipe in recipes]
            if field not in LEFT_OUT and len(set(values)) > 1:
                rows.append((field, *values))
        return rows

    def results(self) -> list[tuple[str, ...]]:
        """What came of the runs: the metric, then its value in each run; those that no run has are left out."""
        rows = []
        for name in ROWS:
            row = metrics.metric(name)
            found = [row.read(record) if record.status == "completed" else None for record in self.records]
            if any(value is not None for value in found):
                texts = ("-" if value is None else metrics.write(name, value) for value in found)
                rows.append((row.title, *texts))
        seconds = [record.seconds / record.epochs if record.epochs else None for record in self.records]
        rows.append(("seconds an epoch", *("-" if value is None else f"{value:,.2f}" for value in seconds)))
        return rows

    def notes(self) -> list[str]:
        """What a reader of the figures should know: other data, other machines, runs that failed."""
        found = [
            f"{label} failed: {record.reason or 'no reason is recorded'}."
            for label, record in zip(self.labels, self.records, strict=True)
            if record.status == "failed"
        ]
        if len({record.data["fingerprint"] for record in self.records}) > 1:
            found.append("The runs are on different data: their accuracies cannot be compared.")
        elif len({str(record.recipe.get("split")) + str(record.sizes.get("test")) for record in self.records}) > 1:
            found.append("The runs hold out different images: small differences of their accuracies say nothing.")
        found += [
            f"The code of model {name!r} changed between the runs: it is not the same network in all of them."
            for name in _changed_models(self.records)
        ]
        machines = {(s.processor, tuple(s.devices)) for record in self.records for s in record.segments}
        if len(machines) > 1:
            found.append("The runs were made on different machines: their times cannot be compared.")
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: runs, differences, results and notes."""
        return {
            "runs": [
                {"label": label, "path": str(place), "digest": record.digest}
                for label, place, record in zip(self.labels, self.places, self.records, strict=True)
            ],
            "differences": {row[0]: dict(zip(self.labels, row[1:], strict=True)) for row in self.differences()},
            "results": {row[0]: dict(zip(self.labels, row[1:], strict=True)) for row in self.results()},
            "notes": self.notes(),
        }

    def __repr__(self) -> str:
        return f"RunComparison of {', '.join(self.labels)}: they differ in {len(self.differences())} fields"

    def _repr_html_(self) -> str:
        curves = ("validation accuracy", *(notebook.curve(r.history.get("val_accuracy", ())) for r in self.records))
        notes = "".join(f"<div>{note}</div>" for note in map(notebook.escape, self.notes()))
        parts = [
            notebook.heading("Recipes differ in" if self.differences() else "The recipes are the same"),
            notebook.table(("field", *self.labels), self.differences()) if self.differences() else "",
            notebook.heading("Results"),
            notebook.table(("", *self.labels), [*self.results(), curves]),
            notes,
        ]
        return "".join(parts)


def compare(*runs: Any) -> RunComparison:
    """Put runs side by side.

    Args:
        *runs: two or more finished runs: a `Run`, a run's directory, or a record's file.

    Raises:
        InputError: fewer than two, one given twice, or one that is not finished or cannot be read.
    """
    if len(runs) < 2:
        raise InputError(f"compare takes two runs or more, not {len(runs)}")
    places = tuple(Path(getattr(run, "directory", run)) for run in runs)
    records = tuple(map(_record, places))
    if len({path.resolve() for path in places}) < len(places):
        raise InputError("compare was given the same run twice")
    return RunComparison(_labels(places, records), places, records)


def _record(place: Path) -> Result:
    if place.is_file():
        return read_result(place)
    if not (place / "recipe.json").is_file():
        raise InputError(f"{str(place)!r} is not a run: it has no recipe.json")
    if not (place / "result.json").is_file():
        raise InputError(f"run {str(place)!r} is not finished: kzoo resume {place}")
    return read_result(place / "result.json")


def _labels(places: Sequence[Path], records: Sequence[Result]) -> tuple[str, ...]:
    """The recipe's name where it tells the runs apart, then with the seed, else the directories' names."""
    names = [record.name for record in records]
    with_seed = [f"{record.name} seed {record.recipe['seed']}" for record in records]
    for found in (names, with_seed, [place.stem if place.is_file() else place.name for place in places]):
        if len(set(found)) == len(found):
            return tuple(found)
    return tuple(map(str, places))


def _changed_models(records: Sequence[Result]) -> list[str]:
    """Names of models of the user's own that stand for several among the runs, as far as their records tell."""
    kinds: dict[str, set[str]] = {}
    for record in records:
        described = (record.origin or {}).get("model")
        if described:
            # What decides how a model is written down, beside its code.
            options = [record.recipe.get("model_options"), record.data["image_shape"], len(record.data["class_names"])]
            key = json.dumps([record.recipe["model"], options, described["made_with"]], sort_keys=True)
            kinds.setdefault(key, set()).add(json.dumps([described["layers"], described["code"]], sort_keys=True))
    return list(dict.fromkeys(json.loads(key)[0] for key, found in kinds.items() if len(found) > 1))
