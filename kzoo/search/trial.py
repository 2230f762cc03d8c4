"""One trial: trained by whichever process the pool chooses, which leaves its outcome in the trial's directory.

Nothing here loads Keras before a trial is trained.
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kzoo.backend import quiet_import
from kzoo.errors import InputError, NotWritten
from kzoo.files import write_json
from kzoo.recipes.schema import Recipe
from kzoo.search.records import OUTCOME, RUN, Outcome
from kzoo.search.results import read_outcome
from kzoo.search.search import Search, load_search
from kzoo.training.records import Result, read_result

if TYPE_CHECKING:
    from kzoo.search.hypermodel import RecipeHyperModel

TRACEBACK, SPACE = "traceback.txt", "space.json"
LONGEST = 300
OUT_OF_MEMORY = re.compile("RESOURCE_?EXHAUSTED|out ?of ?memory|bad_alloc|MemoryError|allocate memory", re.IGNORECASE)
PASSED = ("name", "objective", "tuner", "stop_poor", "max_parameters", "max_multiply_adds", "memory", "own_process")
"""What a trial needs of its search, beside recipe, space and model."""


def describe(search: Search) -> dict[str, Any]:
    """A search as JSON data, as far as another process needs it to train a trial.

    Raises:
        InputError: its model function cannot be imported.
    """
    parts = {"recipe": search.base.model_dump(mode="json"), "space": search.checked_space.to_dict()}
    return {**{name: getattr(search, name) for name in PASSED}, **parts, "model": _model_reference(search)}


def train_trial(
    search: dict[str, Any] | RecipeHyperModel,
    hyperparameters: dict[str, Any],
    directory: str,
    *,
    changes: dict[str, Any],
    data_dir: str | None,
    checkpoint_minutes: float,
    plan: Search | None = None,
) -> None:
    """Train a trial, or resume it, and write how it ended to its ``outcome.json``.

    Args:
        search: as `describe` gives it; in the search's process its hyper-model.
        hyperparameters: keras-tuner's, as their ``get_config`` gives them.
        directory: the trial's.
        changes: what the trial changes in the search's recipe.
        data_dir, checkpoint_minutes: as for `kzoo.run_search`.
        plan: the search itself, where `search` is a hyper-model.

    Raises:
        InputError: no trial could be trained with this input.
        NotWritten: the trial's files cannot be written (a full disk); it has no outcome.
        KeyboardInterrupt: interrupted; a checkpoint was written.
    """
    if plan is None:
        assert isinstance(search, dict)
        if search["memory"] is not None:
            limit_memory(search["memory"])
        hyper_model, plan = _loaded(json.dumps(search, sort_keys=True), data_dir, checkpoint_minutes)
    else:
        hyper_model = search  # type: ignore[assignment]
    import keras
    import keras_tuner

    if "dataset" not in plan.space:
        hyper_model.data_of(plan.base)  # what is wrong with the data is wrong in all trials
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    hp = keras_tuner.HyperParameters.from_config(hyperparameters)
    facts = {
        "worker": f"{socket.gethostname()}, process {os.getpid()}",
        "changes": changes,
        "continues": hp.values.get("tuner/trial_id"),
    }
    try:
        outcome = _outcome(lambda: hyper_model.train_trial(hp, folder, plan), folder, plan, facts)
        if plan.model is not None:  # it may have asked for more than was known
            write_json(folder / SPACE, hp.get_config())
        write_json(folder / OUTCOME, outcome.model_dump(mode="json"))
    finally:
        keras.utils.clear_session()  # one trial's graphs are of no use to the next; collects garbage too


@functools.lru_cache(maxsize=1)
def _loaded(described: str, data_dir: str | None, checkpoint_minutes: float) -> tuple[RecipeHyperModel, Search]:
    """The search again, and its hyper-model, kept for the next trial of this process: it holds the data."""
    from kzoo.search.declared import from_dict

    with quiet_import():
        from kzoo.search.hypermodel import RecipeHyperModel
    fields = json.loads(described)
    model = fields["model"]
    if isinstance(model, dict):
        model = load_search(model["file"]).model
    options = {name: fields[name] for name in PASSED if name != "name"}
    search = Search(fields["name"], Recipe(**fields["recipe"]), from_dict(fields["space"]), model=model, **options)
    return RecipeHyperModel.of(search, data_dir, checkpoint_minutes), search


def _outcome(train: Callable[[], Any], folder: Path, search: Search, facts: dict[str, Any]) -> Outcome:
    """Train a trial, and say how it ended; an error that would end other trials likewise is raised."""
    from kzoo.search.hypermodel import Rejected

    try:
        history = train()
    except NotWritten:
        raise
    except Rejected as error:
        counted = {"parameters": error.parameters, "multiply_adds": error.multiply_adds}
        return Outcome(status="rejected", reason=str(error), **counted, **facts)
    except Exception as error:
        (folder / TRACEBACK).write_text(traceback.format_exc(), encoding="utf-8")
        return Outcome(status="failed", reason=in_one_line(error), **_of_record(folder, search, facts), **facts)

    facts |= _of_record(folder, search, facts) | {"multiply_adds": history.multiply_adds}
    for name in ("loss", "val_loss"):
        for epoch, value in enumerate(history.history.get(name, []), start=1):
            if not math.isfinite(value):
                what = "the validation loss" if name == "val_loss" else "the training loss"
                return Outcome(status="failed", reason=f"{what} is {value} in epoch {epoch}", **facts)
    values = history.history[search.objective]
    best = (max if search.direction == "max" else min)(range(len(values)), key=values.__getitem__)
    return Outcome(status="completed", score=values[best], best_epoch=best + 1, **facts)


def in_one_line(error: BaseException) -> str:
    """An error's reason in one line; memory that ran out is called so."""
    from keras_tuner.errors import FailedTrialError

    text = re.sub(r"\{\{.*?\}\}", "", str(error))  # TensorFlow's names of nodes
    name, text = type(error).__name__, " ".join(text.split())
    if OUT_OF_MEMORY.search(f"{name} {text}"):
        return f"out of memory: {name}: {text}"[:LONGEST]
    if isinstance(error, FailedTrialError | ValueError | RuntimeError) and text:
        return text[:LONGEST]
    return f"{name}: {text}"[:LONGEST]


def _of_record(folder: Path, search: Search, facts: dict[str, Any]) -> dict[str, Any]:
    """What the run's record says of a trial, if there is one."""
    path = folder / RUN / "result.json"
    if not path.exists():
        return {}
    result: Result = read_result(path)

    # The segments of the trial that it went on from are not its.
    before = folder.parent / f"trial_{facts['continues']}" / OUTCOME
    segments = result.segments[read_outcome(before).segments if before.exists() else 0 :]
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
    """What gives another process the search's model function: None, ``module:function``, or the search's file."""
    if search.model is None or isinstance(search.model, str):
        return search.model
    if search.source is not None:
        return {"file": str(search.source)}
    module, name = search.model.__module__, search.model.__qualname__
    if module == "__main__" or "<" in name or "." in name:
        raise InputError(
            f"other processes need a model function that they can import, not {module}:{name}: "
            "put it into a module, or the search into a file of its own"
        )
    return f"{module}:{name}"


def limit_memory(gib: float) -> None:
    """Let this process allocate no more than so much memory; does nothing where the system cannot.

    The limit is on private writable memory (RLIMIT_DATA), not on addresses, of which backends reserve far more.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = int(gib * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
