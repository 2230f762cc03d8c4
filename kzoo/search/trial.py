"""Trains one trial, in the process that the pool chooses, and writes its outcome to the trial's directory.

This module loads Keras only when a trial is trained.
"""

from __future__ import annotations

import functools
import json
import math
import os
import socket
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzoo.backend import quiet_import
from kzoo.errors import InputError, NotWritten, in_one_line
from kzoo.files import NO_ROOM, write_json, write_text
from kzoo.memory import limit_memory
from kzoo.recipes.schema import Recipe
from kzoo.references import reference_to
from kzoo.search.declared import from_dict
from kzoo.search.results import OUTCOME, RUN, Outcome
from kzoo.search.search import Search, load_search
from kzoo.training.records import read_result

if TYPE_CHECKING:
    from kzoo.search.hypermodel import RecipeHyperModel

TRACEBACK, SPACE = "traceback.txt", "space.json"


def describe(search: Search) -> dict[str, Any]:
    """The part of a search that another process needs to train a trial, as JSON data.

    Raises:
        InputError: its model function cannot be imported.
    """
    fields = {"model": _model_reference(search)}
    return search.to_dict() | fields | {name: getattr(search, name) for name in ("memory", "own_process")}


def train_trial(
    search: dict[str, Any] | RecipeHyperModel,
    hyperparameters: dict[str, Any],
    directory: str,
    *,
    data_dir: str | None,
    checkpoint_minutes: float,
) -> None:
    """Train a trial, or resume it, and write how it ended to its ``outcome.json``.

    Args:
        search: what `describe` returns or, in the search's process, its hyper-model.
        hyperparameters: keras-tuner's hyper-parameters, as their ``get_config`` returns them.
        directory: the trial's directory.
        data_dir, checkpoint_minutes: as for `kzoo.run_search`.

    Raises:
        InputError: no trial could be trained with this input.
        NotWritten: the trial's files cannot be written (a full disk); it has no outcome.
        KeyboardInterrupt: interrupted; a checkpoint was written.
    """
    hyper_model = _hyper_model(json.dumps(search), data_dir, checkpoint_minutes) if isinstance(search, dict) else search
    import keras
    import keras_tuner

    # The trial's directory and hyperparameters.
    if "dataset" not in hyper_model.search.space:
        hyper_model.data_of(hyper_model.search.base)  # an error in the data affects all trials
    path = Path(directory)
    path.mkdir(parents=True, exist_ok=True)
    hp = keras_tuner.HyperParameters.from_config(hyperparameters)
    facts = {
        "worker": f"{socket.gethostname()}, process {os.getpid()}",
        "changes": hyper_model.space.changes(hp.values),
        "continues": hp.values.get("tuner/trial_id"),
    }

    # Train it, and write the outcome.
    try:
        outcome = _outcome(hyper_model, hp, path, facts)
        if hyper_model.search.model is not None:  # the model function may have added hyper-parameters
            write_json(path / SPACE, hp.get_config())
        write_json(path / OUTCOME, outcome.model_dump(mode="json"))
    finally:
        keras.utils.clear_session()  # frees this trial's graphs, and collects garbage


@functools.lru_cache(maxsize=1)
def _hyper_model(described: str, data_dir: str | None, checkpoint_minutes: float) -> RecipeHyperModel:
    """The hyper-model of a described search, kept for this process's next trial because it holds the data."""
    fields = json.loads(described)
    if fields["memory"] is not None:
        limit_memory(fields["memory"])
    with quiet_import():
        from kzoo.search.hypermodel import RecipeHyperModel
    if isinstance(fields["model"], dict):
        fields["model"] = load_search(fields["model"]["file"]).model
    fields |= {"recipe": Recipe(**fields["recipe"]), "space": from_dict(fields["space"])}
    return RecipeHyperModel.of(Search(**fields), data_dir, checkpoint_minutes)


def _outcome(hyper_model: RecipeHyperModel, hp: Any, directory: Path, facts: dict[str, Any]) -> Outcome:
    """Train a trial and return its outcome; an error that would end other trials too is raised."""
    from keras_tuner.errors import FailedTrialError

    from kzoo.search.hypermodel import Rejected

    search = hyper_model.search
    try:
        history = hyper_model.train_trial(hp, directory)
    except NotWritten:
        raise
    except Rejected as error:
        return Outcome(status="rejected", reason=str(error), **error.counts, **facts)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:  # not the trial's fault, and the next would fail, too
            raise NotWritten(in_one_line(error)) from error
        write_text(directory / TRACEBACK, traceback.format_exc())
        reason = in_one_line(error, (FailedTrialError, ValueError, RuntimeError))
        return Outcome(status="failed", reason=reason, **_of_record(directory, search, facts), **facts)

    # A loss that is not finite is a failure; otherwise the best epoch counts.
    facts |= _of_record(directory, search, facts) | {"multiply_adds": history.multiply_adds}
    for name, part in (("loss", "training"), ("val_loss", "validation")):
        for epoch, value in enumerate(history.history.get(name, []), start=1):
            if not math.isfinite(value):
                return Outcome(status="failed", reason=f"the {part} loss is {value} in epoch {epoch}", **facts)
    values = history.history[search.objective]
    best = (max if search.direction == "max" else min)(range(len(values)), key=values.__getitem__)
    return Outcome(status="completed", score=values[best], best_epoch=best + 1, **facts)


def _of_record(directory: Path, search: Search, facts: dict[str, Any]) -> dict[str, Any]:
    """The part of a trial's outcome that its run's record contains; empty without a record."""
    path = directory / RUN / "result.json"
    if not path.exists():
        return {}
    result = read_result(path)

    # Do not count the segments of earlier trials; the record of the trial that this one continues has them all.
    before = directory.parent / f"trial_{facts['continues']}" / RUN / "result.json"
    segments = result.segments[len(read_result(before).segments) if before.exists() else 0 :]
    short = result.status == "completed" and result.epochs < result.recipe["epochs"]
    return {
        "epochs": result.epochs,
        "seconds": round(sum(segment.seconds for segment in segments), 3),
        "parameters": result.parameters,
        "segments": len(segments),
        "resumed": len(segments) > 1,
        "stopped": short and search.tuner != "hyperband",
    }


def _model_reference(search: Search) -> Any:
    """How another process finds the search's model function: None, ``module:function``, or the search's file."""
    if search.model is None or isinstance(search.model, str):
        return search.model
    if search.source is not None:
        return {"file": str(search.source)}
    reference = reference_to(search.model)
    if reference is None or reference.startswith("__main__:"):
        raise InputError(
            f"other processes need a model function that they can import, not {search.model.__qualname__!r}: "
            "put it into a module, or put the search into its own file"
        )
    return reference
