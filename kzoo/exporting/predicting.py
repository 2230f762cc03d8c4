"""Predicts classes of image files with a run, a Keras model, or an exported file. Imports no Keras itself."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kzoo.data.background import WHITE, Colour
from kzoo.data.image_files import Unreadable
from kzoo.data.images import read_image, resize
from kzoo.errors import InputError, RunFailed, first_line
from kzoo.exporting.runtimes import Exported
from kzoo.files import user_path
from kzoo.introspection.output_kinds import Kind, as_probabilities, kind_of
from kzoo.recipes.schema import Recipe

NOISE_IMAGES, NOISE_SIZE = 4, 64


class Classifier:
    """A network that classifies images, from a run or a file.

    Attributes:
        image_shape: (height, width, channels); None for a size that is not fixed.
        kind: kind of the outputs, see `kzoo.introspection.output_kinds`; None until the first images if the file does
            not declare it.
        background: colour under transparent images; None drops the transparency.
        model: the Keras model of a run, a weight set or a .keras file; None for other files.
    """

    def __init__(self, target: str | Path) -> None:
        """Open a run's directory, a weight set, a .keras, .onnx or .tflite file, or a SavedModel's folder.

        Raises:
            InputError: the target is something else, cannot be opened, or does not take grey or RGB images.
        """
        self.name, self.target, self.model = str(target), user_path(target), None
        exported = self.target.suffix.lower() in (".keras", ".onnx", ".tflite")
        self._names: Sequence[str] | None
        self.background: Colour | None = WHITE
        self._rounding = 0.0
        exported = exported or (self.target / "saved_model.pb").is_file()

        # Read the description of images, classes and outputs from the file or the run.
        if exported:
            file = Exported(self.target)
            self.image_shape, self._names, self.kind = file.image_shape, file.metadata.get("class_names"), file.kind
            self._outputs, self._rounding, self.model = file.__call__, file.rounding, file.model
            if file.metadata.get("recipe"):
                self.background = Recipe(**file.metadata["recipe"]).prediction_background
        else:
            self._open_run()

        # Refuse unsuitable images, and warn if the expected scale is unknown.
        if exported and not file.metadata and not _scales_pixels(self.model):
            warnings.warn(
                f"{str(target)!r} does not say which pixels it takes: it gets 0 to 255, so the predictions are wrong "
                "if its pixels must be scaled before they reach the file",
                stacklevel=2,
            )
        if self.image_shape[2] not in (1, 3):
            raise InputError(f"{str(target)!r} takes images of shape {self.image_shape}: 1 or 3 channels are needed")

    def _open_run(self) -> None:
        from kzoo.introspection.outputs import read_outputs
        from kzoo.training.saved_set import open_run

        run = open_run(self.name)
        self.model = run.model
        self.image_shape = tuple(run.model.input_shape[1:])
        self._names, self.kind = run.class_names, read_outputs(run.model).kind
        self.background = run.recipe.prediction_background
        self._outputs = lambda images: run.model.predict(images, batch_size=len(images), verbose=0)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of a batch of images, pixels 0-255: float64 (batch, classes), or (batch, labels) of sigmoids.

        Raises:
            InputError: the outputs are not a classifier's.
            RunFailed: the outputs are not finite.
        """
        outputs = np.asarray(self._outputs(images), np.float64)
        if outputs.ndim != 2:
            raise InputError(f"{str(self.target)!r} gives outputs of shape {outputs.shape}: it is not a classifier")
        if not np.isfinite(outputs).all():
            raise RunFailed(f"{str(self.target)!r} gives outputs that are not finite")
        if self.kind is None:
            self.kind = self._guessed(outputs)
        return as_probabilities(outputs, self.kind)

    def _guessed(self, outputs: np.ndarray) -> Kind:
        """The kind of a file's undeclared outputs, inferred from its outputs for some images and for noise."""
        shape = [size or NOISE_SIZE for size in self.image_shape]
        noise = np.random.default_rng(0).integers(0, 256, [NOISE_IMAGES, *shape]).astype(np.uint8)
        trials = [outputs, *(np.asarray(self._outputs(noise[i : i + 1])) for i in range(NOISE_IMAGES))]
        kind = kind_of(trials, self._rounding)
        if outputs.shape[1] == 1 and kind != "sigmoid":
            raise InputError(f"{str(self.target)!r} gives one number that is not a probability: it is not a classifier")
        return kind

    def names(self, classes: int) -> Sequence[str]:
        """Names of the classes; numbers if the file has no names.

        Raises:
            InputError: the file has names for a different number of classes.
        """
        if self._names is not None and len(self._names) != classes:
            raise InputError(f"{str(self.target)!r} names {len(self._names)} classes but gives {classes} outputs")
        return self._names or [str(i) for i in range(classes)]


def _scales_pixels(model: Any) -> bool:
    """Whether a Keras model scales its pixels itself; other files do not show it."""
    if model is None:
        return False
    from kzoo.introspection.graph import inner_layers

    return any(type(layer).__name__ in ("Rescaling", "Normalization") for layer in inner_layers(model))


class Prediction(NamedTuple):
    """The most probable classes of one image file, in descending order: (name, probability)."""

    file: Path
    classes: list[tuple[str, float]]


def predict_files(
    classifier: Classifier,
    paths: Sequence[Path],
    *,
    top: int = 3,
    batch_size: int = 64,
    unreadable: Unreadable | None = None,
) -> Iterator[Prediction]:
    """Yield the most probable classes of image files, batch by batch.

    Args:
        classifier: the network.
        paths: image files of any size; they are scaled, and converted to grey or RGB, as the classifier needs.
        top: largest number of classes for each image.
        batch_size: images in memory at once.
        unreadable: collects the errors of files that cannot be read, which are then left out.

    Raises:
        InputError: a file is missing or not an image, and `unreadable` is not given; the message names the file.
    """
    channels = classifier.image_shape[2]
    images: Iterable[tuple[Path, np.ndarray]]
    if unreadable is None:
        images = ((path, read_image(path, channels=channels, background=classifier.background)) for path in paths)
    else:
        images = unreadable.readable(paths, channels, classifier.background)
    yield from predict_images(classifier, images, top=top, batch_size=batch_size)


def predict_images(
    classifier: Classifier, images: Iterable[tuple[Path, np.ndarray]], *, top: int = 3, batch_size: int = 64
) -> Iterator[Prediction]:
    """Like `predict_files`, for named images: uint8 (H, W, C), with the classifier's number of channels."""
    height, width, _ = classifier.image_shape
    if height is None or width is None:
        batch_size = 1  # the images can differ in size
    rest = iter(images)
    while chosen := list(itertools.islice(rest, batch_size)):
        scaled = [resize(image, (height or image.shape[0], width or image.shape[1])) for _, image in chosen]
        try:
            probabilities = classifier.probabilities(np.stack(scaled))
        except (InputError, RunFailed):
            raise
        except Exception as error:  # each runtime raises different errors
            size = "x".join(map(str, scaled[0].shape[:2]))
            image = f"image {str(chosen[0][0])!r} of {size} pixels"
            raise InputError(
                f"{classifier.name!r} cannot take {image}, which may be too small: {first_line(error)}"
            ) from None
        names = classifier.names(probabilities.shape[1])
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        for (path, _), shares, best in zip(chosen, probabilities, order, strict=True):
            yield Prediction(path, [(names[i], float(shares[i])) for i in best])
