"""Records of runs, grouped by study and budget (no Keras)."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.studies import budget, metrics, selection
from kzoo.studies.invariance import InvarianceRecord
from kzoo.studies.known_runs import superseded
from kzoo.studies.record_files import RecordFile, RecordFiles, read_records
from kzoo.studies.study import Study
from kzoo.training.records import RunRecord

__all__ = ["BudgetRecords", "RecordFile", "RecordFiles", "StudyRecords", "read_records", "study_records"]

DATA_FIELDS = ("dataset", "class_names", "split", "train_size", "image_size", "background")
"""Fields of a recipe that select the images of a run."""
COMPARABLE = ("dataset", "class_names", "image_size")
"""Fields in which a run must agree with its entry to be compared with the report."""


class BudgetRecords:
    """The records of one study at one budget.

    Attributes:
        study: the study.
        budget: the budget's label, ``"full"`` or e.g. ``"epochs=15, train_size=10000"``.
    """

    def __init__(
        self,
        study: Study,
        budget: str = budget.FULL,
        records: Mapping[str, Sequence[RunRecord]] | None = None,
        ratios: Mapping[str, float] | None = None,
        invariance: Mapping[str, InvarianceRecord] | None = None,
    ) -> None:
        """Hold `records` and `ratios` by the labels of the study's entries, `invariance` by the digests of runs."""
        self.study, self.budget = study, budget
        self._records = {label: list(runs) for label, runs in (records or {}).items()}
        self._ratios = dict(ratios or {})
        self._invariance = dict(invariance or {})

    def records(self, label: str) -> list[RunRecord]:
        """The records of an entry, one for each seed, by seed."""
        self.study.entry(label)
        return sorted(self._records.get(label, []), key=lambda record: record.recipe["seed"])

    def completed(self, label: str) -> list[RunRecord]:
        """The records of an entry's runs that did not fail, by seed."""
        return [record for record in self.records(label) if record.status == "completed"]

    def has(self, *labels: str) -> bool:
        """Whether each of the entries has a record, even one of a failed run."""
        return all(self.records(label) for label in labels)

    def failed(self, label: str) -> bool:
        """Whether an entry has records, all of them of failed runs."""
        return bool(self.records(label)) and not self.completed(label)

    def values(self, label: str, metric: str) -> list[float]:
        """A metric of an entry, one value for each seed, without failed runs and runs that do not have it."""
        definition = metrics.metric(metric)
        values: Iterable[float | None]
        if definition.source == "epoch time":
            values = [self._ratios.get(label)]
        elif definition.change is not None:
            measured = [self._invariance.get(record.digest) for record in self.records(label)]
            values = [record.at(*definition.change) for record in measured if record is not None]
        else:
            values = map(definition.read, self.completed(label))
        return [float(value) for value in values if value is not None]

    def mean(self, label: str, metric: str) -> float:
        """The mean of a metric over seeds.

        Raises:
            InputError: no record of the entry has it.
        """
        values = self.values(label, metric)
        if not values:
            raise InputError(f"study {self.study.name!r} has no {metric} of {label!r} at budget {self.budget!r}")
        return statistics.fmean(values)

    def sd(self, label: str, metric: str) -> float | None:
        """The standard deviation of a metric over seeds (n - 1 in the denominator); None for fewer than two seeds."""
        values = self.values(label, metric)
        return statistics.stdev(values) if len(values) > 1 else None

    def chance(self, label: str) -> float:
        """The accuracy of guessing: one over the number of classes."""
        return 1 / len(self.records(label)[0].data["class_names"])

    def images(self, label: str, part: str) -> int:
        """The number of images in a part of an entry's data; 0 if the record does not have it."""
        return self.records(label)[0].sizes.get(part, 0)

    def on_other_images(self, label: str) -> bool:
        """Whether an entry's runs used a different selection of the dataset from the published one."""
        return any(map(selection.on_other_images, self.records(label)))

    def on_its_data(self, label: str) -> bool:
        """Whether an entry's runs used its own dataset, classes and image size, so that the report's values compare."""
        own = self.study.entry(label).recipe.resolved().model_dump(mode="json", include=set(COMPARABLE))
        return all(record.recipe.get(field) == own[field] for record in self.records(label) for field in COMPARABLE)

    def with_its_settings(self, label: str) -> bool:
        """Whether an entry's runs differ from its recipe at most in how long they trained and on how many images."""
        own = budget.leaves(self.study.entry(label).recipe)
        theirs = (budget.leaves(Recipe(**record.recipe)) for record in self.records(label))
        return all(budget.only_length(set(budget.changed_fields(own, fields)) - {"seed"}) for fields in theirs)

    @property
    def recorded(self) -> tuple[str, ...]:
        """Labels of the entries that have records, in the study's order."""
        return tuple(label for label in self.study.labels if self._records.get(label))


@dataclasses.dataclass(frozen=True)
class StudyRecords:
    """The records of one study.

    Attributes:
        budgets: the records by budget label. Budgets with runs of the user come before budgets with committed records
            only; in each group, the full budget comes first, then the budgets with the most records.
        files: the records' files, by budget label.
        problems: one sentence for each file that cannot be used here.
    """

    budgets: Mapping[str, BudgetRecords]
    files: Mapping[str, tuple[RecordFile, ...]]
    problems: tuple[str, ...]

    @property
    def every_file(self) -> Iterable[RecordFile]:
        """The files of all budgets."""
        return (file for group in self.files.values() for file in group)

    def has_runs(self, label: str) -> bool:
        """Whether a budget has a record that lies in its run's directory."""
        return any(file.in_run for file in self.files[label])


def _other_images(files: Iterable[RecordFile]) -> list[str]:
    """One sentence for each dataset and split whose records used different images."""
    seen: dict[str, dict[str, Path]] = {}
    for file in files:
        fields = file.recipe.model_dump(mode="json", include=set(DATA_FIELDS))
        seen.setdefault(json.dumps(fields, sort_keys=True), {}).setdefault(file.fingerprint, file.path)
    return [
        f"records {' and '.join(repr(str(path)) for path in paths.values())} used the same dataset and split, but "
        f"different images (fingerprints {', '.join(key[:10] for key in paths)}): they cannot be compared"
        for paths in seen.values()
        if len(paths) > 1
    ]


def _own_ratios(study: Study, records: RecordFiles) -> tuple[dict[str, float], list[str]]:
    """Epoch times of the study's present recipes, and a sentence on those of others."""
    measured = records.ratios.get(study.name, {})
    digests = {entry.label: entry.recipe.digest() for entry in study.entries}
    others = [label for label, ratio in measured.items() if ratio.digest not in (None, digests.get(label))]
    return {label: ratio.value for label, ratio in measured.items() if label not in others}, [
        f"the epoch time of {label!r} was measured with another recipe than that of study {study.name!r}: it is left "
        "out (benchmarks/epoch_time.py measures it again)"
        for label in others
    ]


def study_records(study: Study, records: RecordFiles) -> StudyRecords:
    """Select the records of a study and group them by budget.

    Problems are files that cannot be read, records named after one of the study's recipes that no budget explains,
    records of an earlier version of their initial weights if there is one of the present version, all but the first of
    the records of an entry at one budget with one seed, and records of the same data that used different images.
    """
    names = {entry.recipe.name for entry in study.entries}
    groups: dict[str, dict[str, list[RunRecord]]] = {}
    files: dict[str, list[RecordFile]] = {}
    seeds: dict[tuple[str, str, int], RecordFile] = {}
    untimed: set[str] = set()  # epoch times that were measured with the study's own settings do not apply to others
    problems, old = list(records.problems), superseded(records.files)

    # A record belongs to the entries from which it differs by the fewest fields.
    for file in records.files:
        differences = {entry.label: budget.budget(study, entry, file.recipe) for entry in study.entries}
        fitting = {label: changes for label, changes in differences.items() if changes is not None}
        if not fitting and file.recipe.name in names:
            problems.append(
                f"record {str(file.path)!r} is named {file.recipe.name!r}, but its recipe is not the one of that name "
                f"in study {study.name!r}: it is left out"
            )
        if fitting and file.path in old:
            problems.append(
                f"record {str(file.path)!r} has the recipe and seed of another one, but its initial weights were "
                "others: it is left out"
            )
            continue
        fewest = min(map(len, fitting.values()), default=0)
        for label, changes in fitting.items():
            if len(changes) == fewest:
                name = budget.label(changes)
                if not budget.only_length(changes):
                    untimed.add(name)
                first = seeds.setdefault((name, label, file.recipe.seed), file)
                if first is not file:  # its spread over seeds would be that of no seeds
                    problems.append(
                        f"records {str(first.path)!r} and {str(file.path)!r} are both of {label!r}, seed "
                        f"{file.recipe.seed}, at budget {name!r}, but of different recipes: the second is left out"
                    )
                    continue
                groups.setdefault(name, {}).setdefault(label, []).append(file.record)
                if file not in files.setdefault(name, []):
                    files[name].append(file)

    problems += _other_images({file.path: file for group in files.values() for file in group}.values())

    def rank(name: str) -> tuple[bool, bool, int, str]:
        in_run = any(file.in_run for file in files[name])
        return not in_run, name != budget.FULL, -sum(map(len, groups[name].values())), name

    ratios, others = _own_ratios(study, records)
    problems += others
    return StudyRecords(
        {
            name: BudgetRecords(study, name, groups[name], {} if name in untimed else ratios, records.invariance)
            for name in sorted(groups, key=rank)
        },
        {name: tuple(group) for name, group in files.items()},
        tuple(problems),
    )
