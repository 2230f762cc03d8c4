"""A run's most confident mistakes, and training images before and after each augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kzoo.data.augmentation.base import UNIT
from kzoo.data.augmentation.expansions import CHANGES
from kzoo.data.augmentation.mixing import Mixing
from kzoo.diagnostics.confusion import confident_mistakes
from kzoo.errors import InputError, RunFailed
from kzoo.html_report.document import Absent
from kzoo.html_report.pictures import png, sheet
from kzoo.recipes.schema import Recipe
from kzoo.recipes.text import write
from kzoo.seeds import generator
from kzoo.training.records import RunRecord

if TYPE_CHECKING:
    from kzoo.training.run import Run

MISTAKES = 24
SHOWN = 8


@dataclass(frozen=True)
class Picture:
    """A misclassified image, with the predicted and the true class and their probabilities."""

    source: str
    alt: str
    predicted: str
    probability: str
    true: str
    true_probability: str


@dataclass(frozen=True)
class Mistakes:
    """The most confident mistakes, and a sentence about them."""

    text: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Strip:
    """Images before (upper row) and after (lower row) a change."""

    title: str
    text: str
    source: str
    alt: str
    width: int
    height: int


def mistakes(record: RunRecord, run: Run | None, data_dir: str | Path | None) -> Mistakes | Absent:
    """The misclassified test images for which the run's best weights give the highest probability."""
    if why := record.why_untested():
        return Absent(why)
    if run is None:
        return Absent("This page was made from a record only; mistakes need the run’s weights and data.")
    if not (run.directory / "best.weights.h5").is_file():
        return Absent("The run’s weights are missing (best.weights.h5), so its mistakes cannot be shown.")

    # Predict the test part.
    from kzoo.training.prediction import predict_part

    try:
        predicted = predict_part(run, "test", data_dir)
    except (InputError, RunFailed) as error:
        return Absent(f"Mistakes cannot be shown: {error}.")
    names = run.class_names
    chosen = confident_mistakes(predicted.labels, predicted.probabilities, MISTAKES)
    wrong = int((predicted.probabilities.argmax(-1) != predicted.labels).sum())
    if not chosen:
        return Absent(f"There are none: all {len(predicted.labels):,} test images are classified correctly.")

    # Collect the pictures, and say how many of all mistakes they show.
    pictures = tuple(
        Picture(
            png(predicted.images[m.image]),
            f"test image {m.image}: {names[m.true]}, classified as {names[m.predicted]}",
            names[m.predicted],
            f"{m.probability:.3f}",
            names[m.true],
            f"{m.true_probability:.3f}",
        )
        for m in chosen
    )
    which = "All are shown" if wrong <= MISTAKES else f"The {len(pictures)} most confident mistakes are shown"
    text = (
        f"The best epoch’s weights misclassify {wrong:,} of {len(predicted.labels):,} test images. {which}: the "
        "predicted class in bold, the true class below it, each with the network’s probability."
    )
    return Mistakes(text, pictures)


def augmentation(record: RunRecord, run: Run | None, data_dir: str | Path | None) -> list[Strip] | Absent:
    """A few training images before and after each change of the recipe, and after all of them."""
    changes = record.recipe.get("augmentation") or []
    expansions = record.recipe.get("expansions") or []
    if not changes and not expansions:
        return Absent("The recipe does not change training images.")

    # Load the images that the run was trained on.
    from kzoo.training.build import load_parts

    try:
        recipe = run.recipe if run is not None else Recipe(**record.recipe)
        data = load_parts(recipe.override(expansions=()), data_dir or record.data.get("data_dir"))
        if data.fingerprint != record.data["fingerprint"]:
            raise InputError("this is not the data that the run was trained on")
    except InputError as error:
        return Absent(f"Images cannot be shown: {error}.")

    # Show each change alone, then all changes together.
    before = np.array(data.train.images[:SHOWN])
    normalization = data.normalization or UNIT
    strips = []
    for name in expansions:
        copies = CHANGES[name]
        after = [copies[i * len(copies) // len(before)](before[i : i + 1])[0] for i in range(len(before))]
        strips.append(_strip(name, "a copy added to the training images", before, np.stack(after)))
    everything = before
    rng = generator(record.recipe["seed"], "page")
    for index, (change, fields) in enumerate(zip(recipe.augmentation or (), changes, strict=True)):
        alone = generator(record.recipe["seed"], "page", index)
        details = {key: value for key, value in fields.items() if key != "kind"}
        text = ", ".join(f"{key} {write(value)}" for key, value in details.items())
        strips.append(_strip(change.kind, text, before, _changed(change, before, alone, normalization)))
        everything = _changed(change, everything, rng, normalization)
    if len(changes) > 1:
        strips.append(_strip("all together", "as the network may see them", before, everything))
    return strips


def _changed(change: Any, images: np.ndarray, rng: np.random.Generator, normalization: Any) -> np.ndarray:
    if isinstance(change, Mixing):
        return change.mix(images, np.zeros((len(images), 1), np.float32), rng)[0]
    return np.asarray(change(images, rng, normalization))


def _strip(title: str, text: str, before: np.ndarray, after: np.ndarray) -> Strip:
    picture = sheet([before, after])
    alt = f"{len(before)} training images before (upper row) and after {title} (lower row)"
    return Strip(title, text, png(picture), alt, picture.shape[1], picture.shape[0])
