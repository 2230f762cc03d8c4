"""Whether the custom data, models and weights of recorded runs are unchanged; nothing else is read again."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kzoo.backend import quiet_import, without_gpus
from kzoo.errors import Differs, InputError
from kzoo.recipes.schema import Recipe
from kzoo.training.identity.named import names_all
from kzoo.training.records import read_result

if TYPE_CHECKING:
    from kzoo.studies.records import RecordFile
    from kzoo.studies.running import Task


@dataclasses.dataclass(frozen=True)
class Recorded:
    """A record, and the run that it should describe.

    Attributes:
        recipe, digest: the run's.
        record: the record's file, in the run's directory or elsewhere.
        directory: the run's directory; None for a record elsewhere.
    """

    recipe: Recipe
    digest: str
    record: Path
    directory: Path | None


NOT_COMPARED = "not compared with what its study would train now"
ADVICE = "To train it again, move the directory aside or give another one for the runs (directory=, --directory)"
ADVICE_ON_RECORD = "To train it again, move the record aside or leave its directory out of the records (--records)"


def changed(tasks: Sequence[Task], data_dir: str | Path | None, *, here: bool = True) -> dict[str, str]:
    """What has changed, by the digest of each recorded task whose data, model or weights have changed.

    Neither Keras nor a backend is loaded for recipes that use only the zoo's models and data.
    """
    recorded = []
    for task in tasks:
        if task.status == "recorded" and task.record:
            in_run = task.record.parent == task.directory
            recorded.append(Recorded(task.recipe, task.digest, task.record, task.directory if in_run else None))
    return {digest: str(error) for digest, error in differing(recorded, data_dir, here=here).items()}


def remarks(files: Iterable[RecordFile]) -> list[str]:
    """A line for each record that differs from what its study would train now, or that cannot be compared."""
    items = {file.digest: file for file in files}
    problems = differing(map(of_file, items.values()))
    return [
        str(error) if isinstance(error, Differs) else f"record {str(items[digest].path)!r} is {NOT_COMPARED}: {error}"
        for digest, error in problems.items()
    ]


def of_file(file: RecordFile) -> Recorded:
    """A record that was read from a file."""
    return Recorded(file.recipe, file.digest, file.path, file.path.parent if file.in_run else None)


def differing(
    records: Iterable[Recorded], data_dir: str | Path | None = None, *, here: bool = False
) -> dict[str, InputError]:
    """By the digests of records: `kzoo.errors.Differs`, or why they cannot be compared; see `changed`."""
    asked = {item.digest: item for item in records if not names_all(item.recipe)}
    if not asked:
        return {}

    with contextlib.ExitStack() as stack:
        if not here:
            stack.enter_context(without_gpus())
        return _compared(asked.values(), data_dir)


def _compared(records: Iterable[Recorded], data_dir: str | Path | None) -> dict[str, InputError]:
    """What differs, by the digests of the records."""
    with quiet_import():
        import keras

        from kzoo.training.directory import check_same_recipe
        from kzoo.training.identity.asked_again import check_finished
        from kzoo.training.train import identify

    # Compare one after another.
    problems: dict[str, InputError] = {}
    for item in records:
        source, advice = (item.directory, ADVICE) if item.directory is not None else (item.record, ADVICE_ON_RECORD)
        try:
            recipe, digest = identify(item.recipe)
            record = read_result(item.record)
            if item.directory is not None:
                check_same_recipe(source, recipe, digest, None)
            elif digest != record.digest and recipe.initial_weights is not None:
                raise Differs(f"record {str(source)!r} is of another run: the file of initial_weights has changed")
            check_finished(source, recipe, record, None, data_dir, None, advice=advice)
        except InputError as error:
            problems[item.digest] = error
    keras.utils.clear_session()  # models that were built to compare
    return problems
