"""Trains or resumes a run in a directory that this process has claimed."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kzoo.console import console_for, say
from kzoo.errors import InputError, RunFailed
from kzoo.files import full_path
from kzoo.interrupts import interrupted_with
from kzoo.recipes.contradictions import check_contradictions, surprises
from kzoo.recipes.schema import Recipe
from kzoo.training import build, checkpoint
from kzoo.training.callbacks.finite_guard import NotFinite
from kzoo.training.callbacks.lists import check_callbacks
from kzoo.training.checkpoint import RunState
from kzoo.training.directory import (
    check_same_data,
    check_same_recipe,
    check_structure,
    custom_model,
    lay_out,
    take_along,
)
from kzoo.training.identity import origin
from kzoo.training.identity.asked_again import check_begun, check_finished, finished_line
from kzoo.training.initial_weights import begin_with_weights
from kzoo.training.loadable import check_loadable
from kzoo.training.recording import write_record
from kzoo.training.records import METRICS
from kzoo.training.run import Run
from kzoo.training.trainer import Options, Trainer


def train_in(directory: Path, recipe: Recipe, digest: str | None, model: keras.Model | None, options: Options) -> Run:
    """Train or resume in a claimed directory; see `train`. Without a digest, the run in the directory resumes."""
    # Compare with the run in the directory, and return it if it is finished.
    finished = (directory / "result.json").exists()
    start = None if finished else checkpoint.load_latest(directory / "checkpoint")
    if (directory / "recipe.json").exists():
        check_same_recipe(directory, recipe, digest, start)
    console = console_for(options.progress)
    if finished:
        return _finished(directory, model, options, console)
    check_callbacks(options.callbacks or (), recipe)

    origin.describe_parts(recipe)  # notes the values that custom functions refer to, before they change some

    # Find the run to continue, if any: its data must be the same now.
    begun = directory
    if options.begin is not None and start is None:
        begun, start = options.begin.directory, options.begin.start
        if console is not None:
            say(console, f"continues from run {str(begun)!r}, which does not change, after its {start.epoch} epochs")
    if start is None and (directory / METRICS).exists():
        warnings.warn(f"run {str(directory)!r} has no checkpoint any more: it starts again", stacklevel=2)
    if start is None:
        check_contradictions(recipe)
        for sentence in surprises(recipe):
            warnings.warn(sentence, stacklevel=2)
    data_dir = options.data_dir or (start.state.data_dir if start else None)
    data = options.data or build.load_parts(recipe, data_dir)
    if start is not None:
        check_same_data(begun, start.state.fingerprint, data.fingerprint)

    # Build the model and describe what the run is made of.
    make = None if recipe.model.startswith("keras:") else functools.partial(build.build_model, recipe, data)
    model = _prepared(directory, recipe, data, model, make)
    made_of = _made_of(recipe, model, data, options)

    # Refuse differences from the run to continue; then write the directory's first files.
    check_structure(begun, model)
    if start is not None:
        check_begun(begun, start.state.origin, made_of, make, recipe, data)
    if recipe.initial_weights is not None and start is None:
        begin_with_weights(model, recipe, data.class_names, console)
    digest = digest or (start.state.digest if start else recipe.digest())
    lay_out(directory, recipe, model)
    if begun != directory:
        take_along(begun, directory)

    # Train, and write the record.
    state = RunState(
        digest,
        data.fingerprint,
        data_dir=full_path(data_dir),
        diagnostics=start.state.diagnostics if start else options.diagnostics,
        origin=made_of,
        extends=start.state.extends if start else None,
    )
    trainer = Trainer(model, recipe, data, directory, start=start, state=state, options=options)
    try:
        trainer.run()
    except NotFinite as error:
        write_record(trainer, reason=str(error))
        raise
    with interrupted_with(f"interrupted after the last epoch; {str(directory)!r} can be resumed"):
        trainer.finish()
        write_record(trainer, reason=None, test=options.test)
    return Run(directory, model=model)


def _finished(directory: Path, model: keras.Model | None, options: Options, console: Console | None) -> Run:
    """The finished run in a directory, if it is the requested one."""
    run = Run(directory)
    if run.result.status == "failed":
        raise RunFailed(f"run {str(directory)!r} failed: {run.result.reason}. To try again: --fresh")
    check_finished(directory, run.recipe, run.result, model, options.data_dir, options.callbacks, options.data)
    if console is not None:
        say(console, finished_line(run.result))
    return run


def _made_of(recipe: Recipe, model: keras.Model, data: build.Data, options: Options) -> dict[str, Any]:
    return {
        "model": origin.describe_model(recipe, model),
        "callbacks": origin.describe_callbacks(options.callbacks or ()),
        "data": origin.describe_data(data.fingerprint, data.class_names),
        "parts": origin.describe_parts(recipe),
    }


def _prepared(
    directory: Path, recipe: Recipe, data: build.Data, model: keras.Model | None, make: Callable[[], keras.Model] | None
) -> keras.Model:
    """The model to train, ready for the data: the given one, the directory's, or one that `make` builds."""
    if model is None:
        model = custom_model(directory) if make is None else make()
    if model is None:
        raise InputError(f"run {str(directory)!r} trains a model of your own: call kzoo.train(..., model=...) again")
    build.prepare_model(model, recipe, data)
    if make is None and not (directory / "initial.keras").exists():
        check_loadable(model)
    return model
