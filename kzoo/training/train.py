"""`train` and `resume` turn a recipe into a `Run`: a directory with a record in it.

A run's directory holds ``recipe.json``, ``metrics.csv``, ``checkpoint/``, ``best.weights.h5``, ``final.weights.h5``,
``tensorboard/``, ``weight_histograms.json`` and, at the end, ``result.json``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kzoo.data.arrays import Arrays
from kzoo.data.in_memory import from_arrays, name_of
from kzoo.errors import InputError, first_line, shown
from kzoo.files import user_path
from kzoo.introspection.layers import find_layers, freeze_alike, give_weights
from kzoo.models.whitening import is_adapted
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.references import reference_to
from kzoo.training import build, records
from kzoo.training.directory import claimed, new_directory
from kzoo.training.extending import extended_recipe, find_extended
from kzoo.training.finding import check_run, initial_weights_digest
from kzoo.training.loadable import check_same_outputs
from kzoo.training.run import Run
from kzoo.training.train_in import train_in
from kzoo.training.trainer import Options

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
    """Train a recipe, resume its run, or return the run if it is finished.

    Args:
        recipe: a `Recipe`, a recipe's name, a model's name (for its family's default recipe), a JSON file's path, or
            a module's function that builds the model (``module:function`` as text), for a recipe with default settings.
        model: a custom Keras model to train instead of the recipe's. It takes images (batch, height, width, channels)
            of 0-255 pixels and returns logits or probabilities (batch, classes). A copy is trained: the model itself
            does not change. Its compile settings are ignored, because the recipe says how to train. A name sets the
            recipe's field.
        data_dir: a directory prepared by tensorflow-datasets; `$KZOO_DATA_DIR` if not given.
        directory: of the run; ``runs/<name>-<digest>`` if not given.
        fresh: train from the beginning, in a new directory, even if there is a run already.
        extend: continue from the last checkpoint of a finished run of the same recipe with fewer epochs. That run is
            found in ``runs``, unless its directory is given here or instead of a recipe. It does not change: the new
            run has its own directory, and ends bit for bit like a run of all epochs at once. Schedules that
            fill the run (cosine, linear, polynomial, one_cycle), and a lookahead that does, cannot be extended.
        callbacks: added to kzoo's own callbacks. Their attributes (or `state()` and `restore(state)`) survive a kill.
            A `keras.callbacks.ModelCheckpoint` saves the model that `kzoo.Run` returns, not compiled.
        progress: whether to show progress, or the rich console to show it on.
        checkpoint_minutes: time between checkpoints within an epoch, in addition to one at the end of each epoch.
        diagnostics: whether to record gradient flow and weight histograms (see `kzoo.training.recorders`), which
            does not affect training. A resumed run keeps the setting it started with.
        **changes: recipe fields to override, e.g. ``epochs=5`` or ``**{"model_options.dropout": 0.5}``. `dataset`
            also takes arrays, as ``(images, labels)`` and in other forms (see `kzoo.data.from_arrays`): the recipe
            then names them by their fingerprint, and resuming the run needs them again.

    Returns:
        The finished run, its model holding the weights of the best epoch. A run that was finished before is returned
        unchanged if model, data and callbacks are the same as then.

    Raises:
        InputError: recipe, data, callbacks or directory cannot be used, or the run in the directory has another model
            (its code has changed, say), other data or other callbacks; nothing was overwritten.
        RunFailed: the loss is not finite or the disk is full.
        KeyboardInterrupt: after SIGINT or SIGTERM; a checkpoint was written first.

    Example:
        >>> run = kzoo.train("lenet1-max", dataset="digits", epochs=1, progress=False)
        >>> run.result.test.accuracy > 0.1
        True
    """
    # The recipe, and the arrays and model given with it.
    if fresh and extend:
        raise InputError("fresh and extend: choose one, to train again or to extend a run")
    source = None if isinstance(extend, bool) else check_run(extend)
    if extend and isinstance(recipe, str | Path):
        base, named = extended_recipe(recipe)
        source = source or named
    else:
        base = recipe_of(recipe)
    changes, arrays = _named_arrays(changes)
    if isinstance(model, str):
        changes, model = {**changes, "model": model}, None
    if not isinstance(model, keras.Model | None):
        raise InputError(f"model must be a keras.Model or a model's name, not {shown(model)}")
    if extend and model is None and base.model.startswith("keras:") and "model" not in changes:
        raise InputError(f"extend: {base.model!r} is a model of your own: call kzoo.train(..., model=..., extend=True)")

    # Its identity names the directory.
    resolved, digest = identify(base.override(**changes), model)
    path = user_path(directory) if directory else RUNS / records.folder_name(resolved.name, digest)
    if fresh:
        path = new_directory(path)

    # Start from the run to extend, unless this has been done already.
    begin = None
    if extend and not (path / "checkpoint").exists() and not (path / "result.json").exists():
        begin = find_extended(resolved, lambda other: identify(other, model)[1], RUNS, source)

    # Train a copy of the model, so that the same call finds the same run again.
    if model is not None:
        if not (path / "recipe.json").exists():
            _check_built(model, resolved, changes)
            if base.model_options:
                warnings.warn(
                    f"model_options of recipe {base.name!r} ({', '.join(base.model_options)}) are for {base.model!r}: "
                    f"model {model.name!r} is built already and does not get them",
                    stacklevel=2,
                )
        model = _copied(model)
    options = Options(data_dir, callbacks, progress, checkpoint_minutes, diagnostics, begin=begin)
    with claimed(path):
        run = train_in(path, resolved, digest, model, options)
    del arrays  # kept alive until here; from now on the run holds them
    return run


def resume(
    directory: str | Path,
    *,
    data_dir: str | Path | None = None,
    dataset: Any = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: bool | Console = True,
    checkpoint_minutes: float = 3.0,
) -> Run:
    """Resume the run in a directory; a finished run is returned unchanged.

    Args:
        directory: of the run.
        data_dir: as for `train`; by default the one that the run used before.
        dataset: the arrays of the run, if it was trained on arrays.
        callbacks, progress, checkpoint_minutes: as for `train`.

    Raises:
        InputError: the run needs its arrays and `dataset` is missing, or the run was trained on other data.

    Example:
        >>> kzoo.resume(run.directory, progress=False).finished
        True
    """
    directory = check_run(directory)
    recipe = Run(directory).recipe
    changes, arrays = _named_arrays({} if dataset is None else {"dataset": dataset})
    if changes.get("dataset", recipe.dataset) != recipe.dataset:
        raise InputError(f"run {str(directory)!r} was trained on {recipe.dataset!r}, not on {changes['dataset']!r}")
    # The directory alone identifies a finished run: callbacks are compared only if some are given.
    compared = callbacks or None if Run(directory).finished else callbacks
    with claimed(directory):
        run = train_in(directory, recipe, None, None, Options(data_dir, compared, progress, checkpoint_minutes))
    del arrays  # kept alive until here; from now on the run holds them
    return run


def _named_arrays(changes: dict[str, Any]) -> tuple[dict[str, Any], Arrays | None]:
    """Changes that name the arrays, and the arrays, which the caller must keep alive; None if a name was given."""
    if changes.get("dataset") is None or isinstance(changes["dataset"], str):
        return changes, None
    arrays = from_arrays(changes["dataset"])
    return {**changes, "dataset": name_of(arrays)}, arrays


def recipe_of(source: Any) -> Recipe:
    """The recipe that the first argument of `train` stands for."""
    if isinstance(source, Recipe):
        return source
    if isinstance(source, str | Path):
        return get_recipe(source)
    if isinstance(source, keras.Model):
        raise InputError(f"recipe is the model {source.name!r}: give a recipe first, kzoo.train(recipe, model=...)")
    if not callable(source):
        raise InputError(f"recipe must be a Recipe, a name or the path of a JSON file, not {type(source).__name__}")
    reference = reference_to(source)
    if reference is None:
        name = getattr(source, "__qualname__", type(source).__name__)
        raise InputError(
            f"recipe is {name!r}, a function that cannot be found by its name, so no later process could build its "
            "model: define it at the top of a module, or call it and give kzoo.train(recipe, model=...)"
        )
    return get_recipe(reference)


def _check_built(model: keras.Model, recipe: Recipe, changes: Mapping[str, Any]) -> None:
    """Refuse settings that a model that is built already cannot follow.

    Raises:
        InputError: a change sets an option of the model, or its layers compute in another type than the recipe says.
    """
    option = next((name for name in changes if name.partition(".")[0] == "model_options"), None)
    if option is not None:
        raise InputError(
            f"{option} has no effect on model {model.name!r}, which is built already: build it with that option, or "
            "name a model"
        )
    types = {layer.compute_dtype for _, layer in find_layers(model) if layer.weights}
    low = next((name for name in ("float16", "bfloat16") if name in types), None)
    expected = f"mixed_{low}" if low else "float32"
    if recipe.precision != expected:
        raise InputError(
            f"precision is {recipe.precision!r}, but model {model.name!r} is built already and computes in "
            f"{low or 'float32'}: set precision={expected!r}, or build it after keras.config.set_dtype_policy("
            f"{recipe.precision!r})"
        )


def _copied(model: keras.Model) -> keras.Model:
    """A copy of the custom model to train, so that the same call starts with the same weights again."""
    # Warn about unused compile settings and a whitening kernel that is not set.
    if model.compiled:
        warnings.warn(
            f"model {model.name!r} is compiled: its optimizer, loss and metrics are not used, the recipe's are",
            stacklevel=3,
        )

    if not is_adapted(model):
        warnings.warn(
            f"model {model.name!r} has a whitening kernel that was not computed from images and will not be trained: "
            "call kzoo.models.whitening.adapt(model, images) with the training images first",
            stacklevel=3,
        )

    # Copy the model with its weights.
    try:
        copy = keras.models.clone_model(model)
        if not copy.built:
            copy.build(model.input_shape)
        give_weights(copy, model.get_weights())
        freeze_alike(copy, model)
    except (NotImplementedError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"model {model.name!r} cannot be copied, and would not load again after training ({first_line(error)}): "
            "give its class a get_config(), or train it as 'module:function'"
        ) from None

    # The copy must compute the same.
    copy.name = model.name
    problem = f"model {model.name!r} cannot be copied, and would not load again after training"
    check_same_outputs(model, copy, problem, "when it is copied by its layers' get_config()")
    return copy


def identify(recipe: Recipe, model: keras.Model | None = None) -> tuple[Recipe, str]:
    """The resolved recipe, for a custom model if there is one, and its digest.

    Raises:
        InputError: the model is not built, or a file that the recipe names does not exist.
    """
    content = []
    if model is not None:
        build.check_one_input(model)
        recipe = recipe.override(model=f"keras:{model.name}", model_options={})
        if not model.built:
            raise InputError(f"model {model.name!r} is not built: give it an Input, or call it once")
        content.append(build.model_digest(model))
    recipe = recipe.resolved()
    if recipe.initial_weights is not None:
        content.append(initial_weights_digest(recipe.initial_weights))
    return recipe, recipe.digest(*content)
