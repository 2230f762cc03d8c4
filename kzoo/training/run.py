"""Opens a run's directory: its recipe, record and model."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path
from typing import Any

import keras

from kzoo import notebook
from kzoo.data.augmentation.base import Normalization
from kzoo.data.datasets import get_dataset
from kzoo.data.in_memory import held
from kzoo.data.loading import load
from kzoo.data.splits import Part, Split, split
from kzoo.errors import InputError, some
from kzoo.models.trained import load_file
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import differing_fields
from kzoo.training import records
from kzoo.training.build import build_model, load_parts
from kzoo.training.directory import check_same_data, check_structure, custom_model
from kzoo.training.evaluation import Evaluation, evaluate_augmented, evaluate_part
from kzoo.training.finding import check_part, check_run, check_tta
from kzoo.training.training_view import training_view


class Run:
    """A run's directory, finished or not.

    Attributes:
        directory: of the run.
        recipe: the resolved recipe.

    Example:
        >>> kzoo.Run(run.directory).class_names[:2]
        ('0', '1')
    """

    def __init__(self, directory: str | Path, *, model: keras.Model | None = None) -> None:
        """Open a run.

        Raises:
            InputError: the directory holds no run.
        """
        self.directory = check_run(directory)
        self.recipe = Recipe.from_file(self.directory / "recipe.json")
        self._model = model
        self._arrays = held(self.recipe.dataset)  # arrays given in Python live as long as a run that uses them

    @functools.cached_property
    def result(self) -> records.RunRecord:
        """The record.

        Raises:
            InputError: there is no record yet, or it is damaged.
        """
        record = records.read_run(self.directory)
        # With another recipe, the data could be split or drawn differently than in training.
        if differing := differing_fields(Recipe(**record.recipe), self.recipe):
            path = self.directory / "recipe.json"
            raise InputError(f"recipe {str(path)!r} was changed after the run ({some(differing)}): put it back")
        return record

    @property
    def title(self) -> str:
        """The name of the run in messages."""
        return f"run {str(self.directory)!r}"

    @property
    def weights(self) -> Path:
        """The file with the weights of the best epoch."""
        return self.directory / "best.weights.h5"

    @property
    def finished(self) -> bool:
        """Whether there is a record."""
        return (self.directory / "result.json").exists()

    @property
    def history(self) -> dict[str, list[float]]:
        """Per epoch: loss, accuracy, val_loss, val_accuracy, learning_rate, seconds."""
        return self.result.history

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names by label."""
        return tuple(self.result.data["class_names"])

    @property
    def model(self) -> keras.Model:
        """The model with the weights of the best epoch; it takes raw 0-255 pixels."""
        if self._model is None:
            self._model = self._rebuild()
        return self._model

    @functools.cached_property
    def view(self) -> tuple[keras.Model, bool]:
        """The model up to its logits, and whether it has any (see `training_view`); made once for all predictions."""
        return training_view(self.model)

    def network(self) -> keras.Model:
        """The model, for uses where only its layers matter: the loaded model, or else one built without the weights.

        Raises:
            InputError: it cannot be built.
        """
        if self._model is not None:
            return self._model
        model = custom_model(self.directory)
        return recorded_model(self.result) if model is None else model

    def __repr__(self) -> str:
        outcome = self.result.in_words() if self.finished else "unfinished"
        return f"Run({str(self.directory)!r}: {self.recipe.model} on {self.recipe.dataset}, {outcome})"

    def _repr_html_(self) -> str:
        if self.finished:
            return self.result._repr_html_()
        return notebook.heading(self.recipe.name, f"unfinished: kzoo resume {self.directory}")

    def _rebuild(self) -> keras.Model:
        path = self.weights
        model = custom_model(self.directory)
        if model is None:
            model = recorded_model(self.result)
            check_structure(self.directory, model)
        if not path.exists():
            raise InputError(f"weights file {str(path)!r} does not exist")
        load_file(model, path, str(path))
        return model

    def evaluate(
        self,
        part: str = "test",
        data_dir: str | Path | None = None,
        *,
        tta: str | None = None,
        dataset: str | None = None,
    ) -> Evaluation:
        """Score the best epoch's weights on ``"train"``, ``"validation"`` or ``"test"``, images as they are.

        Args:
            part: of the run's data, or of `dataset`.
            data_dir: as for `kzoo.train`.
            tta: None, or test-time augmentation, ``"flip"`` or ``"flip-shift"`` (see `Recipe`).
            dataset: None, or another dataset of the same classes, such as ``"cifar10-c/fog_3"`` for a run on CIFAR-10.

        Raises:
            InputError: there is no such part or test-time augmentation, the data is not the run's, or `dataset` does
                not fit the run.
        """
        check_tta(tta)
        chosen = self.part(part, data_dir) if dataset is None else self.other_part(dataset, part, data_dir)
        view, logits = self.view
        if tta is not None:
            return evaluate_augmented(view, logits, chosen, tta, self.recipe.batch_size)
        return evaluate_part(view, logits, chosen, self.recipe.batch_size)

    def part(self, part: str = "test", data_dir: str | Path | None = None) -> Part:
        """Images and labels of ``"train"``, ``"validation"`` or ``"test"``, as they are.

        Raises:
            InputError: there is no such part, or the data is not what the run was trained on.
        """
        check_part(part)
        data = load_parts(self.recipe, data_dir or self.result.data.get("data_dir"))
        check_same_data(self.directory, self.result.data["fingerprint"], data.fingerprint)
        chosen: Part = getattr(data, part)
        if not len(chosen):
            raise InputError(f"{self.title} has no images in its {part} part")
        return chosen

    def other_part(self, dataset: str, part: str = "test", data_dir: str | Path | None = None) -> Part:
        """A part of another dataset, published or from the default split, at the size of the run's images.

        Args:
            dataset: as recipes name it; its classes must be the run's, by name and in order.
            part: ``"train"``, ``"validation"`` or ``"test"``.
            data_dir: as for `kzoo.train`.

        Raises:
            InputError: there is no such dataset or part, or its classes or images are not like the run's.
        """
        check_part(part)
        height, width, channels = self.result.data["image_shape"]
        arrays = load(
            dataset,
            data_dir=data_dir or self.result.data.get("data_dir"),
            classes=self.recipe.class_names,
            image_size=height if height == width else None,
            background=self.recipe.prediction_background,
        )

        # A label must mean the same, and the network takes images of one shape.
        ours, theirs = self.result.data["class_names"], list(arrays.class_names)
        if theirs != ours:
            raise InputError(
                f"dataset {dataset!r} has other classes than {self.title}: {some(theirs)}, not {some(ours)}"
            )
        sizes = ["x".join(map(str, shape)) for shape in (arrays.images.shape[1:], (height, width, channels))]
        if sizes[0] != sizes[1]:
            raise InputError(f"dataset {dataset!r} has images of {sizes[0]}, {self.title} takes {sizes[1]}")

        stored = get_dataset(dataset).image_shape
        if stored is not None and stored[:2] != (height, width):
            warnings.warn(
                f"images of {dataset!r} are scaled from {stored[0]}x{stored[1]} to {height}x{width}", stacklevel=2
            )

        # A published part is used as it is, however few training images the dataset has.
        published = arrays.parts().get(part) if part != "train" else None
        if published is not None:
            chosen = Part(*published)
        else:
            chosen = getattr(split(arrays, Split(), get_dataset(dataset), only=part), part)
            drawn = f"{len(chosen):,} of its {len(arrays.labels):,} images"
            warnings.warn(f"dataset {dataset!r}: {drawn} are drawn as the {part} part", stacklevel=2)
        if not len(chosen):
            raise InputError(f"dataset {dataset!r} has no images in its {part} part")
        return chosen


def recorded_model(record: records.RunRecord) -> keras.Model:
    """The model that a record's recipe names, for the data that the record describes, with initial weights.

    Raises:
        InputError: the recipe names a custom model object, which cannot be built from its name.
    """
    recipe = Recipe(**record.recipe)
    if recipe.model.startswith("keras:"):
        raise InputError(f"model {recipe.model!r} was a custom model: the record {record.name!r} does not hold it")
    return build_model(recipe, recorded_data(record))  # type: ignore[arg-type]


def recorded_data(record: records.RunRecord) -> DataFacts:
    """The part of a record's data description that building a model needs."""
    facts = record.data
    statistics = facts["normalization"]
    return DataFacts(tuple(facts["image_shape"]), tuple(facts["class_names"]), statistics and tuple(statistics))


class DataFacts:
    """The facts of the data that building a model needs, without the images."""

    def __init__(self, image_shape: tuple[int, ...], class_names: tuple[str, ...], statistics: Any) -> None:
        self.image_shape, self.class_names = image_shape, class_names
        self.normalization = statistics and Normalization(*(tuple(values) for values in statistics))
