"""Pictures that show which parts of an image a network's prediction relies on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from PIL import Image

from kzoo.data.background import WHITE, Colour
from kzoo.data.images import read_images, resize
from kzoo.diagnostics.feature_maps import plot_feature_maps
from kzoo.diagnostics.grad_cam import check_names, grad_cam, last_map, overlay, pictures
from kzoo.diagnostics.plots import check_output, literal, new_figure, save_figure
from kzoo.errors import InputError, unknown
from kzoo.files import make_directory
from kzoo.introspection.gradients import prepare_images
from kzoo.introspection.layers import find_layer
from kzoo.introspection.outputs import read_outputs
from kzoo.introspection.predictions import probabilities_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_PICTURE = 224
"""Smaller images are enlarged by an integer factor, with sharp pixels."""


@dataclass(frozen=True)
class Explained:
    """The result for one image file.

    Attributes:
        file: the image.
        predicted: name (or number) of the class that the model predicts.
        shown: name (or number) of the class that the map explains.
        layer: path of the layer of the map.
        pictures: the files written.
    """

    file: Path
    predicted: str
    shown: str
    layer: str
    pictures: tuple[Path, ...]


def explain_files(
    model: keras.Model, files: Sequence[Path], folder: Path, *, background: Colour | None = WHITE, **options: Any
) -> list[Explained]:
    """Like `explain_images`, for image files of any size; transparent images are laid over `background`.

    Raises:
        InputError: as for `explain_images`; or files are missing, damaged or not images: the message names them.
    """
    images = read_images(files, channels=image_shape(model)[2], background=background)
    return explain_images(model, list(zip(files, images, strict=True)), folder, **options)


def explain_images(
    model: keras.Model,
    images: Sequence[tuple[Path, np.ndarray]],
    folder: Path,
    *,
    layer: str | None = None,
    class_: str | None = None,
    class_names: Sequence[str] | None = None,
    feature_maps: bool = False,
    overwrite: bool = False,
) -> list[Explained]:
    """Write a picture for each image: the image, its Grad-CAM map, and the map laid over the image.

    Args:
        model: takes pixels from 0 to 255, (n, h, w, 1) or (n, h, w, 3); images are scaled to its size.
        images: images by name, uint8 (H, W, C) of any size, with the number of channels that the model takes.
        folder: folder of the pictures ``<name>-grad-cam.png`` and ``<name>-feature-maps.png``; it is created if needed.
        layer: see `kzoo.diagnostics.grad_cam.grad_cam`.
        class_: name of the class to explain, or its number without `class_names`; by default, the predicted one.
        class_names: names by label.
        feature_maps: also write figures of each image's maps in the convolutions (or `layer`).
        overwrite: whether to replace existing pictures; if this is False and one exists, nothing is written.

    Raises:
        InputError: a file is not an image, a name is unknown, the model does not take such images, `class_names`
            does not have one name for each of its classes, or a picture exists.
    """
    # Classes and Grad-CAM maps of the scaled images.
    shape = image_shape(model)
    files, originals = [file for file, _ in images], [image for _, image in images]
    scaled = [resize(image, (shape[0] or image.shape[0], shape[1] or image.shape[1])) for image in originals]
    prepare_images(model, scaled[0][None])
    path = last_map(model, scaled[0][None]) if layer is None else find_layer(model, layer)[0]
    outputs = read_outputs(model, prepare_images(model, scaled[0][None]))
    check_names(model, outputs.classes, class_names)
    shares = [probabilities_of(model, image[None], outputs.kind)[0] for image in scaled]
    answers = [int(share.argmax()) for share in shares]
    shown = answers if class_ is None else [_label(class_, class_names)] * len(files)
    maps = [grad_cam(model, image[None], path, label)[0] for image, label in zip(scaled, shown, strict=True)]

    # Check all names, then write the pictures.
    targets = _targets(files, folder, ("grad-cam", "feature-maps") if feature_maps else ("grad-cam",), overwrite)
    rows = []
    for file, original, image, heat_map, share, answer, label, paths in zip(
        files, originals, scaled, maps, shares, answers, shown, targets, strict=True
    ):
        texts = [str(number) if class_names is None else class_names[number] for number in (answer, label)]
        title = f"predicted {texts[0]} ({share[answer]:.3f})"
        title += "" if answer == label else f", shown for {texts[1]} ({share[label]:.3f})"
        save_figure(plot_explained(original, heat_map, literal(f"{title}\n{path}")), paths[0], overwrite)
        if feature_maps:
            figure = plot_feature_maps(model, image, None if layer is None else [path])
            save_figure(figure, paths[1], overwrite)
        rows.append(Explained(file, texts[0], texts[1], path, tuple(paths)))
    return rows


def _targets(files: Sequence[Path], folder: Path, kinds: Sequence[str], overwrite: bool) -> list[list[Path]]:
    """The paths of each image's pictures, checked to be writable."""
    for file in files:
        if [other.name for other in files].count(file.name) > 1:
            raise InputError(f"image {str(file)!r} has the same name as another: their pictures would collide")
    # Without the suffix of an image file, unless that makes two names equal; "0-St. Bernard" has no suffix.
    suffixes = Image.registered_extensions()
    stems = [file.stem if file.suffix.lower() in suffixes else file.name for file in files]
    names = [stem if stems.count(stem) == 1 else file.name for stem, file in zip(stems, files, strict=True)]
    if len(set(names)) < len(names):  # q.bmp, q.png and q.png.png
        names = [file.name for file in files]
    folder = make_directory(folder)
    return [[check_output(folder / f"{name}-{kind}.png", overwrite=overwrite) for kind in kinds] for name in names]


def image_shape(model: keras.Model) -> tuple[int | None, int | None, int]:
    """(height, width, channels) of the images that a model takes; None for sizes that are not fixed.

    Raises:
        InputError: the model does not take grey or RGB images.
    """
    shape = getattr(model, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] not in (1, 3):
        raise InputError(f"model {model.name!r} must take images (height, width, 1 or 3 channels), not {shape}")
    return shape[1], shape[2], shape[3]


def _label(text: str, names: Sequence[str] | None) -> int:
    if names is not None and text in names:
        return list(names).index(text)
    if names is None and text.isdecimal():
        return int(text)
    if names is None:
        raise InputError(f"class {text!r}: give a number, because the file does not name its classes")
    raise unknown("class", text, names)


def plot_explained(image: np.ndarray, heat_map: np.ndarray, title: str) -> Figure:
    """An image, its Grad-CAM map with a scale, and the map laid over the image, side by side.

    Args:
        image: uint8 (H, W, 1 or 3).
        heat_map: the map, float (h, w), 0 to 1.
        title: text above them.
    """
    factor = max(1, -(-SMALLEST_PICTURE // min(image.shape[:2])))
    large = image.repeat(factor, 0).repeat(factor, 1)
    figure = new_figure(9.6, 3.6)
    figure.suptitle(title, fontsize=11)
    axes = figure.subplots(1, 3)
    axes[0].imshow(pictures(large[None])[0])
    scale = axes[1].imshow(heat_map, cmap="plasma", vmin=0, vmax=1, interpolation="nearest")
    axes[2].imshow(overlay(large[None], heat_map[None])[0])
    for panel, text in zip(axes, ("image", "supports the class", "laid over"), strict=True):
        panel.set(xticks=[], yticks=[], title=text)
    figure.colorbar(scale, ax=axes[1], fraction=0.046)
    return figure
