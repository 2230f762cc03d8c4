"""Grad-CAM: where in an image a network sees a class (Selvaraju et al. 2017).

A layer's channels are weighted by the mean gradient of the class's score with respect to them and added up; negative
values, the evidence against the class, become zero. The score is the class's logit. If the model ends in a softmax that
cannot be left out (a subclass with a custom call), the score is the logit minus the mean of all logits, which follows
from the probabilities. With one sigmoid, evidence for one of the two classes is evidence against the other; with
several, each label has a separate logit.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from kzoo.diagnostics.plots import literal, new_figure
from kzoo.errors import InputError
from kzoo.introspection.gradients import activation_gradients, layer_outputs, prepare_images
from kzoo.introspection.layers import check_channels_last, find_layer, find_layers
from kzoo.introspection.outputs import read_outputs, without_ending
from kzoo.introspection.predictions import probabilities_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALLEST_MAP = 4
"""Smallest number of rows and columns of the default layer's map, if any layer has that many."""


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    layer: Any = None,
    classes: int | Sequence[int] | np.ndarray | None = None,
    *,
    upsample: bool = True,
    batch_size: int = 32,
) -> np.ndarray:
    """Maps of how much each position of an image supports a class.

    Args:
        model: a built Keras model from images (n, h, w, c) to (n, classes), including nested and subclassed models, and
            models with preprocessing.
        images: as the model takes them.
        layer: path, name or layer (see `kzoo.introspection.layers.find_layers`) with a map (n, h, w, channels);
            by default, see `last_map`.
        classes: one class for all images, or one for each; by default, the predicted classes.
        upsample: resize the maps to the images' size bilinearly; otherwise they have the layer's size.
        batch_size: images processed at once.

    Returns:
        float32 (n, h, w), each scaled so that its maximum at the layer is 1; all zero if nothing supports the class.

    Raises:
        InputError: the images do not fit the model, or the layer, map or class does not exist.

    Example:
        >>> kzoo.grad_cam(model, images[:2], "block1_conv").shape
        (2, 8, 8)
    """
    images = np.asarray(images)
    prepare_images(model, images[:1])
    check_channels_last(model)
    if images.ndim != 4:
        raise InputError(f"images of shape {images.shape}: (n, height, width, channels) is needed")
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: must be 1 or more")
    layer = last_map(model, images[:1]) if layer is None else layer
    chosen = _classes(model, images, classes, batch_size)
    maps = []
    with _score_of_logits(model, images[:4]) as score:
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            maps.append(_maps(model, layer, images[part], functools.partial(score, chosen[part])))
    result = np.concatenate(maps)
    return _resized(result, images.shape[1:3]) if upsample else result


def last_map(model: keras.Model, images: np.ndarray) -> str:
    """Path of the last layer with a map of at least 4x4, or else of the last layer with the largest map.

    Layers that only pad are skipped, because their maps are shifted relative to the image.

    Raises:
        InputError: no layer has a map (n, h, w, channels), or channels come first.
    """
    check_channels_last(model)
    best, largest = None, 0
    for path, layer in reversed(find_layers(model)):
        if isinstance(layer, keras.layers.ZeroPadding2D):
            continue
        try:
            (output,) = layer_outputs(model, [path], images[:1])
        except InputError:
            continue  # a layer that is not used, or returns several tensors
        if output.ndim == 4 and min(output.shape[1:3]) > largest:
            best, largest = path, min(output.shape[1:3])
            if largest >= SMALLEST_MAP:
                break
    if best is None:
        raise InputError(f"model {model.name!r} has no layer with a map (n, height, width, channels)")
    return best


def predicted(model: keras.Model, images: np.ndarray, batch_size: int = 32) -> np.ndarray:
    """The class (the most likely label) that a model predicts for each image, int64 (n,).

    Raises:
        InputError: the model is not a classifier, see `kzoo.introspection.outputs`, or its outputs are not finite.
    """
    kind = read_outputs(model, prepare_images(model, images[:4])).kind
    return probabilities_of(model, images, kind, batch_size).argmax(-1)


def overlay(images: np.ndarray, maps: np.ndarray, strength: float = 0.6) -> np.ndarray:
    """Images with maps laid over them: the brighter a position, the more it supports the class.

    Args:
        images: (n, h, w, c). uint8 images are shown as they are; other types are stretched from each image's minimum to
            its maximum. One channel is shown in grey, three as RGB, and any other number as the mean.
        maps: (n, h, w) of any size, 0 to 1; resized to the images' size.
        strength: opacity of the map where its value is 1.

    Returns:
        uint8 (n, h, w, 3).

    Raises:
        InputError: the numbers of images and maps differ, or their shapes are wrong.
    """
    import matplotlib

    images, maps = np.asarray(images), np.asarray(maps, np.float32)
    if images.ndim != 4 or maps.ndim != 3 or len(images) != len(maps):
        raise InputError(
            f"overlay needs images (n, h, w, c) and as many maps (n, h, w), not {images.shape}, {maps.shape}"
        )
    maps = _resized(maps, images.shape[1:3]).clip(0, 1)
    colors = matplotlib.colormaps["plasma"](0.3 + 0.6 * maps)[..., :3] * 255
    covered = strength * maps[..., None]
    return np.round((1 - covered) * pictures(images) + covered * colors).astype(np.uint8)


def pictures(images: np.ndarray) -> np.ndarray:
    """Images (n, h, w, c) of any type as RGB, uint8 (n, h, w, 3): see `overlay`."""
    if images.dtype != np.uint8:
        values = np.nan_to_num(images.astype(np.float64))
        low, high = (edge(values, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
        images = np.round((values - low) / np.where(high > low, high - low, 1) * 255).astype(np.uint8)
    if images.shape[-1] == 3:
        return images
    return np.repeat(images.mean(-1, keepdims=True).round().astype(np.uint8), 3, axis=-1)


def plot_grad_cam(
    model: keras.Model,
    images: np.ndarray,
    layers: Sequence[Any] | None = None,
    classes: int | Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
) -> Figure:
    """A grid with a row for each image and class, and columns for the image and for each layer.

    Args:
        model: see `grad_cam`.
        images: (n, h, w, c), a few.
        layers: by default, the layer that `grad_cam` uses.
        classes: classes to explain for every image; by default, the predicted class of each image.
        class_names: names by label.

    Raises:
        InputError: as for `grad_cam`, or `class_names` does not have one name for each of the model's classes.
    """
    # Maps of every image and class, for each layer.
    images = np.asarray(images)
    prepare_images(model, images[:1])
    layers = [last_map(model, images[:1])] if layers is None else list(layers)
    paths = [find_layer(model, layer)[0] for layer in layers]
    outputs = read_outputs(model, prepare_images(model, images[:4]))
    check_names(model, outputs.classes, class_names)
    answers = probabilities_of(model, images, outputs.kind).argmax(-1)
    chosen = None if classes is None else np.atleast_1d(classes)
    if chosen is not None and not chosen.size:
        raise InputError("classes is empty: at least one is needed")
    rows = [(i, label) for i in range(len(images)) for label in (answers[i : i + 1] if chosen is None else chosen)]
    repeated, labels = images[[i for i, _ in rows]], np.array([label for _, label in rows])
    shown = [overlay(repeated, grad_cam(model, repeated, path, labels)) for path in paths]
    plain = pictures(repeated)

    def name(label: int) -> str:
        return str(label) if class_names is None else literal(class_names[label])

    # Draw the grid.
    figure = new_figure(2.0 * (1 + len(paths)), 2.0 * len(rows) + 0.5)
    grid = figure.subplots(len(rows), 1 + len(paths), squeeze=False)
    for row, (i, label) in enumerate(rows):
        grid[row, 0].imshow(plain[row])
        grid[row, 0].set_ylabel(f"for {name(int(label))}")
        grid[row, 0].set_title(f"predicted {name(int(answers[i]))}")
        for axes, pictures_ in zip(grid[row, 1:], shown, strict=True):
            axes.imshow(pictures_[row])
    for axes, path in zip(grid[0, 1:], paths, strict=True):
        axes.set_title(literal(path), fontsize=9)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    return figure


def check_names(model: keras.Model, classes: int, names: Sequence[str] | None) -> None:
    """Refuse class names unless there is one for each of the model's classes."""
    if names is not None and len(names) != classes:
        raise InputError(f"class_names has {len(names)} names, model {model.name!r} gives {classes} classes")


def _maps(model: keras.Model, layer: Any, images: np.ndarray, score: Callable[[Any], Any]) -> np.ndarray:
    result = activation_gradients(model, layer, images, score)
    if result.activations.ndim != 4:
        raise InputError(
            f"layer {find_layer(model, layer)[0]!r} gives {result.activations.shape[1:]} for an image: "
            "one with a map (height, width, channels) is needed"
        )
    weights = result.gradients.mean((1, 2), keepdims=True)
    maps = np.maximum((weights * result.activations).sum(-1), 0)
    highest = maps.max((1, 2), keepdims=True)
    return (maps / np.where(highest > 0, highest, 1)).astype(np.float32)


def _classes(model: keras.Model, images: np.ndarray, classes: Any, batch_size: int) -> np.ndarray:
    if classes is None:
        return predicted(model, images, batch_size)
    chosen = np.asarray(classes)
    if chosen.dtype.kind not in "iu" or chosen.shape not in ((), (len(images),)):
        raise InputError(f"classes={classes!r}: one integer, or one for each of {len(images)} images, is needed")
    count = read_outputs(model, prepare_images(model, images[:4])).classes
    if chosen.min() < 0 or chosen.max() >= count:
        raise InputError(f"classes={classes!r}: allowed are 0..{count - 1}, the classes of {model.name!r}")
    return np.broadcast_to(chosen, len(images)).astype(np.int64)


@contextlib.contextmanager
def _score_of_logits(model: keras.Model, images: np.ndarray) -> Iterator[Callable[[np.ndarray, Any], Any]]:
    """A context in which the model returns logits if possible; yields the score, a function of classes and outputs."""
    model_outputs = read_outputs(model, prepare_images(model, images))
    apart = model_outputs.kind in ("sigmoid", "sigmoids")
    gives_logits = model_outputs.kind == "logits" or model_outputs.ending is not None

    def score(classes: np.ndarray, outputs: Any) -> Any:
        outputs = ops.cast(outputs, "float32")
        if not gives_logits:
            logarithms = ops.log(ops.maximum(outputs, 1e-37))
            against = ops.log(ops.maximum(1 - outputs, 1e-37)) if apart else ops.mean(logarithms, -1, keepdims=True)
            outputs = logarithms - against
        if model_outputs.kind == "sigmoid":
            outputs = ops.concatenate([-outputs, outputs], axis=-1)
        chosen = ops.one_hot(classes, outputs.shape[-1], dtype="float32")
        return ops.sum(outputs * chosen, axis=-1)

    with without_ending(model_outputs.ending):
        yield score


def _resized(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Maps (n, h, w) resized bilinearly."""
    if maps.shape[1:] == tuple(size):
        return maps
    stretched = ops.image.resize(maps[..., None], size, "bilinear", data_format="channels_last")
    return np.asarray(ops.convert_to_numpy(stretched))[..., 0]
