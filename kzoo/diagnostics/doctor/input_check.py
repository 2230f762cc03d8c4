"""The input check: find the network of a run, file, model or name, and all that is known about it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.data.augmentation.base import Normalization
from kzoo.data.datasets import get_dataset
from kzoo.diagnostics.doctor.subject import Subject, check_fits
from kzoo.diagnostics.gradient_flow.measure import unscaled
from kzoo.errors import InputError
from kzoo.files import names_keras_file
from kzoo.introspection.backends import sync
from kzoo.introspection.keras_file import load_keras_file
from kzoo.models.registry import create_model, get_variant, names_set
from kzoo.recipes import get_recipe
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import ChannelStatistics
from kzoo.training.build import Data, build_model, load_parts, prepare_model, seed_and_freeze
from kzoo.training.checkpoint import load_latest
from kzoo.training.directory import check_structure, custom_model
from kzoo.training.finding import named_or_refused
from kzoo.training.records import read_history
from kzoo.training.run import Run
from kzoo.training.saved_set import open_run


def admit(
    target: Any,
    *,
    dataset: str | None = None,
    images: Any = None,
    labels: Any = None,
    recipe: Recipe | str | None = None,
    data_dir: str | Path | None = None,
    seed: int = 0,
) -> Subject:
    """Recognize a target; the arguments are those of `kzoo.doctor`.

    Raises:
        InputError: the target cannot be examined, or images and labels do not fit it.
    """
    # Check the arguments that exclude each other.
    if labels is not None and images is None:
        raise InputError("labels were given without images: give both")
    if dataset is not None and images is not None:
        raise InputError(f"images and dataset={dataset!r} were given: give one of them")

    # Recognize the target.
    chosen_recipe = get_recipe(recipe) if isinstance(recipe, str) else recipe
    if isinstance(target, str | Path):
        target = type(target)(os.path.expanduser(target))
    asked = target
    if isinstance(target, str | Path) and ((Path(target) / "recipe.json").is_file() or names_set(str(target))):
        target = open_run(target)
    if isinstance(target, Run):
        if dataset is not None or chosen_recipe is not None:
            name = str(getattr(asked, "directory", asked))
            what = "weight set" if names_set(name) else "run"
            given = " and ".join(key for key, value in (("recipe", recipe), ("dataset", dataset)) if value is not None)
            raise InputError(f"{what} {name!r} has its own recipe and dataset: leave {given} out")
        subject = _of_run(target, data_dir, seed, custom_images=images is not None)
    elif isinstance(target, keras.Model):
        subject = _of_model(f"model {target.name!r}", target, chosen_recipe, dataset, data_dir, seed)
    elif isinstance(target, str | Path) and names_keras_file(target):
        subject = _of_model(
            str(target), load_keras_file(Path(target), compiled=True), chosen_recipe, dataset, data_dir, seed
        )
    elif isinstance(target, str) and not Path(target).is_dir() and "." not in Path(target).suffix:
        subject = _of_name(chosen_recipe or named_or_refused(target), dataset, data_dir, seed, title=target)
    else:
        what = f"{str(target)!r}" if isinstance(target, str | Path) else type(target).__name__
        raise InputError(f"{what} cannot be examined: give a run's directory, a .keras file, a model or a model's name")

    # Custom images replace those of the dataset.
    if images is not None:
        subject.images = np.asarray(images)
        subject.labels = None if labels is None else np.asarray(labels)
        subject.no_data = "give labels with the images"
    check_fits(subject)
    return subject


def _of_run(run: Run, data_dir: str | Path | None, seed: int, *, custom_images: bool) -> Subject:
    # The data of a finished run, or of the checkpoint of an unfinished one.
    result = run.result if run.finished else None
    start = None if result else load_latest(run.directory / "checkpoint")
    directory = data_dir or (result.data.get("data_dir") if result else start.state.data_dir if start else None)
    data: Data | None = None
    no_data = ""
    try:
        data = None if custom_images else load_parts(run.recipe, directory)
    except InputError as error:
        no_data = str(error)
        if result is None:
            raise
    facts = _shape_of_record(result.data) if result else None

    def initial() -> keras.Model:
        made = custom_model(run.directory)
        if made is None:
            made = build_model(run.recipe, data or facts)  # type: ignore[arg-type]
            check_structure(run.directory, made)
        if data is not None:
            prepare_model(made, run.recipe, data)  # freezes what the recipe freezes
        else:
            seed_and_freeze(made, run.recipe)
        return made

    # The network with the best epoch's weights, if there are any.
    model = initial()
    weights, title = run.weights, run.title
    history = result.history if result else read_history(run.directory)
    if weights.is_file():
        try:
            model.load_weights(weights)
        except Exception as error:  # a damaged file can raise nearly any error
            raise InputError(f"weights {str(weights)!r} cannot be read: {error}") from None

    # A title that says how far the run got.
    epochs = len(history.get("loss", []))
    done = "failed" if result and result.reason else "finished" if result else "not finished"
    title += f" ({done}, {epochs} epoch{'s' * (epochs != 1)}; weights {'of the best' if weights.is_file() else 'as'}"
    title += " epoch)" if weights.is_file() else " they were before training)"
    images = (result.sizes.get("train") if result else None) or (len(data.train) if data else 0)
    return Subject(
        title,
        model,
        seed,
        data.train.images if data else None,
        data.train.labels if data else None,
        no_data,
        tuple(result.data["class_names"]) if result else data.class_names if data else None,
        run.recipe,
        None,
        initial if run.recipe.initial_weights is None else None,
        history,
        epochs * -(-images // run.recipe.batch_size) if images else None,
        result.reason if result else None,
    )


def _of_model(
    title: str, model: keras.Model, recipe: Recipe | None, name: str | None, data_dir: str | Path | None, seed: int
) -> Subject:
    subject = Subject(title, model, seed, recipe=recipe)
    sync(model)
    if recipe is None and getattr(model, "optimizer", None) is not None:
        optimizer = unscaled(model.optimizer)
        kind, settings = type(optimizer), optimizer.get_config()
        subject.optimizer = lambda: kind.from_config(settings)
    if name is not None:
        base = recipe or Recipe("doctor/own", model=f"keras:{model.name}", augmentation=())
        _give(subject, load_parts(base.override(dataset=name).resolved(), data_dir))
    return subject


def _of_name(recipe: Recipe, name: str | None, data_dir: str | Path | None, seed: int, title: str) -> Subject:
    # Complete the recipe.
    recipe = recipe.override(seed=seed)
    if name is not None:
        recipe = recipe.override(dataset=name)
    recipe = recipe.resolved()
    data = load_parts(recipe, data_dir) if name is not None else None

    def initial() -> keras.Model:
        if data is not None:
            made = build_model(recipe, data)
            prepare_model(made, recipe, data)
            return made
        shape = _shape_of_recipe(recipe)
        made = create_model(recipe.model, **recipe.model_options) if shape is None else build_model(recipe, shape)
        seed_and_freeze(made, recipe)
        return made

    # The untrained network.
    model = initial()
    subject = Subject(f"{title} (initial weights, seed {seed})", model, seed, recipe=recipe, steps=0)
    subject.initial = initial
    if data is not None:
        _give(subject, data)
    return subject


class _Shape:
    """The properties of the data that `build_model` needs, without data."""

    def __init__(self, image_shape: Any, class_names: Any, normalization: Normalization | None) -> None:
        self.image_shape, self.class_names, self.normalization = image_shape, class_names, normalization


def _shape_of_record(facts: dict[str, Any]) -> Any:
    statistics = facts["normalization"]
    normalization = statistics and Normalization(*(tuple(values) for values in statistics))
    return _Shape(tuple(facts["image_shape"]), tuple(facts["class_names"]), normalization)


def _shape_of_recipe(recipe: Recipe) -> Any:
    """The shape in the dataset's entry; None if the entry is incomplete, or the model is a custom builder."""
    data = get_dataset(recipe.dataset)
    variant = get_variant(recipe.model)
    if variant.input_shape is None or data.image_shape is None or data.mean is None or data.classes is None:
        return None
    statistics = Normalization(data.mean, data.std or ())
    if isinstance(recipe.normalization, ChannelStatistics):
        statistics = Normalization(recipe.normalization.mean, recipe.normalization.std)
    shape = (
        data.image_shape if recipe.image_size is None else (recipe.image_size, recipe.image_size, data.image_shape[2])
    )
    names = recipe.class_names or data.class_names or range(data.classes)
    return _Shape(shape, tuple(map(str, names)), None if recipe.normalization == "none" else statistics)


def _give(subject: Subject, data: Data) -> None:
    subject.images, subject.labels, subject.class_names = data.train.images, data.train.labels, data.class_names
