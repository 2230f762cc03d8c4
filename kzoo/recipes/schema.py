"""The recipe: everything that determines a run, as validated plain data (no Keras).

A run is a function of its recipe. `Recipe.digest` identifies a recipe by content, never by name: two recipes
that resolve to the same model, data and training have the same digest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from kzoo import notebook
from kzoo.checks import is_number, of_unit_pixels
from kzoo.custom import CustomPart
from kzoo.data.augmentation.spec import AugmentationSpec
from kzoo.data.background import WHITE, Colour
from kzoo.data.datasets import get_dataset
from kzoo.data.splits import Split
from kzoo.errors import InputError, counted, shown
from kzoo.files import user_path
from kzoo.models.registry import get_variant
from kzoo.recipes.fields import Background, Share
from kzoo.recipes.nested import assign, flat, parts_of
from kzoo.recipes.settings import (
    Adam,
    AdamW,
    ChannelStatistics,
    Constant,
    CustomOptimizer,
    EarlyStop,
    Lookahead,
    Multiplier,
    Optimizer,
    Plateau,
    Schedule,
    Setting,
)
from kzoo.recipes.text import write
from kzoo.recipes.words import optional_setting, readable, unknown_field
from kzoo.schemas import check_version, identity_fields, later, upgraded

SCHEMA_VERSION = 2
Expansion = Literal["mirror", "contrast", "median", "median-per-channel", "rotations"]
# Fields that return to their defaults when the dataset changes, unless they change too.
TIED_TO_DATASET = ("augmentation", "normalization", "split", "class_names", "background")


class Recipe(Setting):
    """Everything that determines a run.

    Attributes:
        schema_version: version of this schema; a newer one is refused.
        name: ``family/name``; labels the run and is not part of its identity.
        model: a registered model's name, or ``module:function`` returning a Keras model.
        model_options: keyword arguments for the model's builder.
        dataset: a dataset's name, ``tfds:NAME[/CONFIG]``, ``folder:PATH``, ``npz:PATH`` or ``module:function``.
        class_names: restricts the dataset to these classes (names or indices, renumbered in this order).
        split: how validation and test images are chosen.
        train_size: use only this many training images (a seeded subset; smaller ones nest in larger ones).
        image_size: side in pixels to which all images are resized once.
        background: the background of transparent image files: red, green and blue, or one grey value, 0-255; null
            drops the transparency. For a dataset without image files it applies to predictions only, and null means
            white.
        augmentation: random changes to each training image, in order; None means the dataset's default.
        expansions: transformed copies added to the training images before training starts.
        normalization: ``"dataset"`` for the dataset's mean and standard deviation, ``"none"`` for raw pixels,
            or the values themselves, in units of pixels / 255. It becomes the model's first layer.
        optimizer: the optimizer and its learning rate.
        schedule: the learning rate per epoch.
        l1: coefficient of sign(w), added to the gradient of every parameter w.
        l2: coefficient of w, added to the gradient of every parameter w, including biases and BatchNorm. PyTorch's
            optimizers call it ``weight_decay``.
        weight_decay: decoupled weight decay, as in Keras; None means 0.004 (Keras's default) for AdamW, a custom
            optimizer's default, and 0 for all others.
        label_smoothing: share of each training label spread over all classes.
        ema: momentum of a moving average of the weights, used for validation, testing and the saved weights.
        precision: Keras dtype policy.
        epochs: passes over the training part.
        batch_size: images per step; the last, smaller batch of an epoch is kept.
        seed: seed of initial weights, order, augmentation and dropout (the split has a separate one).
        initial_weights: a run's directory (its best weights), a weight set (``MODEL:TAG``, its directory or URL), or a
            ``.weights.h5`` or ``.keras`` file.
        initial_weights_partial: load the layers of `initial_weights` that fit; by default, all except the classifier
            must fit.
        freeze: wildcards of the names of layers that are not trained. With `initial_weights`, other layers may differ,
            but each frozen layer must be loaded from them.
        early_stop: when to stop before the last epoch.
        rate_multipliers: factors on the learning rate by wildcards of variable paths (``"*bias": 64``, or with first
            and last epoch, see `RateMultiplier`); if several match, the last one counts.
        warmup_epochs: epochs in which the learning rate rises linearly, step by step, to the schedule's first rate
            (Goyal et al. 2017); the schedule then fills the rest of the run.
        clip_norm: largest norm of all gradients together; larger norms are scaled down to it (Pascanu et al. 2013).
        lookahead: return part of the way to slow copies of the weights every few steps, see `Lookahead`; ``{}`` for
            its defaults.
        class_weights: factor on the loss of an image, by class name (1 for classes without one), or ``"balanced"``:
            images / (classes * images of the class), of the training part (King and Zeng 2001).
        tta: test-time augmentation, for a second score of the test part: the mean over each image and its mirror image
            (``"flip"``), or half of this plus half of the mean over both moved by one pixel along the diagonal, both
            ways (``"flip-shift"``; Jordan 2024, section 3.5).
        ties: which of several epochs with the best validation accuracy is kept: ``"loss"``, the one with the lowest
            validation loss, or ``"first"``, as in the reports' recipes.

    Example:
        >>> recipe = kzoo.Recipe("mine/fast", model="vgg08", dataset="digits", epochs=5, optimizer="sgd")
        >>> recipe.optimizer.learning_rate
        0.01
    """

    schema_version: int = SCHEMA_VERSION
    name: Annotated[str, Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    model_options: dict[str, Any] = Field(default_factory=dict)
    dataset: str = "digits"
    class_names: tuple[str | int, ...] | None = None
    split: Split = Split()
    train_size: Annotated[int, Field(ge=1)] | None = None
    image_size: Annotated[int, Field(ge=1, le=1024)] | None = None
    background: Background | None = later(WHITE, before=None, since=2)
    augmentation: tuple[AugmentationSpec, ...] | None = None
    expansions: tuple[Expansion, ...] = ()
    normalization: Literal["dataset", "none"] | ChannelStatistics = "dataset"
    optimizer: Optimizer = Adam()
    schedule: Schedule = Constant()
    l1: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 0.0
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    label_smoothing: Share = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 100
    seed: Annotated[int, Field(ge=0)] = 0
    initial_weights: Annotated[str, Field(min_length=1)] | None = None
    initial_weights_partial: bool = later(False)
    freeze: tuple[str, ...] = ()
    early_stop: EarlyStop | None = None
    rate_multipliers: dict[str, Multiplier] = later({})
    warmup_epochs: Annotated[float, Field(ge=0)] = later(0.0)
    clip_norm: Annotated[float, Field(gt=0)] | None = later(None)
    lookahead: Lookahead | None = later(None)
    class_weights: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = later(None)
    tta: Literal["flip", "flip-shift"] | None = later(None)
    ties: Literal["loss", "first"] = later("loss", before="first", since=2)

    def __init__(self, name: str | None = None, **fields: Any) -> None:
        """Validate the fields; a `kzoo.errors.InputError` names the first wrong one and what is allowed."""
        if name is not None:
            fields["name"] = name
        check_version(fields, "recipe", SCHEMA_VERSION)
        version = fields.get("schema_version", SCHEMA_VERSION)
        if version < SCHEMA_VERSION:
            fields = upgraded(type(self), {**fields, "schema_version": SCHEMA_VERSION}, version)
            if isinstance(fields.get("split", {}), dict):
                fields["split"] = upgraded(Split, fields.get("split", {}), version)
        super().__init__(**fields)

    @classmethod
    def _in_words(cls, error: ValidationError) -> InputError:
        return readable(error, cls)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.normalization != "dataset" and self.normalization != "none":
            mean, std = self.normalization.mean, self.normalization.std
            of_unit_pixels("normalization: mean", mean)
            of_unit_pixels("normalization: std", std)
            if not mean or len(mean) != len(std):
                raise ValueError(f"normalization needs as many means as standard deviations, not {mean!r} and {std!r}")
        if self.warmup_epochs:
            if isinstance(self.schedule, Plateau):
                raise ValueError("warmup_epochs needs a schedule known in advance, not 'plateau'")
            if self.warmup_epochs >= self.epochs:
                raise ValueError(f"warmup_epochs={self.warmup_epochs:g} must be less than epochs={self.epochs}")
        try:
            json.dumps(self.model_options)
        except (TypeError, ValueError):
            raise ValueError(f"model_options must hold what JSON can hold, not {shown(self.model_options)}") from None
        return self

    def derive(self, name: str, **changes: Any) -> Recipe:
        """A recipe like this one under another name, with the given fields replaced."""
        return Recipe(**{**self._fields(), **changes, "name": name})

    def override(self, **changes: Any) -> Recipe:
        """This recipe with fields replaced, as ``--set`` and `kzoo.train`'s keywords do.

        A dotted name changes one entry of a field (``model_options.dropout=0.5``). Another dataset brings its default
        augmentation, normalization, split, classes and background, except those that are among the changes.
        """
        fields = self._fields()
        top = {key.split(".")[0] for key in changes}
        dataset = changes.get("dataset", self.dataset)
        if not isinstance(dataset, str) or dataset != self.dataset:  # arrays are refused below
            fields.update({key: type(self).model_fields[key].default for key in TIED_TO_DATASET})
        for key in sorted(top - set(type(self).model_fields)):
            raise unknown_field(key, type(self))
        for key in top:
            if isinstance(fields[key], str | None) and optional_setting(type(self), key):
                # early_stop.patience=6 turns early stopping on; class_weights.cat=2 replaces "balanced"
                fields[key] = {}
        for key, value in sorted(changes.items(), key=lambda item: item[0].count(".")):
            path = parts_of(key)
            if path[0] == "rate_multipliers" and len(path) == 2 and is_number(value):
                path.append("factor")  # a number alone; an existing multiplier keeps its epochs
            assign(fields, path, value)
        try:
            return Recipe(**fields)
        except InputError as error:
            for key in changes:
                field, _, last = key.rpartition(".")
                if last == "kind" and f"'{field}.{changes[key]}." in str(error):
                    raise InputError(f"{error}; {field}={changes[key]} selects the kind with its defaults") from None
            raise

    def resolved(self) -> Recipe:
        """This recipe with the defaults of its dataset and optimizer filled in.

        Raises:
            InputError: the model or dataset is unknown, or a custom part has changed.
        """
        for part in self.custom_parts:
            part.function()
        if not self.model.startswith("keras:"):
            get_variant(self.model)
        dataset = get_dataset(self.dataset)
        augmentation = dataset.augmentation if self.augmentation is None else self.augmentation
        decay = self.weight_decay
        if decay is None and not isinstance(self.optimizer, CustomOptimizer):  # which has its own default
            decay = 0.004 if isinstance(self.optimizer, AdamW) else 0.0
        stratified = dataset.stratified if self.split.stratified is None else self.split.stratified

        # All defaults in one recipe.
        filled = Recipe(
            **{
                **self._fields(),
                "dataset": dataset.name,
                "augmentation": augmentation,
                "weight_decay": decay,
                "split": self.split.model_copy(update={"stratified": stratified}),
                "background": self.background if self._reads_files or self.background != WHITE else None,
            }
        )
        return Recipe.from_json(filled.to_json())  # as read back from JSON: lists for tuples in model_options

    @property
    def custom_parts(self) -> list[CustomPart]:
        """The augmentations, schedule and optimizer that are custom functions."""
        parts = [*(self.augmentation or ()), self.schedule, self.optimizer]
        return [part for part in parts if isinstance(part, CustomPart)]

    @property
    def _reads_files(self) -> bool:
        return self.dataset.startswith("folder:")

    @property
    def prediction_background(self) -> Colour | None:
        """The background of transparent image files in predictions; None drops the transparency."""
        return self.background if self._reads_files else self.background or WHITE

    def identity(self) -> dict[str, Any]:
        """The resolved fields that identify the recipe, as JSON data.

        They include neither its name nor fields that later versions added and the recipe does not use.
        """
        fields = {**identity_fields(self.resolved()), "schema_version": 1}
        del fields["name"]
        # Order matters: the last matching wildcard counts. Alphabetical order keeps the digests of early versions.
        patterns = list(self.rate_multipliers)
        if patterns != sorted(patterns):
            fields["rate_multipliers"] = list(fields["rate_multipliers"].items())
        return fields

    def digest(self, *content: str) -> str:
        """Ten hexadecimal digits that identify the resolved recipe's content without its name.

        Fields added to the schema later count only where they differ from their default (see `kzoo.schemas.later`),
        so a recipe keeps its digest as the schema grows.

        Args:
            content: digests of files or models that the recipe names but does not contain.
        """
        fields = self.identity()
        if not self.model.startswith("keras:"):
            variant = get_variant(self.model)
            if isinstance(variant.builder, str):
                # vgg38-bn is vgg38 with batch_norm=True: one identity.
                fields["model"] = variant.builder
                fields["model_options"] = {**variant.options, **self.model_options}
        canonical = json.dumps([fields, *content], sort_keys=True, separators=(",", ":"), default=str)
        return hashlib.sha256(canonical.encode()).hexdigest()[:10]

    def __repr__(self) -> str:
        data = self.dataset if self.train_size is None else f"{self.train_size:,} images of {self.dataset}"
        return f"Recipe({self.name!r}: {self.model} on {data}, {counted(self.epochs, 'epoch')}, seed {self.seed})"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        usual = flat(type(self)("-", model="-").model_dump(mode="json"))
        fields = flat(self.model_dump(mode="json"))
        chosen = [(key, write(value)) for key, value in fields.items() if key != "name" and usual.get(key) != value]
        text = "fields that differ from their defaults"
        return notebook.heading(self.name, text) + notebook.table(("field", "value"), chosen, left=(0, 1))

    def to_json(self) -> str:
        """The recipe as indented JSON, which `Recipe.from_json` reads back."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "recipe") -> Recipe:
        """The recipe that a JSON text holds; `source` names the text in errors."""
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise InputError(f"{source} is not valid JSON: {error}") from None
        if not isinstance(fields, dict):
            raise InputError(f"{source} must hold a JSON object, not {type(fields).__name__}")
        try:
            return cls(**fields)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    @classmethod
    def from_file(cls, path: str | Path) -> Recipe:
        """The recipe that a JSON file holds."""
        try:
            text = user_path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"cannot read recipe file {str(path)!r}: {why}") from None
        return cls.from_json(text, source=f"recipe file {str(path)!r}")

    def _fields(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in type(self).model_fields}
