"""One trial, tried: whatever happens becomes an outcome."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.errors import FatalError
from keras_tuner.src.engine.tuner_utils import SaveBestEpoch

from kzoo.search.hypermodel import RecipeHyperModel, Rejected
from kzoo.search.records import OUTCOME, RUN, Outcome
from kzoo.search.results import read_outcome
from kzoo.search.search import Search
from kzoo.search.stopping import MedianStop
from kzoo.training.records import Result, read_result

TRACEBACK = "traceback.txt"
LONGEST = 300
OUT_OF_MEMORY = (
    "RESOURCE_EXHAUSTED",
    "ResourceExhausted",
    "OutOfMemory",
    "out of memory",
    "bad_alloc",
    "MemoryError",
    "allocate memory",
)


def hyper_model(search: Search, data_dir: str | Path | None, checkpoint_minutes: float) -> RecipeHyperModel:
    """The hyper-model of a search."""
    return RecipeHyperModel(
        search.base,
        search.checked_space,
        model=search.model,
        max_parameters=search.max_parameters,
        max_multiply_adds=search.max_multiply_adds,
        data_dir=data_dir,
        checkpoint_minutes=checkpoint_minutes,
        grid=search.tuner == "grid",
        name=search.name,
    )


def watchers(search: Search, place: Path, weights: str) -> list[Any]:
    """Callbacks of every trial: what keeps its best weights where keras-tuner looks for them, what stops a poor one."""
    found: list[Any] = [SaveBestEpoch(keras_tuner.Objective(search.objective, search.direction), weights)]
    if search.stop_poor:
        found.append(MedianStop(place.parent, place, search.objective, search.direction))
    return found


def attempt(train: Callable[[], Any], place: Path, search: Search, facts: dict[str, Any]) -> tuple[Outcome, Any]:
    """Train a trial, and say how it ended.

    Args:
        train: does it, and returns keras-tuner's history.
        place: the trial's directory.
        search: whose trial it is.
        facts: what the outcome says beside.

    Returns:
        The outcome, and the history of a completed trial.

    Raises:
        KeyboardInterrupt: interrupted; a checkpoint was written.
        keras_tuner.errors.FatalError: no trial can be run.
    """
    try:
        history = train()
    except FatalError:
        raise
    except Rejected as error:
        counted = {"parameters": error.parameters, "multiply_adds": error.multiply_adds}
        return Outcome(status="rejected", reason=str(error), **counted, **facts), None
    except Exception as error:
        (place / TRACEBACK).write_text(traceback.format_exc(), encoding="utf-8")
        return Outcome(status="failed", reason=told(error), **_facts(place, search, facts), **facts), None
    own = _facts(place, search, facts) | {"multiply_adds": history.multiply_adds}
    values = history.history[search.objective]
    best = (max if search.direction == "max" else min)(range(len(values)), key=values.__getitem__)
    return Outcome(status="completed", score=values[best], best_epoch=best + 1, **own, **facts), history


def told(error: BaseException) -> str:
    """An error's reason in one line; memory that ran out is called so."""
    text = re.sub(r"\{\{.*?\}\}", "", str(error))  # TensorFlow's names of nodes
    name, text = type(error).__name__, " ".join(text.split())
    if any(sign in f"{name} {text}" for sign in OUT_OF_MEMORY):
        return f"out of memory: {name}: {text}"[:LONGEST]
    if isinstance(error, keras_tuner.errors.FailedTrialError | ValueError | RuntimeError) and text:
        return text[:LONGEST]
    return f"{name}: {text}"[:LONGEST]


def _facts(place: Path, search: Search, facts: dict[str, Any]) -> dict[str, Any]:
    """What the run's record says of it, if there is one."""
    path = place / RUN / "result.json"
    if not path.exists():
        return {}
    result: Result = read_result(path)
    inherited = 0
    if facts.get("continues"):
        before = place.parent / f"trial_{facts['continues']}" / OUTCOME
        inherited = read_outcome(before).segments if before.exists() else 0
    own = len(result.segments) - inherited
    until = result.recipe["epochs"]
    return {
        "epochs": result.epochs,
        "seconds": round(sum(segment.seconds for segment in result.segments[inherited:]), 3),
        "parameters": result.parameters,
        "segments": own,
        "resumed": own > 1,
        "stopped": result.status == "completed" and result.epochs < until and search.tuner != "hyperband",
    }
