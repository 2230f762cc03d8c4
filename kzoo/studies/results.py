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
OF_THE_DATA = ("dataset", "class_names", "split", "train_size", "image_size", "background")
"""Fields of a recipe that say which images a run sees."""
EPOCH_TIME = "epoch_time"
"""Folder of `results/` with what benchmarks/epoch_time.py wrote, one file a study."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A record and where it was read."""

    path: Path
    record: Result
    recipe: Recipe
    digest: str

    @property
    def fingerprint(self) -> str:
        """Of its images and labels."""
        return str(self.record.data["fingerprint"])

    @property
    def own(self) -> bool:
        """Whether it lies in its run's directory, not among records that somebody keeps."""
        return self.path.name == "result.json"


@dataclasses.dataclass(frozen=True)
class Records:
    """All records of some directories, one a run: the first where two are of the same run.

    Attributes:
        found: the records.
        ratios: by study and label: seconds an epoch, as a ratio to the study's first entry.
        problems: one sentence for each file that cannot be used.
        invariance: by the digest of the run that they belong to.
    """

    found: tuple[Found, ...]
    ratios: Mapping[str, Mapping[str, float]]
    problems: tuple[str, ...]
    invariance: Mapping[str, InvarianceRecord] = dataclasses.field(default_factory=dict)


class Results:
    """The records of one study at one budget.

    Attributes:
        study: whose they are.
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
        """Hold `records` by the labels of the study's entries, `invariance` by their digests."""
        self.study, self.budget = study, budget
        self._records = {label: list(rows) for label, rows in (records or {}).items()}
        self._ratios = dict(ratios or {})
        self._invariance = dict(invariance or {})

    def records(self, label: str) -> list[Result]:
        """The records of an entry, one a seed, by seed."""
        self.study.entry(label)
        return sorted(self._records.get(label, []), key=lambda record: record.recipe["seed"])

    def has(self, *labels: str) -> bool:
        """Whether each of the entries has a record, if only of a run that failed."""
        return all(self.records(label) for label in labels)

    def failed(self, label: str) -> bool:
        """Whether an entry has records, and all are of runs that failed."""
        rows = self.records(label)
        return bool(rows) and all(record.status == "failed" for record in rows)

    def values(self, label: str, metric: str) -> list[float]:
        """A metric of an entry, one value a seed; runs that failed or do not have the figure are left out."""
        if metric == "seconds_per_epoch_ratio":
            self.study.entry(label)
            return [self._ratios[label]] if label in self._ratios else []
        moved = metrics.changed_images(metric)
        if moved is not None:
            measured = [self._invariance.get(record.digest) for record in self.records(label)]
            shares = [record.at(*moved) for record in measured if record is not None]
            return [share for share in shares if share is not None]
        read = metrics.metric(metric).read
        found = [read(record) for record in self.records(label) if record.status == "completed"]
        return [float(value) for value in found if value is not None]

    def mean(self, label: str, metric: str) -> float:
        """A metric's mean over seeds.

        Raises:
            InputError: no record of the entry has it.
        """
        values = self.values(label, metric)
        if not values:
            raise InputError(f"study {self.study.name!r} has no {metric} of {label!r} at budget {self.budget!r}")
        return statistics.fmean(values)

    def sd(self, label: str, metric: str) -> float | None:
        """A metric's standard deviation over seeds (n - 1 in the denominator); None for fewer than two."""
        values = self.values(label, metric)
        return statistics.stdev(values) if len(values) > 1 else None

    def chance(self, label: str) -> float:
        """The accuracy of a guess: one over the number of classes."""
        return 1 / len(self.records(label)[0].data["class_names"])

    def images(self, label: str, part: str) -> int:
        """Images in a part of an entry's data; 0 where the record does not say."""
        return self.records(label)[0].sizes.get(part, 0)

    def on_other_images(self, label: str) -> bool:
        """Whether an entry's runs saw another selection of the dataset than the published one."""
        return any(map(selection.on_other_images, self.records(label)))

    @property
    def recorded(self) -> tuple[str, ...]:
        """Labels of the entries that have records, in the study's order."""
        return tuple(label for label in self.study.labels if self._records.get(label))


@dataclasses.dataclass(frozen=True)
class Index:
    """The records of one study.

    Attributes:
        groups: by budget label: those with runs of one's own before those with kept records only; among these the
            full budget first, then those with most records.
        found: the records' files, by budget label.
        problems: one sentence for each file that cannot be used here.
    """

    groups: Mapping[str, Results]
    found: Mapping[str, tuple[Found, ...]]
    problems: tuple[str, ...]

    @property
    def items(self) -> Iterable[Found]:
        """All records that were found, of every budget."""
        return (item for group in self.found.values() for item in group)

    def own(self, label: str) -> bool:
        """Whether a budget has a run of one's own: one that lies in its directory."""
        return any(item.own for item in self.found[label])


def read_records(directories: Sequence[Path] | None = None) -> Records:
    """Read every record of some directories.

    Args:
        directories: of runs (each run a folder with a ``result.json``), of one run, or of committed records
            (JSON files in any folder); ``runs`` and ``results`` where not given, as far as they are there.

    Raises:
        InputError: a directory that was given is not there.
    """
    if directories is None:
        places = [place for place in (RUNS, RESULTS) if place.is_dir()]
    else:
        places = list(directories)
        for place in places:
            if not place.is_dir():
                raise InputError(f"directory of records {str(place)!r} does not exist")
    found: dict[str, Found] = {}
    ratios: dict[str, Mapping[str, float]] = {}
    problems: list[str] = []
    invariance: dict[str, InvarianceRecord] = {}
    for place in places:
        for path in _files(place):
            try:
                if path.parent.name == INVARIANCE:
                    measured = read_invariance(path)
                    invariance.setdefault(measured.digest, measured)
                    continue
                if path.parent.name == EPOCH_TIME:
                    name, row = read_ratios(path)
                    ratios.setdefault(name, row)
                    continue
                item = read(path)
                found.setdefault(item.digest, item)
            except InputError as error:
                problems.append(str(error))
    return Records(tuple(found.values()), ratios, tuple(problems), invariance)


def _files(place: Path) -> Iterable[Path]:
    if (place / "result.json").is_file():
        return [place / "result.json"]
    runs = sorted(place.glob("*/result.json"))
    if runs or next(place.glob("*/recipe.json"), None) is not None:
        return runs
    paths = sorted(place.glob("**/*.json"))
    return [path for path in paths if not any(part.startswith(".") for part in path.relative_to(place).parts)]


def read(path: Path) -> Found:
    """Read one record, and check that it is what it says.

    Raises:
        InputError: it is damaged, or its figures or digest do not fit the rest of it.
    """
    record = read_result(path)
    recipe = Recipe.from_json(json.dumps(record.recipe), source=f"recipe of record {str(path)!r}")
    own = recipe.initial_weights is None and not recipe.model.startswith("keras:")
    if own and recipe.digest() != record.digest:
        raise InputError(f"record {str(path)!r} was changed: its digest {record.digest!r} does not fit its recipe")
    problem = _contradiction(record)
    if problem:
        raise InputError(f"record {str(path)!r} was changed: {problem}")
    return Found(path, record, recipe, record.digest)


def _contradiction(record: Result) -> str:
    """What two parts of a record disagree on, or nothing."""
    history, best, test = record.history, record.best_epoch, record.test
    if record.status != "completed":
        return ""
    lengths = {len(values) for values in history.values()}
    if lengths != {record.epochs}:
        return f"it has {record.epochs} epochs and a history of {sorted(lengths)}"
    for part, index, prefix in (("train", -1, ""), ("last", -1, "val_"), ("best", (best or 1) - 1, "val_")):
        score = getattr(record, part)
        for key in ("loss", "accuracy"):
            if score is not None and getattr(score, key) != history[prefix + key][index]:
                return f"its {part} {key} is not that of its history"
    if test is not None and record.confusion is not None:
        matrix = from_json(record.confusion)
        images, right = int(matrix.sum()), int(matrix.diagonal().sum())
        if images and abs(right / images - test.accuracy) > 1e-6:
            return "its test accuracy is not that of its confusion matrix"
    return ""


def read_ratios(path: Path) -> tuple[str, dict[str, float]]:
    """What benchmarks/epoch_time.py wrote: the study's name, and seconds an epoch by label, as ratios.

    Raises:
        InputError: the file is damaged.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return str(content["study"]), {str(k): float(v["ratio"]) for k, v in content["entries"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"benchmark {str(path)!r} cannot be read ({error!r}): restore it or make it anew") from None


def _other_images(found: Iterable[Found]) -> list[str]:
    """A line where records of one dataset and split, by name, are of different images."""
    seen: dict[str, dict[str, Path]] = {}
    for item in found:
        if names_data(item.recipe):
            fields = item.recipe.model_dump(mode="json", include=set(OF_THE_DATA))
            seen.setdefault(json.dumps(fields, sort_keys=True), {}).setdefault(item.fingerprint, item.path)
    return [
        f"records {' and '.join(repr(str(path)) for path in paths.values())} are of the same dataset and split and of "
        f"different images (fingerprints {', '.join(key[:10] for key in paths)}): they cannot be compared"
        for paths in seen.values()
        if len(paths) > 1
    ]


def index(study: Study, records: Records) -> Index:
    """The records of a study, by budget.

    A record of a recipe that the study names, but with other content than any budget explains, is a problem; so are
    the files that could not be read at all.
    """
    names = {entry.recipe.name for entry in study.entries}
    groups: dict[str, dict[str, list[Result]]] = {}
    others: set[str] = set()  # on other images, so that times measured on the study's own say nothing
    found: dict[str, list[Found]] = {}
    problems = list(records.problems)
    for item in records.found:
        matches = {entry.label: budget.budget(study, entry, item.recipe) for entry in study.entries}
        fitting = {label: changes for label, changes in matches.items() if changes is not None}
        if not fitting:
            if item.recipe.name in names:
                problems.append(
                    f"record {str(item.path)!r} is named {item.recipe.name!r} and is of another recipe than study "
                    f"{study.name!r} means by that: it is left out"
                )
            continue
        fewest = min(map(len, fitting.values()))
        for label, changes in fitting.items():
            if len(changes) == fewest:
                group = budget.label(changes)
                if {"dataset", "image_size"} & changes.keys():
                    others.add(group)
                groups.setdefault(group, {}).setdefault(label, []).append(item.record)
                if item not in found.setdefault(group, []):
                    found[group].append(item)

    problems += _other_images({item.path: item for group in found.values() for item in group}.values())

    def place(name: str) -> tuple[bool, bool, int, str]:
        own = any(item.own for item in found[name])
        return not own, name != budget.FULL, -sum(map(len, groups[name].values())), name

    order = sorted(groups, key=place)
    ratios = records.ratios.get(study.name, {})
    times = {name: {} if name in others else ratios for name in order}
    return Index(
        {name: Results(study, name, groups[name], times[name], records.invariance) for name in order},
        {name: tuple(found[name]) for name in order},
        tuple(problems),
    )
