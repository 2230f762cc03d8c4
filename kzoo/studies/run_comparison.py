"""Runs side by side: the fields in which their recipes differ, and their results (no Keras)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kzoo import notebook
from kzoo.errors import InputError
from kzoo.recipes.nested import flat_recipe
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import write
from kzoo.studies import metrics
from kzoo.training.finding import check_run
from kzoo.training.records import RunRecord, read_result, read_run

LEFT_OUT = ("name", "schema_version")
METRICS = (
    "test_accuracy",
    "test_tta_accuracy",
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


def whole(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A record's recipe with the fields that recipes did not have yet when the record was written, at their defaults.

    A recipe with a part that is not registered here is returned as it is.
    """
    try:
        return Recipe.from_json(json.dumps(fields)).model_dump(mode="json")
    except InputError:
        return dict(fields)


@dataclass(frozen=True)
class RunComparison:
    """Finished runs side by side.

    Attributes:
        labels: names of the runs: the recipe's name, with the seed or the directory if several have the same recipe.
        paths: the runs' directories or record files.
        records: their records.
    """

    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    records: tuple[RunRecord, ...]

    def differences(self) -> list[tuple[str, ...]]:
        """The recipe fields in which the runs differ: the field, then its value in each run."""
        recipes = [flat_recipe(whole(record.recipe)) for record in self.records]
        rows = []
        for field in dict.fromkeys(key for recipe in recipes for key in recipe):
            values = [json.dumps(recipe[field], sort_keys=True) if field in recipe else "" for recipe in recipes]
            if field not in LEFT_OUT and len(set(values)) > 1:
                rows.append((field, *(write(recipe[field]) if field in recipe else "-" for recipe in recipes)))
        return rows

    def results(self) -> list[tuple[str, ...]]:
        """The results: the metric, then its value in each run, without metrics that no run has."""
        rows = []
        for name in METRICS:
            metric = metrics.metric(name)
            values = [metric.read(record) if record.status == "completed" else None for record in self.records]
            if any(value is not None for value in values):
                rows.append((metric.title, *("-" if value is None else metrics.write(name, value) for value in values)))
        seconds = [record.seconds / record.epochs if record.epochs else None for record in self.records]
        rows.append(("seconds per epoch", *("-" if value is None else f"{value:,.2f}" for value in seconds)))
        return rows

    def notes(self) -> list[str]:
        """Remarks for readers of the results: different data, different machines, failed runs."""
        notes = [
            f"{label} failed: {record.reason or 'no reason is recorded'}."
            for label, record in zip(self.labels, self.records, strict=True)
            if record.status == "failed"
        ]
        if len({record.data["fingerprint"] for record in self.records}) > 1:
            notes.append("The runs are on different data: their accuracies cannot be compared.")
        elif len({(str(whole(r.recipe).get("split")), r.sizes.get("test")) for r in self.records}) > 1:
            notes.append("The runs hold out different images: small differences between their accuracies mean nothing.")
        notes += [
            f"The code of model {name!r} changed between the runs: it is not the same network in all of them."
            for name in _changed_models(self.records)
        ]
        machines = {(s.processor, tuple(s.devices)) for record in self.records for s in record.segments}
        if len(machines) > 1:
            notes.append("The runs were made on different machines: their times cannot be compared.")
        return notes

    def to_dict(self) -> dict[str, Any]:
        """As JSON data: runs, differences, results and notes."""
        return {
            "runs": [
                {"label": label, "path": str(path), "digest": record.digest}
                for label, path, record in zip(self.labels, self.paths, self.records, strict=True)
            ],
            "differences": {row[0]: dict(zip(self.labels, row[1:], strict=True)) for row in self.differences()},
            "results": {row[0]: dict(zip(self.labels, row[1:], strict=True)) for row in self.results()},
            "notes": self.notes(),
        }

    def __repr__(self) -> str:
        number = len(self.differences())
        return f"RunComparison of {', '.join(self.labels)}: they differ in {number} field{'' if number == 1 else 's'}"

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
    """Compare runs side by side.

    Args:
        *runs: two or more finished runs: a `Run`, a run's directory, or a record's file.

    Raises:
        InputError: there are fewer than two runs, one occurs twice, or one is not finished or cannot be read.

    Example:
        >>> longer = kzoo.train("lenet1-max", dataset="digits", epochs=2, progress=False)
        >>> kzoo.compare(run, longer).differences()
        [('epochs', '1', '2')]
    """
    if len(runs) < 2:
        raise InputError(f"compare takes two runs or more, not {len(runs)}")
    paths = tuple(Path(getattr(run, "directory", run)) for run in runs)
    records = tuple(map(_record, paths))
    files = {(path / "result.json" if path.is_dir() else path).resolve() for path in paths}
    if len(files) < len(paths):
        raise InputError("compare was given the same run twice")
    return RunComparison(run_labels(paths, records), paths, records)


def _record(path: Path) -> RunRecord:
    if path.is_file():
        return read_result(path)
    return read_run(check_run(path))


def run_labels(paths: Sequence[Path], records: Sequence[RunRecord]) -> tuple[str, ...]:
    """The first that differ: the recipes' names, these with the seeds, the directories' names, or the paths."""
    names = [record.name for record in records]
    with_seed = [f"{record.name} seed {record.recipe['seed']}" for record in records]
    for labels in (names, with_seed, [path.stem if path.is_file() else path.name for path in paths]):
        if len(set(labels)) == len(labels):
            return tuple(labels)
    return tuple(map(str, paths))


def _changed_models(records: Sequence[RunRecord]) -> list[str]:
    """Names of custom models whose code differs between the runs, according to their records."""
    kinds: dict[str, set[str]] = {}
    for record in records:
        described = (record.origin or {}).get("model")
        if described:
            # Besides its code, these decide how a model is described.
            options = [record.recipe.get("model_options"), record.data["image_shape"], len(record.data["class_names"])]
            key = json.dumps([record.recipe["model"], options, described["made_with"]], sort_keys=True)
            kinds.setdefault(key, set()).add(json.dumps([described["layers"], described["code"]], sort_keys=True))
    return list(dict.fromkeys(json.loads(key)[0] for key, codes in kinds.items() if len(codes) > 1))
