"""Where the run of a recipe, or its record, already is (no Keras).

The digest of a run that starts from a weights file includes the file's hash. A study names its directories without it,
because the file may not exist yet; `kzoo.train` and committed records have it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kzoo.errors import InputError
from kzoo.recipes.schema import Recipe
from kzoo.studies.record_files import RESULTS, RecordFile, read_records
from kzoo.training.finding import initial_weights_digest
from kzoo.training.records import folder_name

Records = Mapping[str, Sequence[RecordFile]]
"""Records by the digests of their recipes; several if the files of their initial weights differ."""


def records_by_recipe(directories: Sequence[Path] | None) -> Records:
    """The records in some directories; by default ``results``, if it exists."""
    if directories is None:
        directories = [path for path in [RESULTS] if path.is_dir()]
    return _by_recipe(read_records(directories).files)


def record_of(recipe: Recipe, records: Records) -> RecordFile | None:
    """The record of a recipe's run: of several, the one that started from the weights file as it is now."""
    found = records.get(recipe.digest())
    return _current(found) if found else None


def superseded(files: Iterable[RecordFile]) -> set[Path]:
    """Records with the recipe and seed of another one, which started from the weights file as it is now."""
    groups = _by_recipe(item for item in files if item.recipe.initial_weights is not None).values()
    return {item.path for items in groups for item in items} - {_current(items).path for items in groups}


def _by_recipe(files: Iterable[RecordFile]) -> dict[str, list[RecordFile]]:
    found = defaultdict(list)
    for item in files:
        found[item.digest if item.recipe.initial_weights is None else item.recipe.digest()].append(item)
    return found


def _current(items: Sequence[RecordFile]) -> RecordFile:
    """Of records of one recipe, the one that started from the weights file as it is now, otherwise the first."""
    now = _digest_with_weights(items[0].recipe) if len(items) > 1 else None
    return next((item for item in items if item.digest == now), items[0])


def directory_of(recipe: Recipe, root: Path) -> Path:
    """The directory of a recipe's run in `root`; a run that began under another name keeps its directory.

    Raises:
        InputError: the directory contains the run of another recipe.
    """
    digest = recipe.digest()
    planned = root / folder_name(recipe.name, digest)
    if (planned / "recipe.json").exists():
        if not _holds(planned, digest):
            raise InputError(f"directory {str(planned)!r} holds the run of another recipe: move it aside")
        return planned
    others = sorted(root.glob(f"*-{digest}/recipe.json"))
    if recipe.initial_weights is not None and root.is_dir() and (with_weights := _digest_with_weights(recipe)):
        others += sorted(root.glob(f"*-{with_weights}/recipe.json"))
    return next((path.parent for path in others if _holds(path.parent, digest)), planned)


def _holds(directory: Path, digest: str) -> bool:
    return Recipe.from_file(directory / "recipe.json").digest() == digest


def _digest_with_weights(recipe: Recipe) -> str | None:
    """The digest of the run that the recipe would start now; None if its weights file cannot be read."""
    try:
        return recipe.digest(initial_weights_digest(str(recipe.initial_weights)))
    except (InputError, OSError):
        return None
