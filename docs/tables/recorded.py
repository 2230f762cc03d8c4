"""Tables of studies, searches and weights, from the records under `results/`, `docs/searches/` and in the package."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tables.text import markdown


def _records(place: Path) -> Any:
    """The committed records; what is wrong with one of them ends the program."""
    from kzoo.studies.collecting import check_sums
    from kzoo.studies.records import RecordFiles, read_records

    if not place.is_dir():
        return RecordFiles((), {}, ())
    records = read_records([place])
    problems = [*check_sums(place), *records.problems]
    if problems:
        sys.exit("\n".join(problems))
    return records


@functools.cache
def indices(place: Path) -> tuple[tuple[Any, Any], ...]:
    """Every study with the index of its committed records, those of recipes that no study has left out."""
    from kzoo.studies import get_study, list_studies
    from kzoo.studies.records import study_records

    records = _records(place)
    return tuple((row, study_records(row, records)) for row in map(get_study, list_studies()))


def results(place: Path, *, small: bool) -> str:
    """Our values beside the reported ones, one row a run that has both; each run in the first study that has it.

    Args:
        place: of the records.
        small: those of smaller budgets than the report's, or those of the report's own.
    """
    from kzoo.studies import metrics, tables

    rows, shown = [], set()
    for study, found in indices(place):
        for group in found.budgets.values():
            for row in tables.rows(group):
                runs = tuple(record.digest for record in group.records(row.label))
                cell = next((cell for cell in _headline(row) if cell.reported is not None), None)
                if cell is None or runs in shown:
                    continue
                shown.add(runs)
                if small == row.budget.startswith("full"):
                    continue
                ours = f"{cell.ours()} (n={len(cell.values)})" if cell.values else "failed"
                metric = metrics.metric(cell.metric).title
                rows.append((f"`{study.name}`", row.label, metric, ours, cell.theirs(), row.budget))
    if not rows:
        return "\nNo records are committed yet.\n\n"
    return markdown("study | run | metric | ours | reported | budget", rows, "lllrrl")


def _headline(row: Any) -> Iterable[Any]:
    """A row's accuracies, the one on test images first, then its other figures."""
    first = ("test_accuracy", "val_accuracy", "best_val_accuracy")
    return sorted(row.cells, key=lambda cell: first.index(cell.metric) if cell.metric in first else len(first))


def studies() -> str:
    """Every study."""
    from kzoo.studies import get_study, list_studies

    rows = [
        (f"`{row.name}`", row.report, len(row.entries), row.question, len(row.claims))
        for row in map(get_study, list_studies())
    ]
    return markdown("study | report | runs | question | claims", rows, "llrlr")


def shown(study: Any, found: Any, group: Any) -> bool:
    """Whether a budget of a study has a table: not where its only record is another study's and decides no claim."""
    from kzoo.studies.standing import standings

    own = any(item.path.parent.name == study.name for item in found.files[group.budget])
    if own or len(group.recorded) > 1:
        return True
    return any(row.decided and row.group == group.budget for row in standings(study, found))


def study_results(place: Path) -> str:
    """The tables and verdicts of every study that has records; see `shown` for those that are left out."""
    from kzoo.studies import rendering, tables

    text = ""
    for study, found in indices(place):
        parts = []
        for group in found.budgets.values():
            if shown(study, found, group):
                parts.append(f"\n### {tables.heading(group)}\n\n{rendering.markdown(group)}")
        if parts:
            notes = "".join(f"\n{note}\n" for note in study.notes)
            text += f"\n## {study.name}\n\n{study.question}\n{notes}{''.join(parts)}"
    return f"{text}\n" if text else "\nNo records are committed yet.\n\n"


SELECTION = {"emnist": " (of a selection of 109,405, not the report's 131,600)"}


def searches(docs: Path) -> str:
    """The committed records of searches, each with its table, its picture, and what other seeds say of its winner."""
    from kzoo.search import tables
    from kzoo.search.confirming import verdict
    from kzoo.search.results import read_search

    parts = []
    for path in sorted((docs / "searches").glob("*.json")):
        result = read_search(path)
        record = result.record
        recipe, environment = record.search["recipe"], record.environment
        counts = {"training": recipe["train_size"], **{part: recipe["split"][part] for part in ("validation", "test")}}
        sizes = ", ".join(f"{count:,} {part}" for part, count in counts.items() if count and count >= 1)
        size = f"{sizes} images{SELECTION.get(recipe['dataset'], '')}, " if sizes else ""
        budget = f"{recipe['dataset']}, {size}{recipe['epochs']} epochs, tuner {record.search['tuner']}"
        where = f"{environment['backend']} on {environment['cores']} cores, {record.seconds / 60:,.0f} minutes"
        parts += [f"### {record.name}", f"From `{recipe['name']}`: {budget}; {where}. {verdict(result)}"]
        # A zero-width space, so that the names of fields can be broken after their dot.
        parts += [tables.markdown(result).rstrip().replace("model_options.", "model_options.\u200b")]
        if record.confirmed:
            parts += [_confirmed(record)]
        picture = f"search-{path.stem}.svg"
        if (docs / "images" / picture).exists():
            parts += [f"![{record.name}: parallel coordinates of all completed trials](images/{picture})"]
    return "\n" + "\n\n".join(parts or ["No search is committed yet."]) + "\n\n"


def _confirmed(record: Any) -> str:
    """The runs of a search with other seeds."""
    names = {"best": "the best trial's values", "recipe": "the recipe's values"}
    rows = []
    for item in sorted(record.confirmed, key=lambda item: (item.which, item.seed)):
        scores = ("" if score is None else f"{score:.4f}" for score in (item.val_accuracy, item.test_accuracy))
        rows.append((names[item.which], str(item.seed), *scores, f"{item.parameters:,}"))
    return markdown("values | seed | validation accuracy | test accuracy | parameters", rows, "lrrrr").strip()


def weights() -> str:
    """Every set of weights that comes with the package."""
    from kzoo.models.weight_sets import PACKAGED, RECORD, describe, list_weights
    from kzoo.studies.selection import OTHER, on_other_images
    from kzoo.training.records import read_result

    rows = []
    for name in list_weights():
        folder = PACKAGED.joinpath(*name.split(":"))
        found = describe(folder, name)
        shape = "x".join(map(str, found.input_shape))
        images = f"{found.images:,}{f' ({OTHER})' if on_other_images(read_result(folder / RECORD)) else ''}"
        figures = (f"{found.metrics['test_accuracy']:.4f}", f"{found.parameters:,}")
        rows.append((f"`{name}`", *figures, shape, len(found.class_names), images, found.epochs))
    return markdown(
        "weights | test accuracy | parameters | images | classes | training images | epochs", rows, "lrrlrrr"
    )


FEW_EPOCHS = 10
"""A set that was trained for fewer epochs, and for fewer than its recipe has, is a start: the first pages fold it."""


def first_weights(*, few: bool) -> str:
    """Short table of the packaged sets, those that are a start or the others; the most accurate first."""
    from kzoo.models.weight_sets import PACKAGED, describe, list_weights
    from kzoo.recipes import get_recipe

    found = [(name, describe(PACKAGED.joinpath(*name.split(":")), name)) for name in list_weights()]
    found.sort(key=lambda pair: -pair[1].metrics["test_accuracy"])
    rows = []
    for name, row in found:
        if (row.epochs < min(FEW_EPOCHS, get_recipe(row.recipe["name"]).epochs)) != few:
            continue
        size = PACKAGED.joinpath(*name.split(":"), "model.weights.h5").stat().st_size
        figures = (f"{row.metrics['test_accuracy']:.1%}", f"{row.parameters:,}", f"{size / 1000:,.0f} kB")
        rows.append((f"`{name}`", *figures, len(row.class_names), row.epochs))
    # A phone shows the first columns of a table.
    return markdown("weights | test accuracy | parameters | file | classes | epochs", rows, "lrrrrr")
