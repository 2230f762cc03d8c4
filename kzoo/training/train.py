"""`train`, `resume` and the `Run` they give: a recipe becomes a directory with a record in it.

A run's directory holds ``recipe.json``, ``metrics.csv``, ``checkpoint/``, ``best.weights.h5``, ``final.weights.h5``,
``tensorboard/``, ``weight_histograms.json`` and, at the end, ``result.json``.
"""

from __future__ import annotations

import functools
import hashlib
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kzoo.console import console_for, say
from kzoo.data.arrays import Arrays
from kzoo.data.given import from_arrays, name_of
from kzoo.errors import InputError, RunFailed
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.training import build, checkpoint, origin, records
from kzoo.training.asked_again import check_begun, check_finished, finished_line
from kzoo.training.checkpoint import RunState
from kzoo.training.directory import (
    check_same_data,
    check_same_recipe,
    check_structure,
    claimed,
    lay_out,
    new_place,
    own_model,
    take_along,
)
from kzoo.training.extending import extended_recipe, find_extended
from kzoo.training.finding import check_run
from kzoo.training.guards import NotFinite
from kzoo.training.initial_weights import begin_with_weights, initial_weights_file
from kzoo.training.loadable import check_loadable, check_same_outputs
from kzoo.training.options import Options
from kzoo.training.recording import write_record
from kzoo.training.run import Run
from kzoo.training.trainer import Trainer

RUNS = Path("runs")


def train(
    recipe: str | Path | Recipe | Callable[..., Any],
    *,
    model: keras.Model | str | None = None,
    data_dir: str | Path | None = None,
    directory: str | Path | None = None,
    fresh: bool = False,
    extend: bool | str | Path = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
    diagnostics: bool = True,
    **changes: Any,
) -> Run:
    """Train a recipe, or go on with its run, or return it if it is finished.

    Args:
        recipe: a `Recipe`, a recipe's name, a model's name (for its family's default recipe), a JSON file's path, or
            a function of a module that builds the model (``module:function`` as text), for a recipe of defaults.
        model: a Keras model of one's own to train instead of the recipe's, which takes images (batch, height, width,
            channels) of 0-255 pixels and gives logits or probabilities (batch, classes). A copy is trained: the model
            stays as it is. What it was compiled with is not used, as the recipe says how to train. A name stands for
            the recipe's field.
        data_dir: a directory prepared by tensorflow-datasets; `$KZOO_DATA_DIR` if not given.
        directory: of the run; ``runs/<name>-<digest>`` if not given.
        fresh: start anew, in a new directory, even if there is a run already.
        extend: go on from the last checkpoint of a finished run of the same recipe with fewer epochs, which is looked
            for in ``runs``, or is in the directory given here or instead of a recipe. It stays as it is: the new run
            has its own directory, and ends with the bits of one that was asked for all epochs at once. Schedules that
            fill the run (cosine, linear, polynomial, one_cycle) cannot be extended.
        callbacks: added to the run's own. Their plain attributes (or `state()` and `restore(state)`) survive a kill.
        progress: whether to show progress, or the rich console to show it on.
        checkpoint_minutes: time between checkpoints within an epoch; there is one at each epoch's end anyway.
        diagnostics: whether to record gradient flow and weight histograms (see `kzoo.training.recorders`), which
            changes nothing of the training. A resumed run keeps the setting it started with.
        **changes: recipe fields to override, e.g. ``epochs=5`` or ``**{"model_options.dropout": 0.5}``. As `dataset`,
            arrays may be given too, ``(images, labels)`` and other forms (see `kzoo.data.from_arrays`): the recipe
            then names them by their fingerprint, and whoever goes on with the run gives them again.

    Returns:
        The finished run, its model holding the weights of the best epoch. One that was finished before is returned
        as it is if model, data and callbacks are what it was made of.

    Raises:
        InputError: recipe, data or directory are not usable, or the run that is there was made of another model (its
            code has changed, say), other data or with other callbacks; nothing was overwritten.
        RunFailed: the loss is not finite or the disk is full.
        KeyboardInterrupt: after SIGINT or SIGTERM; a checkpoint was written first.
    """
    if fresh and extend:
        raise InputError("fresh and extend: choose one, to start anew or to go on")
    source = None if isinstance(extend, bool) else check_run(extend)
    if extend and isinstance(recipe, str | Path):
        row, named = extended_recipe(recipe)
        source = source or named
    else:
        row = _recipe(recipe)
    changes, arrays = _named_arrays(changes)
    if isinstance(model, str):
        changes, model = {**changes, "model": model}, None
    if extend and model is None and row.model.startswith("keras:") and "model" not in changes:
        raise InputError(f"extend: {row.model!r} is a model of your own: kzoo.train(..., model=..., extend=True)")
    row, digest = identify(row.override(**changes), model)
    place = Path(directory) if directory else RUNS / records.folder_name(row.name, digest)
    if fresh:
        place = new_place(place)

    # Of a run to extend, unless that is done or under way already.
    begin = None
    if extend and not (place / "checkpoint").exists() and not (place / "result.json").exists():
        begin = find_extended(row, lambda other: identify(other, model)[1], RUNS, source)
    if model is not None:
        model = _copied(model)
    with claimed(place):
        run = train_in(
            place,
            row,
            digest,
            model,
            Options(data_dir, callbacks, progress, checkpoint_minutes, diagnostics, begin=begin),
        )
    del arrays  # held until here; the run holds them on
    return run


def resume(directory: str | Path, *, data_dir: str | Path | None = None, dataset: Any = None, **options: Any) -> Run:
    """Go on with the run in a directory; a finished one is returned as it is.

    Args:
        directory: a run's.
        data_dir: as for `train`; if not given, where the run found its data before.
        dataset: the arrays that the run was given, where it was given arrays.
        **options: `callbacks`, `progress` and `checkpoint_minutes`, as for `train`.

    Raises:
        InputError: the run needs its arrays and `dataset` is missing, or is not what it was given.
    """
    row = Run(directory).recipe
    changes, arrays = _named_arrays({} if dataset is None else {"dataset": dataset})
    if changes.get("dataset", row.dataset) != row.dataset:
        raise InputError(f"run {str(directory)!r} was trained on {row.dataset!r}, not on {changes['dataset']!r}")
    if Run(directory).finished:
        # What is finished is named by its directory: callbacks are compared only if some are given.
        options = {**options, "callbacks": options.get("callbacks") or None}
    with claimed(Path(directory)):
        run = train_in(Path(directory), row, None, None, Options(data_dir, **options))
    del arrays  # held until here; the run holds them on
    return run


def _named_arrays(changes: dict[str, Any]) -> tuple[dict[str, Any], Arrays | None]:
    """Changes with the name of arrays in their place, and the arrays, to be held; None where a name was given."""
    if changes.get("dataset") is None or isinstance(changes["dataset"], str):
        return changes, None
    arrays = from_arrays(changes["dataset"])
    return {**changes, "dataset": name_of(arrays)}, arrays


def _recipe(given: Any) -> Recipe:
    """The recipe that the first argument of `train` stands for."""
    if isinstance(given, Recipe):
        return given
    if isinstance(given, str | Path):
        return get_recipe(str(given))
    if isinstance(given, keras.Model):
        raise InputError(f"recipe is the model {given.name!r}: give a recipe first, kzoo.train(recipe, model=...)")
    if not callable(given):
        raise InputError(f"recipe must be a Recipe, a name or the path of a JSON file, not {type(given).__name__}")
    module, name = getattr(given, "__module__", None), getattr(given, "__qualname__", type(given).__name__)
    if getattr(sys.modules.get(str(module)), name, None) is not given:
        raise InputError(
            f"recipe is {name!r}, a function that cannot be found by its name, so no later process could build its "
            "model: define it at the top of a module, or call it and give kzoo.train(recipe, model=...)"
        )
    return get_recipe(f"{module}:{name}")


def _copied(model: keras.Model) -> keras.Model:
    """A copy of the user's own model to train, so that the same call again begins with the same weights."""
    if model.compiled:
        warnings.warn(
            f"model {model.name!r} is compiled: its optimizer, loss and metrics are not used, the recipe's are",
            stacklevel=3,
        )
    try:
        copy = keras.models.clone_model(model)
        if not copy.built:
            copy.build(model.input_shape)
        copy.set_weights(model.get_weights())
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"model {model.name!r} cannot be copied, and would not load again after training ({first}): give its "
            "class a get_config(), or train it as 'module:function'"
        ) from None
    copy.name = model.name
    what = f"model {model.name!r} cannot be copied, and would not load again after training"
    check_same_outputs(model, copy, what, "when it is copied by its layers' get_config()")
    return copy


def identify(row: Recipe, model: keras.Model | None = None) -> tuple[Recipe, str]:
    """A recipe resolved, for a model of one's own if there is one, and its identity.

    Raises:
        InputError: the model is not built, or a file that the recipe names is not there.
    """
    content = []
    if model is not None:
        row = row.override(model=f"keras:{model.name}", model_options={})
        if not model.built:
            raise InputError(f"model {model.name!r} is not built: give it an Input, or call it once")
        content.append(build.model_digest(model))
    row = row.resolved()
    if row.initial_weights is not None:
        path = initial_weights_file(row.initial_weights)
        content.append(hashlib.sha256(path.read_bytes()).hexdigest())
    return row, row.digest(*content)


def train_in(
    place: Path,
    row: Recipe,
    digest: str | None,
    model: keras.Model | None,
    options: Options,
) -> Run:
    """Train in a directory that is claimed, or go on there; see `train`.

    Args:
        place: the directory.
        row, digest: as `identify` gives them; no digest to go on with whatever is there.
        model: the one to train, with its initial weights; made from the recipe if not given.
        options: how.
    """
    start = checkpoint.load_latest(place / "checkpoint")
    if (place / "recipe.json").exists():
        check_same_recipe(place, row, digest, start)
    console = console_for(options.progress)
    if (place / "result.json").exists():
        run = Run(place)
        if run.result.status == "failed":
            raise RunFailed(f"run {str(place)!r} failed: {run.result.reason}. To try again: --fresh")
        check_finished(place, run.recipe, run.result, model, options.data_dir, options.callbacks, options.data)
        if console is not None:
            say(console, finished_line(run.result))
        return run

    # Data and model, as they are now; a run that has begun, here or where it is gone on from, must be of the same.
    begun = place
    if options.begin is not None and start is None:
        begun, start = options.begin.directory, options.begin.start
        if console is not None:
            text = f"goes on from run {str(begun)!r}, which stays as it is, after its {start.epoch} epochs"
            say(console, text)
    data_dir = options.data_dir or (start.state.data_dir if start else None)
    data = options.data or build.load_parts(row, data_dir)
    if start is not None:
        check_same_data(begun, start.state.fingerprint, data.fingerprint)
    make = None if row.model.startswith("keras:") else functools.partial(build.build_model, row, data)
    if model is None:
        model = own_model(place) if make is None else make()
    if model is None:
        raise InputError(f"run {str(place)!r} trains a model of your own: call kzoo.train(..., model=...) again")
    build.prepare_model(model, row, data)
    if row.model.startswith("keras:") and not (place / "initial.keras").exists():
        check_loadable(model)
    made_of = {
        "model": origin.describe_model(row, model),
        "callbacks": origin.describe_callbacks(options.callbacks or ()),
        "data": origin.describe_data(data.fingerprint, data.class_names),
        "parts": origin.describe_parts(row),
    }
    check_structure(begun, model)
    if start is not None:
        check_begun(begun, start.state.origin, made_of, make, row, data)
    if row.initial_weights is not None and start is None:
        begin_with_weights(model, row, data.class_names, console)
    digest = digest or (start.state.digest if start else row.digest())
    lay_out(place, row, model)
    if begun != place:
        take_along(begun, place)
    state = RunState(
        digest,
        data.fingerprint,
        data_dir=str(data_dir) if data_dir else None,
        diagnostics=start.state.diagnostics if start else options.diagnostics,
        origin=made_of,
        extends=start.state.extends if start else None,
    )

    trainer = Trainer(model, row, data, place, start=start, state=state, options=options)
    try:
        trainer.run()
    except NotFinite as error:
        write_record(trainer, reason=str(error))
        raise
    trainer.finish()
    write_record(trainer, reason=None, test=options.test)
    return Run(place, model=model)
