"""Are a study's recorded runs still of what their recipes name? Only the user's own is read again."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kzoo.errors import InputError
from kzoo.training.named import names_all
from kzoo.training.records import read_result

if TYPE_CHECKING:
    from kzoo.studies.running import Task

ADVICE = "To train it anew, move the directory aside or give another one for the runs (directory=, --directory)"
ADVICE_ON_RECORD = "To train it anew, move the record aside or leave its directory out of the records (--records)"


def changed(tasks: Sequence[Task], data_dir: str | Path | None, *, here: bool = True) -> dict[str, str]:
    """What is no longer what it was, by the digests of recorded tasks whose data, model or weights have changed.

    Neither Keras nor a backend is loaded where recipes name what the zoo has.

    Args:
        tasks: recorded ones and others.
        data_dir: as for `kzoo.train`.
        here: whether this process trains, too; else it leaves the memory of GPUs to those that do.
    """
    asked = [task for task in tasks if task.status == "recorded" and task.record and not names_all(task.recipe)]
    if not asked:
        return {}

    from kzoo.pool.resources import without_gpus

    with contextlib.ExitStack() as stack:
        if not here:
            stack.enter_context(without_gpus())
        return _compared(asked, data_dir)


def _compared(tasks: Sequence[Task], data_dir: str | Path | None) -> dict[str, str]:
    """What differs, by the digests of the tasks of which something does."""
    from kzoo.backend import quiet_import

    with quiet_import():
        import keras

        from kzoo.training.asked_again import check_finished
        from kzoo.training.directory import check_same_recipe
        from kzoo.training.run import identify

    found: dict[str, str] = {}
    for task in tasks:
        assert task.record is not None
        own = task.record.parent == task.directory
        source, advice = (task.directory, ADVICE) if own else (task.record, ADVICE_ON_RECORD)
        try:
            recipe, digest = identify(task.recipe)
            if own:
                check_same_recipe(source, recipe, digest, None)
            check_finished(source, recipe, read_result(task.record), None, data_dir, None, advice=advice)
        except InputError as error:
            found[task.digest] = str(error)
        finally:
            keras.utils.clear_session()  # models that were built to compare
    return found
