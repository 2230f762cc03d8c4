"""Records of runs, read from directories and grouped by study and budget (no Keras)."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.studies import budget, metrics, selection
from kzoo.studies.invariance import FOLDER as INVARIANCE
from kzoo.studies.invariance import InvarianceRecord, read_invariance
from kzoo.studies.study import Study
from kzoo.training.counts import from_json
from kzoo.training.named import names_data
from kzoo.training.records import Result, read_result

RUNS, RESULTS = Path("runs"), Path("results")
DATA_FIELDS = ("dataset", "class_names", "split", "train_size", "image_size", "background")
"""Fields of a recipe that select the images of a run."""
EPOCH_TIME = "epoch_time"
"""Directory in `results/` with the output of benchmarks/epoch_time.py, one file for each study."""


@dataclasses.dataclass(frozen=True)
class RecordFile:
    """A record and the file that it was read from."""

    path: Path
    record: Result
    recipe: Recipe
    digest: str

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the run's images and labels."""
        return str(self.record.data["fingerprint"])

    @property
    def in_run(self) -> bool:
        """Whether the file lies in its run's directory, not among committed records."""
        return self.path.name == "result.json"


@dataclasses.dataclass(frozen=True)
class RecordFiles:
    """All records of some directories; of several records of one run, the first.

    Attributes:
        files: the records, one for each run.
        ratios: by study and label, the seconds per epoch as a ratio to the study's first entry.
        problems: one sentence for each file that cannot be used.
        invariance: the records of invariance, by the digest of their run.
    """

    files: tuple[RecordFile, ...]
    ratios: Mapping[str, Mapping[str, float]]
    problems: tuple[str, ...]
    invariance: Mapping[str, InvarianceRecord] = dataclasses.field(default_factory=dict)


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
        records: Mapping[str, Sequence[Result]] | None = None,
        ratios: Mapping[str, float] | None = None,
        invariance: Mapping[str, InvarianceRecord] | None = None,
    ) -> None:
        """Hold `records` and `ratios` by the labels of the study's entries, `invariance` by the digests of runs."""
        self.study, self.budget = study, budget
        self._records = {label: list(runs) for label, runs in (records or {}).items()}
        self._ratios = dict(ratios or {})
        self._invariance = dict(invariance or {})

    def records(self, label: str) -> list[Result]:
        """The records of an entry, one for each seed, by seed."""
        self.study.entry(label)
        return sorted(self._records.get(label, []), key=lambda record: record.recipe["seed"])

    def has(self, *labels: str) -> bool:
        """Whether each of the entries has a record, even one of a failed run."""
        return all(self.records(label) for label in labels)

    def failed(self, label: str) -> bool:
        """Whether an entry has records, all of them of failed runs."""
        records = self.records(label)
        return bool(records) and all(record.status == "failed" for record in records)

    def values(self, label: str, metric: str) -> list[float]:
        """A metric of an entry, one value for each seed, without failed runs and runs that do not have it."""
        definition = metrics.metric(metric)
        records = self.records(label)
        values: Iterable[float | None]
        if definition.source == "epoch time":
            values = [self._ratios.get(label)]
        elif definition.change is not None:
            measured = [self._invariance.get(record.digest) for record in records]
            values = [record.at(*definition.change) for record in measured if record is not None]
        else:
            values = [definition.read(record) for record in records if record.status == "completed"]
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
        """Whether an entry's runs used another selection of the dataset than the published one."""
        return any(map(selection.on_other_images, self.records(label)))

    @property
    def recorded(self) -> tuple[str, ...]:
        """Labels of the entries that have records, in the study's order."""
        return tuple(label for label in self.study.labels if self._records.get(label))


@dataclasses.dataclass(frozen=True)
class StudyRecords:
    """The records of one study.

    Attributes:
        budgets: the records by budget label. Budgets with runs of the user come before those with committed records
            only; among these the full budget comes first, then those with the most records.
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


def read_records(directories: Sequence[Path] | None = None) -> RecordFiles:
    """Read every record in some directories.

    Args:
        directories: directories of runs (each run a directory with a ``result.json``), of one run, or of committed
            records (JSON files in any directory); by default ``runs`` and ``results``, if they exist.

    Raises:
        InputError: one of `directories` does not exist.
    """
    if directories is None:
        directories = [directory for directory in (RUNS, RESULTS) if directory.is_dir()]
    for directory in directories:
        if not directory.is_dir():
            raise InputError(f"directory of records {str(directory)!r} does not exist")

    # A file's directory says what kind of record it holds; the first record of a run counts.
    files: dict[str, RecordFile] = {}
    ratios: dict[str, Mapping[str, float]] = {}
    problems: list[str] = []
    invariance: dict[str, InvarianceRecord] = {}
    for path in (path for directory in directories for path in _paths(directory)):
        try:
            if path.parent.name == INVARIANCE:
                measured = read_invariance(path)
                invariance.setdefault(measured.digest, measured)
            elif path.parent.name == EPOCH_TIME:
                study, by_label = read_ratios(path)
                ratios.setdefault(study, by_label)
            else:
                file = read(path)
                files.setdefault(file.digest, file)
        except InputError as error:
            problems.append(str(error))
    return RecordFiles(tuple(files.values()), ratios, tuple(problems), invariance)


def _paths(directory: Path) -> Iterable[Path]:
    """The files of records in a directory of one run, of runs, or of committed records."""
    if (directory / "result.json").is_file():
        return [directory / "result.json"]
    runs = sorted(directory.glob("*/result.json"))
    if runs or next(directory.glob("*/recipe.json"), None) is not None:
        return runs
    paths = sorted(directory.glob("**/*.json"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(directory).parts)]


def read(path: Path) -> RecordFile:
    """Read one record and check that its parts fit each other.

    Raises:
        InputError: it is damaged, or its values or its digest do not fit the rest of it.
    """
    record = read_result(path)
    recipe = Recipe.from_json(json.dumps(record.recipe), source=f"recipe of record {str(path)!r}")
    whole = recipe.initial_weights is None and not recipe.model.startswith("keras:")
    if whole and recipe.digest() != record.digest:
        raise InputError(f"record {str(path)!r} was changed: its digest {record.digest!r} does not fit its recipe")
    problem = _contradiction(record)
    if problem:
        raise InputError(f"record {str(path)!r} was changed: {problem}")
    return RecordFile(path, record, recipe, record.digest)


def _contradiction(record: Result) -> str:
    """How two parts of a record disagree; empty if they do not."""
    history, best, test = record.history, record.best_epoch, record.test
    if record.status != "completed":
        return ""

    # The history has every epoch, and the scores are its values.
    lengths = {len(values) for values in history.values()}
    if lengths != {record.epochs}:
        return f"it has {record.epochs} epochs and a history of {sorted(lengths)}"
    for part, index, prefix in (("train", -1, ""), ("last", -1, "val_"), ("best", (best or 1) - 1, "val_")):
        score = getattr(record, part)
        for key in ("loss", "accuracy"):
            if score is not None and getattr(score, key) != history[prefix + key][index]:
                return f"its {part} {key} is not that of its history"

    # The test accuracy is that of the confusion matrix.
    if test is not None and record.confusion is not None:
        matrix = from_json(record.confusion)
        images, correct = int(matrix.sum()), int(matrix.diagonal().sum())
        if images and abs(correct / images - test.accuracy) > 1e-6:
            return "its test accuracy is not that of its confusion matrix"
    return ""


def read_ratios(path: Path) -> tuple[str, dict[str, float]]:
    """Read the output of benchmarks/epoch_time.py: the study's name and, by label, seconds per epoch as ratios.

    Raises:
        InputError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["study"]), {str(k): float(v["ratio"]) for k, v in content["entries"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"benchmark {str(path)!r} cannot be read ({error!r}): restore it or repeat it") from None


def _other_images(files: Iterable[RecordFile]) -> list[str]:
    """One sentence for each dataset and split whose records are of different images."""
    seen: dict[str, dict[str, Path]] = {}
    for file in files:
        if names_data(file.recipe):
            fields = file.recipe.model_dump(mode="json", include=set(DATA_FIELDS))
            seen.setdefault(json.dumps(fields, sort_keys=True), {}).setdefault(file.fingerprint, file.path)
    return [
        f"records {' and '.join(repr(str(path)) for path in paths.values())} are of the same dataset and split and of "
        f"different images (fingerprints {', '.join(key[:10] for key in paths)}): they cannot be compared"
        for paths in seen.values()
        if len(paths) > 1
    ]


def study_records(study: Study, records: RecordFiles) -> StudyRecords:
    """Select the records of a study and group them by budget.

    A record of a recipe that the study names, whose content no budget explains, is a problem; so are the files that
    could not be read.
    """
    names = {entry.recipe.name for entry in study.entries}
    groups: dict[str, dict[str, list[Result]]] = {}
    files: dict[str, list[RecordFile]] = {}
    untimed: set[str] = set()  # budgets on other images: epochs timed on the study's own do not apply
    problems = list(records.problems)

    # A record belongs to the entries from which it differs by the fewest fields.
    for file in records.files:
        differences = {entry.label: budget.budget(study, entry, file.recipe) for entry in study.entries}
        fitting = {label: changes for label, changes in differences.items() if changes is not None}
        if not fitting and file.recipe.name in names:
            problems.append(
                f"record {str(file.path)!r} is named {file.recipe.name!r} and has another recipe than the one of that "
                f"name in study {study.name!r}: it is left out"
            )
        fewest = min(map(len, fitting.values()), default=0)
        for label, changes in fitting.items():
            if len(changes) == fewest:
                name = budget.label(changes)
                if {"dataset", "image_size"} & changes.keys():
                    untimed.add(name)
                groups.setdefault(name, {}).setdefault(label, []).append(file.record)
                if file not in files.setdefault(name, []):
                    files[name].append(file)

    problems += _other_images({file.path: file for group in files.values() for file in group}.values())

    def rank(name: str) -> tuple[bool, bool, int, str]:
        in_run = any(file.in_run for file in files[name])
        return not in_run, name != budget.FULL, -sum(map(len, groups[name].values())), name

    ratios = records.ratios.get(study.name, {})
    return StudyRecords(
        {
            name: BudgetRecords(study, name, groups[name], {} if name in untimed else ratios, records.invariance)
            for name in sorted(groups, key=rank)
        },
        {name: tuple(group) for name, group in files.items()},
        tuple(problems),
    )
