"""Builds from a recipe what a run works on: the parts of the data, and the model with its initial weights."""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kzoo.data.arrays import channel_statistics
from kzoo.data.augmentation.base import Normalization
from kzoo.data.augmentation.expansions import expand
from kzoo.data.batches import Batches
from kzoo.data.datasets import get_dataset
from kzoo.data.loading import load
from kzoo.data.splits import Part, split
from kzoo.errors import InputError, some, unknown
from kzoo.introspection.graph import fresh_names
from kzoo.introspection.layers import torch_modules
from kzoo.introspection.output_trials import input_shape
from kzoo.introspection.outputs import class_outputs
from kzoo.models.registry import create_model, takes
from kzoo.models.whitening import adapt
from kzoo.recipes.schema import Recipe
from kzoo.recipes.settings import ChannelStatistics, Plateau
from kzoo.seeds import derived_seed, seed_keras
from kzoo.training.identity import origin


@dataclass(frozen=True)
class Data:
    """The parts of a recipe's data.

    Attributes:
        train: images uint8 (n, height, width, channels) and labels int64 (n,), expansions included.
        validation, test: the same, unchanged from the dataset.
        class_names: names by label.
        normalization: what the model's first layer subtracts and divides by, or None.
        fingerprint: of the dataset's content.
        sizes: images by part; "drawn" are the training images before expansion.
    """

    train: Part
    validation: Part
    test: Part
    class_names: tuple[str, ...]
    normalization: Normalization | None
    fingerprint: str
    sizes: dict[str, int]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        return self.train.images.shape[1:]

    def batches(self, part: str, recipe: Recipe) -> Batches:
        """Batches of ``"train"`` (shuffled, augmented), ``"validation"`` or ``"test"`` (in order, as they are)."""
        images = getattr(self, part)
        augmentation = recipe.augmentation or ()
        soft = recipe.label_smoothing > 0 or any(step.mixes for step in augmentation)
        common: dict[str, Any] = {"batch_size": recipe.batch_size, "classes": len(self.class_names), "soft": soft}
        if part == "train":
            common |= {"seed": recipe.seed, "augmentation": augmentation, "label_smoothing": recipe.label_smoothing}
            common["normalization"] = self.normalization
            common["class_weights"] = self.class_weights(recipe)
        return Batches(images.images, images.labels, **common)

    def class_weights(self, recipe: Recipe) -> np.ndarray | None:
        """The recipe's class weights, float32 (classes,), or None if it has none.

        Raises:
            InputError: a name is not a class, or a class has no training images and the weights are "balanced".
        """
        chosen = recipe.class_weights
        if chosen is None:
            return None
        if chosen == "balanced":
            counts = np.bincount(self.train.labels, minlength=len(self.class_names))
            empty = [name for name, count in zip(self.class_names, counts, strict=True) if not count]
            if empty:
                raise InputError(
                    f"class_weights='balanced': there are no training images of {', '.join(map(repr, empty[:5]))}; "
                    "give weights by name, or leave the class out with class_names"
                )
        else:
            for name in chosen:
                if name not in self.class_names:
                    raise unknown("class in class_weights", name, self.class_names)
            if not class_factors(chosen, self.train.labels, self.class_names).any():
                raise InputError("class_weights has the weight 0 for every class: nothing would be trained")
        return class_factors(chosen, self.train.labels, self.class_names).astype(np.float32)


def class_factors(chosen: str | Mapping[str, float], labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A recipe's class weights for training labels (n,): float64 (classes,).

    With ``"balanced"``, a class without images counts as if it had one.
    """
    if isinstance(chosen, str):
        counts = np.bincount(labels, minlength=len(names))
        return counts.sum() / (len(counts) * np.maximum(counts, 1))
    return np.array([chosen.get(name, 1.0) for name in names], np.float64)


def load_parts(recipe: Recipe, data_dir: str | Path | None) -> Data:
    """Load, split and expand the data of a resolved recipe.

    Raises:
        InputError: the data is missing or does not fit the recipe.
    """
    # Load and split.
    arrays = load(
        recipe.dataset,
        data_dir=data_dir,
        classes=recipe.class_names,
        image_size=recipe.image_size,
        background=recipe.background,
    )
    parts = split(arrays, recipe.split, get_dataset(recipe.dataset), recipe.train_size)
    if not len(parts.validation):
        if isinstance(recipe.schedule, Plateau) or recipe.early_stop is not None:
            setting = "schedule 'plateau'" if isinstance(recipe.schedule, Plateau) else "early_stop"
            raise InputError(f"{setting} needs validation images, but split.validation leaves none")
        if not len(parts.test):
            raise InputError("split leaves neither validation nor test images")
    if recipe.tta is not None and not len(parts.test):
        raise InputError(f"tta={recipe.tta!r} scores test images, but split.test leaves none")

    # Add the expansions to the training part.
    sizes = {"drawn": len(parts.train)}
    train = parts.train
    if recipe.expansions:
        train = Part(*expand(train.images, train.labels, recipe.expansions))
    sizes |= {"train": len(train), "validation": len(parts.validation), "test": len(parts.test)}
    return Data(
        train=train,
        validation=parts.validation,
        test=parts.test,
        class_names=tuple(arrays.class_names),
        normalization=_normalization(recipe, arrays, parts.train.images),
        fingerprint=arrays.fingerprint,
        sizes=sizes,
    )


DATA_FIELDS = {"dataset", "class_names", "split", "train_size", "image_size", "background"}
DATA_FIELDS |= {"expansions", "normalization"}
"""Fields of a recipe that its data depends on."""


class LastData:
    """The data of the last requested recipe, kept for further recipes on the same data."""

    def __init__(self, data_dir: str | Path | None) -> None:
        """Hold nothing yet; `data_dir` as for `load_parts`."""
        self.data_dir = data_dir
        self._last: tuple[str, Data] | None = None

    def of(self, recipe: Recipe) -> Data:
        """The data of a recipe.

        Raises:
            InputError: the data is missing or does not fit the recipe.
        """
        recipe = recipe.resolved()
        key = recipe.model_dump_json(include=DATA_FIELDS)
        if self._last is None or self._last[0] != key:
            self._last = None  # frees the old data before the new data is loaded
            self._last = (key, load_parts(recipe, self.data_dir))
        return self._last[1]


def _normalization(recipe: Recipe, arrays: Any, images: np.ndarray) -> Normalization | None:
    if recipe.normalization == "none":
        return None
    if isinstance(recipe.normalization, ChannelStatistics):
        chosen = Normalization(recipe.normalization.mean, recipe.normalization.std)
        if len(chosen.mean) != images.shape[-1]:
            raise InputError(
                f"normalization has {len(chosen.mean)} channels, the images of {recipe.dataset!r} have "
                f"{images.shape[-1]}: give as many, or 'dataset'"
            )
        return chosen
    if arrays.mean is not None:
        return Normalization(tuple(arrays.mean), tuple(arrays.std))
    # A custom dataset without statistics: measure them on the training part.
    mean, std = channel_statistics(images)
    return Normalization(mean, tuple(value or 1.0 for value in std))


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """A context in which Keras creates layers with this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build_model(recipe: Recipe, data: Data) -> keras.Model:
    """The model of a recipe for its data, with initial weights that depend on the recipe's seed and data alone.

    A whitening layer is adapted to the training images (see `kzoo.models.whitening`).
    Seeds the generators of Keras, NumPy and Python, from which Keras draws initial weights.
    """
    options = dict(recipe.model_options)
    data_options = {"classes": len(data.class_names), "input_shape": data.image_shape}
    if data.normalization is not None:
        data_options |= {"mean": data.normalization.mean, "std": data.normalization.std}
    for option, value in data_options.items():
        if option not in options and takes(recipe.model, option):
            options[option] = value
    origin.see(recipe)
    seed_keras(derived_seed(recipe.seed, "initial weights"))
    # With fresh names, because `freeze` and others may name layers, and a resumed run is another process.
    with precision(recipe.precision), fresh_names():
        model = create_model(recipe.model, **options)
    if not isinstance(model, keras.Model):
        raise InputError(f"model {recipe.model!r} must return a keras.Model, not {type(model).__name__}")
    if isinstance(data, Data) and options.get("weights") is None:
        adapt(model, data.train.images)
    return model


def prepare_model(model: keras.Model, recipe: Recipe, data: Data) -> None:
    """Check that a model fits the data; seed its dropout and freeze layers as the recipe says.

    Raises:
        InputError: the model does not fit the data, or a pattern in `freeze` matches no layer.
    """
    _check_fits(model, data)
    _check_no_buffers(model)
    seed_and_freeze(model, recipe)


def seed_and_freeze(model: keras.Model, recipe: Recipe) -> None:
    """Seed a built model's dropout and freeze layers as the recipe says.

    Raises:
        InputError: a pattern in `freeze` matches no layer.
    """
    weights = {id(weight) for weight in model.weights}
    states = [variable for variable in model.variables if id(variable) not in weights]  # of seed generators
    for index, variable in enumerate(states):
        variable.assign(np.array([derived_seed(recipe.seed, "layers", index), 0], variable.dtype))
    for pattern in recipe.freeze:
        chosen = [layer for layer in model.layers if fnmatch.fnmatchcase(layer.name, pattern)]
        if not chosen:
            raise InputError(
                f"freeze has {pattern!r}, which is not a layer of {model.name!r}; its layers are "
                f"{', '.join(layer.name for layer in model.layers if layer.weights)}"
            )
        for layer in chosen:
            layer.trainable = False


def check_one_input(model: keras.Model) -> None:
    """Refuse a model with several inputs."""
    if len(getattr(model, "inputs", None) or [0]) != 1:
        raise InputError(f"model {model.name!r} must have one input to be trained on labelled images")


def _check_no_buffers(model: keras.Model) -> None:
    """Refuse modules of PyTorch with states that are not Keras variables: checkpoints and best weights lack them."""
    for path, module in torch_modules(model).items():
        names = [name for name, _ in module.named_buffers()]
        if names:
            raise InputError(
                f"layer {path!r} wraps a torch.nn.Module with buffers ({some(names, 3)}), which a resumed run and its "
                "best weights would lack: write these parts as Keras layers"
            )


def _check_fits(model: keras.Model, data: Data) -> None:
    check_one_input(model)
    if not model.built:
        model.build((None, *data.image_shape))
    inputs = input_shape(model)
    if len(inputs) != 4 or any(a is not None and a != b for a, b in zip(inputs[1:], data.image_shape, strict=True)):
        raise InputError(f"model {model.name!r} takes images of shape {inputs[1:]}, the data has {data.image_shape}")
    outputs = class_outputs(model, data.train.images[:4])
    if outputs.classes != len(data.class_names):
        description = "one sigmoid, so two classes" if outputs.kind == "sigmoid" else f"{outputs.classes} outputs"
        raise InputError(f"model {model.name!r} gives {description}, the data has {len(data.class_names)} classes")


def model_digest(model: keras.Model) -> str:
    """The digest of a model that no name identifies, from its configuration and weights."""
    digest = hashlib.sha256(model.to_json().encode())
    for value in model.get_weights():
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
