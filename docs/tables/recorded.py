"""Tables of studies, searches and weights, from the records in `results/`, `docs/searches/` and the package."""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tables.text import markdown


def _records(directory: Path) -> Any:
    """Return the committed records; exit with a message if one of them has a problem."""
    from kzoo.studies.checksums import check_sums
    from kzoo.studies.records import RecordFiles, read_records

    if not directory.is_dir():
        return RecordFiles((), {}, ())
    records = read_records([directory])
    problems = dict.fromkeys([*check_sums(directory), *records.problems])
    if problems:
        sys.exit("\n".join(problems))
    return records


@functools.cache
def indices(directory: Path) -> tuple[tuple[Any, Any], ...]:
    """Return every study with the index of its committed records."""
    from kzoo.studies import get_study, list_studies
    from kzoo.studies.records import study_records

    records = _records(directory)
    return tuple((study, study_records(study, records)) for study in map(get_study, list_studies()))


def results(directory: Path, *, small: bool) -> str:
    """Return a table of our values and the reported ones, one row per run that has both, in the first study with it.

    Args:
        directory: of the records.
        small: runs at smaller budgets than the report's; if False, runs at the report's budgets, in any precision.
    """
    from kzoo.studies import metrics, tables

    rows, included = [], set()
    for study, index in indices(directory):
        for group in index.budgets.values():
            for row in tables.rows(group):
                runs = tuple(record.digest for record in group.records(row.label))
                cell = next((cell for cell in _accuracies_first(row) if cell.reported is not None), None)
                if cell is None or runs in included:
                    continue
                included.add(runs)
                # Another precision alone is not a smaller budget.
                if small == row.budget.startswith(("full", "precision=")):
                    continue
                ours = f"{cell.ours()} (n={len(cell.values)})" if cell.values else "failed"
                metric = metrics.metric(cell.metric).title
                rows.append((f"`{study.name}`", row.label, metric, ours, cell.theirs(), row.budget))
    if not rows:
        return "\nNo records are committed yet.\n\n"
    return markdown("study | run | metric | ours | reported | budget", rows, "lllrrl")


def _accuracies_first(row: Any) -> Iterable[Any]:
    """Return the cells of a row: test accuracy, then other accuracies, then other metrics."""
    first = ("test_accuracy", "val_accuracy", "best_val_accuracy")
    return sorted(row.cells, key=lambda cell: first.index(cell.metric) if cell.metric in first else len(first))


def studies() -> str:
    """Return a table of all studies."""
    from kzoo.studies import get_study, list_studies

    rows = [
        (f"`{study.name}`", study.report, len(study.entries), study.question, len(study.claims))
        for study in map(get_study, list_studies())
    ]
    return markdown("study | report | runs | question | claims", rows, "llrlr")


def shown(study: Any, index: Any, group: Any) -> bool:
    """Whether a budget of a study has a table: not if its only record is another study's and decides no claim."""
    from kzoo.studies.standing import standings

    has_record = any(item.path.parent.name == study.name for item in index.files[group.budget])
    if has_record or len(group.recorded) > 1:
        return True
    return any(standing.decided and standing.group == group.budget for standing in standings(study, index))


def study_results(directory: Path) -> str:
    """Return the tables and verdicts of every study that has records; `shown` selects the budgets."""
    from kzoo.studies import rendering, tables

    text = ""
    for study, index in indices(directory):
        parts = []
        for group in index.budgets.values():
            if shown(study, index, group):
                parts.append(f"\n### {tables.heading(group)}\n\n{rendering.markdown(group)}")
        if parts:
            notes = "".join(f"\n{note}\n" for note in study.notes)
            text += f"\n## {study.name}\n\n{study.question}\n{notes}{''.join(parts)}"
    return f"{text}\n" if text else "\nNo records are committed yet.\n\n"


SELECTION = {"emnist": " (of a selection of 109,405, not the report's 131,600)"}


def searches(docs: Path) -> str:
    """Return a section for each committed search: its table, its picture, and its winner with other seeds."""
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
        # A zero-width space allows a line break after the dot of a field's name.
        parts += [tables.markdown(result).rstrip().replace("model_options.", "model_options.\u200b")]
        if record.confirmed:
            parts += [_confirmed(record)]
        picture = f"search-{path.stem}.svg"
        if (docs / "images" / picture).exists():
            parts += [f"![{record.name}: parallel coordinates of all completed trials](images/{picture})"]
    return "\n" + "\n\n".join(parts or ["No search is committed yet."]) + "\n\n"


def _confirmed(record: Any) -> str:
    """Return a table of the runs of a search with other seeds."""
    names = {"best": "the best trial's values", "recipe": "the recipe's values"}
    rows = []
    for item in sorted(record.confirmed, key=lambda item: (item.which, item.seed)):
        scores = ("" if score is None else f"{score:.4f}" for score in (item.val_accuracy, item.test_accuracy))
        rows.append((names[item.which], str(item.seed), *scores, f"{item.parameters:,}"))
    return markdown("values | seed | validation accuracy | test accuracy | parameters", rows, "lrrrr").strip()


def weights() -> str:
    """Return a table of the weight sets in the package."""
    from kzoo.models.weight_sets import PACKAGED, RECORD, describe, list_weights
    from kzoo.studies.selection import OTHER, on_other_images
    from kzoo.training.records import read_result

    rows = []
    for name in list_weights():
        folder = PACKAGED.joinpath(*name.split(":"))
        weight_set = describe(folder, name)
        shape = "x".join(map(str, weight_set.input_shape))
        images = f"{weight_set.images:,}{f' ({OTHER})' if on_other_images(read_result(folder / RECORD)) else ''}"
        values = (f"{weight_set.metrics['test_accuracy']:.4f}", f"{weight_set.parameters:,}")
        rows.append((f"`{name}`", *values, shape, len(weight_set.class_names), images, weight_set.epochs))
    return markdown(
        "weights | test accuracy | parameters | images | classes | training images | epochs", rows, "lrrlrrr"
    )


def first_weights() -> str:
    """Return a short table of the packaged weight sets, best first."""
    from kzoo.models.weight_sets import PACKAGED, describe, list_weights

    sets = [(name, describe(PACKAGED.joinpath(*name.split(":")), name)) for name in list_weights()]
    sets.sort(key=lambda pair: -pair[1].metrics["test_accuracy"])
    rows = []
    for name, weight_set in sets:
        size = PACKAGED.joinpath(*name.split(":"), "model.weights.h5").stat().st_size
        accuracy = f"{weight_set.metrics['test_accuracy']:.1%}"
        values = (accuracy, f"{weight_set.parameters:,}", f"{size / 1000:,.0f} kB")
        rows.append((f"`{name}`", *values, len(weight_set.class_names), weight_set.epochs))
    # A phone shows the first columns of a table.
    return markdown("weights | test accuracy | parameters | file | classes | epochs", rows, "lrrrrr")
